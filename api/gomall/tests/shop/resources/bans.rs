//! Bans, of users and of addresses.

use crate::support::Shop;
use reqwest::StatusCode;
use serde_json::{Value, json};

fn id(body: &Value) -> &str {
    body["id"].as_str().expect("an id")
}

#[tokio::test]
async fn users_and_addresses_are_banned_in_one_list() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let admin = shop.admin(&gomall).await;
    let (one, two) = (shop.customer(&gomall).await, shop.customer(&gomall).await);
    let bans = "/api/v1/admin/bans";
    for person in [&one, &two] {
        let ban = json!({"user_id": person.id(), "reason": "scraping"});
        let banned = admin.post(bans, &ban).await;
        assert_eq!(banned.expect(StatusCode::CREATED)["user_id"], person.id());
        person.get("/api/v1/me").await.refused(403, "banned");
    }
    let network = json!({"cidr": "192.0.2.7/24", "reason": "scraping"});
    let banned = admin.post(bans, &network).await;
    assert_eq!(banned.expect(StatusCode::CREATED)["cidr"], "192.0.2.0/24");
    let path = format!("{bans}/{}", id(&banned.body));
    let shown = admin.get_after(&path, banned.position()).await;
    assert_eq!(shown.expect(StatusCode::OK), &banned.body);

    let mut seen = vec![];
    let mut cursor = String::new();
    loop {
        let page = admin.get_after(&format!("{bans}?limit=1{cursor}"), banned.position()).await;
        let page = page.expect(StatusCode::OK);
        seen.extend(page["items"].as_array().expect("a list").iter().map(|ban| id(ban).to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let mut users = [one.id(), two.id()];
    users.sort_unstable();
    assert_eq!(seen, [id(&banned.body), users[0], users[1]]);

    for id in &seen {
        let lifted = admin.delete(&format!("{bans}/{id}")).await;
        lifted.expect(StatusCode::NO_CONTENT);
        assert!(lifted.header("policy-version").is_some());
        admin.delete(&format!("{bans}/{id}")).await.refused(404, "not_found");
    }
    // No longer banned, and signed out.
    one.get("/api/v1/me").await.refused(401, "unauthenticated");
    for (body, code) in [
        (json!({"reason": "x"}), "missing_field"),
        (json!({"cidr": "192.0.2.300", "reason": "x"}), "invalid_field"),
        (json!({"cidr": "192.0.2.3", "user_id": one.id(), "reason": "x"}), "invalid_field"),
        (json!({"cidr": "0.0.0.0/0", "reason": "x"}), "network_too_wide"),
    ] {
        admin.post(bans, &body).await.refused(422, code);
    }
}
