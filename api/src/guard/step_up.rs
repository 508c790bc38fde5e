//! What is only done for somebody who has just proved who they are: a token alone may have been stolen.

use super::permission::Admitted;
use super::{Caller, Via};
use crate::http::{Problem, Unguarded};
use crate::openapi::takes::{Sketch, Takes};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use domain::Timestamp;

/// For how long a proof counts: long enough for a piece of work, too short for a machine that was left alone.
pub(crate) const FRESH_SECONDS: i64 = 15 * 60;

/// The caller is a person who has proved who they are a moment ago.
///
/// # Errors
/// As an extractor: 401 `unauthenticated`, 403 `step_up_required`. A program cannot prove itself anew.
#[derive(Debug, Clone, Copy)]
pub struct FreshPerson;

/// The same, or a program: its key was given out by somebody who had proved who they are.
///
/// # Errors
/// As an extractor: 401 `unauthenticated`, 403 `step_up_required`.
#[derive(Debug, Clone, Copy)]
pub struct Fresh;

fn describe(sketch: &mut Sketch<'_>) {
    sketch.answers_with(403, "As always, or the proof is too old: `step_up_required`.");
}

impl Takes for FreshPerson {
    fn describe(sketch: &mut Sketch<'_>) {
        describe(sketch);
    }
}

impl Takes for Fresh {
    fn describe(sketch: &mut Sketch<'_>) {
        describe(sketch);
    }
}

impl<S: Send + Sync> FromRequestParts<S> for FreshPerson {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        check(parts, false).map(|()| Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Fresh {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        check(parts, true).map(|()| Self)
    }
}

fn check(parts: &Parts, programs: bool) -> Result<(), Problem> {
    let Caller::Member(member) = Caller::of(&parts.extensions)? else {
        return Err(Problem::unauthenticated("Sign in first."));
    };
    let is_fresh = match &member.via {
        Via::ApiKey(_) => programs,
        Via::Session { proved_at, .. } => {
            let admitted: Option<&Admitted> = parts.extensions.get();
            let now = (admitted.ok_or_else(|| Problem::internal(&Unguarded))?.edge.world.now)();
            is_fresh(*proved_at, now)
        }
    };
    if is_fresh { Ok(()) } else { Err(Problem::step_up_required()) }
}

/// A proof of the future is one of a clock that is a little ahead.
fn is_fresh(proved_at: Option<Timestamp>, now: Timestamp) -> bool {
    proved_at.is_some_and(|proved_at| now.seconds_since(proved_at) < FRESH_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_counts_for_a_quarter_of_an_hour() {
        let now = Timestamp::EPOCH.plus_seconds(1_000_000);
        assert!(is_fresh(Some(now), now) && is_fresh(Some(now.plus_seconds(5)), now));
        assert!(is_fresh(Some(now.plus_seconds(1 - FRESH_SECONDS)), now));
        assert!(!is_fresh(Some(now.plus_seconds(-FRESH_SECONDS)), now));
        assert!(!is_fresh(None, now), "nobody knows");
    }
}
