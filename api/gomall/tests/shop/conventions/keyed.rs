//! Calls under an `Idempotency-Key`: one at least of every operation that takes one. What a call needs to be
//! carried out nobody can tell from the document, so each resource says it in its own file.

use super::Scene;
use crate::resources;
use crate::support::{Answer, Gomall, Person};
use reqwest::StatusCode;
use serde_json::Value;
use std::collections::BTreeSet;

/// A request that can be carried out once, and only once; it is about something that was made for it.
pub(crate) struct Keyed {
    person: Person,
    /// The operation's name in the document.
    pub(crate) name: String,
    path: String,
    body: Value,
    /// Another body of the same operation, which the same key does not belong to.
    pub(crate) other: Option<Value>,
}

impl Keyed {
    /// `METHOD /path` as the document has it, with what stands in the place of its parameters, in their order.
    pub(crate) fn of(person: &Person, name: &str, parameters: &[&str]) -> Self {
        let (_, pattern) = name.split_once(' ').expect("method and path");
        let mut given = parameters.iter();
        let path = pattern.split('/').map(|segment| {
            if segment.starts_with('{') { *given.next().expect("one each") } else { segment }
        });
        let path = path.collect::<Vec<_>>().join("/");
        assert_eq!(given.next(), None, "{name}");
        let (person, name) = (person.clone(), name.to_owned());
        Self { person, name, path, body: Value::Null, other: None }
    }

    /// With this body.
    pub(crate) fn with(self, body: Value) -> Self {
        Self { body, ..self }
    }

    /// As opposed to this body.
    pub(crate) fn unlike(self, other: Value) -> Self {
        Self { other: Some(other), ..self }
    }

    /// Sends it under a key.
    pub(crate) async fn send(&self, scene: &Scene, at: &Gomall, key: &str) -> Answer {
        self.send_body(scene, at, key, &self.body).await
    }

    /// Sends another body under a key.
    pub(crate) async fn send_body(
        &self,
        scene: &Scene,
        at: &Gomall,
        key: &str,
        body: &Value,
    ) -> Answer {
        let method = scene.contract.operation(&self.name).method();
        let headers = [("idempotency-key", key), ("if-match", "*")];
        let body = (!body.is_null()).then_some(body);
        self.person.at(at).send(method, &self.path, &headers, body).await
    }

    /// Whether the answer tells how a payment stands: as it is, not as it was.
    pub(crate) fn asks_a_provider(&self) -> bool {
        self.body["payment"] != Value::Null
            || self.body["method"] != Value::Null && self.body["token"] != Value::Null
    }
}

/// Those of all resources. Every operation that takes a key has one, or its resource says why it has none.
pub(crate) async fn all(scene: &Scene) -> Vec<Keyed> {
    let mut calls = vec![];
    for resource in resources::all() {
        calls.extend((resource.keyed)(scene).await);
    }
    let has_call: BTreeSet<_> = calls.iter().map(|call| call.name.clone()).collect();
    let keeps_none = resources::all().flat_map(|resource| resource.keeps_none);
    let keeps_none: BTreeSet<_> = keeps_none.map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(has_call.intersection(&keeps_none).next(), None, "it has a call after all");
    let operations = scene.contract.operations();
    let takes_key =
        |one: &super::contract::Operation<'_>| one.parameter("header", "Idempotency-Key").is_some();
    let all: BTreeSet<_> =
        operations.iter().filter(|one| takes_key(one)).map(|one| one.name()).collect();
    let told: BTreeSet<_> = has_call.union(&keeps_none).cloned().collect();
    assert_eq!(told, all, "`keyed` in the resource's own file");
    calls
}

/// The second answer is the first, and says so.
#[track_caller]
pub(crate) fn assert_replays(first: &Answer, second: &Answer, about: &str) {
    assert_eq!(first.header("idempotent-replayed"), None, "{about}: {}", first.text);
    assert_eq!(second.header("idempotent-replayed"), Some("true"), "{about}: {}", second.text);
    assert_eq!(second.status, first.status, "{about}");
    assert_eq!(second.position(), first.position(), "{about}");
    for name in ["etag", "location", "policy-version"] {
        assert_eq!(second.header(name), first.header(name), "{about}: {name}");
    }
    assert_eq!(without_token(second), without_token(first), "{about}");
}

/// An access token is signed anew: it says when. The key of a program is shown once.
fn without_token(answer: &Answer) -> Value {
    let mut body = answer.body.clone();
    if let Some(members) = body.as_object_mut() {
        members.remove("access_token");
        members.remove("key");
    }
    body
}

/// Whether whoever sent it is told to come back under the same key.
pub(crate) fn asks_to_come_back(answer: &Answer) -> bool {
    answer.status == StatusCode::SERVICE_UNAVAILABLE || answer.body["code"] == "request_in_progress"
}
