//! Who changed who may do what, and who was refused.

use crate::support::{Answer, Person, Shop, new_id};
use reqwest::StatusCode;
use serde_json::{Value, json};

const AUDIT: &str = "/api/v1/admin/audit";

fn items(answer: &Answer) -> &[Value] {
    answer.expect(StatusCode::OK)["items"].as_array().expect("a list")
}

async fn found(admin: &Person, query: &str, position: u64) -> Vec<Value> {
    items(&admin.get_once_at(&format!("{AUDIT}?limit=100&{query}"), position).await).to_vec()
}

fn codes(items: &[Value]) -> Vec<&str> {
    items.iter().filter_map(|item| item["code"].as_str()).collect()
}

#[tokio::test]
async fn who_was_refused_and_who_changed_what_is_told_with_from_where_and_by_which_rule() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let admin = shop.admin(&gomall).await;
    let customer = shop.customer(&gomall).await;
    let deny = json!({"effect": "deny", "roles": ["customer"], "methods": ["GET"],
        "path": "/api/v1/me/cart", "note": "Private."});
    let added = admin.post("/api/v1/admin/permission-rules", &deny).await;
    let rule = added.expect(StatusCode::CREATED)["id"].clone();
    let version: u64 =
        added.header("policy-version").and_then(|text| text.parse().ok()).expect("it");
    let asked = [("policy-version", added.header("policy-version").expect("a version"))];
    for _ in 0..2 {
        let refused = customer.send(reqwest::Method::GET, "/api/v1/me/cart", &asked, None).await;
        refused.refused(403, "forbidden");
    }

    let by_customer = format!("user_id={}&kind=denial", customer.id());
    let refused = found(&admin, &by_customer, added.position()).await;
    let times: u64 = refused.iter().filter_map(|item| item["times"].as_u64()).sum();
    assert_eq!(times, 2, "{refused:?}");
    let item = &refused[0];
    let expected = json!({"code": "forbidden", "rule_id": rule, "address": "127.0.0.1",
        "method": "GET", "path": "/api/v1/me/cart", "policy_version": version});
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&item[name], value, "{item}");
    }

    let changed = found(&admin, "code=RuleAdded", added.position()).await;
    let item = &changed[0];
    assert_eq!((&item["entry_id"], &item["kind"]), (&rule, &json!("change")));
    assert_eq!(item["actor"], format!("user:{}", admin.id()));
    assert_eq!((&item["address"], &item["method"]), (&json!("127.0.0.1"), &json!("POST")));
    assert_eq!(item["path"], "/api/v1/admin/permission-rules");
    // What the seed wrote was no request.
    let seeded = changed.last().expect("a new shop has rules");
    assert_eq!(seeded["address"], Value::Null);

    let of_customer = format!("user_id={}&kind=change", customer.id());
    let of_customer = found(&admin, &of_customer, added.position()).await;
    assert_eq!(codes(&of_customer), ["SessionStarted", "RoleGranted", "UserRegistered"]);
    assert_eq!(of_customer[0]["path"], "/api/v1/auth/register");
    for person in [&customer, &shop.visitor(&gomall)] {
        let refused = person.get(AUDIT).await;
        assert!([401, 403].contains(&refused.status.as_u16()), "{}", refused.text);
    }
    for bad in ["kind=x", "address=x", "email=x", "user_id=x", "since=x", "until=2026"] {
        admin.get(&format!("{AUDIT}?{bad}")).await.refused(422, "invalid_parameter");
    }
}

#[tokio::test]
async fn failed_sign_ins_are_found_by_the_address_that_nobody_can_read() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let admin = shop.admin(&gomall).await;
    let (known, unknown) = ("ann@example.com", format!("{}@example.com", new_id().simple()));
    let visitor = shop.visitor(&gomall);
    let sign_up = json!({"email": known, "password": "a quite long password"});
    let registered = visitor.post("/api/v1/auth/register", &sign_up).await;
    let user = registered.expect(StatusCode::CREATED)["user"]["id"].clone();
    for email in [known, "Ann@Example.COM", &unknown] {
        let wrong = json!({"email": email, "password": "another long password"});
        visitor.post("/api/v1/auth/login", &wrong).await.refused(401, "bad_credentials");
    }
    let denied = |email: &str| format!("kind=denial&email={}", email.replace('@', "%40"));
    let of_known = found(&admin, &denied(known), 0).await;
    assert_eq!(codes(&of_known), ["bad_credentials"; 1][..].repeat(of_known.len()));
    let times: u64 = of_known.iter().filter_map(|item| item["times"].as_u64()).sum();
    assert_eq!(times, 2, "{of_known:?}");
    assert_eq!(of_known[0]["user_id"], user);
    let of_unknown = found(&admin, &denied(&unknown), 0).await;
    assert_eq!((of_unknown.len(), &of_unknown[0]["user_id"]), (1, &Value::Null));
    assert_ne!(of_unknown[0]["email_hash"], of_known[0]["email_hash"]);
    let everything = admin.get(&format!("{AUDIT}?limit=100")).await.text;
    assert!(!everything.contains('@') && everything.contains("bad_credentials"), "{everything}");
    admin.shows("gomall_denials_total{code=\"bad_credentials\"} 3").await;
    admin.shows("gomall_security_log_dropped_total 0").await;
}
