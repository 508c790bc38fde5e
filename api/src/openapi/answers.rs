//! What the answers of all operations have in common: what any request can hear from the edge, one
//! refusal for each status under `components/responses`, and the headers under `components/headers`.
//!
//! An operation's own part names statuses and headers only; here they get their meaning. The next
//! status, or header, is a line in a table.

use crate::guard::PROBE_PATHS;
use crate::http::PROBLEM_JSON;
use axum::http::StatusCode;
use serde_json::{Map, Value, json};

/// What the edge answers to any request: it is too long, we fail, or it takes too long.
const OF_THE_EDGE: [u16; 3] = [414, 500, 503];

/// What the guard answers beside that, in the order of its decisions: the path or a proxy's header
/// cannot be read, too many requests, `Policy-Version` is no number, no good token, no permission.
const OF_THE_GUARD: [u16; 5] = [400, 429, 422, 401, 403];

/// A header that every answer has, and those of every request that counts.
const OF_EVERY_ANSWER: [&str; 1] = ["X-Request-Id"];
const OF_WHAT_IS_LIMITED: [&str; 2] = ["RateLimit", "RateLimit-Policy"];

/// A refusal: its status, what it means, and the headers that go with it.
type Refusal = (u16, &'static str, &'static [&'static str]);

/// Every refusal there is. The codes are those that many operations share.
const REFUSALS: [Refusal; 15] = [
    (
        400,
        "It cannot be read: `malformed_path`, `malformed_json`, `malformed_forwarded_for`, \
         `idempotency_key_missing`, `idempotency_key_invalid`.",
        &[],
    ),
    (
        401,
        "Nobody is signed in, or the token is no good: `unauthenticated`.",
        &["WWW-Authenticate"],
    ),
    (403, "Whoever is signed in may not: `forbidden`, `banned`.", &[]),
    (404, "It is not there, or it is somebody else's: `not_found`.", &[]),
    (408, "The body did not arrive in time: `body_timeout`.", &[]),
    (
        409,
        "The state of things does not allow it, or the first request with this `Idempotency-Key` \
         is still running: `request_in_progress`.",
        &["Retry-After"],
    ),
    (412, "It has changed since it was read: `version_conflict`.", &[]),
    (413, "The body is too large: `body_too_large`.", &[]),
    (414, "The path with its query is too long: `uri_too_long`.", &[]),
    (415, "The body is not JSON in UTF-8: `unsupported_media_type`.", &[]),
    (
        422,
        "It can never succeed as it stands: `unknown_field`, `missing_field`, `invalid_field`, \
         `invalid_parameter`, `idempotency_key_reused`.",
        &[],
    ),
    (428, "`If-Match` is missing: `precondition_required`.", &[]),
    (429, "Too much: `rate_limited`.", &["Retry-After"]),
    (500, "A fault of ours: `internal`.", &[]),
    (
        503,
        "Not now; try again: `unavailable`, `overloaded`, `contended`, `timed_out`, \
         `projection_behind`, `policy_behind`, `starting`, `draining`, `clock_jumped`.",
        &["Retry-After"],
    ),
];

/// Every header that an answer may have and that is more than how HTTP carries it.
fn headers() -> [(&'static str, &'static str, Value); 10] {
    let number = json!({"type": "integer", "format": "int64", "minimum": 0});
    let text = |pattern: &str| json!({"type": "string", "pattern": pattern});
    [
        (
            "ETag",
            "What `If-Match` and `If-None-Match` compare with: `\"<version>.<position>\"`, of a file a hash.",
            text("^\"[^\"]+\"$"),
        ),
        ("Gomall-Position", "What a read sends back to see what this did.", number.clone()),
        (
            "Idempotent-Replayed",
            "This was answered before, under the same `Idempotency-Key`.",
            json!({"type": "string", "const": "true"}),
        ),
        ("Location", "Where it is.", text("^/")),
        (
            "Policy-Version",
            "What a request sends back to be decided under this change of the permission rules.",
            number.clone(),
        ),
        ("RateLimit", "What is left of the limits; absent where there are none.", text("^\"")),
        ("RateLimit-Policy", "What the limits are; absent where there are none.", text("^\"")),
        ("Retry-After", "Seconds after which it may succeed.", number),
        ("WWW-Authenticate", "How to sign in.", json!({"type": "string", "const": "Bearer"})),
        (
            "X-Request-Id",
            "Our id of the request, which is the `correlationid` of its events.",
            json!({"type": "string", "format": "uuid"}),
        ),
    ]
}

/// Adds what operations refer to.
pub(super) fn add_components(components: &mut Value) {
    for (name, description, schema) in headers() {
        components["headers"][name] = json!({ "description": description, "schema": schema });
    }
    for (status, description, own) in REFUSALS {
        let common = OF_EVERY_ANSWER.iter().chain(&OF_WHAT_IS_LIMITED);
        let headers = own.iter().chain(common).map(|name| ((*name).to_owned(), header(name)));
        components["responses"][name_of(status)] = json!({
            "description": description,
            "headers": Value::Object(headers.collect()),
            "content": { PROBLEM_JSON: { "schema": { "$ref": "#/components/schemas/Problem" } } },
        });
    }
    components["parameters"]["Policy-Version"] = json!({
        "name": "Policy-Version",
        "in": "header",
        "required": false,
        "description": "The request is decided under this version of the permission rules, or a later one.",
        "schema": { "type": "integer", "format": "int64", "minimum": 0 },
        "example": 1,
    });
}

/// Adds to an operation what it takes from and hears of the edge, and gives all answers their meaning.
pub(super) fn complete(operation: &mut Map<String, Value>, path: &str) {
    let is_guarded = !PROBE_PATHS.contains(&path);
    let responses = operation.entry("responses").or_insert_with(|| json!({}));
    let Some(responses) = responses.as_object_mut() else { return };
    let of_the_guard = OF_THE_GUARD.iter().filter(|_| is_guarded);
    for status in OF_THE_EDGE.iter().chain(of_the_guard) {
        responses.entry(status.to_string()).or_insert_with(|| json!({}));
    }
    for (status, response) in responses.iter_mut() {
        match status.parse() {
            Ok(status) if status >= 400 => refuse(status, response),
            _ => succeed(status, response, is_guarded),
        }
    }
    if is_guarded {
        let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
        let policy_version = json!({ "$ref": "#/components/parameters/Policy-Version" });
        parameters.as_array_mut().into_iter().for_each(|all| all.push(policy_version.clone()));
    }
}

/// A refusal has one form; what the operation says of its own about it stands beside.
fn refuse(status: u16, response: &mut Value) {
    let described = response["description"].take();
    *response = json!({ "$ref": format!("#/components/responses/{}", name_of(status)) });
    if described.as_str().is_some_and(|text| !text.is_empty()) {
        response["description"] = described;
    }
}

fn succeed(status: &str, response: &mut Value, is_limited: bool) {
    // The standard demands a description of every answer; most routes have nothing to add to the
    // status.
    if response["description"].as_str().is_none_or(str::is_empty) {
        response["description"] = json!(reason(status).unwrap_or("The answer"));
    }
    let own = response["headers"].as_object().into_iter().flat_map(Map::keys).cloned();
    let limits = OF_WHAT_IS_LIMITED.iter().filter(|_| is_limited);
    let common = OF_EVERY_ANSWER.iter().chain(limits).map(|name| (*name).to_owned());
    let named = own.chain(common).map(|name| {
        let header = header(&name);
        (name, header)
    });
    response["headers"] = Value::Object(named.collect());
}

/// The statuses that no operation has to name.
#[cfg(test)]
pub(super) fn everywhere() -> Vec<String> {
    OF_THE_EDGE.iter().chain(&OF_THE_GUARD).map(u16::to_string).collect()
}

fn header(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}

/// `NotFound`: the status's reason as a name.
fn name_of(status: u16) -> String {
    reason(&status.to_string()).unwrap_or("Refused").replace([' ', '-'], "")
}

fn reason(status: &str) -> Option<&'static str> {
    StatusCode::from_bytes(status.as_bytes()).ok()?.canonical_reason()
}
