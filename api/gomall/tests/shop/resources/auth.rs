//! Signing up, in and out, and how a session goes on.

use super::second_factor::set_up;
use super::{OutOfRange, Resource, out_of_range};
use crate::conventions::{Keyed, Scene};
use crate::support::{Answer, PASSWORD, Person, key};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures::FutureExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const LOGIN: &str = "/api/v1/auth/login";
const ME: &str = "/api/v1/me";
const REGISTER: &str = "/api/v1/auth/register";

pub(super) const RESOURCE: Resource =
    Resource { keyed: |scene| keyed(scene).boxed_local(), ranges, ..Resource::NONE };

/// Somebody whom nobody knows yet.
fn newcomer() -> Value {
    json!({"email": format!("{}@example.com", key()), "password": PASSWORD})
}

/// A registration that can be carried out once.
pub(crate) fn registration(scene: &Scene) -> Keyed {
    let account = newcomer();
    let mut other = account.clone();
    other["name"] = json!("Somebody else");
    Keyed::of(&scene.visitor, "POST /api/v1/auth/register", &[]).with(account).unlike(other)
}

async fn keyed(scene: &Scene) -> Vec<Keyed> {
    let (visitor, account) = (&scene.visitor, newcomer());
    let registered = visitor.post(REGISTER, &account).await;
    let refresh = json!({"refresh_token": registered.body["refresh_token"]});
    let careful = scene.somebody().await;
    let recovery = set_up(&careful).await["recovery_codes"][0].clone();
    let body = json!({"email": careful.user["email"], "password": PASSWORD});
    let asked = visitor.post(LOGIN, &body).await;
    let challenge = &asked.refused(401, "second_factor_required")["challenge"];
    let answer = json!({"challenge": challenge, "code": recovery});
    vec![
        registration(scene),
        Keyed::of(visitor, "POST /api/v1/auth/login", &[]).with(account),
        Keyed::of(visitor, "POST /api/v1/auth/second-factor", &[]).with(answer),
        // Tokens of two sessions do not meet under one key: who is not signed in is whom they come with.
        Keyed::of(visitor, "POST /api/v1/auth/refresh", &[]).with(refresh),
        Keyed::of(&scene.somebody().await, "POST /api/v1/auth/logout", &[]),
    ]
}

fn ranges() -> Vec<OutOfRange> {
    const REGISTER: &str = "POST /api/v1/auth/register";
    let (local, long) = (format!("{}@example.com", "a".repeat(65)), "a".repeat(129));
    let emails = ["a@", "@example.com", "a b@example.com", "a@.com", &local];
    let passwords = ["", "1234567", "password", &long];
    vec![
        out_of_range(REGISTER, "/email", emails, "invalid_field"),
        out_of_range(REGISTER, "/password", passwords, "weak_password"),
    ]
}

#[tokio::test]
async fn strangers_keep_nobody_from_signing_in_where_they_did_before_at_whatever_process() {
    let scene = Scene::shared().await;
    let other_process = scene.shop.serve();
    let person = scene.somebody().await;
    let guess = json!({"email": person.user["email"], "password": "a guess of a stranger"});
    let stranger = reqwest::Client::builder().local_address(Some([127, 0, 0, 9].into()));
    let stranger = scene.visitor.at(&other_process).from(stranger.build().expect("a client"));
    let mut last = StatusCode::OK;
    for _ in 0..8 {
        last = stranger.post(LOGIN, &guess).await.status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    scene.shop.sign_in(&other_process, &person).await.get(ME).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn codes_are_not_guessed_by_whoever_knows_the_password() {
    let scene = Scene::shared().await;
    let person = scene.somebody().await;
    set_up(&person).await;
    let mut last = StatusCode::OK;
    for n in 0..8 {
        let guess = json!({"email": person.user["email"], "password": PASSWORD,
                           "code": format!("{n:06}")});
        last = scene.visitor.post(LOGIN, &guess).await.status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn two_strangers_do_not_meet_under_one_key_and_what_one_does_with_an_account_is_found() {
    let scene = Scene::shared().await;
    let (visitor, same) = (&scene.visitor, key());
    let people = [scene.somebody().await, scene.somebody().await];
    for person in &people {
        let refresh = json!({"refresh_token": person.refresh_token});
        let refreshed = visitor.post_keyed("/api/v1/auth/refresh", &same, &refresh).await;
        assert_eq!(refreshed.expect(StatusCode::OK)["user"]["id"], person.user["id"]);
    }
    let change = json!({"current": PASSWORD, "new": "another quite long password"});
    let changed = people[0].put("/api/v1/me/password", &change).await;
    changed.expect(StatusCode::NO_CONTENT);
    let path = format!("/api/v1/admin/audit?user_id={}&kind=change", people[0].id());
    let found = scene.admin.get_once_at(&path, changed.position()).await;
    let item = found.items().iter().find(|item| item["path"] == "/api/v1/me/password");
    assert_eq!(item.expect("it is there")["address"], "127.0.0.1", "{}", found.text);
}

#[tokio::test]
async fn a_repeated_registration_lets_in_nobody_whom_a_sign_in_would_not() {
    let scene = Scene::shared().await;
    let (visitor, register_key, account) = (&scene.visitor, key(), newcomer());
    let body = |password: &str| json!({"email": account["email"], "password": password});
    let first = visitor.post_keyed(REGISTER, &register_key, &body(PASSWORD)).await;
    let person = visitor.with_token(first.expect(StatusCode::CREATED)["access_token"].as_str());
    let again = visitor.post_keyed(REGISTER, &register_key, &body(PASSWORD)).await;
    assert_eq!(again.expect(StatusCode::CREATED)["user"], first.body["user"]);
    set_up(&person).await;
    let again = visitor.post_keyed(REGISTER, &register_key, &body(PASSWORD)).await;
    again.refused(401, "second_factor_required");
    let mut guesses = vec![];
    for n in 0..8 {
        let guess = body(&format!("guess number {n} of mine"));
        guesses.push(visitor.post_keyed(REGISTER, &register_key, &guess).await);
    }
    guesses[0].refused(422, "idempotency_key_reused");
    guesses[7].refused(429, "too_many_attempts");
    let user = first.body["user"]["id"].as_str().expect("an id");
    let ban = format!("/api/v1/admin/users/{user}/ban");
    scene.admin.post(&ban, &json!({"reason": "fraud"})).await.expect(StatusCode::OK);
    let other = scene.shop.serve();
    let visitor = visitor.at(&other);
    let again = visitor.post_keyed(REGISTER, &register_key, &body(PASSWORD)).await;
    again.refused(403, "banned");
}

/// Whoever has the keys can check a token; nobody learns how to make one.
#[tokio::test]
async fn everybody_sees_the_keys_that_tokens_are_signed_with() {
    let scene = Scene::shared().await;
    let keys = scene.visitor.get("/.well-known/jwks.json").await;
    let keys = keys.expect(StatusCode::OK)["keys"].as_array().expect("a JWK set").clone();
    let token = scene.customer.token.as_deref().expect("they are signed in");
    let header = token.split('.').next().and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok());
    let header: Value = serde_json::from_slice(&header.expect("base64")).expect("JSON");
    let mut named = keys.iter().filter(|key| key["kid"] == header["kid"]);
    let key = named.next().expect("it names one of them");
    assert_eq!((&key["alg"], &key["d"]), (&header["alg"], &Value::Null), "its public half");
}

/// Each exchange gives a new pair. Two tabs that exchange the same token at once both go on; what
/// comes later than that is a theft, which the aggregate's own tests show with a clock of theirs.
#[tokio::test]
async fn refresh_tokens_rotate() {
    let scene = &Scene::shared().await;
    let registered = register(scene, "en").await;
    let first = registered.body["refresh_token"].clone();
    let second = refresh(scene, &first).await;
    let (fresh, access) = pair(second.expect(StatusCode::OK));
    assert_ne!(fresh, first, "a new one");
    assert_eq!(second.body["user"], registered.body["user"]);
    assert_eq!(second.body["token_type"], "Bearer");
    access(scene).get(ME).await.expect(StatusCode::OK);

    // The other tab, a moment later, with the token that is spent.
    let other_tab = refresh(scene, &first).await;
    let (other, access) = pair(other_tab.expect(StatusCode::OK));
    assert!(other != first && other != fresh);
    access(scene).get(ME).await.expect(StatusCode::OK);
    for live in [&fresh, &other] {
        refresh(scene, live).await.expect(StatusCode::OK);
    }
    // The access tokens of before are good until they end.
    let before = scene.visitor.with_token(registered.body["access_token"].as_str());
    before.get(ME).await.expect(StatusCode::OK);

    for garbage in ["", "nonsense", &first.to_string(), "AAAA"] {
        let answer = refresh(scene, &json!(garbage)).await;
        answer.refused(401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    // An access token is no refresh token, nor the other way round.
    refresh(scene, &registered.body["access_token"]).await.refused(401, "unauthenticated");
    let swapped = scene.visitor.with_token(fresh.as_str());
    swapped.get(ME).await.refused(401, "unauthenticated");
}

/// A key keeps an answer for whoever did not hear it, and not for whoever has a copy of what is spent.
#[tokio::test]
async fn a_refresh_repeated_after_its_answer_was_used_is_a_token_that_was_spent() {
    let scene = &Scene::shared().await;
    let registered = register(scene, "en").await;
    let body = json!({"refresh_token": registered.body["refresh_token"]});
    let same = key();
    let path = "/api/v1/auth/refresh";
    let first = scene.visitor.post_keyed(path, &same, &body).await;
    let (token, _) = pair(first.expect(StatusCode::OK));
    let again = scene.visitor.post_keyed(path, &same, &body).await;
    let (same_token, _) = pair(again.expect(StatusCode::OK));
    assert_eq!(same_token, token);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    // The answer is used: within the moment that two tabs have, the repetition is one of them, with tokens of its own.
    refresh(scene, &token).await.expect(StatusCode::OK);
    let later = scene.visitor.post_keyed(path, &same, &body).await;
    assert_eq!(later.header("idempotent-replayed"), None);
    let (fresh, _) = pair(later.expect(StatusCode::OK));
    assert_ne!(fresh, token);
}

/// Signing out ends the session and no other.
#[tokio::test]
async fn who_signs_out_is_out_at_once() {
    let scene = &Scene::shared().await;
    let account = newcomer();
    let registered = scene.visitor.post(REGISTER, &account).await;
    let elsewhere = scene.visitor.post(LOGIN, &account).await;
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
        for path in [ME, "/api/v1/products"] {
            person.get(path).await.refused(401, "unauthenticated");
        }
        let again = person.send(Method::POST, "/api/v1/auth/logout", &[], None).await;
        again.refused(401, "unauthenticated");
    }
    for token in [&live, &spent] {
        refresh(scene, token).await.refused(401, "unauthenticated");
    }
    let (_, access) = pair(elsewhere.expect(StatusCode::OK));
    access(scene).get(ME).await.expect(StatusCode::OK);
}

/// What one says at registering, else what the browser says, in its order of preference.
#[tokio::test]
async fn the_language_is_the_users_else_the_browsers() {
    let scene = &Scene::shared().await;
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
    let mut account = newcomer();
    account["locale"] = json!("en");
    let headers = [("accept-language", "zh")];
    let answer = scene.visitor.send(Method::POST, REGISTER, &headers, Some(&account)).await;
    assert_eq!(answer.expect(StatusCode::CREATED)["user"]["locale"], "en");
}

async fn register(scene: &Scene, language: &str) -> Answer {
    let headers = [("accept-language", language)];
    scene.visitor.send(Method::POST, REGISTER, &headers, Some(&newcomer())).await
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
#[tokio::test]
async fn guessing_a_password_is_braked() {
    let scene = &Scene::shared().await;
    let (email, other) = (format!("{}@example.com", key()), format!("{}@example.com", key()));
    let guess = async |email: &str| {
        let account = json!({"email": email, "password": "a wrong password"});
        scene.visitor.post(LOGIN, &account).await
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
#[tokio::test]
async fn the_anonymous_do_not_meet_under_one_key() {
    let scene = &Scene::shared().await;
    let key_of_both = key();
    let send = async |body: &Value| {
        let headers = [("idempotency-key", key_of_both.as_str())];
        scene.visitor.send(Method::POST, REGISTER, &headers, Some(body)).await
    };
    let account = |name: &str| json!({"email": format!("{name}-{key_of_both}@example.com"), "password": PASSWORD});
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
