//! The contract's conventions as types: what a handler takes from these, it takes checked, and
//! what it answers with these, it answers in the contract's form.
//!
//! | in a handler's arguments | gives | refuses with |
//! |---|---|---|
//! | [`Body<T>`] | a JSON body as `T`, and its fingerprint | 400, 408, 413, 415, 422 |
//! | [`Params<T>`] | the query as `T` | 422 `invalid_parameter` |
//! | [`Path<T>`] with [`Id`] or a domain type | the path's parts | 404 |
//! | [`Command`] | a change's context, and its `Idempotency-Key` if it has one | 400, later 409, 422, 503 |
//! | [`KeyedCommand`] | the same where the key is required (◆) | the same |
//! | [`IfMatch`] | the version a change is based on | 428, later 412 |
//! | [`IfNoneMatch`] | answers a GET with 200 or 304 | – |
//! | [`Language`] | the language that the caller likes best | – |
//! | [`AtLeast`] | the position a read must have reached | 422, later 503 |
//!
//! Each of them also says into the OpenAPI document what it takes (`openapi::takes`).
//!
//! Answers are [`Json`], [`List`], [`Etag`], [`Position`], [`Replayed`]; refusals are [`Problem`].

mod accept;
mod asset;
mod body;
mod canonical;
mod command;
mod conditional;
mod decode;
mod idempotency;
mod json;
mod language;
mod list;
mod path;
mod position;
mod problem;
mod refusals;

pub use asset::Asset;
pub use body::{
    BODY_READ_TIMEOUT, Body, BodyBytes, MAX_BODY_BYTES, MAX_SIGN_IN_BYTES, Params, read_body,
};
pub use canonical::RequestPath;
pub use command::{Command, KeyedCommand, done};
pub use conditional::{Etag, IfMatch, IfNoneMatch};
pub use idempotency::IDEMPOTENCY_KEY;
pub use json::{Fingerprint, JSON_UTF8, Json, SECRET_MEMBERS};
pub use language::Language;
pub use list::{Cursor, DEFAULT_LIMIT, Limit, List, MAX_LIMIT};
pub use path::{Id, Path};
pub use position::{AtLeast, GOMALL_POSITION, POLICY_VERSION, PolicyVersion, Position, Replayed};
pub use problem::{FieldError, PROBLEM_JSON, Problem};

pub(crate) use accept::{ranges, weight};
pub(crate) use canonical::Unguarded;
pub(crate) use position::number;
pub(crate) use problem::normalized;
