//! Who has an account: roles and bans.

use crate::support::Shop;
use reqwest::StatusCode;
use serde_json::{Value, json};

/// A route that staff may use and nobody else.
const PRODUCTS: &str = "/api/v1/admin/products";

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
    let users = admin.get_after("/api/v1/admin/users", granted.position()).await;
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
    admin.get_after("/api/v1/admin/users", position).await.expect(StatusCode::OK);
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
    let users = "/api/v1/admin/users";
    for _ in 0..ROUNDS {
        // Who was dismissed has been signed out.
        other = match other.user["email"].as_str() {
            Some("admin@example.com") => shop.admin(&gomall).await,
            _ => shop.sign_in(&gomall, &other).await,
        };
        let roles = format!("{users}/{}/roles", other.id());
        let appointed = admin.post(&roles, &json!({"role": "admin"})).await;
        appointed.expect(StatusCode::OK);
        admin.get_after(users, appointed.position()).await.expect(StatusCode::OK);
        let (of_admin, of_other) = (
            format!("{users}/{}/roles/admin", admin.id()),
            format!("{users}/{}/roles/admin", other.id()),
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
