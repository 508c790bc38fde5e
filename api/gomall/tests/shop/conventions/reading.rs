//! Reading: what one has written, what one has not seen yet, page by page.

use super::Scene;
use super::contract::Operation;
use super::parameters::reads;
use super::{keyed, samples};
use crate::resources::{self, Thing};
use crate::support::{Person, key};
use api::routes::default_policy;
use domain::RoleName;
use domain::policy::{Caller, CompiledPolicy, canonical_path};
use futures::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long the contract lets a read wait; the rest is for a busy machine.
const WAIT: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);

/// One thing of each kind, by the path that shows it, and whoever may read the rest.
pub(crate) struct Things {
    things: BTreeMap<&'static str, Thing>,
    policy: CompiledPolicy,
}

impl Things {
    pub(crate) async fn new(scene: &Scene) -> Self {
        let mut things = BTreeMap::new();
        for resource in resources::all() {
            let told = (resource.things)(scene).await;
            things.extend(told.into_iter().map(|thing| (thing.pattern, thing)));
        }
        let policy = CompiledPolicy::compile(&default_policy::policy(), 1).expect("it compiles");
        Self { things, policy }
    }

    /// Where to read, and who may: a customer what the rules let customers read.
    fn of<'a>(&'a self, scene: &'a Scene, operation: Operation<'_>) -> (String, &'a Person) {
        if let Some(thing) = self.things.get(operation.path) {
            return (thing.path.clone(), &thing.person);
        }
        let url = operation.sample_url("no sample");
        (url, self.reader(scene, operation))
    }

    fn reader<'a>(&self, scene: &'a Scene, operation: Operation<'_>) -> &'a Person {
        let roles = BTreeSet::from([RoleName::known("customer")]);
        let path = operation.sample_path("no sample");
        let path = canonical_path(&path).expect("our paths are canonical");
        let verdict = self.policy.decide(Caller::SignedIn(&roles), "GET", path);
        if verdict.is_allowed() { &scene.customer } else { &scene.admin }
    }
}

/// A read with a position sees at least that, or says after a second that it cannot yet.
pub(crate) async fn every_read_waits_for_what_it_is_asked_to_see(scene: &Scene, things: &Things) {
    let head = scene.head().await;
    for operation in reads(scene) {
        let (path, person) = things.of(scene, operation);
        let answer = person.get_once_at(&path, head).await;
        answer.expect(StatusCode::OK);
        scene.contract.assert_announces(operation, &answer);
        if answer.header("content-type") != Some("application/json; charset=utf-8") {
            panic!("{path}: {:?}", answer.headers);
        }
    }
    let far = async |operation: Operation<'_>| {
        let (path, person) = things.of(scene, operation);
        let begun = Instant::now();
        let answer = person.get_after(&path, i64::MAX as u64).await;
        (path, answer, begun.elapsed())
    };
    for (path, answer, took) in join_all(reads(scene).into_iter().map(far)).await {
        assert_eq!(answer.status, 503, "{path}: {}", answer.text);
        answer.refused(503, "projection_behind");
        assert_eq!(answer.header("retry-after"), Some("1"), "{path}");
        // The last of the second may be cut off by how clocks are rounded.
        assert!(took > WAIT * 9 / 10 && took < PATIENCE, "{path}: {took:?}");
    }
}

/// `ETag`, `If-None-Match`, and the tag of a command's answer is the one that is read afterwards.
pub(crate) async fn single_resources_have_entity_tags(scene: &Scene, things: &Things) {
    let mut seen = 0;
    for operation in reads(scene) {
        let (path, person) = things.of(scene, operation);
        let answer = person.get(&path).await;
        let tag = answer.header("etag");
        let announced = operation.described["responses"]["304"].is_object();
        assert_eq!(tag.is_some(), announced, "{path}");
        let Some(tag) = tag else { continue };
        seen += 1;
        let parts = tag.trim_matches('"').split_once('.').expect("version and position");
        assert!(parts.0.parse::<u64>().is_ok() && parts.1.parse::<u64>().is_ok(), "{tag}");
        assert_eq!(answer.body["version"].to_string(), parts.0, "{path}");

        let ask = async |condition: &str| {
            person.send(Method::GET, &path, &[("if-none-match", condition)], None).await
        };
        let moved = format!("\"{}.{}9\"", parts.0, parts.1);
        for same in
            [tag, "*", &format!("W/{tag}"), &format!("\"x\", {tag}"), &format!("{moved},{tag}")]
        {
            let cached = ask(same).await;
            assert_eq!(
                (cached.status, cached.text.as_str()),
                (StatusCode::NOT_MODIFIED, ""),
                "{same}"
            );
            assert_eq!(cached.header("etag"), Some(tag), "{path}");
        }
        for other in [moved.as_str(), "\"x\"", "", parts.0, tag.trim_matches('"'), "W/"] {
            ask(other).await.expect(StatusCode::OK);
        }

        let command = &things.things[operation.path].changed;
        let position = command.position().to_string();
        let condition = command.header("etag").expect("commands answer with a tag");
        let headers = [("if-none-match", condition), ("gomall-position", position.as_str())];
        let read = person.send(Method::GET, &path, &headers, None).await;
        assert_eq!(
            read.status,
            304,
            "{path}: {condition} was told, {:?} read",
            read.header("etag")
        );
    }
    assert!(seen >= 7, "{seen}");
}

/// `limit`, `next_cursor`: whatever the pages' size, all of them together are the list.
pub(crate) async fn lists_come_in_pages(scene: &Scene, things: &Things) {
    for number in 0..25 {
        let path = json!({"methods": ["GET"], "path": format!("/nothing/{number}")});
        scene.admin.post("/api/v1/admin/public-paths", &path).await.expect(StatusCode::CREATED);
    }
    for _ in 0..3 {
        scene.customer.add("mascot", 1).await.expect(StatusCode::OK);
        let order = scene.customer.check_out(&key(), None).await;
        order.expect(StatusCode::CREATED);
    }
    let head = scene.head().await;
    let lists = reads(scene).into_iter().filter(|read| read.parameter("query", "cursor").is_some());
    let mut seen = 0;
    for list in lists {
        seen += 1;
        let person = things.reader(scene, list);
        let path = list.sample_path("no sample");
        let mut filters = vec![""];
        if list.parameter("query", "sort").is_some() {
            filters.extend([
                "&sort=name",
                "&sort=price",
                "&sort=-price",
                "&sort=newest",
                "&q=shirt",
            ]);
        }
        for filter in filters {
            let whole = person.get_once_at(&format!("{path}?limit=100{filter}"), head).await;
            let whole = whole.expect(StatusCode::OK);
            let members: Vec<_> = whole.as_object().expect("a list").keys().collect();
            assert_eq!(members, ["items", "next_cursor"], "{}", list.path);
            assert_eq!(whole["next_cursor"], Value::Null, "{}", list.path);
            for limit in [1, 2, 3] {
                let paged = pages(person, &format!("{path}?limit={limit}{filter}"), limit).await;
                assert_eq!(&json!(paged), &whole["items"], "{} {limit} {filter}", list.path);
            }
        }
    }
    assert!(seen >= 8, "{seen}");
    let default = scene.admin.get("/api/v1/admin/public-paths").await;
    assert_eq!(default.body["items"].as_array().map(Vec::len), Some(20));
    let cursor = default.body["next_cursor"].as_str().expect("there is more");
    // A cursor belongs to its list.
    let other = scene.admin.get(&format!("/api/v1/admin/stock?cursor={cursor}")).await;
    other.refused(422, "invalid_parameter");
}

async fn pages(person: &Person, first: &str, limit: usize) -> Vec<Value> {
    let (mut items, mut path) = (vec![], first.to_owned());
    loop {
        let page = person.get(&path).await;
        let page = page.expect(StatusCode::OK);
        let more = page["items"].as_array().expect("a list");
        assert!(more.len() <= limit, "{path}");
        items.extend(more.iter().cloned());
        match &page["next_cursor"] {
            Value::Null => return items,
            cursor => {
                assert_eq!(more.len(), limit, "{path}: only the last page may be short");
                path = format!("{first}&cursor={}", cursor.as_str().expect("text"));
            }
        }
    }
}

/// `If-Match` where the contract asks for it: the version, and nothing but the version.
pub(crate) async fn a_change_is_made_on_what_was_seen(scene: &Scene, things: &Things) {
    let admin = &scene.admin;
    let conditional = |one: &Operation<'_>| one.parameter("header", "If-Match") == Some(true);
    let operations: Vec<_> = scene.contract.operations().into_iter().filter(conditional).collect();
    assert!(!operations.is_empty(), "the document says where");
    for operation in operations {
        let path = &things.things[operation.path].path;
        let put = async |headers: &[(&str, &str)], body: &Value| {
            admin.send(Method::PUT, path, headers, Some(body)).await
        };
        let mut body = samples::body(&operation.name());
        let description = if body["note"].is_string() { "note" } else { "description" };
        let read = admin.get(path).await;
        let tag = read.header("etag").expect("a single resource").to_owned();
        let (version, position) =
            tag.trim_matches('"').split_once('.').expect("version and position");
        let version: u64 = version.parse().expect("a number");

        body[description] = json!("First.");
        put(&[], &body).await.refused(428, "precondition_required");
        let stale = format!("\"{}.{position}\"", version - 1);
        for other in [&stale, &format!("\"{}.1\"", version + 1), "\"x\"", "", &version.to_string()]
        {
            put(&[("if-match", other)], &body).await.refused(412, "version_conflict");
        }
        // What else has moved in the row is no reason to refuse.
        let elsewhere = format!("W/\"{version}.{position}99\"");
        let changed = put(&[("if-match", &elsewhere)], &body).await;
        changed.expect(StatusCode::OK);
        scene.contract.assert_announces(operation, &changed);
        let next = changed.header("etag").expect("commands answer with a tag").to_owned();
        assert_ne!(next, tag);
        put(&[("if-match", &tag)], &body).await.refused(412, "version_conflict");
        body[description] = json!("Second.");
        put(&[("if-match", &next)], &body).await.expect(StatusCode::OK);
        put(&[("if-match", "*")], &body).await.expect(StatusCode::OK);

        // A key that has its outcome already wins over a version that is no longer there.
        let read = admin.get_once_at(path, scene.head().await).await;
        let tag = read.header("etag").expect("a single resource").to_owned();
        body[description] = json!("Third.");
        let headers = [("if-match", tag.as_str()), ("idempotency-key", "third")];
        let first = put(&headers, &body).await;
        keyed::assert_replays(&first, &put(&headers, &body).await, &operation.name());
    }
}
