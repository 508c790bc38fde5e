//! What the edge writes down about whom it refuses.

use super::harness::{Shop, request};
use crate::guard::Peer;
use axum::extract::Request;
use domain::UserId;
use projections::audit::requests::SeenRequest;
use uuid::Uuid;

const ADDRESS: [u8; 4] = [192, 0, 2, 7];

fn from(mut request: Request) -> Request {
    request.extensions_mut().insert(Peer((ADDRESS, 4711).into()));
    request
}

#[tokio::test]
async fn a_refusal_is_written_down_with_who_from_where_what_and_which_rule_of_which_version() {
    let shop = Shop::new();
    shop.rules(&["+customer GET /who", "-customer GET /things"]);
    let (user, token) = shop.sign_in(&["customer"]);
    let seen = async |request: Request| -> Vec<SeenRequest> {
        shop.send(from(request)).await;
        shop.edge.security.seen()
    };
    assert_eq!(seen(request("GET", "/who", Some(&token))).await, []);
    assert_eq!(seen(request("GET", "/healthz", None)).await, []);

    let expect = |seen: &[SeenRequest], code, user: Option<UserId>, rule: Option<u128>, version| {
        let [seen] = seen else { panic!("{seen:?}") };
        assert_eq!((seen.code, seen.user_id), (Some(code), user));
        assert_eq!((seen.rule_id, seen.policy_version), (rule.map(Uuid::from_u128), version));
        assert_eq!((seen.address, seen.times), (ADDRESS.into(), 1));
    };
    let denied = seen(request("GET", "/things?secret=1", Some(&token))).await;
    expect(&denied, "forbidden", Some(user), Some(2), 2);
    assert_eq!((denied[0].method, denied[0].path.as_str()), ("GET", "/things"));
    let anonymous = seen(request("GET", "/who", None)).await;
    expect(&anonymous, "unauthenticated", None, None, 2);
    let bad = seen(request("MKCOL", "/who", Some("x"))).await;
    expect(&bad, "unauthenticated", None, None, 2);
    assert_eq!(bad[0].method, "other");
    shop.rules(&["ban 192.0.2.0/24"]);
    expect(&seen(request("GET", "/who", Some(&token))).await, "banned", None, None, 3);
    let long = format!("/{}", "a".repeat(1_000));
    assert_eq!(seen(request("GET", &long, None)).await[0].path.len(), 200);
}

#[tokio::test]
async fn a_change_that_was_let_in_is_written_down_and_no_read_and_nothing_elsewhere() {
    let shop = Shop::new();
    shop.rules(&["public POST /api/v1/auth/login", "public * /who"]);
    shop.send(from(request("POST", "/api/v1/auth/login", None))).await;
    let seen = shop.edge.security.seen();
    let [seen] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((seen.code, seen.rule_id), (None, Some(Uuid::from_u128(1))));
    shop.send(from(request("GET", "/who", None))).await;
    assert_eq!(shop.edge.security.seen(), []);
}
