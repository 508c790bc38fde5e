//! Who has an account: roles and bans.

use crate::conventions::{Keyed, Scene};
use crate::resources::{OutOfRange, Resource, out_of_range};
use crate::support::{PASSWORD, Shop};
use futures::FutureExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const USERS: &str = "/api/v1/admin/users";

/// A route that staff may use and nobody else.
const PRODUCTS: &str = "/api/v1/admin/products";

pub(super) const RESOURCE: Resource =
    Resource { keyed: |scene| keyed(scene).boxed_local(), ranges, ..Resource::NONE };

async fn keyed(scene: &Scene) -> Vec<Keyed> {
    let (admin, role) = (&scene.admin, |role: &str| json!({"role": role}));
    let reason = |text: &str| json!({"reason": text});
    let mut people = vec![];
    for _ in 0..5 {
        people.push(scene.somebody().await);
    }
    let [one, two, three, four, five] = [0, 1, 2, 3, 4].map(|place: usize| people[place].id());
    let granted = admin.post(&format!("{USERS}/{two}/roles"), &role("analyst")).await;
    granted.expect(StatusCode::OK);
    let banned = admin.post(&format!("{USERS}/{five}/ban"), &reason("abuse")).await;
    banned.expect(StatusCode::OK);
    let grant = Keyed::of(admin, "POST /api/v1/admin/users/{id}/roles", &[one]);
    let ban = Keyed::of(admin, "POST /api/v1/admin/users/{id}/ban", &[four]);
    vec![
        grant.with(role("analyst")).unlike(role("staff")),
        Keyed::of(admin, "DELETE /api/v1/admin/users/{id}/roles/{role}", &[two, "analyst"]),
        Keyed::of(admin, "DELETE /api/v1/admin/users/{id}/sessions", &[three]),
        ban.with(reason("abuse")).unlike(reason("fraud")),
        Keyed::of(admin, "POST /api/v1/admin/users/{id}/unban", &[five]),
    ]
}

fn ranges() -> Vec<OutOfRange> {
    let times = ["2999-02-30T00:00:00Z", "2999-01-01", "2020-01-01T00:00:00Z"];
    let (ban, grant) = ("POST /api/v1/admin/users/{id}/ban", "POST /api/v1/admin/users/{id}/roles");
    vec![
        out_of_range(ban, "/until", times, "invalid_field"),
        out_of_range(grant, "/role", ["anonymous", "authenticated"], "role_reserved"),
    ]
}

#[tokio::test]
async fn roles_and_bans_bite_at_once_and_an_administrator_stays() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let admin = shop.admin(&gomall).await;
    let customer = shop.customer(&gomall).await;
    let path = format!("/api/v1/admin/users/{}", customer.id());
    let own = format!("/api/v1/admin/users/{}", admin.id());
    let role = |role: &str| json!({"role": role});
    customer.get(PRODUCTS).await.refused(403, "forbidden");
    let granted = admin.post(&format!("{path}/roles"), &role("staff")).await;
    assert_eq!(granted.expect(StatusCode::OK)["roles"], json!(["customer", "staff"]));
    assert_eq!(granted.body["email"], customer.user["email"]);
    customer.get(PRODUCTS).await.expect(StatusCode::OK);
    let users = admin.get_once_at("/api/v1/admin/users", granted.position()).await;
    let users = users.expect(StatusCode::OK)["items"].as_array().expect("a list").clone();
    assert!(users.contains(&granted.body), "{users:?}");
    let revoked = admin.delete(&format!("{path}/roles/staff")).await;
    assert_eq!(revoked.expect(StatusCode::OK)["roles"], json!(["customer"]));
    // Whoever loses a role of the staff is signed out.
    customer.get(PRODUCTS).await.refused(401, "unauthenticated");
    let customer = shop.sign_in(&gomall, &customer).await;
    customer.get(PRODUCTS).await.refused(403, "forbidden");
    admin.post(&format!("{path}/roles"), &role("anonymous")).await.refused(422, "role_reserved");
    admin.post(&format!("{path}/roles"), &role("a b")).await.refused(422, "invalid_field");
    admin.post(&format!("{path}/roles"), &role("stuff")).await.refused(422, "unknown_role");
    admin.post("/api/v1/admin/users/x/roles", &role("staff")).await.refused(404, "not_found");

    let ban = json!({"reason": "scraping", "until": "2999-01-01T00:00:00Z"});
    let banned = admin.post(&format!("{path}/ban"), &ban).await;
    assert_eq!(banned.expect(StatusCode::OK)["ban"]["reason"], "scraping");
    customer.get("/api/v1/me").await.refused(403, "banned");
    let late = json!({"reason": "scraping", "until": "2001-01-01T00:00:00Z"});
    let late = admin.post(&format!("{path}/ban"), &late).await;
    assert_eq!(late.refused(422, "invalid_field")["errors"][0]["pointer"], "/until");
    let unbanned = admin.post(&format!("{path}/unban"), &json!({})).await;
    assert_eq!(unbanned.expect(StatusCode::OK)["ban"], Value::Null);
    customer.get("/api/v1/me").await.refused(401, "unauthenticated");
    let customer = shop.sign_in(&gomall, &customer).await;
    customer.get("/api/v1/me").await.expect(StatusCode::OK);

    // The last administrator stays one, until there is another.
    let last = "last_administrator";
    admin.delete(&format!("{own}/roles/admin")).await.refused(409, last);
    admin.post(&format!("{own}/ban"), &json!({"reason": "x"})).await.refused(409, last);
    let second = admin.post(&format!("{path}/roles"), &role("admin")).await;
    let position = second.position();
    second.expect(StatusCode::OK);
    admin.get_once_at("/api/v1/admin/users", position).await.expect(StatusCode::OK);
    admin.delete(&format!("{own}/roles/admin")).await.expect(StatusCode::OK);
    admin.get(PRODUCTS).await.refused(401, "unauthenticated");
    customer.delete(&format!("{path}/roles/admin")).await.refused(409, last);
}

#[tokio::test]
async fn two_administrators_cannot_dismiss_each_other_at_the_same_time() {
    const ROUNDS: usize = 20;
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let mut admin = shop.admin(&gomall).await;
    let mut other = shop.customer(&gomall).await;
    for _ in 0..ROUNDS {
        // Who was dismissed has been signed out.
        other = match other.user["email"].as_str() {
            Some("admin@example.com") => shop.admin(&gomall).await,
            _ => shop.sign_in(&gomall, &other).await,
        };
        let roles = format!("{USERS}/{}/roles", other.id());
        let appointed = admin.post(&roles, &json!({"role": "admin"})).await;
        appointed.expect(StatusCode::OK);
        admin.get_once_at(USERS, appointed.position()).await.expect(StatusCode::OK);
        let (of_admin, of_other) = (
            format!("{USERS}/{}/roles/admin", admin.id()),
            format!("{USERS}/{}/roles/admin", other.id()),
        );
        let dismissals = tokio::join!(other.delete(&of_admin), admin.delete(&of_other));
        let done = [&dismissals.0, &dismissals.1].map(|answer| answer.status == StatusCode::OK);
        assert_ne!(done, [true, true], "nobody is left");
        // Whoever is left appoints the other one again.
        if done[0] {
            std::mem::swap(&mut admin, &mut other);
        }
    }
}

/// Banned with the old token, on public paths, at sign-in, at refresh; and no longer afterwards.
#[tokio::test]
async fn a_ban_is_in_force_at_once() {
    let scene = Scene::shared().await;
    let banned = scene.somebody().await;
    let account = json!({"email": banned.user["email"], "password": PASSWORD});
    let refresh = json!({"refresh_token": banned.refresh_token});
    let user = format!("{USERS}/{}", banned.id());
    let ban = scene.admin.post(&format!("{user}/ban"), &json!({"reason": "abuse"})).await;
    ban.expect(StatusCode::OK);
    let before = scene.events_of("user", banned.id()).await;
    for path in ["/api/v1/me", "/api/v1/products", "/nonsense"] {
        banned.get(path).await.refused(403, "banned");
    }
    // No ban is about a probe.
    banned.get("/healthz").await.expect(StatusCode::OK);
    let login = async || scene.visitor.post("/api/v1/auth/login", &account).await;
    login().await.refused(403, "banned");
    let wrong = json!({"email": banned.user["email"], "password": "another password"});
    scene.visitor.post("/api/v1/auth/login", &wrong).await.refused(401, "bad_credentials");
    scene.visitor.post("/api/v1/auth/refresh", &refresh).await.refused(403, "banned");
    banned.post("/api/v1/auth/refresh", &refresh).await.refused(403, "banned");
    assert_eq!(
        scene.events_of("user", banned.id()).await,
        before,
        "what is refused changes nothing"
    );

    let unban = scene.admin.send(Method::POST, &format!("{user}/unban"), &[], None).await;
    unban.expect(StatusCode::OK);
    // The ban has ended the sessions of before.
    banned.get("/api/v1/me").await.refused(401, "unauthenticated");
    scene.visitor.post("/api/v1/auth/refresh", &refresh).await.refused(401, "unauthenticated");
    login().await.expect(StatusCode::OK);
}
