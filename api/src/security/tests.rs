use super::*;
use crate::auth::Keys;
use domain::Timestamp;
use std::net::IpAddr;
use uuid::Uuid;

fn log() -> (Arc<SecurityLog>, Metrics) {
    let metrics = Metrics::new().expect("the names are right");
    let emails = EmailHash::new(&Keys::for_tests());
    (Arc::new(SecurityLog::new(&metrics, emails)), metrics)
}

/// Later than whatever is too old.
fn moment() -> Timestamp {
    Timestamp::EPOCH.plus_seconds(4_000_000_000)
}

fn denied(address: impl Into<IpAddr>, path: &str) -> SeenRequest {
    SeenRequest {
        first_at: moment(),
        at: moment(),
        times: 1,
        code: Some("forbidden"),
        address: address.into(),
        user_id: None,
        email_tag: None,
        email_hash: None,
        method: "GET",
        path: path.to_owned(),
        rule_id: None,
        policy_version: 1,
        request_id: Uuid::from_u128(1),
        trace_id: String::new(),
    }
}

fn shows(metrics: &Metrics, line: &str) -> bool {
    metrics.render().expect("text").lines().any(|found| found == line)
}

#[test]
fn refusals_that_are_alike_are_one_row_with_the_first_and_the_last_moment() {
    let (log, metrics) = log();
    for seconds in 0..3 {
        let at = Timestamp::EPOCH.plus_seconds(seconds);
        log.note(SeenRequest { first_at: at, at, ..denied([192, 0, 2, 1], "/a") }, false);
    }
    log.note(denied([192, 0, 2, 1], "/b"), false);
    log.note(denied([192, 0, 2, 2], "/a"), false);
    let (requests, noted) = log.waiting().empty();
    let mut times: Vec<_> = requests.iter().map(|request| request.times).collect();
    times.sort_unstable();
    assert_eq!((times, noted), (vec![1, 1, 3], 5));
    let three = requests.iter().find(|request| request.times == 3).expect("one");
    let seconds = (three.first_at.unix_seconds(), three.at.unix_seconds());
    assert_eq!(seconds, (0, 2));
    assert!(shows(&metrics, "gomall_denials_total{code=\"forbidden\"} 5"));
}

#[test]
fn one_address_cannot_take_all_places_nor_refusals_those_of_changes_and_what_finds_none_is_counted()
{
    let (log, metrics) = log();
    for path in 0..1_000 {
        log.note(denied([192, 0, 2, 1], &format!("/{path}")), false);
    }
    assert_eq!(log.waiting().empty().0.len(), 20);
    assert!(shows(&metrics, "gomall_security_log_dropped_total 980"));
    for address in 0..1_000_u32 {
        log.note(denied(std::net::Ipv4Addr::from(address), "/"), false);
    }
    log.note(SeenRequest { code: None, ..denied([192, 0, 2, 1], "/") }, false);
    let (requests, _) = log.waiting().empty();
    assert_eq!(requests.len(), 501);
    assert_eq!(requests.iter().filter(|request| request.code.is_none()).count(), 1);
    assert!(shows(&metrics, "gomall_security_log_dropped_total 1480"));
    // A place that is free again is taken.
    log.note(denied([192, 0, 2, 1], "/"), false);
    assert_eq!(log.waiting().empty().0.len(), 1);
}

#[test]
fn a_password_that_was_tried_is_found_whatever_floods_the_log() {
    let (log, metrics) = log();
    let at_sign_in = |address: u32, account: &str| SeenRequest {
        email_hash: Some(account.to_owned()),
        ..denied(std::net::Ipv4Addr::from(address), "/api/v1/auth/login")
    };
    for number in 0..10_000 {
        // Nonsense, for accounts that nobody has, and for one from everywhere.
        log.note(denied(std::net::Ipv4Addr::from(number), "/"), false);
        log.note(at_sign_in(number, &format!("account {number}")), false);
        log.note(at_sign_in(number, "braked"), true);
    }
    log.note(at_sign_in(7, "ada"), true);
    let (requests, _) = log.waiting().empty();
    let of = |account: &str| {
        let of_it =
            requests.iter().filter(|request| request.email_hash.as_deref() == Some(account));
        (of_it.clone().count(), of_it.map(|request| request.times).sum::<u32>())
    };
    assert_eq!(of("ada"), (1, 1));
    assert_eq!(of("braked"), (11, 10_000), "those of many addresses are one row with the last");
    assert!(requests.len() <= 500 + 12, "{}", requests.len());
    assert!(shows(&metrics, "gomall_security_log_dropped_total 19500"));
}

#[test]
fn an_address_is_hashed_with_a_secret_and_alike_in_every_spelling() {
    let (log, _) = log();
    let email = |text: &str| EmailAddress::parse(text).expect("an address");
    let hash = log.hash(&email("ann@example.com"));
    assert_eq!(hash, log.hash(&email("Ann@Example.COM")));
    assert_ne!(hash, log.hash(&email("bob@example.com")));
    assert!(hash.len() == 32 && hash.chars().all(|digit| digit.is_ascii_hexdigit()), "{hash}");
}

#[tokio::test]
async fn what_is_noted_can_be_read_after_it_has_settled_and_a_stop_writes_the_rest() {
    let (log, metrics) = log();
    let pool = testkit::pool().await;
    let stop = CancellationToken::new();
    let writing = tokio::spawn(Arc::clone(&log).write(pool.clone(), stop.clone()));
    let rows = async || {
        let count = "select count(*) from security_log";
        sqlx::query_scalar::<_, i64>(count).fetch_one(&pool).await.expect("a number")
    };
    for number in 1..=3 {
        log.note(denied([192, 0, 2, number], "/"), false);
        log.settle().await;
        assert_eq!(rows().await, i64::from(number));
    }
    log.note(denied([192, 0, 2, 9], "/"), false);
    stop.cancel();
    writing.await.expect("it ends");
    assert_eq!(rows().await, 4);
    assert!(shows(&metrics, "gomall_security_log_dropped_total 0"));
}
