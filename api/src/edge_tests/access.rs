//! Who is let in: which decision comes before which.

use super::harness::{Shop, new_uuid, now, request};
use crate::guard::{LivePolicy, Peer, SessionAccess, UserAccess};
use domain::policy::{CompiledPolicy, Policy};
use domain::{RoleName, UserId};
use futures::StreamExt;
use serde_json::json;
use std::sync::Arc;

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
    let sessions = |user: Option<UserId>, seconds: Option<i64>| SessionAccess {
        sequence: 1,
        user_id: user,
        live_until: seconds.map(|seconds| now().plus_seconds(seconds)),
        ..SessionAccess::default()
    };
    let user_id = new_uuid().into();
    let user = UserAccess {
        sequence: 1,
        exists: true,
        roles: Arc::default(),
        ban: None,
        ..UserAccess::default()
    };
    shop.put_user(user_id, user);
    for (session, status) in [
        (sessions(Some(user_id), Some(1)), 200),
        (sessions(Some(user_id), Some(0)), 401),
        (sessions(Some(user_id), None), 401),
        (sessions(Some(new_uuid().into()), Some(1)), 401),
        (sessions(None, None), 401),
    ] {
        let session_id = new_uuid().into();
        shop.put_session(session_id, session.clone());
        let token = shop.edge.tokens.issue(user_id, session_id, now(), new_uuid());
        let token = token.expect("the key signs");
        assert_eq!(shop.get("/who", Some(&token)).await.status, status, "{session:?}");
    }
    let (erased, token) = shop.sign_in(&["customer"]);
    let gone = UserAccess {
        sequence: 2,
        exists: false,
        roles: Arc::default(),
        ban: None,
        ..UserAccess::default()
    };
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
        ..UserAccess::default()
    };
    shop.put_user(user_id, ban(2, None));
    shop.edge.access.note_user_change(user_id, 2).await;
    let banned = shop.get("/who", Some(&token)).await;
    assert_eq!((banned.status, banned.code()), (403, "banned"));
    let banned = shop.send(request("POST", "/api/v1/auth/login", Some(&token))).await;
    assert_eq!((banned.status, banned.code()), (403, "banned"));
    shop.put_user(user_id, ban(3, Some(now())));
    shop.edge.access.note_user_change(user_id, 3).await;
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

#[tokio::test(start_paused = true)]
async fn rules_that_were_not_confirmed_for_half_a_minute_let_nobody_in() {
    let shop = Shop::new();
    shop.rules(&["public GET /who"]);
    tokio::time::advance(std::time::Duration::from_secs(30)).await;
    assert_eq!(shop.get("/who", None).await.status, 200);
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    let refused = shop.get("/who", None).await;
    assert_eq!((refused.status, refused.code()), (503, "unavailable"));
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(shop.get("/healthz", None).await.status, 200);
    shop.edge.policy.confirm(tokio::time::Instant::now());
    assert_eq!(shop.get("/who", None).await.status, 200);
}

#[tokio::test]
async fn a_members_route_is_401_for_the_anonymous_even_if_a_rule_lets_them_in() {
    let shop = Shop::new();
    shop.rules(&["public GET /members"]);
    assert_eq!(shop.get("/members", None).await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_goes_on_breaks_off_when_its_permission_ends() {
    type End<'a> = Box<dyn Fn(UserId, &Shop) + 'a>;
    let user = |roles: &[&'static str], ban| {
        let roles = Arc::new(roles.iter().copied().map(RoleName::known).collect());
        UserAccess { sequence: 2, exists: true, roles, ban, ..UserAccess::default() }
    };
    let ends: [End<'_>; 4] = [
        Box::new(|_, shop| shop.rules(&["+staff GET /endless"])),
        Box::new(|_, shop| shop.rules(&["+analyst GET /endless", "ban 0.0.0.0/32"])),
        Box::new(|id, shop| shop.put_user(id, user(&["customer"], None))),
        Box::new(|id, shop| shop.put_user(id, user(&["analyst"], Some(None)))),
    ];
    for (number, end) in ends.iter().enumerate() {
        let shop = Shop::new();
        shop.rules(&["+analyst GET /endless"]);
        let (id, token) = shop.sign_in(&["analyst"]);
        let answer = shop.answer(request("GET", "/endless", Some(&token))).await;
        let mut pieces = answer.into_body().into_data_stream();
        for _ in 0..50 {
            pieces.next().await.expect("more").expect("it goes on");
        }
        end(id, &shop);
        shop.edge.access.note_user_change(id, 2).await;
        let more = pieces.take_while(|piece| std::future::ready(piece.is_ok())).count().await;
        assert!(more <= 10, "{more} pieces after end {number}");
    }
}
