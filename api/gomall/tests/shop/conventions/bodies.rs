//! Bodies: what they are made of, member by member, derived from what the document says.

use super::contract::Operation;
use super::samples;
use super::{Contract, Scene};
use crate::support::{Answer, key};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;

/// The largest body of the contract.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Of those that anybody may send.
const MAX_SIGN_IN_BYTES: usize = 4 * 1024;

/// Requests that are sent at once: enough to keep both ends busy.
const AT_ONCE: usize = 8;

/// One thing that is done to a good body.
enum Spoiling {
    Remove { object: String, member: String },
    Put { at: String, value: Value },
}

/// A spoilt body, and what has to be said about it.
struct Spoilt {
    body: Value,
    code: &'static str,
    pointer: String,
}

/// A member is absent, unknown, of another type, or holds NUL: at every depth of every body.
pub(crate) async fn every_member_of_every_body_is_checked(scene: &Scene) {
    let contract = &scene.contract;
    let mut requests = vec![];
    for operation in contract.operations() {
        let Some(schema) = contract.body_of(operation) else { continue };
        let samples = samples::bodies().filter(|(name, _)| *name == operation.name());
        let samples: Vec<_> = samples.map(|(_, sample)| sample).collect();
        assert!(!samples.is_empty(), "an example for {}?", operation.name());
        assert_members_are_shown(contract, schema, &samples, &operation.name());
        for sample in samples {
            let spoilt = spoilt(contract, schema, sample);
            requests.extend(spoilt.into_iter().map(|spoilt| (operation, spoilt)));
        }
    }
    // Whatever takes no body takes no members either.
    for operation in contract.operations().into_iter().filter(takes_no_body) {
        let (body, pointer) = (json!({"nonsense": 1}), "/nonsense".to_owned());
        requests.push((operation, Spoilt { body, code: "unknown_field", pointer }));
    }
    assert!(requests.len() > 300, "only {} requests were made up", requests.len());
    let answers = stream::iter(requests).map(async |(operation, spoilt)| {
        let answer = send(scene, operation, spoilt.body.to_string().into_bytes()).await;
        complaint(&answer, 422, spoilt.code, Some(&spoilt.pointer))
            .map(|complaint| format!("{} {}: {complaint}", operation.name(), spoilt.body))
    });
    let complaints: Vec<_> =
        answers.buffer_unordered(AT_ONCE).filter_map(async |complaint| complaint).collect().await;
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// Text that is no JSON, JSON that is no object, and objects that say two things.
pub(crate) async fn what_is_no_json_object_is_refused(scene: &Scene) {
    for operation in scene.contract.operations().into_iter().filter(takes_body_or_nothing) {
        let answer = send(scene, operation, b"{".to_vec()).await;
        assert_eq!(complaint(&answer, 400, "malformed_json", None), None, "{}", operation.name());
        for no_object in ["[]", "7", "\"{}\"", "null", "true"] {
            let answer = send(scene, operation, no_object.into()).await;
            let complaint = complaint(&answer, 422, "invalid_field", Some(""));
            assert_eq!(complaint, None, "{} {no_object}", operation.name());
        }
    }
    let login = scene.contract.operation("POST /api/v1/auth/login");
    let deep = "[".repeat(2_000);
    for malformed in [
        &br#"{"email":"a@example.com","password":"x",}"#[..],
        br#"{"email":"a@example.com","email":"b@example.com","password":"x"}"#,
        br#"{"email":"a@example.com","password":"x"} {}"#,
        br#"{'email':'a@example.com','password':'x'}"#,
        br#"{"email":"a@example.com","password":"\ud800"}"#,
        b"{\"email\":\"a@example.com\",\"password\":\"\xff\"}",
        b"\xef\xbb\xbf{\"email\":\"a@example.com\",\"password\":\"x\"}",
        b"{\"email\":NaN}",
        b" ",
        deep.as_bytes(),
    ] {
        let answer = send(scene, login, malformed.to_vec()).await;
        let text = String::from_utf8_lossy(malformed);
        assert_eq!(complaint(&answer, 400, "malformed_json", None), None, "{text}");
    }
    // Nothing at all is an object without members.
    let answer = send(scene, login, vec![]).await;
    assert_eq!(complaint(&answer, 422, "missing_field", Some("/email")), None);
}

/// JSON in UTF-8, of at most a mebibyte.
pub(crate) async fn bodies_have_a_type_and_a_size(scene: &Scene) {
    for operation in scene.contract.operations().into_iter().filter(takes_body_or_nothing) {
        let path = operation.sample_path(scene.customer.id());
        let headers = [("content-type", "text/plain"), ("idempotency-key", "k"), ("if-match", "*")];
        let body = Some(b"{}".to_vec());
        let answer = scene.admin.send_bytes(operation.method(), &path, &headers, body).await;
        let complaint = complaint(&answer, 415, "unsupported_media_type", None);
        assert_eq!(complaint, None, "{}", operation.name());
    }
    let login = "/api/v1/auth/login";
    let send = async |headers: &[(&str, &str)], body: &[u8]| {
        scene.visitor.send_bytes(reqwest::Method::POST, login, headers, Some(body.into())).await
    };
    for refused in [
        &[][..],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("content-type", "application/json; charset=latin1")],
        &[("content-type", "application/jsonp")],
        &[("content-type", "application/json"), ("content-encoding", "gzip")],
    ] {
        send(refused, b"{}").await.refused(415, "unsupported_media_type");
    }
    for read in ["application/json", "APPLICATION/JSON; charset=\"UTF-8\"", "application/json;"] {
        send(&[("content-type", read)], b"{}").await.refused(422, "missing_field");
    }

    let json = [("content-type", "application/json")];
    let mut fits = br#"{"email":"nobody@example.com","password":"anything"}"#.to_vec();
    fits.resize(MAX_SIGN_IN_BYTES, b' ');
    send(&json, &fits).await.refused(401, "bad_credentials");
    fits.push(b' ');
    send(&json, &fits).await.refused(413, "body_too_large");
    let host = scene.gomall.url.trim_start_matches("http://");
    for operation in scene.contract.operations() {
        if operation.is_unsafe() && operation.is_of_the_shop() {
            // Announced, and refused before it is sent.
            let announced = format!("content-length: {}", MAX_BODY_BYTES + 1);
            let status = raw(host, scene, operation, &announced, &[]);
            let unsigned = operation.path.contains("/webhooks/");
            assert_eq!(status, "413 body_too_large", "{} {unsigned}", operation.name());
        }
    }
    // Not announced, and cut off when it is too long.
    let login = scene.contract.operation("POST /api/v1/auth/login");
    let mut chunk = format!("{:x}\r\n", MAX_BODY_BYTES + 1).into_bytes();
    chunk.resize(chunk.len() + MAX_BODY_BYTES + 1, b' ');
    let status = raw(host, scene, login, "transfer-encoding: chunked", &chunk);
    assert_eq!(status, "413 body_too_large");
}

fn takes_no_body(operation: &Operation<'_>) -> bool {
    takes_body_or_nothing(operation) && operation.described.get("requestBody").is_none()
}

/// Everything that is unsafe but the providers' notifications, which are signed and not described.
fn takes_body_or_nothing(operation: &Operation<'_>) -> bool {
    operation.is_unsafe() && operation.is_of_the_shop() && !operation.path.contains("/webhooks/")
}

pub(crate) async fn send(scene: &Scene, operation: Operation<'_>, body: Vec<u8>) -> Answer {
    let path = operation.sample_path(scene.customer.id());
    let key = key();
    let headers =
        [("content-type", "application/json"), ("idempotency-key", &key), ("if-match", "*")];
    scene.admin.send_bytes(operation.method(), &path, &headers, Some(body)).await
}

/// What is wrong with a refusal, if anything is: it must be a problem with all of its members, and
/// name the place.
pub(crate) fn complaint(
    answer: &Answer,
    status: u16,
    code: &str,
    pointer: Option<&str>,
) -> Option<String> {
    let body = &answer.body;
    let texts = ["type", "title", "detail", "trace_id"];
    let is_problem = answer.header("content-type") == Some("application/problem+json")
        && texts.iter().all(|member| body[*member].as_str().is_some_and(|text| !text.is_empty()))
        && body["status"] == answer.status.as_u16();
    let right = is_problem
        && answer.status.as_u16() == status
        && body["code"] == code
        && pointer.is_none_or(|pointer| {
            let error = &body["errors"][0];
            error["pointer"] == pointer && error["code"] == code && error["message"].is_string()
        });
    let expected = || format!("expected {status} {code} {pointer:?}, got {}", answer.text);
    (!right).then(expected)
}

/// A member that no example has would not be tested.
fn assert_members_are_shown(contract: &Contract, schema: &Value, samples: &[&Value], name: &str) {
    let members = contract.essential(schema)["properties"].as_object().into_iter().flatten();
    for (member, _) in members {
        let shown = samples.iter().any(|sample| sample.get(member).is_some());
        assert!(shown, "{name}: no example has {member}");
    }
}

/// Everything that can be wrong with the members of a good body.
fn spoilt(contract: &Contract, schema: &Value, sample: &Value) -> Vec<Spoilt> {
    let mut found = vec![];
    walk(contract, schema, sample, "", &mut found);
    found
        .into_iter()
        .map(|(spoiling, code, pointer)| {
            let mut body = sample.clone();
            match spoiling {
                Spoiling::Remove { object, member } => {
                    let object = body.pointer_mut(&object).and_then(Value::as_object_mut);
                    object.expect("it was found there").remove(&member).expect("it was there");
                }
                Spoiling::Put { at, value } => match at.rsplit_once('/') {
                    Some((object, member)) if body.pointer(&at).is_none() => {
                        body.pointer_mut(object).expect("it was found there")[member] = value;
                    }
                    _ => *body.pointer_mut(&at).expect("it was found there") = value,
                },
            }
            Spoilt { body, code, pointer }
        })
        .collect()
}

type Found = Vec<(Spoiling, &'static str, String)>;

fn walk(contract: &Contract, schema: &Value, value: &Value, at: &str, found: &mut Found) {
    let schema = contract.essential(schema);
    let mut put = |at: String, value: Value, code| {
        found.push((Spoiling::Put { at: at.clone(), value }, code, at));
    };
    match value {
        Value::Object(members) => {
            put(format!("{at}/nonsense"), json!(1), "unknown_field");
            if !at.is_empty() {
                put(at.to_owned(), json!([]), "invalid_field");
                put(at.to_owned(), json!("{}"), "invalid_field");
            }
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                let pointer = format!("{at}/{name}");
                if required.iter().any(|one| one == name) {
                    let remove = Spoiling::Remove { object: at.to_owned(), member: name.clone() };
                    found.push((remove, "missing_field", pointer.clone()));
                    let null = Spoiling::Put { at: pointer.clone(), value: Value::Null };
                    found.push((null, "invalid_field", pointer.clone()));
                }
                // Members that exclude each other are in different samples.
                let Some(member) = members.get(name) else { continue };
                walk(contract, schema, member, &pointer, found);
            }
        }
        Value::Array(items) => {
            put(at.to_owned(), json!({}), "invalid_field");
            put(at.to_owned(), json!("[]"), "invalid_field");
            let first = items.first().expect("samples hold something");
            walk(contract, &schema["items"], first, &format!("{at}/0"), found);
        }
        Value::String(_) => {
            put(at.to_owned(), json!(7), "invalid_field");
            put(at.to_owned(), json!(["text"]), "invalid_field");
            put(at.to_owned(), json!("a\0b"), "invalid_field");
        }
        Value::Number(_) => {
            for other in [json!("7"), json!(1.5), json!(true), json!(u64::MAX)] {
                // The widest of our numbers holds all of them.
                if !(other.is_u64() && schema["maximum"].is_null()) {
                    put(at.to_owned(), other, "invalid_field");
                }
            }
        }
        Value::Null | Value::Bool(_) => panic!("{at}: a sample of what?"),
    }
}

/// Sends bytes as they are, and gives the answer's status and code.
fn raw(host: &str, scene: &Scene, operation: Operation<'_>, header: &str, body: &[u8]) -> String {
    let token = scene.admin.token.as_deref().expect("the administrator is signed in");
    let (method, path) = (operation.method(), operation.sample_path(scene.customer.id()));
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\nidempotency-key: k\r\nif-match: *\r\n\
         connection: close\r\n{header}\r\n\r\n"
    );
    let mut stream = TcpStream::connect(host).expect("the shop listens");
    stream.write_all(head.as_bytes()).expect("the head is taken");
    // The shop need not read what it refuses.
    let _ = stream.write_all(body);
    let mut answer = vec![];
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).unwrap_or_default();
    let code = answer.split("\"code\":\"").nth(1).and_then(|rest| rest.split('"').next());
    format!("{status} {}", code.unwrap_or_default())
}
