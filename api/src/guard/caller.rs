//! Who asks.

use crate::application::sessions::Holder;
use crate::http::{Problem, Unguarded};
use crate::openapi::takes::{Sketch, Takes};
use axum::extract::FromRequestParts;
use axum::http::Extensions;
use axum::http::request::Parts;
use domain::policy;
use domain::{ApiKeyId, RoleName, SessionId, Timestamp, UserId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Whoever sent the request, as the guard found out. An extractor on every route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Nobody who has signed in.
    Anonymous,
    /// Somebody with a good token.
    Member(Member),
}

/// Somebody who has signed in: the token is genuine, the session live, the user not banned.
///
/// # Errors
/// As an extractor: 401 `unauthenticated` when nobody has signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user_id: UserId,
    /// What they showed.
    pub via: Via,
    /// What they were granted, as far as it counts for what they showed.
    pub roles: Arc<BTreeSet<RoleName>>,
    /// All that they were granted: whatever counts, nobody does what all of it together may not do.
    pub granted: Arc<BTreeSet<RoleName>>,
}

/// What somebody showed to be let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// A token of a session: a person.
    Session {
        /// Which.
        id: SessionId,
        /// When that person last proved who they are, with a second factor if they have one; absent when that
        /// is not known.
        proved_at: Option<Timestamp>,
        /// Whether they have a second factor, and proved themselves with one.
        second_factor: bool,
    },
    /// A key: a program.
    ApiKey(ApiKeyId),
}

/// Somebody who has signed in as a person.
///
/// # Errors
/// As an extractor: 401 `unauthenticated` when nobody has signed in, 403 `forbidden` for a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who, in which session.
    pub holder: Holder,
    /// What they were granted, as far as it counts.
    pub roles: Arc<BTreeSet<RoleName>>,
    /// Whether they have a second factor, and proved themselves with one.
    pub second_factor: bool,
}

impl Caller {
    /// The caller that the guard put into the request.
    ///
    /// # Errors
    /// 500 on a router that was not wrapped by the guard.
    pub fn of(extensions: &Extensions) -> Result<&Self, Problem> {
        extensions.get().ok_or_else(|| Problem::internal(&Unguarded))
    }

    /// `user:<id>` or `anonymous`: how events name whoever caused them, and whose idempotency keys
    /// are apart from everybody else's.
    #[must_use]
    pub fn actor(&self) -> String {
        match self {
            Self::Anonymous => "anonymous".to_owned(),
            Self::Member(member) => member.actor(),
        }
    }

    /// The caller as the policy sees it.
    #[must_use]
    pub fn for_policy(&self) -> policy::Caller<'_> {
        match self {
            Self::Anonymous => policy::Caller::Anonymous,
            Self::Member(member) => policy::Caller::SignedIn(&member.roles),
        }
    }
}

impl Takes for Member {
    fn describe(sketch: &mut Sketch<'_>) {
        sketch.answers(401);
    }
}

impl Takes for Person {
    fn describe(sketch: &mut Sketch<'_>) {
        sketch.answers(401);
        sketch.answers(403);
    }
}

impl Member {
    /// `user:<id>`.
    #[must_use]
    pub fn actor(&self) -> String {
        format!("user:{}", self.user_id)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::of(&parts.extensions).cloned()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Member {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Caller::of(&parts.extensions)? {
            Caller::Member(member) => Ok(member.clone()),
            Caller::Anonymous => Err(Problem::unauthenticated("Sign in first.")),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Person {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Member { user_id, via, roles, .. } = Member::from_request_parts(parts, state).await?;
        match via {
            Via::Session { id: session_id, second_factor, .. } => {
                Ok(Self { holder: Holder { user_id, session_id }, roles, second_factor })
            }
            Via::ApiKey(_) => Err(Problem::forbidden()),
        }
    }
}
