//! Administrators cannot lock themselves out, and always get back in.

use crate::support::{Answer, Gomall, Person, Shop};
use compose::testing::eventually;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const RULES: &str = "/api/v1/admin/permission-rules";
const BANS: &str = "/api/v1/admin/bans";
const USERS: &str = "/api/v1/admin/users";
const LAST: &str = "last_administrator";

fn deny(role: &str, method: &str, path: &str) -> Value {
    json!({"effect": "deny", "roles": [role], "methods": [method], "path": path})
}

#[tokio::test]
async fn no_rule_and_no_role_shuts_an_administrator_out_of_undoing_it() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let admin = shop.admin(&gomall).await;
    // Every administrator is a customer, too. Their ids all begin alike, until they do not any more.
    for rule in [
        deny("customer", "*", "/api/v1/admin.*"),
        deny("admin", "DELETE", &format!("{RULES}/01.*")),
        deny("admin", "DELETE", &format!("{RULES}/[89a-f].*")),
        deny("authenticated", "GET", BANS),
        deny("customer", "DELETE", "/api/v1/admin/public-paths/[0-9a-f-]{35}7"),
        deny("anonymous", "POST", "/api/v1/auth/(login|register)"),
    ] {
        admin.post(RULES, &rule).await.refused(409, LAST);
    }
    // What is about others becomes about the last administrator.
    admin.post(RULES, &deny("intern", "*", "/api/v1/admin.*")).await.expect(StatusCode::CREATED);
    let roles = |person: &Person| format!("{USERS}/{}/roles", person.id());
    admin.post(&roles(&admin), &json!({"role": "intern"})).await.refused(409, LAST);
    let other = shop.customer(&gomall).await;
    for role in ["intern", "admin"] {
        let granted = admin.post(&roles(&other), &json!({"role": role})).await;
        granted.expect(StatusCode::OK);
        admin.get_after(USERS, granted.position()).await.expect(StatusCode::OK);
    }
    // One who can repair nothing is nobody who stays.
    admin.delete(&format!("{}/admin", roles(&admin))).await.refused(409, LAST);
    let ban = json!({"reason": "x"});
    admin.post(&format!("{USERS}/{}/ban", admin.id()), &ban).await.refused(409, LAST);
    let revoked = admin.delete(&format!("{}/intern", roles(&other))).await;
    revoked.expect(StatusCode::OK);
    admin.get_after(USERS, revoked.position()).await.expect(StatusCode::OK);
    admin.post(&roles(&admin), &json!({"role": "intern"})).await.expect(StatusCode::OK);
    admin.get(RULES).await.refused(403, "forbidden");
    let other = shop.sign_in(&gomall, &other).await;
    other.get(RULES).await.expect(StatusCode::OK);
    other.delete(&format!("{}/admin", roles(&other))).await.refused(409, LAST);
}

#[tokio::test]
async fn a_rule_and_a_role_that_lock_out_together_are_not_both_accepted() {
    const ROUNDS: usize = 10;
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let admin = shop.admin(&gomall).await;
    let roles = format!("{USERS}/{}/roles", admin.id());
    for round in 0..ROUNDS {
        let role = format!("intern-{round}");
        let (rule, granted) = (deny(&role, "*", "/api/v1/admin.*"), json!({"role": role}));
        let both = tokio::join!(admin.post(RULES, &rule), admin.post(&roles, &granted));
        let done = [both.0.status == StatusCode::CREATED, both.1.status == StatusCode::OK];
        assert_ne!(done, [true, true], "nobody can undo it");
        admin.get(RULES).await.expect(StatusCode::OK);
    }
}

/// Asks as if from an address that our proxy saw.
async fn from(person: &Person, address: &str, method: Method, path: &str, body: Value) -> Answer {
    let body = (!body.is_null()).then_some(&body);
    person.send(method, path, &[("x-forwarded-for", address)], body).await
}

fn behind_a_proxy(shop: &Shop) -> Gomall {
    shop.serve_with(&[("GOMALL_TRUSTED_PROXIES", "127.0.0.0/8")])
}

#[tokio::test]
async fn nobody_bans_their_own_address_and_another_ones_is_lifted_by_the_command_line() {
    let shop = Shop::new().await;
    let gomall = behind_a_proxy(&shop);
    let admin = shop.admin(&gomall).await;
    let ban = |network: &str| json!({"cidr": network, "reason": "scraping"});
    for (address, network) in [
        ("192.0.2.7", "192.0.2.0/24"),
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::/32"),
    ] {
        let refused = from(&admin, address, Method::POST, BANS, ban(network)).await;
        refused.refused(409, "would_lock_out");
    }
    let banned = from(&admin, "192.0.2.7", Method::POST, BANS, ban("198.51.100.0/24")).await;
    banned.expect(StatusCode::CREATED);
    let kept_out = from(&admin, "198.51.100.7", Method::GET, RULES, Value::Null).await;
    kept_out.refused(403, "banned");

    // The ban holds the next administrator's network; whoever has the database lifts it.
    assert!(shop.run(&["admin", "unban", "203.0.113.1"]).starts_with("no ban holds 203.0.113.1"));
    assert!(shop.run(&["admin", "unban", "198.51.100.7"]).contains("198.51.100.0/24 is lifted"));
    eventually("they are let in", || async {
        let answer = from(&admin, "198.51.100.7", Method::GET, RULES, Value::Null).await;
        (answer.status == StatusCode::OK).then_some(())
    })
    .await;
    assert_eq!(by_cli(&admin, "AddressUnbanned").await, 1);
}

#[tokio::test]
async fn no_rule_and_no_ban_is_about_a_probe() {
    let shop = Shop::new().await;
    let gomall = behind_a_proxy(&shop);
    let admin = shop.admin(&gomall).await;
    let ban = json!({"cidr": "198.51.100.0/24", "reason": "scraping"});
    from(&admin, "192.0.2.7", Method::POST, BANS, ban).await.expect(StatusCode::CREATED);
    admin.post(RULES, &deny("*", "*", "/[a-z]*z")).await.expect(StatusCode::CREATED);
    for address in ["192.0.2.7", "198.51.100.7"] {
        for probe in ["/healthz", "/readyz"] {
            let answer = from(&admin, address, Method::GET, probe, Value::Null).await;
            answer.expect(StatusCode::OK);
        }
    }
    let kept_out = from(&admin, "198.51.100.7", Method::GET, RULES, Value::Null).await;
    kept_out.refused(403, "banned");
}

/// How many events of a type the command line has written, and nobody else.
pub(crate) async fn by_cli(admin: &Person, event_type: &str) -> usize {
    let events = admin.get(&format!("/api/v1/events?types={event_type}")).await;
    let events = events.expect(StatusCode::OK)["items"].as_array().expect("a list").clone();
    assert!(events.iter().all(|event| event["actor"] == "cli"), "{events:?}");
    events.len()
}

#[tokio::test]
async fn whoever_is_locked_out_gets_back_in_by_the_command_line() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let admin = shop.admin(&gomall).await;
    let own =
        json!({"effect": "allow", "roles": ["staff"], "methods": ["GET"], "path": "/api/v1/x"});
    admin.post(RULES, &own).await.expect(StatusCode::CREATED);

    // Nobody is protected from the command line.
    let listed = shop.run(&["policy", "list"]);
    let line = listed.lines().find(|line| line.contains("Administrators may do everything"));
    let (id, _) = line.expect("the rule is listed").split_once(' ').expect("its id is first");
    assert!(listed.contains("  public  *  POST  "), "{listed}");
    shop.run(&["policy", "remove", id]);
    assert!(!shop.try_run(&["policy", "remove", id]).0, "it is gone");
    eventually("nobody is let in", || async {
        (admin.get(RULES).await.status == StatusCode::FORBIDDEN).then_some(())
    })
    .await;

    shop.run(&["policy", "reset"]);
    eventually("they are let in again", || async {
        (admin.get(RULES).await.status == StatusCode::OK).then_some(())
    })
    .await;
    let listed = shop.run(&["policy", "list"]);
    assert!(listed.contains(id) && !listed.contains("/api/v1/x"), "{listed}");
    assert_eq!(by_cli(&admin, "RuleRemoved").await, 2);
    shop.run(&["policy", "reset"]);
    assert_eq!(by_cli(&admin, "RuleRemoved").await, 2, "there was nothing to do");

    // An account of one's own, and a new password for another.
    for arguments in [["admin", "create", "new@example.com"], ["admin", "reset", "new@example.com"]]
    {
        let said = shop.run(&arguments);
        let password = said.split_whitespace().last().expect("the password is the last word");
        let login = json!({"email": "new@example.com", "password": password});
        let answer = shop.visitor(&gomall).post("/api/v1/auth/login", &login).await;
        answer.expect(StatusCode::OK);
    }
    assert_eq!(by_cli(&admin, "PasswordChanged").await, 1);
}
