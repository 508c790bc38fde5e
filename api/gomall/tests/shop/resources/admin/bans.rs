//! Bans, of users and of addresses.

use crate::conventions::{Keyed, Scene, samples};
use crate::resources::{OutOfRange, Resource, Thing, out_of_range};
use crate::support::Shop;
use futures::FutureExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const BANS: &str = "/api/v1/admin/bans";
const ADD: &str = "POST /api/v1/admin/bans";

pub(super) const RESOURCE: Resource = Resource {
    keyed: |scene| keyed(scene).boxed_local(),
    ranges,
    either: &[(ADD, "user_id", ("cidr", r#""203.0.113.7""#))],
    things: |scene| things(scene).boxed_local(),
    ..Resource::NONE
};

/// Of addresses that nobody has.
fn sample() -> Value {
    samples::body(ADD)
}

async fn keyed(scene: &Scene) -> Vec<Keyed> {
    let (admin, lift) = (&scene.admin, "DELETE /api/v1/admin/bans/{id}");
    let mut other = sample();
    other["reason"] = json!("another");
    let of_user = json!({"user_id": scene.somebody().await.id(), "reason": "abuse"});
    let banned = json!({"user_id": scene.somebody().await.id(), "reason": "abuse"});
    let (of_addresses, banned) =
        (admin.post(BANS, &sample()).await, admin.post(BANS, &banned).await);
    vec![
        Keyed::of(admin, ADD, &[]).with(sample()).unlike(other),
        Keyed::of(admin, ADD, &[]).with(of_user),
        Keyed::of(admin, lift, &[of_addresses.id()]),
        Keyed::of(admin, lift, &[banned.id()]),
    ]
}

fn ranges() -> Vec<OutOfRange> {
    let times = ["2999-02-30T00:00:00Z", "2999-01-01", "2020-01-01T00:00:00Z"];
    let networks = ["", "here", "203.0.113.0/33", "300.0.0.1"];
    vec![
        out_of_range(ADD, "/until", times, "invalid_field"),
        out_of_range(ADD, "/cidr", networks, "invalid_field"),
        out_of_range(ADD, "/cidr", ["0.0.0.0/0", "::/0"], "network_too_wide"),
    ]
}

async fn things(scene: &Scene) -> Vec<Thing> {
    let banned = scene.admin.post(BANS, &sample()).await;
    let id = banned.id().to_owned();
    vec![Thing::new(&scene.admin, "/api/v1/admin/bans/{id}", &id, banned)]
}

fn id(body: &Value) -> &str {
    body["id"].as_str().expect("an id")
}

#[tokio::test]
async fn users_and_addresses_are_banned_in_one_list() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let admin = shop.admin(&gomall).await;
    let (one, two) = (shop.customer(&gomall).await, shop.customer(&gomall).await);
    for person in [&one, &two] {
        let ban = json!({"user_id": person.id(), "reason": "scraping"});
        let banned = admin.post(BANS, &ban).await;
        assert_eq!(banned.expect(StatusCode::CREATED)["user_id"], person.id());
        person.get("/api/v1/me").await.refused(403, "banned");
    }
    let network = json!({"cidr": "192.0.2.7/24", "reason": "scraping"});
    let banned = admin.post(BANS, &network).await;
    assert_eq!(banned.expect(StatusCode::CREATED)["cidr"], "192.0.2.0/24");
    let path = format!("{BANS}/{}", id(&banned.body));
    assert_eq!(banned.header("location"), Some(&*path));
    let shown = admin.get_once_at(&path, banned.position()).await;
    assert_eq!(shown.expect(StatusCode::OK), &banned.body);

    let mut seen = vec![];
    let mut cursor = String::new();
    loop {
        let page = admin.get_once_at(&format!("{BANS}?limit=1{cursor}"), banned.position()).await;
        let page = page.expect(StatusCode::OK);
        seen.extend(page["items"].as_array().expect("a list").iter().map(|ban| id(ban).to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let mut users = [one.id(), two.id()];
    users.sort_unstable();
    assert_eq!(seen, [id(&banned.body), users[0], users[1]]);

    for id in &seen {
        let lifted = admin.delete(&format!("{BANS}/{id}")).await;
        lifted.expect(StatusCode::NO_CONTENT);
        assert!(lifted.header("policy-version").is_some());
        admin.delete(&format!("{BANS}/{id}")).await.refused(404, "not_found");
    }
    // No longer banned, and signed out.
    one.get("/api/v1/me").await.refused(401, "unauthenticated");
    for (body, code) in [
        (json!({"reason": "x"}), "missing_field"),
        (json!({"cidr": "192.0.2.300", "reason": "x"}), "invalid_field"),
        (json!({"cidr": "192.0.2.3", "user_id": one.id(), "reason": "x"}), "invalid_field"),
        (json!({"cidr": "0.0.0.0/0", "reason": "x"}), "network_too_wide"),
    ] {
        admin.post(BANS, &body).await.refused(422, code);
    }
}

/// An address, also behind a proxy of ours; and no other.
#[tokio::test]
async fn an_address_is_banned_whoever_comes_from_it() {
    let scene = Scene::shared().await;
    let ban = json!({"cidr": "203.0.113.0/24", "reason": "abuse"});
    let banned = scene.admin.post(BANS, &ban).await;
    let id = banned.expect(StatusCode::CREATED)["id"].as_str().expect("an id");
    let from = async |address: &str| {
        let headers = [("x-forwarded-for", address)];
        let visitor = scene.visitor.send(Method::GET, "/api/v1/products", &headers, None).await;
        let admin = scene.admin.send(Method::GET, "/api/v1/me", &headers, None).await;
        assert_eq!(visitor.status, admin.status, "{address}");
        visitor
    };
    for address in
        ["203.0.113.7", "203.0.113.255", "198.51.100.1, 203.0.113.7", "::ffff:203.0.113.7"]
    {
        from(address).await.refused(403, "banned");
    }
    for address in ["203.0.114.7", "203.0.113.7, 198.51.100.1", "127.0.0.1", "::1"] {
        from(address).await.expect(StatusCode::OK);
    }
    // What nobody can read lets in nobody; a byte that is no text before it changes nothing.
    from("nonsense").await.refused(400, "malformed_forwarded_for");
    from("203.0.113.7\u{e9}").await.refused(400, "malformed_forwarded_for");
    from("\u{e9}, 203.0.113.7").await.refused(403, "banned");
    let lifted = scene.admin.delete(&format!("{BANS}/{id}")).await;
    lifted.expect(StatusCode::NO_CONTENT);
    from("203.0.113.7").await.expect(StatusCode::OK);
}
