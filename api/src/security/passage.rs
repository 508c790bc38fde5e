//! What the guard finds out about a request on its way through, for the security log.

use super::{CHANGES, SecurityLog};
use crate::guard::Caller;
use crate::telemetry::{RequestContext, method_label};
use axum::http::{Extensions, Method, StatusCode, Uri};
use axum::response::Response;
use domain::policy::{Grant, Verdict};
use domain::{EmailAddress, Timestamp, UserId};
use projections::audit::requests::{SeenRequest, email_tag};
use std::net::IpAddr;
use uuid::Uuid;

/// How much of a path is kept: no path of ours is longer.
const MAX_PATH_CHARS: usize = 200;

/// The code of a refusal that no problem of ours gave.
const NO_CODE: &str = "refused";

/// Why a request was refused, on the answer.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) code: &'static str,
    pub(crate) about: About,
}

/// Whom a refusal is about who has not been let in.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    /// Whose account was to be signed in to.
    pub(crate) email: Option<EmailAddress>,
    /// Whose token it was that was shown.
    pub(crate) user_id: Option<UserId>,
    /// Nobody's password was tried: such a refusal costs nothing, and there can be very many.
    pub(crate) is_unexamined: bool,
}

/// A request on its way, as far as it is known.
#[derive(Debug, Clone)]
pub(crate) struct Passage {
    context: Option<RequestContext>,
    method: Method,
    uri: Uri,
    /// From where; while that is not known there is nothing to write down.
    pub(crate) address: Option<IpAddr>,
    /// Who asks, as far as a token says.
    pub(crate) user_id: Option<UserId>,
    decided_by: Option<Uuid>,
    policy_version: u64,
}

impl Passage {
    /// A request that nothing is known of yet. Cheap: nothing is copied.
    pub(crate) fn of(extensions: &Extensions, method: &Method, uri: &Uri) -> Self {
        Self {
            context: extensions.get().cloned(),
            method: method.clone(),
            uri: uri.clone(),
            address: None,
            user_id: None,
            decided_by: None,
            policy_version: 0,
        }
    }

    /// The policy of this version decides.
    pub(crate) fn under(&mut self, policy_version: u64) {
        self.policy_version = policy_version;
    }

    /// It has decided so.
    pub(crate) fn judged(&mut self, verdict: Verdict) {
        self.decided_by = match verdict {
            Verdict::Allowed { by: Grant::Rule(id) } => Some(id.uuid()),
            Verdict::Allowed { by: Grant::PublicPath(id) } => Some(id.uuid()),
            Verdict::Denied { by } => by.map(|id| id.uuid()),
        };
    }

    /// The caller, when it is one that was let in.
    pub(crate) fn by(self, caller: &Caller) -> Self {
        let user_id = match caller {
            Caller::Anonymous => None,
            Caller::Member(member) => Some(member.user_id),
        };
        Self { user_id, ..self }
    }

    /// Writes the request down if its answer says that it was refused, or that it has changed who may do what.
    pub(crate) fn end(self, log: &SecurityLog, answer: &Response, now: Timestamp) {
        match answer.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => {
                let refused = answer.extensions().get::<Refused>().cloned();
                let (code, about) = refused
                    .map_or((NO_CODE, About::default()), |refused| (refused.code, refused.about));
                self.note(log, Some(code), about, now);
            }
            status if status.is_success() && !self.method.is_safe() && self.is_change() => {
                self.note(log, None, About::default(), now);
            }
            _ => {}
        }
    }

    /// Writes the request down as refused.
    pub(crate) fn refused(self, log: &SecurityLog, code: &'static str, now: Timestamp) {
        self.note(log, Some(code), About::default(), now);
    }

    fn is_change(&self) -> bool {
        CHANGES.iter().any(|prefix| self.uri.path().starts_with(prefix))
    }

    fn note(self, log: &SecurityLog, code: Option<&'static str>, about: About, now: Timestamp) {
        let (Some(address), Some(context)) = (self.address, self.context) else { return };
        let About { email, user_id, is_unexamined } = about;
        let tries_a_password = email.is_some() && !is_unexamined;
        let request = SeenRequest {
            first_at: now,
            at: now,
            times: 1,
            code,
            address,
            user_id: self.user_id.or(user_id),
            email_tag: email.as_ref().map(email_tag),
            email_hash: email.as_ref().map(|email| log.hash(email)),
            method: method_label(&self.method),
            path: self.uri.path().chars().take(MAX_PATH_CHARS).collect(),
            rule_id: self.decided_by,
            policy_version: self.policy_version,
            request_id: context.request_id,
            trace_id: context.trace.trace_id(),
        };
        log.note(request, tries_a_password);
    }
}
