//! Permission rules, and what other ones would have said.

use super::explain::explain;
use crate::conventions::{Keyed, Scene, samples};
use crate::resources::{OutOfRange, Resource, Thing, out_of_range};
use crate::support::{Person, Shop, key};
use compose::testing::eventually;
use futures::FutureExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const RULES: &str = "/api/v1/admin/permission-rules";

const ADD: &str = "POST /api/v1/admin/permission-rules";
const CHANGE: &str = "PUT /api/v1/admin/permission-rules/{id}";

pub(super) const RESOURCE: Resource = Resource {
    keyed: |scene| keyed(scene).boxed_local(),
    ranges,
    of_the_domain: &[
        (ADD, "/path", 422, "bad_pattern"),
        (CHANGE, "/path", 404, "not_found"),
        ("POST /api/v1/admin/permission-rules/dry-run", "/rules/0/path", 422, "bad_pattern"),
    ],
    things: |scene| things(scene).boxed_local(),
    ..Resource::NONE
};

async fn keyed(scene: &Scene) -> Vec<Keyed> {
    let (admin, body) = (&scene.admin, samples::body(ADD));
    let mut other = body.clone();
    other["note"] = json!("Another.");
    let mut calls = vec![Keyed::of(admin, ADD, &[]).with(body.clone()).unlike(other.clone())];
    let added = admin.post(RULES, &body).await;
    calls.push(Keyed::of(admin, CHANGE, &[added.id()]).with(other).unlike(body.clone()));
    let added = admin.post(RULES, &body).await;
    calls.push(Keyed::of(admin, "DELETE /api/v1/admin/permission-rules/{id}", &[added.id()]));
    calls
}

fn ranges() -> Vec<OutOfRange> {
    vec![
        // Whether there is the rule that is to be changed is asked first.
        out_of_range(ADD, "/path", ["(", "a{99999}", "a)|(?:b"], "bad_pattern"),
        out_of_range(ADD, "/note", ["a\nb"], "invalid_field"),
        out_of_range(CHANGE, "/note", ["a\nb"], "invalid_field"),
    ]
}

async fn things(scene: &Scene) -> Vec<Thing> {
    let added = scene.admin.post(RULES, &samples::body(ADD)).await;
    let id = added.id().to_owned();
    vec![Thing::new(&scene.admin, "/api/v1/admin/permission-rules/{id}", &id, added)]
}

fn rule(effect: &str, role: &str, path: &str) -> Value {
    json!({"effect": effect, "roles": [role], "methods": ["GET"], "path": path, "note": "a test"})
}

fn id(body: &Value) -> &str {
    body["id"].as_str().expect("an id")
}

#[tokio::test]
async fn a_rule_is_added_changed_explained_and_removed() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let admin = shop.admin(&gomall).await;
    let customer = shop.customer(&gomall).await;
    customer.get("/api/v1/admin/stock").await.refused(403, "forbidden");

    let added_key = key();
    let stock = rule("allow", "customer", "/api/v1/admin/stock");
    let added = admin.post_keyed(RULES, &added_key, &stock).await;
    let path = format!("{RULES}/{}", id(added.expect(StatusCode::CREATED)));
    assert_eq!(added.header("location"), Some(path.as_str()));
    let version = added.header("policy-version").expect("every change answers it").to_owned();
    assert_eq!(added.body["version"].to_string(), version);
    customer.get("/api/v1/admin/stock").await.expect(StatusCode::OK);
    let shown = admin.get_once_at(&path, added.position()).await;
    assert_eq!(shown.expect(StatusCode::OK), &added.body);
    assert_eq!(shown.header("etag"), added.header("etag"));
    let again = admin.post_keyed(RULES, &added_key, &stock).await;
    assert_eq!(again.expect(StatusCode::CREATED), &added.body);

    let question =
        json!({"user_id": customer.id(), "method": "GET", "path": "/api/v1/admin/stock"});
    let explained = explain(&admin, question.clone()).await;
    assert_eq!(explained["decision"], "allow");
    assert_eq!(explained["rule_id"], added.body["id"]);
    assert_eq!(explained["policy_version"].to_string(), version);
    let considered = explained["considered"].as_array().expect("a list");
    let matching: Vec<_> = considered.iter().filter(|entry| entry["matches"] == true).collect();
    assert_eq!(matching.len(), 1);

    // Another rule in between does not make the first one stale; a change of it does.
    let deny = rule("deny", "customer", "/api/v1/admin/stock/.*");
    let other = admin.post(RULES, &deny).await;
    other.expect(StatusCode::CREATED);
    let etag = added.header("etag").expect("a version").to_owned();
    let denying = rule("deny", "customer", "/api/v1/admin/stock");
    let put = async |if_match: &str, body: &Value| {
        admin.send(Method::PUT, &path, &[("if-match", if_match)], Some(body)).await
    };
    admin.put(&path, &denying).await.refused(428, "precondition_required");
    let changed = put(&etag, &denying).await;
    assert_eq!(changed.expect(StatusCode::OK)["effect"], "deny");
    assert_eq!(changed.body["version"].to_string(), changed.header("policy-version").expect("it"));
    put(&etag, &stock).await.refused(412, "version_conflict");
    let etag = changed.header("etag").expect("a version").to_owned();
    let same = put(&etag, &denying).await;
    assert_eq!(same.expect(StatusCode::OK), &changed.body, "it says so already");
    assert_eq!(same.header("etag"), Some(etag.as_str()));
    customer.get("/api/v1/admin/stock").await.refused(403, "forbidden");
    let explained = explain(&admin, question).await;
    assert_eq!(
        (&explained["decision"], &explained["reason"]),
        (&json!("deny"), &json!("deny_rule"))
    );

    let removed = admin.delete(&path).await;
    removed.expect(StatusCode::NO_CONTENT);
    admin.delete(&path).await.refused(404, "not_found");
    admin.get_once_at(&path, removed.position()).await.refused(404, "not_found");
    put("*", &stock).await.refused(404, "not_found");
    put("\"1.1\"", &stock).await.refused(404, "not_found");
    refuses_bad_rules(&admin).await;
}

#[tokio::test]
async fn who_writes_a_rule_is_told_what_it_is_about() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let admin = shop.admin(&gomall).await;
    let added =
        async |body: Value| admin.post(RULES, &body).await.expect(StatusCode::CREATED).clone();
    let one = added(rule("allow", "staff", "/api/v1/products/[^/]+")).await;
    assert_eq!(one["matches_routes"], json!(["GET /api/v1/products/{id}"]));
    assert_eq!(one["warning"], Value::Null, "{one}");
    // Habits of other notations match nothing that there is, or nothing that there can be.
    for (path, hint) in [
        ("/api/v1/admin/*", "write `.*` for anything"),
        ("/admin/users", "No route"),
        ("/API/v1/orders", "No route"),
    ] {
        let warned = added(rule("allow", "staff", path)).await;
        assert_eq!(warned["matches_routes"], json!([]), "{path}");
        let warning = warned["warning"].as_str().expect("it is warned of");
        assert!(warning.contains(hint), "{path}: {warning}");
    }
    for path in ["/api/v1/orders/", "api/v1/orders", "/api//v1", "/api/v1/orders\\?limit=1", ""] {
        admin.post(RULES, &rule("allow", "*", path)).await.refused(422, "bad_pattern");
        let public = json!({"methods": ["GET"], "path": path});
        let paths = "/api/v1/admin/public-paths";
        admin.post(paths, &public).await.refused(422, "bad_pattern");
    }
    let misspelled = added(rule("allow", "stuff", "/api/v1/me")).await;
    let warning = misspelled["warning"].as_str().expect("it is warned of");
    assert!(warning.starts_with("Nobody has the role `stuff`"), "{warning}");
    assert_eq!(misspelled["matches_routes"], json!(["GET /api/v1/me"]));

    // What refuses all that another rule allows.
    let allowed = added(rule("allow", "staff", "/api/v1/admin/projections")).await;
    let denied = added(rule("deny", "*", "/api/v1/admin/proj.*")).await;
    assert!(denied["shadows"].as_array().expect("a list").contains(&allowed["id"]), "{denied}");
    let late = added(rule("allow", "analyst", "/api/v1/admin/projections")).await;
    assert_eq!(late["shadowed_by"], denied["id"]);
    let listed = admin.get(&format!("{RULES}?limit=100")).await;
    let items = listed.expect(StatusCode::OK)["items"].as_array().expect("a list").clone();
    let found = items.iter().find(|rule| rule["id"] == one["id"]).expect("it is listed");
    assert_eq!(found["matches_routes"], one["matches_routes"]);
}

#[tokio::test]
async fn a_dry_run_says_which_of_the_latest_decisions_would_be_others() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let (admin, visitor) = (shop.admin(&gomall).await, shop.visitor(&gomall));
    for _ in 0..3 {
        visitor.get("/api/v1/admin/stock").await.refused(401, "unauthenticated");
    }
    admin.get("/api/v1/admin/projections").await.expect(StatusCode::OK);
    let listed = admin.get(&format!("{RULES}?limit=100")).await;
    let listed = listed.expect(StatusCode::OK)["items"].as_array().expect("a list").clone();
    let stated = ["effect", "roles", "methods", "path", "note"];
    let mut rules: Vec<Value> = listed
        .iter()
        .map(|rule| stated.iter().map(|name| ((*name).to_owned(), rule[*name].clone())).collect())
        .collect();
    let dry_run = async |rules: &[Value]| {
        admin.post(&format!("{RULES}/dry-run"), &json!({"rules": rules})).await
    };
    let same = dry_run(&rules).await;
    assert_eq!(same.expect(StatusCode::OK)["flips"], json!([]));
    assert!(same.body["decisions_total"].as_u64() >= Some(3), "{}", same.text);
    rules.push(rule("allow", "anonymous", "/api/v1/admin/stock"));
    rules.push(rule("deny", "admin", "/api/v1/admin/projections"));
    let flips = dry_run(&rules).await;
    let flips = flips.expect(StatusCode::OK);
    assert_eq!(flips["flips_total"], 2);
    let [stock, projections] = &flips["flips"].as_array().expect("a list")[..] else {
        panic!("{flips}")
    };
    assert_eq!(
        stock,
        &json!({
            "roles": ["anonymous"], "method": "GET", "path": "/api/v1/admin/stock", "count": 3,
            "now": "deny", "then": "allow", "rule": rules.len() - 2,
        })
    );
    assert_eq!((&projections["now"], &projections["then"]), (&json!("allow"), &json!("deny")));
    // Nothing has changed.
    visitor.get("/api/v1/admin/stock").await.refused(401, "unauthenticated");
    dry_run(&[rule("allow", "*", "/x/")]).await.refused(422, "bad_pattern");
}

async fn refuses_bad_rules(admin: &Person) {
    for path in ["(", "a)|(?:b", "a\nb", &"x".repeat(513)] {
        admin.post(RULES, &rule("allow", "*", path)).await.refused(422, "bad_pattern");
    }
    let with = |member: &str, value: Value| {
        let mut body = rule("allow", "*", "/x");
        body[member] = value;
        body
    };
    for (body, pointer) in [
        (with("effect", json!("maybe")), "/effect"),
        (with("roles", json!([])), "/roles"),
        (with("roles", json!(["a b"])), "/roles/0"),
        (with("methods", json!([])), "/methods"),
        (with("methods", json!(["get"])), "/methods/0"),
        (with("note", json!("a\nb")), "/note"),
    ] {
        let refused = admin.post(RULES, &body).await;
        assert_eq!(refused.refused(422, "invalid_field")["errors"][0]["pointer"], pointer);
    }
    let lock_out = rule("deny", "admin", "/.*");
    admin.post(RULES, &lock_out).await.refused(409, "last_administrator");
}

#[tokio::test]
async fn a_rule_removed_through_one_process_bites_in_the_other_also_without_nats() {
    let shop = Shop::new().await;
    let (one, other) = (shop.serve(), shop.serve());
    let admin = shop.admin(&one).await;
    let customer = shop.customer(&one).await.at(&other);
    customer.get("/api/v1/orders").await.expect(StatusCode::OK);

    let orders_rule = find_rule(&admin, "/api/v1/orders(/.*)?").await;
    let removed = admin.delete(&format!("{RULES}/{}", id(&orders_rule))).await;
    assert!(removed.status.is_success(), "{}", removed.text);
    let version = removed.header("policy-version").expect("every change answers it").to_owned();
    let at_least = [("policy-version", version.as_str())];
    let refused = customer.send(Method::GET, "/api/v1/orders", &at_least, None).await;
    refused.refused(403, "forbidden");

    shop.stack.nats.stop().await;
    let mut rule = orders_rule.clone();
    for member in ["id", "version", "matches_routes"] {
        rule.as_object_mut().expect("an object").remove(member);
    }
    let added = admin.post(RULES, &rule).await;
    added.expect(StatusCode::CREATED);
    let begun = std::time::Instant::now();
    eventually("the rule is back", || async {
        (customer.get("/api/v1/orders").await.status == StatusCode::OK).then_some(())
    })
    .await;
    assert!(begun.elapsed().as_secs_f64() < 1.0, "within a second: {:?}", begun.elapsed());
}

async fn find_rule(admin: &Person, path: &str) -> Value {
    let rules = admin.get(&format!("{RULES}?limit=100")).await;
    rules.items().iter().find(|rule| rule["path"] == path).expect("a default rule").clone()
}
