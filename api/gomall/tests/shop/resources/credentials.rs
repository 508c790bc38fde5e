//! Choosing another password, and proving an address: in person, and with tokens that come by mail.

use super::Resource;
use super::second_factor::set_up;
use crate::conventions::{Keyed, Scene};
use crate::support::{Answer, PASSWORD, Person, key};
use compose::testing::eventually;
use futures::FutureExt;
use reqwest::{Method, StatusCode};
use serde_json::json;

const ME: &str = "/api/v1/me";
const PASSWORD_OF_MINE: &str = "/api/v1/me/password";
const ASK_RESET: &str = "/api/v1/auth/password-reset";
const RESET: &str = "/api/v1/auth/password-reset/confirm";
const VERIFY: &str = "/api/v1/auth/verify-email";
const NEW: &str = "another quite long password";

pub(super) const RESOURCE: Resource = Resource {
    keyed: |scene| keyed(scene).boxed_local(),
    keeps_none: &[(
        "POST /api/v1/auth/password-reset",
        "its answer is the same whatever was done, so that nobody learns who has an account",
    )],
    ..Resource::NONE
};

async fn keyed(scene: &Scene) -> Vec<Keyed> {
    let (one, two) = (scene.somebody().await, scene.somebody().await);
    let change = Keyed::of(&one, "PUT /api/v1/me/password", &[]);
    let ask = Keyed::of(&two, "POST /api/v1/me/email-verification", &[]);
    let (forgetful, new) = (scene.somebody().await, scene.somebody().await);
    let asked = scene.visitor.post(ASK_RESET, &json!({"email": forgetful.user["email"]})).await;
    asked.expect(StatusCode::ACCEPTED);
    let reset = json!({"token": reset_token(scene, &forgetful).await, "new": NEW});
    let verify = json!({"token": verification_token(scene, &new).await});
    vec![
        change.with(json!({"current": PASSWORD, "new": NEW})),
        ask,
        Keyed::of(&scene.visitor, "POST /api/v1/auth/password-reset/confirm", &[]).with(reset),
        Keyed::of(&scene.visitor, "POST /api/v1/auth/verify-email", &[]).with(verify),
    ]
}

async fn reset_token(scene: &Scene, person: &Person) -> String {
    token_by_mail(scene, person, "choose another password").await
}

async fn verification_token(scene: &Scene, person: &Person) -> String {
    token_by_mail(scene, person, "confirm that it is yours").await
}

/// The token of a mail to this person whose text has `words`.
async fn token_by_mail(scene: &Scene, person: &Person, words: &str) -> String {
    eventually(words, || async {
        let mails = mails_to(scene, person)?.into_iter().filter(|mail| mail.contains(words));
        let mut lines = mails.flat_map(|mail| mail.lines().map(str::to_owned).collect::<Vec<_>>());
        lines.find_map(|line| line.strip_prefix("  ").map(str::to_owned))
    })
    .await
}

fn mails_to(scene: &Scene, person: &Person) -> Option<Vec<String>> {
    let to = format!("To: {}", person.user["email"].as_str().expect("an address"));
    let mails = std::fs::read_dir(scene.shop.data_dir.path().join("mail")).ok()?.flatten();
    let mails = mails.filter_map(|mail| std::fs::read_to_string(mail.path()).ok());
    Some(mails.filter(|mail| mail.contains(&to)).collect())
}

async fn login(scene: &Scene, person: &Person, password: &str) -> Answer {
    let body = json!({"email": person.user["email"], "password": password});
    scene.visitor.post("/api/v1/auth/login", &body).await
}

#[tokio::test]
async fn who_changes_the_password_stays_signed_in_and_everybody_else_is_thrown_out() {
    let scene = Scene::shared().await;
    let other_process = scene.shop.serve();
    let person = scene.somebody().await;
    let thief = scene.shop.sign_in(&scene.gomall, &person).await.at(&other_process);
    thief.get(ME).await.expect(StatusCode::OK);
    let (path, new) = (PASSWORD_OF_MINE, NEW);
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
    login(&scene, &person, PASSWORD).await.refused(401, "bad_credentials");
    login(&scene, &person, new).await.expect(StatusCode::OK);
    let refresh = json!({"refresh_token": person.refresh_token});
    let refreshed = person.with_token(None).post("/api/v1/auth/refresh", &refresh).await;
    refreshed.expect(StatusCode::OK);
    // Whoever did not do it reads about it.
    eventually("a mail", || async {
        let mut mails = mails_to(&scene, &person)?.into_iter();
        mails.any(|mail| mail.contains("Your password was changed")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn nobody_who_is_in_keeps_the_owner_from_choosing_another_password() {
    let scene = Scene::shared().await;
    let person = scene.somebody().await;
    let thief = scene.shop.sign_in(&scene.gomall, &person).await;
    let change = json!({"current": PASSWORD, "new": NEW});
    let changing = person.put(PASSWORD_OF_MINE, &change);
    let writing = async {
        loop {
            thief.send(Method::POST, "/api/v1/me/second-factor", &[], None).await;
        }
    };
    tokio::select! {
        changed = changing => changed.expect(StatusCode::NO_CONTENT).clone(),
        () = writing => unreachable!("it goes on for ever"),
    };
    thief.get(ME).await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn a_password_is_reset_by_mail_once_and_with_the_newest_token() {
    let scene = Scene::shared().await;
    let (visitor, person) = (&scene.visitor, scene.somebody().await);
    let nobody = visitor.post(ASK_RESET, &json!({"email": "nobody@example.com"})).await;
    let somebody = visitor.post(ASK_RESET, &json!({"email": person.user["email"]})).await;
    for answer in [&nobody, &somebody] {
        answer.expect(StatusCode::ACCEPTED);
        assert_eq!((answer.text.as_str(), answer.header("gomall-position")), ("", None));
    }
    let token = reset_token(&scene, &person).await;
    // Asking again at once sends nothing, so that nobody can let a token die unread.
    visitor
        .post(ASK_RESET, &json!({"email": person.user["email"]}))
        .await
        .expect(StatusCode::ACCEPTED);

    let new = NEW;
    let body = |token: &str, new: &str| json!({"token": token, "new": new});
    for bad in ["", "nonsense", &token[1..], person.refresh_token.as_deref().expect("a token")] {
        visitor.post(RESET, &body(bad, new)).await.refused(422, "invalid_token");
    }
    visitor.post(RESET, &body(&token, "password1")).await.refused(422, "weak_password");
    person.get(ME).await.expect(StatusCode::OK);
    let reset_key = key();
    let done = visitor.post_keyed(RESET, &reset_key, &body(&token, new)).await;
    done.expect(StatusCode::NO_CONTENT);
    person.get(ME).await.refused(401, "unauthenticated");
    visitor
        .post(RESET, &body(&token, "a third quite long one"))
        .await
        .refused(422, "invalid_token");
    let again = visitor.post_keyed(RESET, &reset_key, &body(&token, new)).await;
    again.expect(StatusCode::NO_CONTENT);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let other =
        visitor.post_keyed(RESET, &reset_key, &body(&token, "a third quite long one")).await;
    other.refused(422, "idempotency_key_reused");
    login(&scene, &person, PASSWORD).await.refused(401, "bad_credentials");
    login(&scene, &person, new).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_reset_password_does_not_do_without_the_second_factor() {
    let scene = Scene::shared().await;
    let (visitor, person) = (&scene.visitor, scene.somebody().await);
    set_up(&person).await;
    let ask = json!({"email": person.user["email"]});
    visitor.post(ASK_RESET, &ask).await.expect(StatusCode::ACCEPTED);
    let token = reset_token(&scene, &person).await;
    let reset = json!({"token": token, "new": NEW});
    visitor.post(RESET, &reset).await.expect(StatusCode::NO_CONTENT);
    login(&scene, &person, NEW).await.refused(401, "second_factor_required");
}

#[tokio::test]
async fn an_address_is_proved_by_mail_once() {
    let scene = Scene::shared().await;
    let (visitor, person) = (&scene.visitor, scene.somebody().await);
    let token = verification_token(&scene, &person).await;
    visitor.post(VERIFY, &json!({"token": "nonsense"})).await.refused(422, "invalid_token");
    let verify_key = key();
    let done = visitor.post_keyed(VERIFY, &verify_key, &json!({"token": token})).await;
    done.expect(StatusCode::NO_CONTENT);
    visitor.post(VERIFY, &json!({"token": token})).await.refused(422, "invalid_token");
    let again = visitor.post_keyed(VERIFY, &verify_key, &json!({"token": token})).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    // Nothing more is sent about an address that is proved.
    let asked = person.send(Method::POST, "/api/v1/me/email-verification", &[], None).await;
    asked.expect(StatusCode::NO_CONTENT);
    let of_person = format!("/api/v1/events?aggregate=user&aggregate_id={}", person.id());
    let events = scene.admin.get(&format!("{of_person}&types=EmailVerificationAsked")).await;
    assert_eq!(events.items().len(), 1);
    assert!(!events.text.contains(&token));
}
