//! A second factor: set up, asked for at sign-in, taken away.

use super::Resource;
use crate::conventions::{Keyed, Scene};
use crate::support::{PASSWORD, Person};
use futures::FutureExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const LOGIN: &str = "/api/v1/auth/login";
const ME: &str = "/api/v1/me";
const FACTOR: &str = "/api/v1/me/second-factor";

pub(super) const RESOURCE: Resource = Resource {
    keyed: |scene| keyed(scene).boxed_local(),
    keeps_none: &[(
        "POST /api/v1/me/second-factor",
        "what is shown once cannot be shown again: each call gives out another one",
    )],
    ..Resource::NONE
};

async fn keyed(scene: &Scene) -> Vec<Keyed> {
    let without = scene.somebody().await;
    let with = scene.somebody().await;
    let setup = with.send(Method::POST, FACTOR, &[], None).await;
    let confirm = Keyed::of(&with, "POST /api/v1/me/second-factor/confirm", &[]);
    let confirm = confirm.with(json!({"code": code(setup.expect(StatusCode::CREATED), 0)}));
    vec![confirm, Keyed::of(&without, "DELETE /api/v1/me/second-factor", &[])]
}

/// A code of the secret at `steps` half minutes from now.
#[expect(clippy::disallowed_methods, reason = "an authenticator has a clock of its own")]
pub(super) fn code(setup: &Value, steps: i64) -> String {
    let secret = setup["secret"].as_str().expect("a secret").to_owned();
    let secret = totp_rs::Secret::Encoded(secret).to_bytes().expect("base32");
    let totp = totp_rs::TOTP::new(totp_rs::Algorithm::SHA1, 6, 0, 30, secret).expect("parameters");
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    totp.generate(u64::try_from(now + 30 * steps).expect("after 1970"))
}

/// The person has a second factor from now on; what they were shown.
pub(super) async fn set_up(person: &Person) -> Value {
    let setup = person.send(Method::POST, FACTOR, &[], None).await;
    let setup = setup.expect(StatusCode::CREATED).clone();
    let confirm = json!({"code": code(&setup, 0)});
    let confirmed = person.post(&format!("{FACTOR}/confirm"), &confirm).await;
    confirmed.expect(StatusCode::NO_CONTENT);
    setup
}

#[tokio::test]
async fn a_second_factor_is_asked_for_at_sign_in_and_each_code_counts_once() {
    let scene = Scene::shared().await;
    let person = scene.somebody().await;
    let login = async |password: &str| {
        let body = json!({"email": person.user["email"], "password": password});
        scene.visitor.post(LOGIN, &body).await
    };
    let confirm = format!("{FACTOR}/confirm");
    person.post(&confirm, &json!({"code": "123456"})).await.refused(409, "no_second_factor");
    let setup = person.send(Method::POST, FACTOR, &[], None).await;
    let setup = setup.expect(StatusCode::CREATED).clone();
    assert_eq!(setup["recovery_codes"].as_array().map(Vec::len), Some(10));
    assert!(setup["uri"].as_str().is_some_and(|uri| uri.starts_with("otpauth://totp/GoMall:")));
    person.post(&confirm, &json!({"code": "000000"})).await.refused(422, "bad_code");
    login(PASSWORD).await.expect(StatusCode::OK);
    let confirmed = person.post(&confirm, &json!({"code": code(&setup, -1)})).await;
    confirmed.expect(StatusCode::NO_CONTENT);
    person.get(ME).await.expect(StatusCode::OK);

    let asked = login(PASSWORD).await;
    let challenge = asked.refused(401, "second_factor_required")["challenge"].clone();
    login("another one of mine").await.refused(401, "bad_credentials");
    let (path, visitor) = ("/api/v1/auth/second-factor", &scene.visitor);
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
    login(PASSWORD).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn who_tries_codes_in_one_session_keeps_nobody_from_another_nor_from_signing_in() {
    let scene = Scene::shared().await;
    let person = scene.somebody().await;
    let setup = set_up(&person).await;
    let recovery = |place: usize| setup["recovery_codes"][place].clone();
    let whole =
        |code: Value| json!({"email": person.user["email"], "password": PASSWORD, "code": code});
    let elsewhere = scene.visitor.post(LOGIN, &whole(recovery(0))).await;
    let elsewhere = person.with_token(elsewhere.expect(StatusCode::OK)["access_token"].as_str());
    let step_up = "/api/v1/me/step-up";
    let mut guesses = vec![];
    for _ in 0..8 {
        guesses.push(person.post(step_up, &json!({"code": "000000"})).await);
    }
    guesses[0].refused(422, "bad_code");
    guesses[7].refused(429, "too_many_attempts");
    let proved = elsewhere.post(step_up, &json!({"code": recovery(1)})).await;
    proved.expect(StatusCode::NO_CONTENT);
    scene.visitor.post(LOGIN, &whole(recovery(2))).await.expect(StatusCode::OK);
}
