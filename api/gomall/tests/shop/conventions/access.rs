//! Who comes in, and what everybody else is told.

use super::Scene;
use crate::support::{Answer, checkout_body, key};
use api::routes::default_policy;
use domain::RoleName;
use domain::policy::{Caller, CompiledPolicy, canonical_path};
use reqwest::{Method, StatusCode};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

const UNKNOWN_ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// 401 without a token, 403 without a rule, whatever is sent along.
pub(crate) async fn nobody_gets_what_the_rules_do_not_give(scene: &Scene) {
    let policy = CompiledPolicy::compile(&default_policy::policy(), 1).expect("it compiles");
    let roles = BTreeSet::from([RoleName::known("customer")]);
    let customer = Caller::SignedIn(&roles);
    for operation in scene.contract.operations() {
        if operation.is_public() {
            continue;
        }
        let path = operation.sample_path(UNKNOWN_ID);
        let answer = scene.visitor.send(operation.method(), &path, &[], None).await;
        assert_unauthenticated(&answer, &operation.name());
        let canonical = canonical_path(&path).expect("our paths are canonical");
        if !policy.decide(customer, operation.method().as_str(), canonical).is_allowed() {
            let answer = scene.customer.send(operation.method(), &path, &[], None).await;
            answer.refused(403, "forbidden");
        }
    }
    // HEAD follows GET, for everybody.
    for operation in super::parameters::reads(scene) {
        let path = operation.sample_path(UNKNOWN_ID);
        for person in [&scene.visitor, &scene.customer, &scene.admin] {
            let get = person.get(&path).await;
            let head = person.send(Method::HEAD, &path, &[], None).await;
            assert_eq!(head.status, get.status, "HEAD {path}");
            assert_eq!(head.text, "", "HEAD {path}");
            for name in ["content-type", "etag", "www-authenticate"] {
                assert_eq!(head.header(name), get.header(name), "HEAD {path}: {name}");
            }
        }
    }
}

/// 401, 403, 404 for something that is not there, by who asks.
pub(crate) async fn unknown_paths_tell_no_more_than_the_rules(scene: &Scene) {
    for path in ["/api/v1/nonsense", "/nonsense", "/api/v1/admin/nonsense", "/API/v1/products"] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let ask = async |person: &crate::support::Person| {
                person.send(method.clone(), path, &[], None).await
            };
            assert_unauthenticated(&ask(&scene.visitor).await, path);
            ask(&scene.customer).await.refused(403, "forbidden");
            ask(&scene.admin).await.refused(404, "not_found");
        }
    }
    // Where a rule lets everybody in, nothing is hidden.
    for path in ["/docs/nonsense", "/static/nonsense", "/api/v1/products/nonsense"] {
        scene.visitor.get(path).await.refused(404, "not_found");
    }
    scene.customer.get("/api/v1/me/nonsense").await.refused(404, "not_found");
}

/// A token that is presented counts, also where none is needed.
pub(crate) async fn a_bad_token_is_refused_except_where_tokens_are_given_out(scene: &Scene) {
    let good = scene.customer.token.clone().expect("the customer is signed in");
    let (head, rest) = good.split_once('.').expect("a token has three parts");
    let (claims, signature) = rest.split_once('.').expect("a token has three parts");
    let spoil = |part: &str| {
        let first = if part.starts_with('A') { "B" } else { "A" };
        format!("{first}{}", &part[1..])
    };
    // {"alg":"none","typ":"at+jwt"}
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{claims}.");
    let bad = [
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Bearer nonsense".to_owned(),
        "Basic YTpi".to_owned(),
        good.clone(),
        format!("Token {good}"),
        format!("Bearer {good} x"),
        format!("Bearer {head}.{claims}."),
        format!("Bearer {head}.{claims}.{}", spoil(signature)),
        format!("Bearer {head}.{}.{signature}", spoil(claims)),
        format!("Bearer {}", good.repeat(10)),
        format!("Bearer {unsigned}"),
    ];
    for header in &bad {
        let headers = [("authorization", header.as_str())];
        for path in ["/api/v1/products", "/api/v1/me", "/nonsense"] {
            let answer = scene.visitor.send(Method::GET, path, &headers, None).await;
            assert_unauthenticated(&answer, &format!("{path} {header}"));
        }
        // A probe asks nobody who they are.
        let answer = scene.visitor.send(Method::GET, "/healthz", &headers, None).await;
        assert_eq!(answer.status, StatusCode::OK, "{header}");
    }
    let twice = [("authorization", "Bearer x"), ("authorization", "Bearer x")];
    let answer = scene.visitor.send(Method::GET, "/api/v1/products", &twice, None).await;
    assert_unauthenticated(&answer, "two tokens");
    let scheme = format!("bearer {good}");
    let answer =
        scene.visitor.send(Method::GET, "/api/v1/me", &[("authorization", &scheme)], None).await;
    answer.expect(StatusCode::OK);

    // Whoever comes for a token may bring an old one.
    let (email, password) = (format!("{}@example.com", key()), "a quite long password");
    let stale = scene.visitor.with_token(Some("nonsense"));
    let account = json!({"email": email, "password": password});
    let registered = stale.post("/api/v1/auth/register", &account).await;
    registered.expect(StatusCode::CREATED);
    let login = stale.post("/api/v1/auth/login", &account).await;
    let refresh = json!({"refresh_token": login.expect(StatusCode::OK)["refresh_token"]});
    stale.post("/api/v1/auth/refresh", &refresh).await.expect(StatusCode::OK);
    let answer = stale.send(Method::POST, "/api/v1/auth/logout", &[], None).await;
    assert_unauthenticated(&answer, "signing out needs a good one");

    // Who is there is not told: neither to whom nor how fast is looked at here.
    for (email, password) in [(email.as_str(), "another password"), ("no@example.com", password)] {
        let wrong = json!({"email": email, "password": password});
        let answer = scene.visitor.post("/api/v1/auth/login", &wrong).await;
        answer.refused(401, "bad_credentials");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    let folded = json!({"email": email.to_uppercase(), "password": password});
    scene.visitor.post("/api/v1/auth/register", &folded).await.refused(409, "email_taken");
    scene.visitor.post("/api/v1/auth/login", &folded).await.expect(StatusCode::OK);
}

/// 405 names the methods that there are.
pub(crate) async fn every_path_answers_its_methods_only(scene: &Scene) {
    let mut paths: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let operations = scene.contract.operations();
    for operation in &operations {
        paths.entry(operation.path).or_default().insert(operation.method().to_string());
    }
    let all = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    for operation in &operations {
        // One operation of each path stands for it.
        let Some(mut answered) = paths.remove(operation.path) else { continue };
        let path = operation.sample_path(UNKNOWN_ID);
        let missing: Vec<_> =
            all.iter().filter(|method| !answered.contains(method.as_str())).cloned().collect();
        if answered.contains("GET") {
            answered.insert("HEAD".to_owned());
        }
        let odd = [Method::OPTIONS, Method::from_bytes(b"FETCH").expect("a method")];
        for method in missing.iter().chain(&odd) {
            let answer = scene.admin.send(method.clone(), &path, &[], None).await;
            answer.refused(405, "method_not_allowed");
            let allow = answer.header("allow").unwrap_or_default();
            let allow: BTreeSet<_> = allow.split(',').map(|one| one.trim().to_owned()).collect();
            assert_eq!(allow, answered, "{method} {path}");
        }
    }
}

/// `Policy-Version` asks for rules that are at least as new.
pub(crate) async fn rules_are_as_new_as_one_asks(scene: &Scene) {
    let path = json!({"methods": ["GET"], "path": "/api/v1/me/nothing"});
    let added = scene.admin.post("/api/v1/admin/public-paths", &path).await;
    added.expect(StatusCode::CREATED);
    let version = added.header("policy-version").expect("every change answers it").to_owned();
    let with = async |version: &str| {
        let headers = [("policy-version", version)];
        scene.visitor.send(Method::GET, "/api/v1/products", &headers, None).await
    };
    with(&version).await.expect(StatusCode::OK);
    let ahead = with("9223372036854775807").await;
    ahead.refused(503, "policy_behind");
    assert!(ahead.header("retry-after").is_some());
    // A checkout is not let in by it, nor anything else.
    let order = checkout_body(None);
    assert_unauthenticated(&scene.visitor.post("/api/v1/checkouts", &order).await, "checkout");
}

#[track_caller]
fn assert_unauthenticated(answer: &Answer, about: &str) {
    assert_eq!(answer.status, 401, "{about}: {}", answer.text);
    answer.refused(401, "unauthenticated");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{about}");
}
