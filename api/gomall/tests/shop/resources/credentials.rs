//! What somebody proves themselves with: passwords, tokens by mail, second factors, keys of programs.

use crate::support::{Answer, Gomall, PASSWORD, Person, Shop, key};
use compose::testing::eventually;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const LOGIN: &str = "/api/v1/auth/login";
const ME: &str = "/api/v1/me";
const SESSIONS: &str = "/api/v1/me/sessions";
const FACTOR: &str = "/api/v1/me/second-factor";
const KEYS: &str = "/api/v1/me/api-keys";

/// The token of the newest mail to this person whose text has `words`, beside those that were `seen`.
async fn token_by_mail(shop: &Shop, person: &Person, words: &str, seen: &[String]) -> String {
    let folder = shop.data_dir.path().join("mail");
    let to = format!("To: {}", person.user["email"].as_str().expect("an address"));
    eventually(words, || async {
        let mails = std::fs::read_dir(&folder).ok()?.flatten();
        let mails = mails.filter_map(|mail| std::fs::read_to_string(mail.path()).ok());
        let mut tokens =
            mails.filter(|mail| mail.contains(&to) && mail.contains(words)).filter_map(|mail| {
                Some(mail.lines().find_map(|line| line.strip_prefix("  "))?.to_owned())
            });
        tokens.find(|token| !seen.contains(token))
    })
    .await
}

async fn login(shop: &Shop, gomall: &Gomall, person: &Person, password: &str) -> Answer {
    let body = json!({"email": person.user["email"], "password": password});
    shop.visitor(gomall).post(LOGIN, &body).await
}

#[tokio::test]
async fn who_changes_the_password_stays_signed_in_and_everybody_else_is_thrown_out() {
    let shop = Shop::new().await;
    let (gomall, other_process) = (shop.serve(), shop.serve());
    let person = shop.customer(&gomall).await;
    let thief = shop.sign_in(&gomall, &person).await.at(&other_process);
    thief.get(ME).await.expect(StatusCode::OK);
    let path = "/api/v1/me/password";
    let new = "another quite long password";
    let body = |current: &str, new: &str| json!({"current": current, "new": new});

    let wrong = person.put(path, &body("nonsense of mine", new)).await;
    assert_eq!(wrong.refused(422, "wrong_password")["errors"][0]["pointer"], "/current");
    let weak = person.put(path, &body(PASSWORD, "password1")).await;
    assert_eq!(weak.refused(422, "weak_password")["errors"][0]["pointer"], "/new");
    person.put(path, &json!({"current": PASSWORD})).await.refused(422, "missing_field");
    thief.get(ME).await.expect(StatusCode::OK);

    person.put(path, &body(PASSWORD, new)).await.expect(StatusCode::NO_CONTENT);
    person.get(ME).await.expect(StatusCode::OK);
    eventually("the thief is out at the other process", || async {
        let answer = thief.get(ME).await;
        (answer.status == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
    let refresh = json!({"refresh_token": thief.refresh_token});
    thief
        .with_token(None)
        .post("/api/v1/auth/refresh", &refresh)
        .await
        .refused(401, "unauthenticated");
    login(&shop, &gomall, &person, PASSWORD).await.refused(401, "bad_credentials");
    login(&shop, &gomall, &person, new).await.expect(StatusCode::OK);
    let refresh = json!({"refresh_token": person.refresh_token});
    let refreshed = person.with_token(None).post("/api/v1/auth/refresh", &refresh).await;
    refreshed.expect(StatusCode::OK);
    // Whoever did not do it reads about it.
    eventually("a mail", || async {
        let mails = std::fs::read_dir(shop.data_dir.path().join("mail")).ok()?.flatten();
        let mut mails = mails.filter_map(|mail| std::fs::read_to_string(mail.path()).ok());
        mails.any(|mail| mail.contains("Your password was changed")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn wrong_passwords_of_a_living_session_are_braked_as_well() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let person = shop.customer(&gomall).await;
    let mut answers = vec![];
    for n in 0..8 {
        let body = json!({"password": format!("guess number {n} of mine")});
        answers.push(person.post("/api/v1/me/step-up", &body).await);
    }
    answers[0].refused(422, "wrong_password");
    answers[7].refused(429, "too_many_attempts");
    person.get(ME).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn strangers_keep_nobody_from_signing_in_where_they_did_before_at_whatever_process() {
    let shop = Shop::new().await;
    let (gomall, other_process) = (shop.serve(), shop.serve());
    let person = shop.customer(&gomall).await;
    let guess = json!({"email": person.user["email"], "password": "a guess of a stranger"});
    let stranger = reqwest::Client::builder().local_address(Some([127, 0, 0, 9].into()));
    let stranger = shop.visitor(&other_process).from(stranger.build().expect("a client"));
    let mut last = StatusCode::OK;
    for _ in 0..8 {
        last = stranger.post(LOGIN, &guess).await.status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    login(&shop, &other_process, &person, PASSWORD).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn sessions_are_listed_and_ended_by_their_owner_and_by_staff() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let person = shop.customer(&gomall).await;
    let body = json!({"email": person.user["email"], "password": PASSWORD});
    let headers = [("user-agent", "Rotary phone/1.0")];
    let second = shop.visitor(&gomall).send(Method::POST, LOGIN, &headers, Some(&body)).await;
    second.expect(StatusCode::OK);
    let elsewhere = person.with_token(second.body["access_token"].as_str());

    let listed = person.get_after(SESSIONS, second.position()).await;
    let items = listed.expect(StatusCode::OK)["items"].as_array().expect("a list").clone();
    assert_eq!(items.len(), 2);
    assert_eq!((&items[0]["current"], &items[1]["current"]), (&json!(false), &json!(true)));
    assert_eq!(items[0]["user_agent"], "Rotary phone/1.0");
    assert_eq!(items[0]["address"], "127.0.0.1");
    // Nothing of that is stored in the clear.
    let events = shop.admin(&gomall).await.get("/api/v1/events?limit=1000").await;
    assert!(!events.text.contains("Rotary"), "{}", events.text);

    let path = format!("{SESSIONS}/{}", items[0]["id"].as_str().expect("an id"));
    let stranger = shop.customer(&gomall).await;
    stranger.delete(&path).await.refused(404, "not_found");
    elsewhere.get(ME).await.expect(StatusCode::OK);
    let ended = person.delete(&path).await;
    ended.expect(StatusCode::NO_CONTENT);
    elsewhere.get(ME).await.refused(401, "unauthenticated");
    let listed = person.get_after(SESSIONS, ended.position()).await;
    assert_eq!(listed.body["items"].as_array().map(Vec::len), Some(1));

    let admin = shop.admin(&gomall).await;
    let of_person = format!("/api/v1/admin/users/{}/sessions", person.id());
    stranger.delete(&of_person).await.refused(403, "forbidden");
    admin.delete(&of_person).await.expect(StatusCode::NO_CONTENT);
    person.get(ME).await.refused(401, "unauthenticated");
    shop.sign_in(&gomall, &person).await.get(ME).await.expect(StatusCode::OK);
    // Whoever is banned may still sign out.
    let person = shop.sign_in(&gomall, &person).await;
    let ban = format!("/api/v1/admin/users/{}/ban", person.id());
    admin.post(&ban, &json!({"reason": "fraud"})).await.expect(StatusCode::OK);
    person.get(ME).await.refused(403, "banned");
    let out = person.send(Method::POST, "/api/v1/auth/logout", &[], None).await;
    out.expect(StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_password_is_reset_by_mail_once_and_with_the_newest_token() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let person = shop.customer(&gomall).await;
    let (ask, confirm) = ("/api/v1/auth/password-reset", "/api/v1/auth/password-reset/confirm");
    let visitor = shop.visitor(&gomall);
    let nobody = visitor.post(ask, &json!({"email": "nobody@example.com"})).await;
    let somebody = visitor.post(ask, &json!({"email": person.user["email"]})).await;
    for answer in [&nobody, &somebody] {
        answer.expect(StatusCode::ACCEPTED);
        assert_eq!((answer.text.as_str(), answer.header("gomall-position")), ("", None));
    }
    let token = token_by_mail(&shop, &person, "choose another password", &[]).await;
    // Asking again at once sends nothing, so that nobody can let a token die unread.
    visitor.post(ask, &json!({"email": person.user["email"]})).await.expect(StatusCode::ACCEPTED);

    let new = "another quite long password";
    let body = |token: &str, new: &str| json!({"token": token, "new": new});
    for bad in ["", "nonsense", &token[1..], person.refresh_token.as_deref().expect("a token")] {
        visitor.post(confirm, &body(bad, new)).await.refused(422, "invalid_token");
    }
    visitor.post(confirm, &body(&token, "password1")).await.refused(422, "weak_password");
    person.get(ME).await.expect(StatusCode::OK);
    let reset_key = key();
    let done = visitor.post_keyed(confirm, &reset_key, &body(&token, new)).await;
    done.expect(StatusCode::NO_CONTENT);
    person.get(ME).await.refused(401, "unauthenticated");
    visitor
        .post(confirm, &body(&token, "a third quite long one"))
        .await
        .refused(422, "invalid_token");
    let again = visitor.post_keyed(confirm, &reset_key, &body(&token, new)).await;
    again.expect(StatusCode::NO_CONTENT);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let other =
        visitor.post_keyed(confirm, &reset_key, &body(&token, "a third quite long one")).await;
    other.refused(422, "idempotency_key_reused");
    login(&shop, &gomall, &person, PASSWORD).await.refused(401, "bad_credentials");
    login(&shop, &gomall, &person, new).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn an_address_is_proved_by_mail_once() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let person = shop.customer(&gomall).await;
    let (verify, visitor) = ("/api/v1/auth/verify-email", shop.visitor(&gomall));
    let token = token_by_mail(&shop, &person, "confirm that it is yours", &[]).await;
    visitor.post(verify, &json!({"token": "nonsense"})).await.refused(422, "invalid_token");
    let verify_key = key();
    let done = visitor.post_keyed(verify, &verify_key, &json!({"token": token})).await;
    done.expect(StatusCode::NO_CONTENT);
    visitor.post(verify, &json!({"token": token})).await.refused(422, "invalid_token");
    let again = visitor.post_keyed(verify, &verify_key, &json!({"token": token})).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    // Nothing more is sent about an address that is proved.
    let asked = person.send(Method::POST, "/api/v1/me/email-verification", &[], None).await;
    asked.expect(StatusCode::NO_CONTENT);
    let events = shop.admin(&gomall).await.get("/api/v1/events?types=EmailVerificationAsked").await;
    assert_eq!(events.body["items"].as_array().map(Vec::len), Some(1));
    assert!(!events.text.contains(&token));
}

/// A code of the secret at `steps` half minutes from now.
#[expect(clippy::disallowed_methods, reason = "an authenticator has a clock of its own")]
fn code(setup: &Value, steps: i64) -> String {
    let secret = setup["secret"].as_str().expect("a secret").to_owned();
    let secret = totp_rs::Secret::Encoded(secret).to_bytes().expect("base32");
    let totp = totp_rs::TOTP::new(totp_rs::Algorithm::SHA1, 6, 0, 30, secret).expect("parameters");
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    totp.generate(u64::try_from(now + 30 * steps).expect("after 1970"))
}

#[tokio::test]
async fn a_second_factor_is_asked_for_at_sign_in_and_each_code_counts_once() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let person = shop.customer(&gomall).await;
    let confirm = format!("{FACTOR}/confirm");
    person.post(&confirm, &json!({"code": "123456"})).await.refused(409, "no_second_factor");
    let setup = person.send(Method::POST, FACTOR, &[], None).await;
    let setup = setup.expect(StatusCode::CREATED).clone();
    assert_eq!(setup["recovery_codes"].as_array().map(Vec::len), Some(10));
    assert!(setup["uri"].as_str().is_some_and(|uri| uri.starts_with("otpauth://totp/GoMall:")));
    person.post(&confirm, &json!({"code": "000000"})).await.refused(422, "bad_code");
    login(&shop, &gomall, &person, PASSWORD).await.expect(StatusCode::OK);
    let confirmed = person.post(&confirm, &json!({"code": code(&setup, -1)})).await;
    confirmed.expect(StatusCode::NO_CONTENT);
    person.get(ME).await.expect(StatusCode::OK);

    let asked = login(&shop, &gomall, &person, PASSWORD).await;
    let challenge = asked.refused(401, "second_factor_required")["challenge"].clone();
    login(&shop, &gomall, &person, "another one of mine").await.refused(401, "bad_credentials");
    let (path, visitor) = ("/api/v1/auth/second-factor", shop.visitor(&gomall));
    let answer =
        async |code: &str| visitor.post(path, &json!({"challenge": challenge, "code": code})).await;
    answer("000000").await.refused(401, "bad_code");
    // The code that it was confirmed with is spent.
    answer(&code(&setup, -1)).await.refused(401, "bad_code");
    let next = code(&setup, 0);
    let signed_in = answer(&next).await;
    let token = signed_in.expect(StatusCode::OK)["access_token"].as_str();
    person.with_token(token).get(ME).await.expect(StatusCode::OK);
    answer(&next).await.refused(401, "bad_code");
    let recovery = setup["recovery_codes"][4].as_str().expect("a code");
    answer(recovery).await.expect(StatusCode::OK);
    answer(recovery).await.refused(401, "bad_code");
    // Or all at once, as somebody does who knows that it will be asked for.
    let whole = json!({"email": person.user["email"], "password": PASSWORD,
                       "code": setup["recovery_codes"][5]});
    visitor.post(LOGIN, &whole).await.expect(StatusCode::OK);
    visitor.post(LOGIN, &whole).await.refused(401, "bad_code");
    let challenge = json!({"challenge": "nonsense", "code": next});
    visitor.post(path, &challenge).await.refused(401, "unauthenticated");

    // The password alone proves nothing any more.
    let step_up = "/api/v1/me/step-up";
    person.post(step_up, &json!({"password": PASSWORD})).await.refused(422, "invalid_field");
    let recovery = json!({"code": setup["recovery_codes"][6]});
    person.post(step_up, &recovery).await.expect(StatusCode::NO_CONTENT);
    person.post(step_up, &recovery).await.refused(422, "bad_code");
    person.delete(FACTOR).await.expect(StatusCode::NO_CONTENT);
    login(&shop, &gomall, &person, PASSWORD).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_role_that_wants_a_second_factor_counts_only_with_one() {
    let shop = Shop::new().await;
    let (gomall, other_process) = (shop.serve(), shop.serve());
    let admin = shop.admin(&gomall).await;
    let roles = "/api/v1/admin/second-factor-roles";
    let rules = "/api/v1/admin/permission-rules";
    admin.put(&format!("{roles}/a b"), &json!({})).await.refused(400, "malformed_path");
    let wanted = admin.put(&format!("{roles}/admin"), &json!({})).await;
    wanted.expect(StatusCode::NO_CONTENT);
    // In force at once, also elsewhere; what is left can set one up.
    admin.get(rules).await.refused(403, "step_up_required");
    let elsewhere = admin.at(&other_process);
    let version = wanted.header("policy-version").expect("a version").to_owned();
    let at_least = [("policy-version", version.as_str())];
    let answer = elsewhere.send(Method::GET, rules, &at_least, None).await;
    answer.refused(403, "step_up_required");
    let setup =
        admin.send(Method::POST, FACTOR, &[], None).await.expect(StatusCode::CREATED).clone();
    let confirm = json!({"code": code(&setup, -1)});
    admin.post(&format!("{FACTOR}/confirm"), &confirm).await.expect(StatusCode::NO_CONTENT);
    let listed = admin.get(roles).await;
    assert_eq!(listed.expect(StatusCode::OK)["items"], json!(["admin"]));
    // Nobody closes the way by which others would come to one.
    let deny = json!({"effect": "deny", "roles": ["authenticated"], "methods": ["*"],
                      "path": "/api/v1/me/second-factor.*", "note": ""});
    admin.post(rules, &deny).await.refused(409, "last_administrator");
    let deny = json!({"effect": "deny", "roles": ["*"], "methods": ["POST"],
                      "path": "/api/v1/auth/second-factor", "note": ""});
    admin.post(rules, &deny).await.refused(409, "last_administrator");
    let waived = admin.delete(&format!("{roles}/admin")).await;
    waived.expect(StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_role_that_does_not_count_opens_nothing_and_stays_denied() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let (admin, person) = (shop.admin(&gomall).await, shop.customer(&gomall).await);
    let (stock, wanting) = ("/api/v1/admin/stock", "/api/v1/admin/second-factor-roles");
    let roles = format!("/api/v1/admin/users/{}/roles", person.id());
    for role in ["staff", "intern"] {
        admin.post(&roles, &json!({"role": role})).await.expect(StatusCode::OK);
    }
    let body = json!({"name": "k", "scopes": ["staff"]});
    let issued = person.post_keyed(KEYS, &key(), &body).await;
    let program = person.with_token(issued.expect(StatusCode::CREATED)["key"].as_str());
    program.get(stock).await.expect(StatusCode::OK);
    let deny = json!({"effect": "deny", "roles": ["intern"], "methods": ["GET"],
                      "path": stock, "note": ""});
    let denied = admin.post("/api/v1/admin/permission-rules", &deny).await;
    let rule = denied.expect(StatusCode::CREATED)["id"].as_str().expect("an id").to_owned();
    // Leaving the proof out is no way past what is denied.
    admin.put(&format!("{wanting}/intern"), &json!({})).await.expect(StatusCode::NO_CONTENT);
    person.get(stock).await.refused(403, "forbidden");
    let rule = format!("/api/v1/admin/permission-rules/{rule}");
    admin.delete(&rule).await.expect(StatusCode::NO_CONTENT);
    person.get(stock).await.expect(StatusCode::OK);

    // Nor is a key that was made without one, or a proof with one that is gone.
    admin.put(&format!("{wanting}/staff"), &json!({})).await.expect(StatusCode::NO_CONTENT);
    person.get(stock).await.refused(403, "step_up_required");
    program.get(stock).await.refused(403, "forbidden");
    let elsewhere = shop.sign_in(&gomall, &person).await;
    let setup = person.send(Method::POST, FACTOR, &[], None).await.body;
    let confirm = json!({"code": code(&setup, 0)});
    person.post(&format!("{FACTOR}/confirm"), &confirm).await.expect(StatusCode::NO_CONTENT);
    person.get(stock).await.expect(StatusCode::OK);
    let issued = person.post_keyed(KEYS, &key(), &body).await;
    let proved = person.with_token(issued.expect(StatusCode::CREATED)["key"].as_str());
    proved.get(stock).await.expect(StatusCode::OK);
    // A password of a moment ago takes no factor away that came since.
    elsewhere.delete(FACTOR).await.refused(403, "step_up_required");
    person.delete(FACTOR).await.expect(StatusCode::NO_CONTENT);
    person.get(stock).await.refused(403, "step_up_required");
}

#[tokio::test]
async fn a_reset_password_does_not_do_without_the_second_factor() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let person = shop.customer(&gomall).await;
    let setup = person.send(Method::POST, FACTOR, &[], None).await.body;
    let confirm = json!({"code": code(&setup, 0)});
    person.post(&format!("{FACTOR}/confirm"), &confirm).await.expect(StatusCode::NO_CONTENT);
    let visitor = shop.visitor(&gomall);
    let ask = json!({"email": person.user["email"]});
    visitor.post("/api/v1/auth/password-reset", &ask).await.expect(StatusCode::ACCEPTED);
    let token = token_by_mail(&shop, &person, "choose another password", &[]).await;
    let new = "another quite long password";
    let reset = json!({"token": token, "new": new});
    let done = visitor.post("/api/v1/auth/password-reset/confirm", &reset).await;
    done.expect(StatusCode::NO_CONTENT);
    login(&shop, &gomall, &person, new).await.refused(401, "second_factor_required");
}

#[tokio::test]
async fn codes_are_not_guessed_by_whoever_knows_the_password() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let person = shop.customer(&gomall).await;
    let setup = person.send(Method::POST, FACTOR, &[], None).await.body;
    let confirm = json!({"code": code(&setup, 0)});
    person.post(&format!("{FACTOR}/confirm"), &confirm).await.expect(StatusCode::NO_CONTENT);
    let visitor = shop.visitor(&gomall);
    let mut last = StatusCode::OK;
    for n in 0..8 {
        let guess = json!({"email": person.user["email"], "password": PASSWORD,
                           "code": format!("{n:06}")});
        last = visitor.post(LOGIN, &guess).await.status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_program_acts_with_its_key_as_far_as_its_scopes_and_its_owner_go() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let (admin, person) = (shop.admin(&gomall).await, shop.customer(&gomall).await);
    let roles = format!("/api/v1/admin/users/{}/roles", person.id());
    for role in ["analyst", "staff"] {
        admin.post(&roles, &json!({"role": role})).await.expect(StatusCode::OK);
    }
    let body = |scope: &str| json!({"name": "Nightly reports", "scopes": [scope]});
    person.post_keyed(KEYS, &key(), &body("admin")).await.refused(422, "scope_not_held");
    let late = json!({"name": "x", "scopes": ["analyst"], "expires_at": "2999-01-01T00:00:00Z"});
    person.post_keyed(KEYS, &key(), &late).await.refused(422, "invalid_field");
    let issued = person.post_keyed(KEYS, &key(), &body("analyst")).await;
    let (id, secret) =
        (issued.expect(StatusCode::CREATED)["id"].clone(), issued.body["key"].clone());
    let program = person.with_token(secret.as_str());
    program.get("/api/v1/events").await.expect(StatusCode::OK);
    let lines = [("accept", "application/x-ndjson")];
    let exported = program.send(Method::GET, "/api/v1/events", &lines, None).await;
    exported.expect(StatusCode::OK);
    // It is no person, and has none of its owner's other roles.
    program.get(KEYS).await.refused(403, "forbidden");
    program
        .put("/api/v1/me/password", &json!({"current": "x", "new": "y"}))
        .await
        .refused(403, "forbidden");
    person.get("/api/v1/admin/products").await.expect(StatusCode::OK);
    program.get("/api/v1/admin/products").await.refused(403, "forbidden");
    for bad in ["gmk_", "gmk_nonsense", &format!("{}A", secret.as_str().expect("a key"))] {
        let answer = person.with_token(Some(bad)).get("/api/v1/events").await;
        answer.refused(401, "unauthenticated");
    }
    let listed = person.get(KEYS).await;
    let shown = &listed.expect(StatusCode::OK)["items"][0];
    assert_eq!((&shown["id"], &shown["name"]), (&id, &json!("Nightly reports")));
    assert_eq!(shown["key"], Value::Null);
    let events = admin.get("/api/v1/events?limit=1000").await;
    assert!(!events.text.contains("Nightly"), "its name is its owner's");

    let path = format!("{KEYS}/{}", id.as_str().expect("an id"));
    let rotated = person.post_keyed(&format!("{path}/rotate"), &key(), &json!({})).await;
    let newer = rotated.expect(StatusCode::OK)["key"].clone();
    assert!(newer.is_string() && newer != secret);
    for token in [&secret, &newer] {
        let program = person.with_token(token.as_str());
        program.get("/api/v1/events").await.expect(StatusCode::OK);
    }
    // What its owner may not do it may not either, whatever its scopes.
    let deny = json!({"effect": "deny", "roles": ["staff"], "methods": ["GET"],
                      "path": "/api/v1/events", "note": ""});
    let denied = admin.post("/api/v1/admin/permission-rules", &deny).await;
    let rule = denied.expect(StatusCode::CREATED)["id"].as_str().expect("an id").to_owned();
    program.get("/api/v1/events").await.refused(403, "forbidden");
    let rule = format!("/api/v1/admin/permission-rules/{rule}");
    admin.delete(&rule).await.expect(StatusCode::NO_CONTENT);
    program.get("/api/v1/events").await.expect(StatusCode::OK);
    person.delete(&path).await.expect(StatusCode::NO_CONTENT);
    program.get("/api/v1/events").await.refused(401, "unauthenticated");
    person.delete(&path).await.refused(404, "not_found");

    // Whoever was thrown out of an account leaves no key behind.
    let again = person.post_keyed(KEYS, &key(), &body("analyst")).await;
    let program = person.with_token(again.expect(StatusCode::CREATED)["key"].as_str());
    program.get("/api/v1/events").await.expect(StatusCode::OK);
    let change = json!({"current": PASSWORD, "new": "another quite long password"});
    person.put("/api/v1/me/password", &change).await.expect(StatusCode::NO_CONTENT);
    program.get("/api/v1/events").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn two_strangers_do_not_meet_under_one_key_and_what_one_does_with_an_account_is_found() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let (visitor, same) = (shop.visitor(&gomall), key());
    let people = [shop.customer(&gomall).await, shop.customer(&gomall).await];
    for person in &people {
        let refresh = json!({"refresh_token": person.refresh_token});
        let refreshed = visitor.post_keyed("/api/v1/auth/refresh", &same, &refresh).await;
        assert_eq!(refreshed.expect(StatusCode::OK)["user"]["id"], person.user["id"]);
    }
    let change = json!({"current": PASSWORD, "new": "another quite long password"});
    let changed = people[0].put("/api/v1/me/password", &change).await;
    changed.expect(StatusCode::NO_CONTENT);
    let admin = shop.admin(&gomall).await;
    let path = format!("/api/v1/admin/audit?user_id={}&kind=change", people[0].id());
    let found = admin.get_after(&path, changed.position()).await;
    let items = found.expect(StatusCode::OK)["items"].as_array().expect("a list").clone();
    let item = items.iter().find(|item| item["path"] == "/api/v1/me/password");
    assert_eq!(item.expect("it is there")["address"], "127.0.0.1", "{}", found.text);
}

#[tokio::test]
async fn a_repeated_registration_lets_in_nobody_whom_a_sign_in_would_not() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let (register, register_key) = ("/api/v1/auth/register", key());
    let body = |password: &str| json!({"email": "ada@example.com", "password": password});
    let visitor = shop.visitor(&gomall);
    let first = visitor.post_keyed(register, &register_key, &body(PASSWORD)).await;
    let person = visitor.with_token(first.expect(StatusCode::CREATED)["access_token"].as_str());
    let again = visitor.post_keyed(register, &register_key, &body(PASSWORD)).await;
    assert_eq!(again.expect(StatusCode::CREATED)["user"], first.body["user"]);
    let setup = person.send(Method::POST, FACTOR, &[], None).await.body;
    let confirm = json!({"code": code(&setup, 0)});
    person.post(&format!("{FACTOR}/confirm"), &confirm).await.expect(StatusCode::NO_CONTENT);
    let again = visitor.post_keyed(register, &register_key, &body(PASSWORD)).await;
    again.refused(401, "second_factor_required");
    let mut guesses = vec![];
    for n in 0..8 {
        let guess = body(&format!("guess number {n} of mine"));
        guesses.push(visitor.post_keyed(register, &register_key, &guess).await);
    }
    guesses[0].refused(422, "idempotency_key_reused");
    guesses[7].refused(429, "too_many_attempts");
    let admin = shop.admin(&gomall).await;
    let user = first.body["user"]["id"].as_str().expect("an id");
    let ban = format!("/api/v1/admin/users/{user}/ban");
    admin.post(&ban, &json!({"reason": "fraud"})).await.expect(StatusCode::OK);
    let other = shop.serve();
    let visitor = shop.visitor(&other);
    let again = visitor.post_keyed(register, &register_key, &body(PASSWORD)).await;
    again.refused(403, "banned");
}

#[tokio::test]
async fn nobody_who_is_in_keeps_the_owner_from_choosing_another_password() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let person = shop.customer(&gomall).await;
    let thief = shop.sign_in(&gomall, &person).await;
    let change = json!({"current": PASSWORD, "new": "another quite long password"});
    let path = "/api/v1/me/password";
    let changing = person.put(path, &change);
    let writing = async {
        loop {
            thief.send(Method::POST, FACTOR, &[], None).await;
        }
    };
    tokio::select! {
        changed = changing => changed.expect(StatusCode::NO_CONTENT).clone(),
        () = writing => unreachable!("it goes on for ever"),
    };
    thief.get(ME).await.refused(401, "unauthenticated");
}
