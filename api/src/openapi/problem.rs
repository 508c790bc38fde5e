//! What a refusal looks like, for the document: the form of `http::Problem`.

use schemars::JsonSchema;
use serde::Serialize;

/// An error (RFC 9457).
#[derive(Serialize, JsonSchema)]
pub(super) struct Problem {
    /// Names the code: `urn:gomall:problem:<code>`.
    #[schemars(example = &"urn:gomall:problem:not_found")]
    r#type: String,
    #[schemars(example = &"Not Found")]
    title: String,
    #[schemars(range(min = 400, max = 599), example = 404)]
    status: u16,
    /// Stable, snake case, never translated.
    #[schemars(example = &"not_found", extend("pattern" = "^[a-z][a-z0-9_]*$"))]
    code: String,
    /// English, for people.
    #[schemars(example = &"There is nothing here.")]
    detail: String,
    /// Tells support which request it was.
    trace_id: String,
    /// What is wrong with which part of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

/// One thing that is wrong with one part of the request.
#[derive(Serialize, JsonSchema)]
struct FieldError {
    /// A JSON pointer into the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    /// A query parameter's or header's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    code: String,
    message: String,
}
