//! Where somebody is signed in, and proving again who they are.

use super::Resource;
use crate::conventions::{Keyed, Scene};
use crate::support::{PASSWORD, Person};
use compose::testing::eventually;
use futures::FutureExt;
use reqwest::{Method, StatusCode};
use serde_json::json;

const LOGIN: &str = "/api/v1/auth/login";
const ME: &str = "/api/v1/me";
const SESSIONS: &str = "/api/v1/me/sessions";

pub(super) const RESOURCE: Resource =
    Resource { keyed: |scene| keyed(scene).boxed_local(), ..Resource::NONE };

async fn keyed(scene: &Scene) -> Vec<Keyed> {
    let person = scene.somebody().await;
    let again = scene.shop.sign_in(&scene.gomall, &person).await;
    let other = session_of(&again).await;
    let end = Keyed::of(&person, "DELETE /api/v1/me/sessions/{id}", &[&other]);
    let step_up = Keyed::of(&scene.somebody().await, "POST /api/v1/me/step-up", &[]);
    vec![end, step_up.with(json!({"password": PASSWORD}))]
}

/// The id of the session that somebody comes with, as soon as it is listed.
async fn session_of(person: &Person) -> String {
    eventually("the session is listed", || async {
        let listed = person.get(SESSIONS).await;
        let current = listed.items().iter().find(|one| one["current"] == true)?;
        Some(current["id"].as_str().expect("an id").to_owned())
    })
    .await
}

#[tokio::test]
async fn sessions_are_listed_and_ended_by_their_owner_and_by_staff() {
    let scene = Scene::shared().await;
    let (admin, person) = (&scene.admin, scene.somebody().await);
    let body = json!({"email": person.user["email"], "password": PASSWORD});
    let headers = [("user-agent", "Rotary phone/1.0")];
    let second = scene.visitor.send(Method::POST, LOGIN, &headers, Some(&body)).await;
    second.expect(StatusCode::OK);
    let elsewhere = person.with_token(second.body["access_token"].as_str());

    let listed = person.get_once_at(SESSIONS, second.position()).await;
    let items = listed.items();
    assert_eq!(items.len(), 2);
    assert_eq!((&items[0]["current"], &items[1]["current"]), (&json!(false), &json!(true)));
    assert_eq!(items[0]["user_agent"], "Rotary phone/1.0");
    assert_eq!(items[0]["address"], "127.0.0.1");
    // Nothing of that is stored in the clear.
    let session = items[0]["id"].as_str().expect("an id");
    let of_session = format!("/api/v1/events?aggregate=session&aggregate_id={session}");
    let events = admin.get(&of_session).await;
    assert!(!events.items().is_empty() && !events.text.contains("Rotary"), "{}", events.text);

    let path = format!("{SESSIONS}/{session}");
    let stranger = scene.somebody().await;
    stranger.delete(&path).await.refused(404, "not_found");
    elsewhere.get(ME).await.expect(StatusCode::OK);
    let ended = person.delete(&path).await;
    ended.expect(StatusCode::NO_CONTENT);
    elsewhere.get(ME).await.refused(401, "unauthenticated");
    let listed = person.get_once_at(SESSIONS, ended.position()).await;
    assert_eq!(listed.body["items"].as_array().map(Vec::len), Some(1));

    let of_person = format!("/api/v1/admin/users/{}/sessions", person.id());
    stranger.delete(&of_person).await.refused(403, "forbidden");
    admin.delete(&of_person).await.expect(StatusCode::NO_CONTENT);
    person.get(ME).await.refused(401, "unauthenticated");
    scene.shop.sign_in(&scene.gomall, &person).await.get(ME).await.expect(StatusCode::OK);
    // Whoever is banned may still sign out.
    let person = scene.shop.sign_in(&scene.gomall, &person).await;
    let ban = format!("/api/v1/admin/users/{}/ban", person.id());
    admin.post(&ban, &json!({"reason": "fraud"})).await.expect(StatusCode::OK);
    person.get(ME).await.refused(403, "banned");
    let out = person.send(Method::POST, "/api/v1/auth/logout", &[], None).await;
    out.expect(StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn wrong_passwords_of_a_living_session_are_braked_as_well() {
    let scene = Scene::shared().await;
    let person = scene.somebody().await;
    let mut answers = vec![];
    for n in 0..8 {
        let body = json!({"password": format!("guess number {n} of mine")});
        answers.push(person.post("/api/v1/me/step-up", &body).await);
    }
    answers[0].refused(422, "wrong_password");
    answers[7].refused(429, "too_many_attempts");
    person.get(ME).await.expect(StatusCode::OK);
}
