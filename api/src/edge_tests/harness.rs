//! A shop of one replica: the whole edge around a small router, with users and sessions as the test
//! wants them.

use crate::application::CommandKey;
use crate::auth::{AccessTokens, Keys};
use crate::edge::{Edge, wrap};
use crate::guard::{
    AccessCache, AccessSource, Caller, LivePolicy, Member, Permission, SessionAccess,
    TrustedProxies, Unavailable, UserAccess,
};
use crate::http::{Body, Id, Json, Path};
use crate::limits::Limits;
use crate::security::{EmailHash, SecurityLog};
use crate::telemetry::Metrics;
use async_trait::async_trait;
use axum::Router;
use axum::body::Body as HttpBody;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{any, get, post};
use commands::bus::World;
use cqrs_es::Aggregate;
use domain::policy::{CompiledPolicy, Effect, MethodSelector, Policy, PolicyEvent, Rule};
use domain::{RoleName, SessionId, Timestamp, UserId};
use futures::stream::{self, StreamExt};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower::ServiceExt;
use uuid::Uuid;

/// The moment of all these tests.
pub(super) fn now() -> Timestamp {
    Timestamp::EPOCH.plus_seconds(1_800_000_000)
}

/// A new id, the next number.
pub(super) fn new_uuid() -> Uuid {
    static LAST: AtomicU64 = AtomicU64::new(0);
    Uuid::from_u128(0x7000_8000_0000_0000_0000 + u128::from(LAST.fetch_add(1, Ordering::Relaxed)))
}

/// Users and sessions as the test wants them.
#[derive(Default)]
pub(super) struct People {
    users: Mutex<HashMap<UserId, UserAccess>>,
    sessions: Mutex<HashMap<SessionId, SessionAccess>>,
    pub(super) broken: Mutex<bool>,
}

#[async_trait]
impl AccessSource for People {
    async fn user(&self, id: UserId) -> Result<UserAccess, Unavailable> {
        if *self.broken.lock().expect("no test panics with the lock") {
            return Err(Unavailable("no connection".into()));
        }
        let known = self.users.lock().expect("no test panics with the lock").get(&id).cloned();
        Ok(known.unwrap_or(UserAccess {
            sequence: 0,
            exists: false,
            roles: Arc::default(),
            ban: None,
            ..UserAccess::default()
        }))
    }

    async fn session(&self, id: SessionId) -> Result<SessionAccess, Unavailable> {
        let known = self.sessions.lock().expect("no test panics with the lock").get(&id).cloned();
        Ok(known.unwrap_or(SessionAccess {
            sequence: 0,
            user_id: None,
            live_until: None,
            ..SessionAccess::default()
        }))
    }
}

/// A shop of one replica.
pub(super) struct Shop {
    pub(super) edge: Arc<Edge>,
    pub(super) people: Arc<People>,
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("-")
    }
}

impl Shop {
    pub(super) fn new() -> Self {
        Self::with(None, TrustedProxies::default())
    }

    pub(super) fn with(limits: Option<Limits>, trusted_proxies: TrustedProxies) -> Self {
        let people = Arc::new(People::default());
        let metrics = Arc::new(Metrics::new().expect("the names are right"));
        let security = SecurityLog::new(&metrics, EmailHash::new(&Keys::for_tests()));
        let edge = Arc::new(Edge {
            world: World { now, new_id: new_uuid },
            tokens: Arc::new(AccessTokens::new(&Keys::for_tests())),
            access: Arc::new(AccessCache::new(people.clone())),
            policy: Arc::new(LivePolicy::new(policy(&[], 1))),
            key_uses: Arc::default(),
            limits,
            trusted_proxies,
            metrics,
            security: Arc::new(security),
        });
        Self { edge, people }
    }

    /// Puts these rules in force: `+role METHOD path`, `-role METHOD path`, `public METHOD path`,
    /// `ban network`.
    pub(super) fn rules(&self, rules: &[&str]) {
        let version = self.edge.policy.current().version() + 1;
        self.edge.policy.replace(policy(rules, version));
    }

    /// A token of a user with these roles, in a session that is live for an hour.
    pub(super) fn sign_in(&self, roles: &[&'static str]) -> (UserId, String) {
        let (user_id, session_id) = (new_uuid().into(), new_uuid().into());
        let roles: BTreeSet<_> = roles.iter().copied().map(RoleName::known).collect();
        let user = UserAccess {
            sequence: 1,
            exists: true,
            roles: Arc::new(roles),
            ban: None,
            ..UserAccess::default()
        };
        self.put_user(user_id, user);
        let live_until = Some(now().plus_seconds(3600));
        let session = SessionAccess {
            sequence: 1,
            user_id: Some(user_id),
            live_until,
            ..SessionAccess::default()
        };
        self.put_session(session_id, session);
        let token = self.edge.tokens.issue(user_id, session_id, now(), new_uuid());
        (user_id, token.expect("the key signs"))
    }

    pub(super) fn put_user(&self, id: UserId, user: UserAccess) {
        self.people.users.lock().expect("no test panics with the lock").insert(id, user);
    }

    pub(super) fn put_session(&self, id: SessionId, session: SessionAccess) {
        self.people.sessions.lock().expect("no test panics with the lock").insert(id, session);
    }

    pub(super) async fn send(&self, request: Request) -> Answer {
        let (parts, body) = self.answer(request).await.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.expect("a body in memory");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::String(text));
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// The answer as it begins.
    pub(super) async fn answer(&self, request: Request) -> Response {
        let router = Router::new()
            .route("/", get(async || "shop"))
            .route("/healthz", get(async || "alive"))
            .route("/things", get(async || "things").post(keep))
            .route("/things/{id}", get(async |Path(Id(id)): Path<Id<Uuid>>| id.to_string()))
            .route("/who", get(who))
            .route("/members", get(async |member: Member| member.user_id.to_string()))
            .route("/panic", get(async || -> String { panic!("deliberately") }))
            .route("/slow", any(std::future::pending::<String>))
            .route("/foreign", get(async |_: axum::extract::Query<HashMap<String, u8>>| "fine"))
            .route("/endless", get(endless))
            .route("/api/v1/auth/login", post(who));
        wrap(Arc::clone(&self.edge), router)
            .oneshot(request)
            .await
            .unwrap_or_else(|never| match never {})
    }

    pub(super) async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        self.send(request("GET", path, token)).await
    }
}

async fn who(caller: Caller) -> String {
    caller.actor()
}

/// A piece every tenth of a second, for ever.
async fn endless(permission: Permission) -> HttpBody {
    let pieces = stream::repeat_with(|| Ok("piece")).then(async |piece| {
        tokio::time::sleep(Duration::from_millis(100)).await;
        piece
    });
    HttpBody::from_stream(permission.over(pieces))
}

async fn keep(key: CommandKey, body: Body<Value>) -> Json<Value> {
    Json(json!({"id": key.id("thing"), "was": body.value}))
}

pub(super) fn request(method: &str, path: &str, token: Option<&str>) -> Request {
    let mut request = axum::http::Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.body(HttpBody::empty()).expect("a request")
}

fn policy(rules: &[&str], version: u64) -> CompiledPolicy {
    let mut policy = Policy::default();
    for (number, line) in rules.iter().enumerate() {
        let id = Uuid::from_u128(number as u128 + 1);
        let words: Vec<&str> = line.split(' ').collect();
        policy.apply(match words.as_slice() {
            ["ban", network] => PolicyEvent::AddressBanned {
                ban_id: id.into(),
                cidr: network.parse().expect("a network"),
                reason: domain::Reason::parse("spam").expect("a reason"),
                until: None,
            },
            ["public", method, path] => PolicyEvent::PublicPathAdded {
                public_path_id: id.into(),
                methods: vec![selector(method)],
                path: (*path).to_owned(),
            },
            [role, method, path] => {
                let (sign, role) = role.split_at(1);
                let rule = Rule {
                    effect: if sign == "+" { Effect::Allow } else { Effect::Deny },
                    roles: vec![role.to_owned().try_into().expect("a role")],
                    methods: vec![selector(method)],
                    path: (*path).to_owned(),
                    note: String::new(),
                };
                PolicyEvent::RuleAdded { rule_id: id.into(), rule }
            }
            _ => panic!("{line}"),
        });
    }
    CompiledPolicy::compile(&policy, version).expect("the patterns compile")
}

fn selector(method: &str) -> MethodSelector {
    method.to_owned().try_into().expect("a method")
}
