//! Roles that count only with a second factor.

use crate::conventions::{Keyed, Scene};
use crate::resources::Resource;
use crate::resources::second_factor::set_up;
use crate::support::{Person, Shop, key};
use futures::FutureExt;
use reqwest::{Method, StatusCode};
use serde_json::json;

const ROLES: &str = "/api/v1/admin/second-factor-roles";
const RULES: &str = "/api/v1/admin/permission-rules";
const FACTOR: &str = "/api/v1/me/second-factor";
const KEYS: &str = "/api/v1/me/api-keys";

pub(super) const RESOURCE: Resource =
    Resource { keyed: |scene| keyed(scene).boxed_local(), ..Resource::NONE };

async fn keyed(scene: &Scene) -> Vec<Keyed> {
    let (wanted, waived) = (key(), key());
    known(&scene.admin, &[&wanted, &waived]).await;
    let before = scene.admin.put(&format!("{ROLES}/{waived}"), &json!({})).await;
    before.expect(StatusCode::NO_CONTENT);
    vec![
        Keyed::of(&scene.admin, "PUT /api/v1/admin/second-factor-roles/{role}", &[&wanted]),
        Keyed::of(&scene.admin, "DELETE /api/v1/admin/second-factor-roles/{role}", &[&waived]),
    ]
}

/// A rule names these roles from now on.
async fn known(admin: &Person, roles: &[&str]) {
    let rule = json!({"effect": "allow", "roles": roles, "methods": ["GET"], "path": "/api/v1/x"});
    admin.post(RULES, &rule).await.expect(StatusCode::CREATED);
}

#[tokio::test]
async fn a_role_that_wants_a_second_factor_counts_only_with_one() {
    let shop = Shop::new().await;
    let (gomall, other_process) = (shop.serve(), shop.serve());
    let admin = shop.admin(&gomall).await;
    admin.put(&format!("{ROLES}/a b"), &json!({})).await.refused(400, "malformed_path");
    for unknown in ["anonymous", "authenticated", "nobodyknows"] {
        let wanted = admin.put(&format!("{ROLES}/{unknown}"), &json!({})).await;
        wanted.refused(422, "unknown_role");
    }
    let wanted = admin.put(&format!("{ROLES}/admin"), &json!({})).await;
    wanted.expect(StatusCode::NO_CONTENT);
    // In force at once, also elsewhere; what is left can set one up.
    admin.get(RULES).await.refused(403, "step_up_required");
    let elsewhere = admin.at(&other_process);
    let version = wanted.header("policy-version").expect("a version").to_owned();
    let at_least = [("policy-version", version.as_str())];
    let answer = elsewhere.send(Method::GET, RULES, &at_least, None).await;
    answer.refused(403, "step_up_required");
    set_up(&admin).await;
    let listed = admin.get(ROLES).await;
    assert_eq!(listed.expect(StatusCode::OK)["items"], json!(["admin"]));
    // Nobody closes the way by which others would come to one.
    let deny = json!({"effect": "deny", "roles": ["authenticated"], "methods": ["*"],
                      "path": "/api/v1/me/second-factor.*", "note": ""});
    admin.post(RULES, &deny).await.refused(409, "last_administrator");
    // Nor by what is denied to the role itself, which does not count.
    let own = json!({"effect": "deny", "roles": ["admin"], "methods": ["POST"],
                     "path": "/api/v1/me/second-factor", "note": ""});
    admin.post(RULES, &own).await.refused(409, "last_administrator");
    let deny = json!({"effect": "deny", "roles": ["*"], "methods": ["POST"],
                      "path": "/api/v1/auth/second-factor", "note": ""});
    admin.post(RULES, &deny).await.refused(409, "last_administrator");
    let waived = admin.delete(&format!("{ROLES}/admin")).await;
    waived.expect(StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_role_that_does_not_count_opens_nothing_and_stays_denied() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let (admin, person) = (shop.admin(&gomall).await, shop.customer(&gomall).await);
    let stock = "/api/v1/admin/stock";
    let roles = format!("/api/v1/admin/users/{}/roles", person.id());
    known(&admin, &["intern"]).await;
    for role in ["staff", "intern"] {
        admin.post(&roles, &json!({"role": role})).await.expect(StatusCode::OK);
    }
    let body = json!({"name": "k", "scopes": ["staff"]});
    let issued = person.post_keyed(KEYS, &key(), &body).await;
    let program = person.with_token(issued.expect(StatusCode::CREATED)["key"].as_str());
    program.get(stock).await.expect(StatusCode::OK);
    let deny = json!({"effect": "deny", "roles": ["intern"], "methods": ["GET"],
                      "path": stock, "note": ""});
    let denied = admin.post(RULES, &deny).await;
    let rule = denied.expect(StatusCode::CREATED)["id"].as_str().expect("an id").to_owned();
    // Leaving the proof out is no way past what is denied.
    admin.put(&format!("{ROLES}/intern"), &json!({})).await.expect(StatusCode::NO_CONTENT);
    person.get(stock).await.refused(403, "forbidden");
    let rule = format!("{RULES}/{rule}");
    admin.delete(&rule).await.expect(StatusCode::NO_CONTENT);
    person.get(stock).await.expect(StatusCode::OK);

    // Nor is a key that was made without one, or a proof with one that is gone.
    admin.put(&format!("{ROLES}/staff"), &json!({})).await.expect(StatusCode::NO_CONTENT);
    person.get(stock).await.refused(403, "step_up_required");
    program.get(stock).await.refused(403, "forbidden");
    let elsewhere = shop.sign_in(&gomall, &person).await;
    set_up(&person).await;
    person.get(stock).await.expect(StatusCode::OK);
    let issued = person.post_keyed(KEYS, &key(), &body).await;
    let proved = person.with_token(issued.expect(StatusCode::CREATED)["key"].as_str());
    proved.get(stock).await.expect(StatusCode::OK);
    // A password of a moment ago takes no factor away that came since.
    elsewhere.delete(FACTOR).await.refused(403, "step_up_required");
    person.delete(FACTOR).await.expect(StatusCode::NO_CONTENT);
    person.get(stock).await.refused(403, "step_up_required");
}
