//! A permission that outlives its request's beginning.

use super::{Caller, judge, still};
use crate::edge::Edge;
use crate::http::{Problem, RequestPath, Unguarded};
use crate::openapi::takes::Takes;
use crate::security::Passage;
use axum::BoxError;
use axum::extract::FromRequestParts;
use axum::http::Method;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use domain::{Device, Text};
use futures::stream::{self, Stream, StreamExt};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How old an answer to "may they still?" may be: memory answers it, but not for every event of an export.
const ASKED_EVERY: Duration = Duration::from_secs(1);

/// What the guard knew of a request that it let in, beside the caller and the path.
#[derive(Clone)]
pub(super) struct Admitted {
    pub(super) edge: Arc<Edge>,
    pub(super) address: IpAddr,
}

/// From where the request comes, as the guard found out: the address that bans are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl Takes for ClientAddress {}

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let admitted: Option<&Admitted> = parts.extensions.get();
        admitted.map(|admitted| Self(admitted.address)).ok_or_else(|| Problem::internal(&Unguarded))
    }
}

/// What the request comes from, for people to recognise: its address and what it calls itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientDevice(pub Device);

/// The most characters of a `User-Agent` that are kept: browsers send about 120.
const MAX_AGENT_CHARS: usize = 200;

impl Takes for ClientDevice {}

impl<S: Send + Sync> FromRequestParts<S> for ClientDevice {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let ClientAddress(address) = ClientAddress::from_request_parts(parts, state).await?;
        let agent = parts.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        let agent = agent.map(|agent| agent.chars().take(MAX_AGENT_CHARS).collect::<String>());
        let agent = agent.and_then(|agent| Text::parse(agent).ok());
        Ok(Self(Device { address, agent }))
    }
}

/// From where the request comes, if that bounds what it may do: not where limits are off, for load generators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitedAddress(pub Option<IpAddr>);

impl Takes for LimitedAddress {}

impl<S: Send + Sync> FromRequestParts<S> for LimitedAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let ClientAddress(address) = ClientAddress::from_request_parts(parts, state).await?;
        let admitted: Option<&Admitted> = parts.extensions.get();
        let is_limited = admitted.is_some_and(|admitted| admitted.edge.limits.is_some());
        Ok(Self(is_limited.then_some(address)))
    }
}

/// What a request was allowed, for an answer that goes on: whoever sends it asks again and again.
///
/// The access token's own end does not count: a client cannot exchange it in the middle of an answer.
pub struct Permission {
    admitted: Admitted,
    caller: Caller,
    method: Method,
    path: RequestPath,
    passage: Passage,
    asked: Instant,
}

impl Permission {
    /// An answer as long as the permission stands: it breaks off within a second after that has ended.
    pub fn over<T: Send>(
        self,
        answer: impl Stream<Item = Result<T, BoxError>> + Send + 'static,
    ) -> impl Stream<Item = Result<T, BoxError>> + Send {
        let answer = (Box::pin(answer), self);
        stream::try_unfold(answer, |(mut rest, mut permission)| async {
            let Some(item) = rest.next().await.transpose()? else { return Ok(None) };
            if let Err(problem) = permission.still_stands().await {
                permission.note_end(&problem);
                return Err(format!("the permission has ended: {}", problem.code()).into());
            }
            Ok(Some((item, (rest, permission))))
        })
    }

    /// Whether it still stands, as of a second ago at most.
    ///
    /// # Errors
    /// What the request would hear if it came now: 401, 403, 503.
    async fn still_stands(&mut self) -> Result<(), Problem> {
        if self.asked.elapsed() < ASKED_EVERY {
            return Ok(());
        }
        self.asked = Instant::now();
        let Admitted { edge, address } = &self.admitted;
        let now = (edge.world.now)();
        let policy = edge.policy.current();
        self.passage.under(policy.version());
        if policy.is_address_banned(*address, now) {
            return Err(Problem::banned());
        }
        if let Caller::Member(member) = &self.caller {
            let member = still(edge, member, now).await?;
            self.caller = Caller::Member(member);
        }
        let (verdict, judged) = judge(&policy, &self.caller, &self.method, &self.path);
        self.passage.judged(verdict);
        judged
    }

    /// What cuts an answer off is a refusal like one before it, unless the fault is ours.
    fn note_end(self, problem: &Problem) {
        tracing::info!(problem.code = problem.code(), "an answer was cut off");
        if problem.status().is_client_error() {
            let Admitted { edge, .. } = self.admitted;
            self.passage.refused(&edge.security, problem.code(), (edge.world.now)());
        }
    }
}

impl Takes for Permission {}

impl<S: Send + Sync> FromRequestParts<S> for Permission {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let extensions = &parts.extensions;
        let admitted: Admitted =
            extensions.get().cloned().ok_or_else(|| Problem::internal(&Unguarded))?;
        let (caller, path) =
            (Caller::of(extensions)?.clone(), RequestPath::of(extensions)?.clone());
        let mut passage = Passage::of(extensions, &parts.method, &parts.uri).by(&caller);
        let Admitted { address, .. } = admitted;
        passage.address = Some(address);
        let method = parts.method.clone();
        Ok(Self { admitted, caller, method, path, passage, asked: Instant::now() })
    }
}
