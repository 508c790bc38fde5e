//! The whole edge around a small router: which decision comes before which.

use super::*;
use crate::auth::Keys;
use crate::guard::{
    AccessSource, Caller, Member, Peer, SessionAccess, TrustedProxies, Unavailable, UserAccess,
};
use crate::http::{Body, CommandKey, Id, Json, Path};
use crate::limits::{Rate, Rates};
use async_trait::async_trait;
use axum::body::Body as HttpBody;
use axum::http::HeaderMap;
use axum::routing::get;
use cqrs_es::Aggregate;
use domain::RoleName;
use domain::policy::{CompiledPolicy, Effect, MethodSelector, Policy, PolicyEvent, Rule};
use domain::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tower::ServiceExt;
use uuid::Uuid;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The moment of all these tests.
fn now() -> Timestamp {
    Timestamp::EPOCH.plus_seconds(1_800_000_000)
}

/// A new id, the next number.
fn new_uuid() -> Uuid {
    static LAST: AtomicU64 = AtomicU64::new(0);
    Uuid::from_u128(0x7000_8000_0000_0000_0000 + u128::from(LAST.fetch_add(1, Ordering::Relaxed)))
}

/// Users and sessions as the test wants them.
#[derive(Default)]
struct People {
    users: Mutex<HashMap<Uuid, UserAccess>>,
    sessions: Mutex<HashMap<Uuid, SessionAccess>>,
    broken: Mutex<bool>,
}

#[async_trait]
impl AccessSource for People {
    async fn user(&self, id: Uuid) -> Result<UserAccess, Unavailable> {
        if *self.broken.lock().expect("no test panics with the lock") {
            return Err(Unavailable("no connection".into()));
        }
        let known = self.users.lock().expect("no test panics with the lock").get(&id).cloned();
        Ok(known.unwrap_or(UserAccess { sequence: 0, exists: false, roles: Arc::default(), ban: None }))
    }

    async fn session(&self, id: Uuid) -> Result<SessionAccess, Unavailable> {
        let known = self.sessions.lock().expect("no test panics with the lock").get(&id).cloned();
        Ok(known.unwrap_or(SessionAccess { sequence: 0, user_id: None, live_until: None }))
    }
}

/// A shop of one replica.
struct Shop {
    edge: Arc<Edge>,
    people: Arc<People>,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("-")
    }
}

impl Shop {
    fn new() -> Self {
        Self::with(None, TrustedProxies::default())
    }

    fn with(limits: Option<Limits>, trusted_proxies: TrustedProxies) -> Self {
        let people = Arc::new(People::default());
        let edge = Arc::new(Edge {
            world: World { now, new_id: new_uuid },
            tokens: Arc::new(AccessTokens::new(&Keys::for_tests())),
            access: Arc::new(AccessCache::new(people.clone())),
            policy: Arc::new(LivePolicy::new(policy(&[], 1))),
            limits,
            trusted_proxies,
            metrics: Arc::new(Metrics::new().expect("the names are right")),
        });
        Self { edge, people }
    }

    /// Puts these rules in force: `+role METHOD path`, `-role METHOD path`, `public METHOD path`,
    /// `ban network`.
    fn rules(&self, rules: &[&str]) {
        let version = self.edge.policy.current().version() + 1;
        self.edge.policy.replace(policy(rules, version));
    }

    /// A token of a user with these roles, in a session that is live for an hour.
    fn sign_in(&self, roles: &[&'static str]) -> (Uuid, String) {
        let (user_id, session_id) = (new_uuid(), new_uuid());
        let roles: BTreeSet<_> = roles.iter().copied().map(RoleName::known).collect();
        let user = UserAccess { sequence: 1, exists: true, roles: Arc::new(roles), ban: None };
        self.put_user(user_id, user);
        let live_until = Some(now().plus_seconds(3600));
        let session = SessionAccess { sequence: 1, user_id: Some(user_id), live_until };
        self.put_session(session_id, session);
        let token = self.edge.tokens.issue(user_id, session_id, now(), session_id);
        (user_id, token.expect("the key signs"))
    }

    fn put_user(&self, id: Uuid, user: UserAccess) {
        self.people.users.lock().expect("no test panics with the lock").insert(id, user);
    }

    fn put_session(&self, id: Uuid, session: SessionAccess) {
        self.people.sessions.lock().expect("no test panics with the lock").insert(id, session);
    }

    async fn send(&self, request: Request) -> Answer {
        let router = Router::new()
            .route("/", get(async || "shop"))
            .route("/healthz", get(async || "alive"))
            .route("/things", get(async || "things").post(keep))
            .route("/things/{id}", get(async |Path(Id(id)): Path<Id>| id.to_string()))
            .route("/who", get(who))
            .route("/members", get(async |member: Member| member.user_id.to_string()))
            .route("/panic", get(async || -> String { panic!("deliberately") }))
            .route("/slow", get(std::future::pending::<String>))
            .route("/foreign", get(async |_: axum::extract::Query<HashMap<String, u8>>| "fine"))
            .route("/api/v1/auth/login", axum::routing::post(who));
        let response = wrap(Arc::clone(&self.edge), router)
            .oneshot(request)
            .await
            .unwrap_or_else(|never| match never {});
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.expect("a body in memory");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::String(text));
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        self.send(request("GET", path, token)).await
    }
}

async fn who(caller: Caller) -> String {
    caller.actor()
}

async fn keep(key: CommandKey, body: Body<Value>) -> Json<Value> {
    Json(json!({"id": key.id("thing"), "was": body.value}))
}

fn request(method: &str, path: &str, token: Option<&str>) -> Request {
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
                ban_id: id,
                cidr: network.parse().expect("a network"),
                reason: domain::Reason::parse("spam").expect("a reason"),
                until: None,
            },
            ["public", method, path] => PolicyEvent::PublicPathAdded {
                public_path_id: id,
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
                PolicyEvent::RuleAdded { rule_id: id, rule }
            }
            _ => panic!("{line}"),
        });
    }
    CompiledPolicy::compile(&policy, version).expect("the patterns compile")
}

fn selector(method: &str) -> MethodSelector {
    method.to_owned().try_into().expect("a method")
}

#[tokio::test]
async fn a_path_in_another_spelling_is_refused_before_anything_else() {
    let shop = Shop::new();
    shop.rules(&["public * /.*"]);
    let (_, token) = shop.sign_in(&["admin"]);
    for path in
        ["//who", "/who/", "/%77ho", "/who;x", "/x/..%2fwho", "/x/../who", "/./who", "/who%2f"]
    {
        let answer = shop.get(path, Some(&token)).await;
        assert_eq!((answer.status, answer.code()), (400, "malformed_path"), "{path}");
    }
    assert_eq!(shop.get("/who?x=//a%2f..", Some(&token)).await.status, 200);
}

#[tokio::test]
async fn nothing_is_allowed_until_a_rule_allows_it() {
    let shop = Shop::new();
    shop.rules(&["+anonymous GET /nothing"]);
    let (_, token) = shop.sign_in(&["customer"]);
    let anonymous = shop.get("/who", None).await;
    assert_eq!((anonymous.status, anonymous.code()), (401, "unauthenticated"));
    assert_eq!(anonymous.headers["www-authenticate"], "Bearer");
    let member = shop.get("/who", Some(&token)).await;
    assert_eq!((member.status, member.code()), (403, "forbidden"));
}

#[tokio::test]
async fn an_unknown_path_tells_only_those_who_may_ask() {
    let shop = Shop::new();
    shop.rules(&["+staff * /.*"]);
    let (_, customer) = shop.sign_in(&["customer"]);
    let (_, staff) = shop.sign_in(&["staff"]);
    assert_eq!(shop.get("/nowhere", None).await.status, 401);
    assert_eq!(shop.get("/nowhere", Some(&customer)).await.status, 403);
    let found_out = shop.get("/nowhere", Some(&staff)).await;
    assert_eq!((found_out.status, found_out.code()), (404, "not_found"));
    let malformed_id = shop.get("/things/7", Some(&staff)).await;
    assert_eq!((malformed_id.status, malformed_id.code()), (404, "not_found"));
}

#[tokio::test]
async fn deny_wins_over_public_paths_and_public_paths_over_missing_rules() {
    let shop = Shop::new();
    let (_, token) = shop.sign_in(&["customer"]);
    shop.rules(&["public GET /who"]);
    assert_eq!(shop.get("/who", None).await.body, "anonymous");
    shop.rules(&["public GET /who", "-customer GET /who"]);
    assert_eq!(shop.get("/who", None).await.status, 200);
    assert_eq!(shop.get("/who", Some(&token)).await.code(), "forbidden");
    shop.rules(&["+customer GET /who", "-* GET /who"]);
    assert_eq!(shop.get("/who", Some(&token)).await.code(), "forbidden");
    assert_eq!(shop.get("/who", None).await.code(), "unauthenticated");
}

#[tokio::test]
async fn a_rule_is_in_force_from_its_change_on() {
    let shop = Shop::new();
    let (user, token) = shop.sign_in(&["customer"]);
    shop.rules(&["+customer GET /who"]);
    assert_eq!(shop.get("/who", Some(&token)).await.body, format!("user:{user}"));
    shop.rules(&["+staff GET /who"]);
    assert_eq!(shop.get("/who", Some(&token)).await.status, 403);
}

#[tokio::test]
async fn a_method_that_the_path_does_not_answer_is_405_for_those_whom_a_rule_lets_ask() {
    let shop = Shop::new();
    shop.rules(&["public GET /things", "public DELETE /things"]);
    assert_eq!(shop.send(request("PUT", "/things", None)).await.status, 401);
    let refused = shop.send(request("DELETE", "/things", None)).await;
    assert_eq!((refused.status, refused.code()), (405, "method_not_allowed"));
    assert_eq!(refused.headers["allow"], "GET,HEAD,POST");
}

#[tokio::test]
async fn head_follows_get() {
    let shop = Shop::new();
    shop.rules(&["public GET /things"]);
    let answer = shop.send(request("HEAD", "/things", None)).await;
    assert_eq!((answer.status, answer.body), (200, json!("")));
    shop.rules(&["public POST /things"]);
    assert_eq!(shop.send(request("HEAD", "/things", None)).await.status, 401);
}

#[tokio::test]
async fn a_bad_token_is_refused_everywhere_but_where_tokens_are_given_out() {
    let shop = Shop::new();
    shop.rules(&["public * /.*"]);
    for header in ["Bearer x", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "", "x", "Bearer a b"] {
        let mut to_public = request("GET", "/who", None);
        let value = header.parse().expect("a header");
        to_public.headers_mut().insert("authorization", value);
        let answer = shop.send(to_public).await;
        assert_eq!((answer.status, answer.code()), (401, "unauthenticated"), "{header:?}");

        let mut to_login = request("POST", "/api/v1/auth/login", None);
        to_login.headers_mut().insert("authorization", header.parse().expect("a header"));
        assert_eq!(shop.send(to_login).await.body, "anonymous", "{header:?}");
    }
    let (_, token) = shop.sign_in(&[]);
    let mut twice = request("GET", "/who", Some(&token));
    twice.headers_mut().append("authorization", "Bearer x".parse().expect("a header"));
    assert_eq!(shop.send(twice).await.status, 401);
}

#[tokio::test]
async fn a_token_counts_only_while_its_session_lives_and_its_user_exists() {
    let shop = Shop::new();
    shop.rules(&["public GET /who"]);
    let sessions = |user: Option<Uuid>, seconds: Option<i64>| SessionAccess {
        sequence: 1,
        user_id: user,
        live_until: seconds.map(|seconds| now().plus_seconds(seconds)),
    };
    let user_id = new_uuid();
    let user = UserAccess { sequence: 1, exists: true, roles: Arc::default(), ban: None };
    shop.put_user(user_id, user);
    for (session, status) in [
        (sessions(Some(user_id), Some(1)), 200),
        (sessions(Some(user_id), Some(0)), 401),
        (sessions(Some(user_id), None), 401),
        (sessions(Some(new_uuid()), Some(1)), 401),
        (sessions(None, None), 401),
    ] {
        let session_id = new_uuid();
        shop.put_session(session_id, session.clone());
        let token = shop.edge.tokens.issue(user_id, session_id, now(), session_id);
        let token = token.expect("the key signs");
        assert_eq!(shop.get("/who", Some(&token)).await.status, status, "{session:?}");
    }
    let (erased, token) = shop.sign_in(&["customer"]);
    let gone = UserAccess { sequence: 2, exists: false, roles: Arc::default(), ban: None };
    shop.put_user(erased, gone);
    assert_eq!(shop.get("/who", Some(&token)).await.status, 401);
}

#[tokio::test]
async fn a_ban_bites_at_once_also_on_public_paths() {
    let shop = Shop::new();
    shop.rules(&["public * /.*"]);
    let (user_id, token) = shop.sign_in(&["admin"]);
    assert_eq!(shop.get("/who", Some(&token)).await.status, 200);
    let ban = |sequence, until| UserAccess {
        sequence,
        exists: true,
        roles: Arc::default(),
        ban: Some(until),
    };
    shop.put_user(user_id, ban(2, None));
    shop.edge.access.note_change(user_id, 2).await;
    let banned = shop.get("/who", Some(&token)).await;
    assert_eq!((banned.status, banned.code()), (403, "banned"));
    let banned = shop.send(request("POST", "/api/v1/auth/login", Some(&token))).await;
    assert_eq!((banned.status, banned.code()), (403, "banned"));
    shop.put_user(user_id, ban(3, Some(now())));
    shop.edge.access.note_change(user_id, 3).await;
    assert_eq!(shop.get("/who", Some(&token)).await.status, 200, "the ban is over");
}

#[tokio::test]
async fn a_banned_address_does_nothing_with_any_token() {
    let shop = Shop::with(None, "10.0.0.0/8".parse().expect("a network"));
    shop.rules(&["public * /.*", "ban 192.0.2.0/24"]);
    let (_, token) = shop.sign_in(&["admin"]);
    let from = async |peer: &str, forwarded: &str| {
        let mut request = request("GET", "/who", Some(&token));
        request.extensions_mut().insert(Peer(peer.parse().expect("an address and port")));
        request.headers_mut().insert("x-forwarded-for", forwarded.parse().expect("a header"));
        shop.send(request).await.code().to_owned()
    };
    assert_eq!(from("192.0.2.9:1", "1.1.1.1").await, "banned");
    assert_eq!(from("[::ffff:192.0.2.9]:1", "1.1.1.1").await, "banned");
    assert_eq!(from("10.0.0.1:1", "192.0.2.9").await, "banned");
    assert_eq!(from("198.51.100.1:1", "192.0.2.9").await, "-");
}

#[tokio::test]
async fn a_shop_that_cannot_read_its_users_lets_nobody_in_and_the_public_stay() {
    let shop = Shop::new();
    shop.rules(&["public GET /who"]);
    let (_, token) = shop.sign_in(&["admin"]);
    *shop.people.broken.lock().expect("no test panics with the lock") = true;
    let refused = shop.get("/who", Some(&token)).await;
    assert_eq!((refused.status, refused.code()), (503, "unavailable"));
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(shop.get("/who", None).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_request_is_decided_at_the_policy_version_that_it_carries() {
    let shop = Arc::new(Shop::new());
    shop.rules(&["public GET /nothing"]);
    let with_version = |version: &str| {
        let mut request = request("GET", "/who", None);
        request.headers_mut().insert("policy-version", version.parse().expect("a header"));
        request
    };
    let early = shop.send(with_version("99")).await;
    assert_eq!((early.status, early.code()), (503, "policy_behind"));
    assert!(early.headers.contains_key("retry-after"));
    assert_eq!(shop.send(with_version("x")).await.code(), "invalid_parameter");
    let next = shop.edge.policy.current().version() + 1;
    let waiting = tokio::spawn({
        let shop = Arc::clone(&shop);
        let request = with_version(&next.to_string());
        async move { shop.send(request).await.status }
    });
    tokio::task::yield_now().await;
    shop.rules(&["public GET /who"]);
    assert_eq!(waiting.await.expect("the task ends"), 200);
}

#[tokio::test]
async fn before_the_first_policy_only_the_probes_answer() {
    let mut shop = Shop::new();
    let edge = Arc::get_mut(&mut shop.edge).expect("nobody else holds it yet");
    let nothing = CompiledPolicy::compile(&Policy::default(), 0).expect("no pattern, no error");
    edge.policy = Arc::new(LivePolicy::new(nothing));
    assert_eq!(shop.get("/healthz", None).await.status, 200);
    let answer = shop.get("/who", None).await;
    assert_eq!((answer.status, answer.code()), (503, "starting"));
}

#[tokio::test]
async fn limits_are_told_with_every_answer_and_kept() {
    let rates = Rates { address: Rate::hourly(2), ..Rates::default() };
    let shop = Shop::with(Some(Limits::new(rates)), TrustedProxies::default());
    shop.rules(&["+customer GET /who"]);
    let (_, token) = shop.sign_in(&["customer"]);
    let first = shop.get("/who", Some(&token)).await;
    assert_eq!(first.status, 200);
    assert_eq!(first.headers["ratelimit-policy"], "\"address\";q=2;w=7200, \"user\";q=200;w=2");
    assert_eq!(first.headers["ratelimit"], "\"address\";r=1;t=3600, \"user\";r=199;t=1");
    let refused = shop.get("/who", None).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.headers["ratelimit"], "\"address\";r=0;t=7200");
    let limited = shop.get("/who", Some(&token)).await;
    assert_eq!((limited.status, limited.code()), (429, "rate_limited"));
    assert_eq!(limited.headers["retry-after"], "3600");
    assert_eq!(limited.headers["ratelimit-policy"], "\"address\";q=2;w=7200");
}

#[tokio::test]
async fn a_panic_is_a_500_that_names_the_trace_and_nothing_else() {
    let shop = Shop::new();
    shop.rules(&["public GET /panic"]);
    let mut request = request("GET", "/panic", None);
    request.headers_mut().insert("traceparent", PARENT.parse().expect("a header"));
    let answer = shop.send(request).await;
    assert_eq!((answer.status, answer.code()), (500, "internal"));
    assert_eq!(answer.body["trace_id"], PARENT[3..35]);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert!(!answer.body.to_string().contains("deliberately"));
}

#[tokio::test(start_paused = true)]
async fn a_route_that_does_not_answer_is_cut_off() {
    let shop = Shop::new();
    shop.rules(&["public GET /slow"]);
    let answer = shop.get("/slow", None).await;
    assert_eq!((answer.status, answer.code()), (503, "timed_out"));
    assert!(answer.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn an_extractor_of_the_framework_does_not_leak_its_own_format() {
    let shop = Shop::new();
    shop.rules(&["public GET /foreign"]);
    let answer = shop.get("/foreign?x=y", None).await;
    assert_eq!((answer.status, answer.code()), (400, "bad_request"));
    assert_eq!(answer.headers["content-type"], "application/problem+json");
}

#[tokio::test]
async fn a_members_route_is_401_for_the_anonymous_even_if_a_rule_lets_them_in() {
    let shop = Shop::new();
    shop.rules(&["public GET /members"]);
    assert_eq!(shop.get("/members", None).await.status, 401);
}

#[tokio::test]
async fn a_key_is_the_same_for_a_retry_and_another_for_another_principal() {
    let shop = Shop::new();
    shop.rules(&["public POST /things"]);
    let (_, one) = shop.sign_in(&[]);
    let (_, two) = shop.sign_in(&[]);
    let post = async |token: &str, key: &str| {
        let mut request = request("POST", "/things", Some(token));
        request.headers_mut().insert("idempotency-key", key.parse().expect("a header"));
        shop.send(request).await.body["id"].clone()
    };
    let first = post(&one, "k").await;
    assert!(first.is_string());
    assert_eq!(post(&one, "k").await, first);
    assert_ne!(post(&one, "l").await, first);
    assert_ne!(post(&two, "k").await, first);
    let without = shop.send(request("POST", "/things", Some(&one))).await;
    assert_eq!((without.status, without.code()), (400, "idempotency_key_missing"));
}

#[tokio::test]
async fn every_request_is_counted_under_its_route() {
    let shop = Shop::new();
    shop.rules(&["public GET /things.*"]);
    let id = new_uuid();
    assert_eq!(shop.get(&format!("/things/{id}"), None).await.body, id.to_string());
    shop.get("/nowhere", None).await;
    shop.get("/things/x/y", None).await;
    shop.send(request("BREW", "/things", None)).await;
    let text = shop.edge.metrics.render().expect("text");
    for line in [
        "gomall_http_requests_total{method=\"GET\",route=\"/things/{id}\",status=\"200\"} 1",
        "gomall_http_requests_total{method=\"GET\",route=\"none\",status=\"401\"} 1",
        "gomall_http_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 1",
        "gomall_http_requests_total{method=\"other\",route=\"none\",status=\"401\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn every_answer_carries_the_headers_of_every_answer() {
    let shop = Shop::new();
    shop.rules(&["public GET /who"]);
    for path in ["/who", "/nowhere", "//"] {
        let answer = shop.get(path, None).await;
        assert!(answer.headers.contains_key("x-request-id"), "{path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(answer.headers["cache-control"], "private, no-cache", "{path}");
    }
}
