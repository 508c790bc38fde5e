//! The one error type of the edge, and the one place that turns errors into status codes.

use crate::security::{About, Refused};
use crate::telemetry::context;
use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::{EmailAddress, RejectionKind, UserId};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::error::Error;
use std::fmt;

/// The media type of every error answer (RFC 9457).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A refused or failed request, answered as `application/problem+json`.
///
/// Made where the refusal is known, returned with `?`, rendered once. Whatever is inside a failure
/// of ours is logged when it is rendered, with the request's id, and never sent.
#[derive(Debug)]
pub struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    members: Map<String, Value>,
    headers: HeaderMap,
    /// Why we failed, for the log only.
    cause: Option<String>,
    /// For the security log only.
    about: About,
}

/// One thing that is wrong with one part of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    #[serde(flatten)]
    location: Location,
    code: &'static str,
    message: String,
}

/// Where it is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Location {
    /// A JSON pointer (RFC 6901) into the body.
    Pointer(String),
    /// A query parameter's or a header's name.
    Parameter(String),
}

impl FieldError {
    /// `message` about the member of the body that `pointer` names; the root is `""`.
    #[must_use]
    pub fn at(pointer: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self { location: Location::Pointer(pointer.into()), code, message: message.into() }
    }

    /// `message` about the query parameter or header `name`.
    #[must_use]
    pub fn parameter(name: impl Into<String>, message: impl Into<String>) -> Self {
        let location = Location::Parameter(name.into());
        Self { location, code: "invalid_parameter", message: message.into() }
    }
}

/// The general constructor and what can be hung on a problem.
impl Problem {
    /// A problem with a stable `code` (snake case) and an English `detail` for whoever reads it.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            status,
            code,
            detail: detail.into(),
            errors: Vec::new(),
            members: Map::new(),
            headers: HeaderMap::new(),
            cause: None,
            about: About::default(),
        }))
    }

    /// 422 about the body; the problem's code is the error's.
    #[must_use]
    pub fn field(error: FieldError) -> Self {
        let (Location::Pointer(name) | Location::Parameter(name)) = &error.location;
        let detail = match name.as_str() {
            "" => format!("The body: {}.", error.message),
            name => format!("{name}: {}.", error.message),
        };
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.code, detail);
        problem.0.errors.push(error);
        problem
    }

    /// Adds a member beside `detail`.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(member.to_owned(), value.into());
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Tells the caller to come back after `seconds`.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.with_header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Remembers for the security log whose account was to be signed in to.
    #[must_use]
    pub fn about_account(mut self, email: EmailAddress) -> Self {
        self.0.about.email = Some(email);
        self
    }

    /// Remembers for the security log whose token it was, that signs nobody in any more.
    #[must_use]
    pub fn about_user(mut self, user_id: Option<UserId>) -> Self {
        self.0.about.user_id = user_id;
        self
    }

    /// Remembers for the security log that nobody's password was tried.
    #[must_use]
    pub fn unexamined(mut self) -> Self {
        self.0.about.is_unexamined = true;
        self
    }

    /// The status that this is answered with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// Remembers for the log why we failed.
    pub(super) fn caused_by(mut self, cause: &dyn Error) -> Self {
        self.0.cause = Some(chain(cause));
        self
    }
}

/// The one map from a domain's refusal to a status.
impl From<&dyn domain::Rejection> for Problem {
    fn from(rejection: &dyn domain::Rejection) -> Self {
        let status = match rejection.kind() {
            // The one conflict that HTTP has a status of its own for.
            RejectionKind::Conflict if rejection.code() == "version_conflict" => {
                StatusCode::PRECONDITION_FAILED
            }
            RejectionKind::Absent => StatusCode::NOT_FOUND,
            RejectionKind::Conflict => StatusCode::CONFLICT,
            RejectionKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            RejectionKind::Denied => StatusCode::FORBIDDEN,
            RejectionKind::Unauthenticated => StatusCode::UNAUTHORIZED,
            RejectionKind::TooMany => StatusCode::TOO_MANY_REQUESTS,
        };
        let mut problem = Self::new(status, rejection.code(), sentence(&rejection.to_string()));
        if let Some(Value::Object(members)) = rejection.extra() {
            problem.0.members = members;
        }
        if let Some(seconds) = rejection.retry_after_seconds() {
            problem = problem.retry_after(seconds);
        }
        problem
    }
}

impl From<Box<dyn domain::Rejection>> for Problem {
    fn from(rejection: Box<dyn domain::Rejection>) -> Self {
        Self::from(&*rejection)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.0.status.as_u16(), self.0.code, self.0.detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Parts { status, code, detail, errors, members, headers, cause, about } = *self.0;
        if let Some(cause) = cause {
            // The request's id and trace id come from the span that this runs in.
            if status == StatusCode::INTERNAL_SERVER_ERROR {
                tracing::error!(error = %cause, "a request failed");
            } else {
                tracing::warn!(error = %cause, "a request could not be served");
            }
        }
        let mut body = members;
        // Written last, so that a rejection's own members never replace the standard ones.
        body.insert("type".into(), json!(format!("urn:gomall:problem:{code}")));
        body.insert("title".into(), json!(title(code)));
        body.insert("status".into(), json!(status.as_u16()));
        body.insert("code".into(), json!(code));
        body.insert("detail".into(), json!(detail));
        body.insert("trace_id".into(), json!(context::trace_id()));
        if !errors.is_empty() {
            body.insert("errors".into(), json!(errors));
        }
        let mut response = Response::new(Body::from(Value::Object(body).to_string()));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 wants it on every 401, whatever was wrong.
            let challenge = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        response.extensions_mut().insert(Refused { code, about });
        response
    }
}

/// Whatever answers an error in another form (a library's extractor, a layer) is put into ours:
/// the status and the headers that explain it stay, the body goes.
pub(crate) fn normalized(response: Response) -> Response {
    let status = response.status();
    let is_problem = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == PROBLEM_JSON);
    if is_problem || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let mut problem = match status {
        StatusCode::BAD_REQUEST => Problem::new(status, "bad_request", "The request is malformed."),
        StatusCode::NOT_FOUND => Problem::not_found(),
        StatusCode::METHOD_NOT_ALLOWED => Problem::method_not_allowed(),
        StatusCode::PAYLOAD_TOO_LARGE => Problem::body_too_large(super::body::MAX_BODY_BYTES),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Problem::unsupported_media_type(),
        status if status.is_client_error() => {
            Problem::new(status, "refused", "The request was refused.")
        }
        _ => Problem::panicked(),
    };
    for name in [ALLOW, RETRY_AFTER, WWW_AUTHENTICATE] {
        if let Some(value) = response.headers().get(&name) {
            problem = problem.with_header(name, value.clone());
        }
    }
    problem.into_response()
}

/// `out_of_stock` → `Out of stock`: a title for people that cannot drift from the code.
fn title(code: &str) -> String {
    let mut words = code.replace('_', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

/// A rejection states a fact in lower case; `detail` is a sentence.
fn sentence(fact: &str) -> String {
    let mut chars = fact.chars();
    let Some(first) = chars.next() else { return String::new() };
    let end = if fact.ends_with(['.', '!', '?']) { "" } else { "." };
    first.to_uppercase().chain(chars).collect::<String>() + end
}

/// An error with everything that caused it, on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
#[path = "problem_tests.rs"]
mod tests;
