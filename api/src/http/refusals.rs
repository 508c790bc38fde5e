//! Every refusal that the contract's conventions name, with its status, code and headers.

use super::problem::{FieldError, Problem};
use axum::http::StatusCode;
use std::error::Error;
use std::time::Duration;

/// How long a caller should wait after a 503 that usually passes at once.
const RETRY_SOON_SECONDS: u64 = 1;

/// Bad requests, in the words of the contract's conventions.
impl Problem {
    /// 400: the path is not in its one canonical spelling.
    #[must_use]
    pub fn malformed_path() -> Self {
        let detail = "The path must consist of non-empty segments of letters, digits and '.', '_', \
                      '~', '-', without '.' or '..' segments and without a trailing slash.";
        Self::new(StatusCode::BAD_REQUEST, "malformed_path", detail)
    }

    /// 400: the body is not JSON, or an object names a member twice.
    #[must_use]
    pub fn malformed_json(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed_json", detail)
    }

    /// 408: the body did not arrive in time.
    #[must_use]
    pub fn body_timeout() -> Self {
        let detail = "The request's body did not arrive in time.";
        Self::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail)
    }

    /// 413: the body is larger than any that is taken.
    #[must_use]
    pub fn body_too_large(limit_bytes: usize) -> Self {
        let detail = format!("A body may hold at most {limit_bytes} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    }

    /// 400: a proxy of ours did not say from whom the request comes.
    #[must_use]
    pub fn unreadable_forwarded_for() -> Self {
        let detail = "An entry of X-Forwarded-For that a proxy of ours wrote is no address.";
        Self::new(StatusCode::BAD_REQUEST, "malformed_forwarded_for", detail)
    }

    /// 414: the path and its query are longer than any of ours.
    #[must_use]
    pub fn uri_too_long(limit_bytes: usize) -> Self {
        let detail = format!("A path with its query has at most {limit_bytes} bytes.");
        Self::new(StatusCode::URI_TOO_LONG, "uri_too_long", detail)
    }

    /// 415: the body is not JSON in UTF-8.
    #[must_use]
    pub fn unsupported_media_type() -> Self {
        let detail = "Send the body as application/json in UTF-8, without a content encoding.";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// 422 `invalid_field`: for what only a handler can check about a member of the body.
    #[must_use]
    pub fn invalid_field(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::field(FieldError::at(pointer, "invalid_field", message))
    }

    /// 422 `invalid_parameter` about a query parameter or a header.
    #[must_use]
    pub fn invalid_parameter(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::field(FieldError::parameter(name, message))
    }

    /// 400: the header is required here.
    #[must_use]
    pub fn idempotency_key_missing() -> Self {
        let detail = "Send an Idempotency-Key header, so that a retry cannot do this twice.";
        Self::new(StatusCode::BAD_REQUEST, "idempotency_key_missing", detail)
    }

    /// 400: the header's value cannot be a key.
    #[must_use]
    pub fn idempotency_key_invalid() -> Self {
        let detail = "An Idempotency-Key is one header of 1 to 255 visible ASCII characters.";
        Self::new(StatusCode::BAD_REQUEST, "idempotency_key_invalid", detail)
    }

    /// 422: the key was used with another body.
    #[must_use]
    pub fn idempotency_key_reused() -> Self {
        let detail = "This Idempotency-Key was used with another body. Use a new key.";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail)
    }

    /// 409: the first request with this key is still running.
    #[must_use]
    pub fn request_in_progress() -> Self {
        let detail = "The first request with this Idempotency-Key is still running.";
        Self::new(StatusCode::CONFLICT, "request_in_progress", detail)
            .retry_after(RETRY_SOON_SECONDS)
    }

    /// 428: the change needs `If-Match`.
    #[must_use]
    pub fn precondition_required() -> Self {
        let detail = "Send If-Match with the ETag that you last read.";
        Self::new(StatusCode::PRECONDITION_REQUIRED, "precondition_required", detail)
    }

    /// 412: the resource has changed since it was read.
    #[must_use]
    pub fn version_conflict() -> Self {
        let detail = "The resource has changed since you read it. Read it again.";
        Self::new(StatusCode::PRECONDITION_FAILED, "version_conflict", detail)
    }
}

/// Access, routing and limits.
impl Problem {
    /// 401: nobody is signed in, or the token is not good.
    #[must_use]
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
    }

    /// 401: e-mail and password do not belong together; the same for a user who does not exist.
    #[must_use]
    pub fn bad_credentials() -> Self {
        let detail = "There is no user with this e-mail address and this password.";
        Self::new(StatusCode::UNAUTHORIZED, "bad_credentials", detail)
    }

    /// 403: no rule allows it, or one denies it.
    #[must_use]
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "You may not do this.")
    }

    /// 401: the password was right, and a code of the second factor is asked for; `challenge` goes with it.
    #[must_use]
    pub fn second_factor_required(challenge: String) -> Self {
        let detail = "Send the challenge with a code of your second factor.";
        Self::new(StatusCode::UNAUTHORIZED, "second_factor_required", detail)
            .with("challenge", challenge)
    }

    /// 401: the code of the second factor is wrong, or was used before.
    #[must_use]
    pub fn bad_code() -> Self {
        let detail = "This is no code of your second factor, or it was used before.";
        Self::new(StatusCode::UNAUTHORIZED, "bad_code", detail)
    }

    /// 403: whoever asks must prove again who they are.
    #[must_use]
    pub fn step_up_required() -> Self {
        let detail =
            "Prove again who you are, by password or second factor, and repeat the request.";
        Self::new(StatusCode::FORBIDDEN, "step_up_required", detail)
    }

    /// 403: what lets them do this is a role that counts only for whoever has proved themselves with a second factor.
    #[must_use]
    pub fn second_factor_wanted() -> Self {
        let detail = "A role that allows this counts only with a second factor. Set one up, sign in or step up with it, \
                      and repeat the request.";
        Self::new(StatusCode::FORBIDDEN, "step_up_required", detail)
    }

    /// 403: the user or the address is banned.
    #[must_use]
    pub fn banned() -> Self {
        Self::new(StatusCode::FORBIDDEN, "banned", "You are banned from this shop.")
    }

    /// 404: absent, or somebody else's, which looks the same.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here.")
    }

    /// 405. The router adds `Allow`, because it knows the path's methods.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        let detail = "The path does not answer this method; see the Allow header.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
    }

    /// 429: too many wrong passwords for one account; the next attempt may be made after `wait`.
    #[must_use]
    pub fn too_many_attempts(wait: Duration) -> Self {
        let detail = "Too many wrong passwords were tried for this account. Wait, or sign in where you did before.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", detail)
            .retry_after(wait.as_secs() + 1)
    }

    /// 429: too many payments were declined, of this order, user, address or card; the next one may be tried after
    /// `wait`.
    #[must_use]
    pub fn too_many_declines(wait: Duration) -> Self {
        let detail = "Too many payments were declined. Wait, or ask the bank that issued the card.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_declines", detail)
            .retry_after(wait.as_secs() + 1)
    }

    /// 429: too many requests; `retry_after_seconds` is when the next one may pass.
    #[must_use]
    pub fn rate_limited(retry_after_seconds: u64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too many requests. Slow down.")
            .retry_after(retry_after_seconds)
    }
}

/// Failures of ours, most of which pass.
impl Problem {
    /// 503: the read model has not reached the position that the caller asked for.
    #[must_use]
    pub fn projection_behind() -> Self {
        Self::soon("projection_behind", "The answer would be older than you asked for. Try again.")
    }

    /// 503: the permission rules in force here are older than the caller asked for.
    #[must_use]
    pub fn policy_behind() -> Self {
        Self::soon("policy_behind", "The permission rules here are older than you asked for.")
    }

    /// 503: the process has not read the permission rules yet.
    #[must_use]
    pub fn starting() -> Self {
        Self::soon("starting", "The shop is starting. Try again in a moment.")
    }

    /// 503: the process is going away.
    #[must_use]
    pub fn draining() -> Self {
        Self::soon("draining", "This part of the shop is stopping. Try again.")
    }

    /// 503: more work than this process accepts at the moment.
    #[must_use]
    pub fn overloaded() -> Self {
        Self::soon("overloaded", "The shop is busy. Try again in a moment.")
    }

    /// 503: the request took longer than any should.
    #[must_use]
    pub fn timed_out() -> Self {
        let detail = "This took too long. What was asked for may still happen: retry with the same \
                      Idempotency-Key.";
        Self::soon("timed_out", detail)
    }

    /// 503: something that this request needs cannot be reached; `cause` goes to the log.
    #[must_use]
    pub fn unavailable(cause: &dyn Error) -> Self {
        Self::soon("unavailable", "A part of the shop cannot be reached. Try again.")
            .caused_by(cause)
    }

    /// 500: a fault of ours; `cause` goes to the log, with the request's id, and nowhere else.
    #[must_use]
    pub fn internal(cause: &dyn Error) -> Self {
        Self::panicked().caused_by(cause)
    }

    /// 500 whose cause the panic hook has logged already.
    #[must_use]
    pub(crate) fn panicked() -> Self {
        let detail = "Something went wrong here. The trace id helps us to find it.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    fn soon(code: &'static str, detail: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(RETRY_SOON_SECONDS)
    }
}
