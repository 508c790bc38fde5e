//! The guard: decides about every request before any route sees it.
//!
//! **Guarantee.** No handler runs for a request that the permission rules in force do not allow,
//! whatever its path looks like, whatever routes exist. The order of decisions, for every request:
//!
//! 1. the path with its query is not too long, else 414 `uri_too_long`, and canonical, else 400
//!    `malformed_path`;
//! 2. a probe (`/healthz`, `/readyz`) is let through: no limit, no rule and no ban is about it;
//! 3. our own proxies, if it came through one, say from which address, else 400
//!    `malformed_forwarded_for`, and the address is within its limits, else 429 `rate_limited`;
//! 4. the rules were confirmed to be the newest within half a minute, else 503 `unavailable`, and are
//!    as new as the caller asks (`Policy-Version`), else 503 `policy_behind`;
//! 5. the address is not banned, else 403 `banned`;
//! 6. a token that is presented is good, else 401 `unauthenticated` (on the paths where tokens
//!    are given out a bad one counts as none);
//! 7. the user is not banned, else 403 `banned` (who signs out may be), and within the limits, else 429;
//! 8. no deny rule matches, and a public path or an allow rule does, else 401 for the anonymous
//!    and 403 `forbidden` for everybody else.
//!
//! It wraps the router as a whole: a layer inside a router runs after routing, where an unknown
//! path is a 404 before anybody has asked who wants to know.

mod access;
mod address;
mod caller;
mod permission;
mod policy;
mod recent;
mod step_up;

pub use access::{AccessCache, AccessSource, SessionAccess, Unavailable, UserAccess};
pub use address::{Origin, Peer, TrustedProxies};
pub use caller::{Caller, Member, Person, Via};
pub use permission::{ClientAddress, ClientDevice, LimitedAddress, Permission};
pub use policy::LivePolicy;
pub use recent::{RecentDecision, RecentDecisions};
pub use step_up::{Fresh, FreshPerson};

use crate::auth::{API_KEY_PREFIX, ApiKeySecret};
use crate::edge::Edge;
use crate::http::{POLICY_VERSION, Problem, RequestPath, number};
use crate::limits::Allowance;
use crate::security::Passage;
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::policy::{CompiledPolicy, Verdict};
use domain::{ApiKeyHash, ApiKeyId, RoleName, SessionId, Timestamp, UserId};
use permission::Admitted;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The longest path with its query: work on it comes before anybody is known.
const MAX_TARGET_BYTES: usize = 8 * 1024;

/// The paths where tokens are given out: whoever comes with an old one is let in without.
const TOKEN_PATHS: [&str; 4] = [
    "/api/v1/auth/login",
    "/api/v1/auth/register",
    "/api/v1/auth/refresh",
    "/api/v1/auth/second-factor",
];

/// Where somebody signs out: that is never refused, also when the session has ended or they are banned.
const SIGN_OUT_PATH: &str = "/api/v1/auth/logout";

/// The paths that answer everybody, whatever the rules and bans say: whoever runs the shop must see that it
/// lives while it is locked, and a rule must not make it look dead.
pub(crate) const PROBE_PATHS: [&str; 2] = ["/healthz", "/readyz"];

/// The middleware.
pub async fn guard(State(edge): State<Arc<Edge>>, mut request: Request, next: Next) -> Response {
    let mut allowance = Allowance::new(edge.limits.as_ref());
    let mut passage = Passage::of(request.extensions(), request.method(), request.uri());
    let mut response = match admit(&edge, &mut request, &mut allowance, &mut passage).await {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    passage.end(&edge.security, &response, (edge.world.now)());
    allowance.write_headers(response.headers_mut());
    response
}

/// Lets the request through, with [`RequestPath`] and [`Caller`] in its extensions, or says why not.
async fn admit(
    edge: &Arc<Edge>,
    request: &mut Request,
    allowance: &mut Allowance<'_>,
    passage: &mut Passage,
) -> Result<(), Problem> {
    let asked = request.uri().path_and_query();
    if asked.is_some_and(|asked| asked.as_str().len() > MAX_TARGET_BYTES) {
        return Err(Problem::uri_too_long(MAX_TARGET_BYTES));
    }
    let path = RequestPath::parse(request.uri().path())?;
    if PROBE_PATHS.contains(&path.as_str()) {
        request.extensions_mut().insert(path);
        request.extensions_mut().insert(Caller::Anonymous);
        return Ok(());
    }
    let now = (edge.world.now)();
    let peer = Peer::of(request.extensions());
    let address = edge.trusted_proxies.client_address(peer, request.headers())?;
    passage.address = Some(address);
    allowance.take_for_address(address, &path)?;

    if edge.policy.is_awaited() {
        return Err(Problem::starting());
    }
    if !edge.policy.is_believed() {
        return Err(Problem::unavailable(&OldPolicy));
    }
    if let Some(wanted) = number(request.headers(), &POLICY_VERSION)? {
        edge.policy.wait_for(wanted).await?;
    }
    let policy = edge.policy.current();
    passage.under(policy.version());
    if policy.is_address_banned(address, now) {
        return Err(Problem::banned());
    }
    let caller = identify(edge, request.headers(), &path, (allowance, passage), now).await?;
    edge.policy.recent().note(&caller, request.method(), &path);
    let (verdict, judged) = judge(&policy, &caller, request.method(), &path);
    passage.judged(verdict);
    judged?;
    let extensions = request.extensions_mut();
    extensions.insert(path);
    extensions.insert(caller);
    extensions.insert(Admitted { edge: Arc::clone(edge), address });
    Ok(())
}

fn judge(
    policy: &CompiledPolicy,
    caller: &Caller,
    method: &Method,
    path: &RequestPath,
) -> (Verdict, Result<(), Problem>) {
    // The policy itself knows that HEAD follows GET.
    let decide = |caller| policy.decide(caller, method.as_str(), path.canonical());
    let (verdict, withheld) = match caller {
        // A role that does not count here, because a key leaves it out or it wants a second factor, opens
        // nothing; what is denied to it stays denied.
        Caller::Member(Member { roles, granted, .. }) if roles != granted => {
            match decide(domain::policy::Caller::SignedIn(granted)) {
                denied @ Verdict::Denied { .. } => (denied, false),
                Verdict::Allowed { .. } => (decide(caller.for_policy()), true),
            }
        }
        _ => (decide(caller.for_policy()), false),
    };
    let judged = match caller {
        _ if verdict.is_allowed() => Ok(()),
        Caller::Anonymous => Err(Problem::unauthenticated("Sign in first.")),
        // Something that they may do, once they have set one up and used it.
        Caller::Member(Member { via: Via::Session { .. }, .. }) if withheld => {
            Err(Problem::second_factor_wanted())
        }
        Caller::Member(_) => Err(Problem::forbidden()),
    };
    (verdict, judged)
}

/// Why nobody is let in.
#[derive(Debug, thiserror::Error)]
#[error("the permission rules could not be confirmed for too long")]
struct OldPolicy;

async fn identify(
    edge: &Edge,
    headers: &HeaderMap,
    path: &RequestPath,
    (allowance, passage): (&mut Allowance<'_>, &mut Passage),
    now: Timestamp,
) -> Result<Caller, Problem> {
    let member = match bearer(headers) {
        Ok(None) => return Ok(Caller::Anonymous),
        Ok(Some(token)) => member(edge, token, path, (allowance, passage), now).await,
        Err(problem) => Err(problem),
    };
    match member {
        Ok(member) => Ok(Caller::Member(member)),
        Err(problem)
            if problem.code() == "unauthenticated" && TOKEN_PATHS.contains(&path.as_str()) =>
        {
            passage.user_id = None;
            Ok(Caller::Anonymous)
        }
        Err(problem) => Err(problem),
    }
}

/// The token of `Authorization: Bearer`; a header that is anything else is a bad token.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, more) = (values.next(), values.next());
    let Some(value) = value else { return Ok(None) };
    value
        .to_str()
        .ok()
        .filter(|_| more.is_none())
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| Some(token.trim()))
        .ok_or_else(|| Problem::unauthenticated("Send one header Authorization: Bearer <token>."))
}

/// Whose token or key it is, if it is genuine, in time, of a live session and of a user who may come in.
async fn member(
    edge: &Edge,
    token: &str,
    path: &RequestPath,
    (allowance, passage): (&mut Allowance<'_>, &mut Passage),
    now: Timestamp,
) -> Result<Member, Problem> {
    let member = if token.starts_with(API_KEY_PREFIX) {
        let key = ApiKeySecret::parse(token);
        let key = key.ok_or_else(|| Problem::unauthenticated("The API key is not valid."))?;
        let program = program(edge, key.user_id, key.key_id, Some(&key.hash()), now).await?;
        passage.user_id = Some(program.user_id);
        program
    } else {
        let bad = |bad| Problem::unauthenticated(format!("The {bad}."));
        let claims = edge.tokens.verify(token, now).map_err(bad)?;
        passage.user_id = Some(claims.user_id);
        let signs_out = path.as_str() == SIGN_OUT_PATH;
        person(edge, claims.user_id, claims.session_id, signs_out, now).await?
    };
    // After that: a token that has ended is nobody's, and spends nobody's allowance.
    allowance.take_for_user(member.user_id)?;
    Ok(member)
}

/// What a user may do now, in a session that is live unless they sign out of it.
async fn person(
    edge: &Edge,
    user_id: UserId,
    session_id: SessionId,
    signs_out: bool,
    now: Timestamp,
) -> Result<Member, Problem> {
    let ended = || Problem::unauthenticated("The session has ended. Sign in again.");
    let session = edge.access.session(session_id).await?;
    let user = edge.access.user(user_id).await?;
    if session.user_id != Some(user_id) || !user.exists {
        return Err(ended());
    }
    // Before the session: a ban ends it, and who comes back should hear why.
    if user.is_banned(now) && !signs_out {
        return Err(Problem::banned());
    }
    let is_live = session.is_live(now) && session.epoch == user.session_epoch;
    if !is_live && !signs_out {
        return Err(ended());
    }
    // A proof with a factor that was removed is none, and where there is one a password alone proves nothing.
    let second_factor = session.second_factor && user.has_second_factor;
    let proved_at = session.proved_at.filter(|_| second_factor || !user.has_second_factor);
    let via = Via::Session { id: session_id, proved_at, second_factor };
    let granted = Arc::clone(&user.roles);
    let roles = counting(&granted, second_factor, edge.policy.current().second_factor_roles());
    Ok(Member { user_id, via, roles, granted })
}

/// What a program may do now with a key of a user; one that was looked at before, without its secret.
async fn program(
    edge: &Edge,
    user_id: UserId,
    key_id: ApiKeyId,
    hash: Option<&ApiKeyHash>,
    now: Timestamp,
) -> Result<Member, Problem> {
    let user = edge.access.user(user_id).await?;
    let key = user.api_keys.get(&key_id).filter(|_| user.exists);
    let key = key.filter(|key| match hash {
        Some(hash) => key.accepts(hash, now),
        None => now < key.expires_at,
    });
    let key = key.ok_or_else(|| Problem::unauthenticated("The API key is not valid."))?;
    if user.is_banned(now) {
        return Err(Problem::banned());
    }
    edge.key_uses.note(key_id, now);
    let scopes = Arc::new(key.scopes.intersection(&user.roles).cloned().collect());
    let roles = counting(&scopes, key.second_factor, edge.policy.current().second_factor_roles());
    let granted = Arc::clone(&user.roles);
    Ok(Member { user_id, via: Via::ApiKey(key_id), roles, granted })
}

/// Of these roles those that count, with a second factor or without.
fn counting(
    roles: &Arc<BTreeSet<RoleName>>,
    second_factor: bool,
    wanting: &BTreeSet<RoleName>,
) -> Arc<BTreeSet<RoleName>> {
    if second_factor || wanting.is_disjoint(roles) {
        Arc::clone(roles)
    } else {
        Arc::new(roles.difference(wanting).cloned().collect())
    }
}

/// Who they are by now, of whom the request's beginning is a while ago.
async fn still(edge: &Edge, member: &Member, now: Timestamp) -> Result<Member, Problem> {
    match &member.via {
        Via::Session { id, .. } => person(edge, member.user_id, *id, false, now).await,
        Via::ApiKey(id) => program(edge, member.user_id, *id, None, now).await,
    }
}
