//! How a session goes on, and how it ends.

use super::Scene;
use crate::support::{Answer, Person, key};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Each exchange gives a new pair. Two tabs that exchange the same token at once both go on; what
/// comes later than that is a theft, which the aggregate's own tests show with a clock of theirs.
pub(crate) async fn refresh_tokens_rotate(scene: &Scene) {
    let registered = register(scene, "en").await;
    let first = registered.body["refresh_token"].clone();
    let second = refresh(scene, &first).await;
    let (fresh, access) = pair(second.expect(StatusCode::OK));
    assert_ne!(fresh, first, "a new one");
    assert_eq!(second.body["user"], registered.body["user"]);
    assert_eq!(second.body["token_type"], "Bearer");
    access(scene).get("/api/v1/me").await.expect(StatusCode::OK);

    // The other tab, a moment later, with the token that is spent.
    let other_tab = refresh(scene, &first).await;
    let (other, access) = pair(other_tab.expect(StatusCode::OK));
    assert!(other != first && other != fresh);
    access(scene).get("/api/v1/me").await.expect(StatusCode::OK);
    for live in [&fresh, &other] {
        refresh(scene, live).await.expect(StatusCode::OK);
    }
    // The access tokens of before are good until they end.
    let before = scene.visitor.with_token(registered.body["access_token"].as_str());
    before.get("/api/v1/me").await.expect(StatusCode::OK);

    for garbage in ["", "nonsense", &first.to_string(), "AAAA"] {
        let answer = refresh(scene, &json!(garbage)).await;
        answer.refused(401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    // An access token is no refresh token, nor the other way round.
    refresh(scene, &registered.body["access_token"]).await.refused(401, "unauthenticated");
    let swapped = scene.visitor.with_token(fresh.as_str());
    swapped.get("/api/v1/me").await.refused(401, "unauthenticated");
}

/// Signing out ends the session and no other.
pub(crate) async fn who_signs_out_is_out_at_once(scene: &Scene) {
    let email = format!("{}@example.com", key());
    let account = json!({"email": email, "password": "a quite long password"});
    let registered = scene.visitor.post("/api/v1/auth/register", &account).await;
    let elsewhere = scene.visitor.post("/api/v1/auth/login", &account).await;
    let (spent, _) = pair(registered.expect(StatusCode::CREATED));
    let newer = refresh(scene, &spent).await;
    let (live, access) = pair(newer.expect(StatusCode::OK));

    let out = access(scene).send(Method::POST, "/api/v1/auth/logout", &[], None).await;
    out.expect(StatusCode::NO_CONTENT);
    assert_eq!(out.text, "");
    assert!(out.position() > newer.position());
    // All access tokens of the session, also where none is needed but on a probe, which looks at none.
    for token in [&registered.body["access_token"], &newer.body["access_token"]] {
        let person = scene.visitor.with_token(token.as_str());
        for path in ["/api/v1/me", "/api/v1/products"] {
            person.get(path).await.refused(401, "unauthenticated");
        }
        let again = person.send(Method::POST, "/api/v1/auth/logout", &[], None).await;
        again.refused(401, "unauthenticated");
    }
    for token in [&live, &spent] {
        refresh(scene, token).await.refused(401, "unauthenticated");
    }
    let (_, access) = pair(elsewhere.expect(StatusCode::OK));
    access(scene).get("/api/v1/me").await.expect(StatusCode::OK);
}

/// What one says at registering, else what the browser says, in its order of preference.
pub(crate) async fn the_language_is_the_users_else_the_browsers(scene: &Scene) {
    for (header, locale) in [
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("fr, ZH-tw;q=0.7, en;q=0.3", "zh"),
        ("en;q=0.2, zh;q=0.9", "zh"),
        ("zh;q=0, en;q=0.1", "en"),
        ("fr", "en"),
    ] {
        let registered = register(scene, header).await;
        assert_eq!(registered.expect(StatusCode::CREATED)["user"]["locale"], locale, "{header}");
    }
    let email = format!("{}@example.com", key());
    let account = json!({"email": email, "password": "a quite long password", "locale": "en"});
    let headers = [("accept-language", "zh")];
    let path = "/api/v1/auth/register";
    let answer = scene.visitor.send(Method::POST, path, &headers, Some(&account)).await;
    assert_eq!(answer.expect(StatusCode::CREATED)["user"]["locale"], "en");
}

async fn register(scene: &Scene, language: &str) -> Answer {
    let email = format!("{}@example.com", key());
    let account = json!({"email": email, "password": "a quite long password"});
    let headers = [("accept-language", language)];
    scene.visitor.send(Method::POST, "/api/v1/auth/register", &headers, Some(&account)).await
}

async fn refresh(scene: &Scene, token: &Value) -> Answer {
    scene.visitor.post("/api/v1/auth/refresh", &json!({"refresh_token": token})).await
}

/// The refresh token, and whoever uses the access token.
fn pair(signed_in: &Value) -> (Value, impl Fn(&Scene) -> Person + use<>) {
    let access = signed_in["access_token"].as_str().expect("a token").to_owned();
    let person = move |scene: &Scene| scene.visitor.with_token(Some(&access));
    (signed_in["refresh_token"].clone(), person)
}

/// Guessing one account's password takes longer each time; its own place, and others, do not wait.
pub(crate) async fn guessing_a_password_is_braked(scene: &Scene) {
    let (email, other) = (format!("{}@example.com", key()), format!("{}@example.com", key()));
    let guess = async |email: &str| {
        let account = json!({"email": email, "password": "a wrong password"});
        scene.visitor.post("/api/v1/auth/login", &account).await
    };
    let mut refused = 0;
    for _ in 0..12 {
        let answer = guess(&email).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            answer.refused(429, "too_many_attempts");
            let wait: u64 = answer.header("retry-after").expect("a wait").parse().expect("seconds");
            assert!((1..=901).contains(&wait), "{wait}");
            refused += 1;
        } else {
            answer.refused(401, "bad_credentials");
        }
    }
    assert!((1..=7).contains(&refused), "{refused}");
    guess(&other).await.refused(401, "bad_credentials");
}

/// Two people who come to the same key have two requests; one of them with another body is refused.
pub(crate) async fn the_anonymous_do_not_meet_under_one_key(scene: &Scene) {
    let key_of_both = key();
    let send = async |body: &Value| {
        let headers = [("idempotency-key", key_of_both.as_str())];
        scene.visitor.send(Method::POST, "/api/v1/auth/register", &headers, Some(body)).await
    };
    let account = |name: &str| json!({"email": format!("{name}-{key_of_both}@example.com"), "password": "a quite long password"});
    let (ada, bob) = (send(&account("ada")).await, send(&account("bob")).await);
    let ids = [&ada, &bob].map(|answer| answer.expect(StatusCode::CREATED)["user"]["id"].clone());
    assert_ne!(ids[0], ids[1]);
    let again = send(&account("ada")).await;
    assert_eq!(again.expect(StatusCode::CREATED)["user"]["id"], ids[0]);
    for (member, value) in
        [("password", "another long password"), ("name", "Ada"), ("locale", "zh")]
    {
        let mut changed = account("ada");
        changed[member] = json!(value);
        send(&changed).await.refused(422, "idempotency_key_reused");
    }
}
