use crate::support::given;
use domain::policy::{Effect, MethodSelector, PolicyEvent, RoleSelector, Rule};
use domain::session::{SessionEnd, SessionEvent};
use domain::user::{BanReason, UserEvent};
use domain::{
    EmailAddress, Locale, Position, RoleName, RuleId, Sealed, SessionId, Timestamp, UserId,
};
use projections::audit::requests::{self, Most, SeenRequest};
use projections::audit::{Entry, Filter, Kind, list};
use projections::{Limit, Page};
use sqlx::PgPool;
use testkit::{Journal, id, recorded_at};
use uuid::Uuid;

fn registered() -> UserEvent {
    UserEvent::UserRegistered {
        number: 1,
        profile: Sealed::from_ciphertext("profile".to_owned()),
        password: Sealed::from_ciphertext("password".to_owned()),
        locale: Locale::parse("en").expect("a language of ours"),
    }
}

/// Refused at a moment of its own, from the address of that number.
fn denied(number: u8) -> SeenRequest {
    let at = Timestamp::from(recorded_at(Position::new(u64::from(number))));
    SeenRequest {
        first_at: at,
        at,
        times: 1,
        code: Some("forbidden"),
        address: [192, 0, 2, number].into(),
        user_id: None,
        email_tag: None,
        email_hash: None,
        method: "GET",
        path: "/api/v1/events".to_owned(),
        rule_id: None,
        policy_version: 7,
        request_id: Uuid::from_u128(number.into()),
        trace_id: "trace".to_owned(),
    }
}

async fn all(pool: &PgPool, filter: &Filter) -> Vec<Entry> {
    let page = list(pool, filter, None, Limit::MAX).await.expect("a query");
    assert_eq!(page.next_cursor, None);
    page.items
}

fn codes(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.code.as_str()).collect()
}

async fn make_key(pool: &PgPool, person: UserId) {
    let insert = sqlx::query("insert into personal_keys (person_id, key) values ($1, $2)");
    insert.bind(person.uuid()).bind([7_u8; 32].as_slice()).execute(pool).await.expect("a person");
}

#[tokio::test]
async fn whatever_changes_who_may_do_what_is_there_with_what_it_is_about_and_without_free_text() {
    let history = Journal::default();
    let (user, session, rule_id) = (id::<UserId>(1), id::<SessionId>(2), id::<RuleId>(3));
    history.record("user", user, &registered());
    history.record("user", user, &UserEvent::RoleGranted { role: RoleName::known("staff") });
    let started = SessionEvent::SessionStarted {
        user_id: user,
        expires_at: Timestamp::EPOCH,
        ends_at: None,
        epoch: 0,
        proved_at: None,
        second_factor: false,
        device: None,
    };
    history.record("session", session, &started);
    let refreshed = SessionEvent::SessionRefreshed {
        presented: 1,
        generation: 2,
        refreshed_at: Timestamp::EPOCH,
        expires_at: Timestamp::EPOCH,
    };
    history.record("session", session, &refreshed);
    let rule = Rule {
        effect: Effect::Deny,
        roles: vec![RoleSelector::Any],
        methods: vec![MethodSelector::Any],
        path: "/x".to_owned(),
        note: "because of Ann".to_owned(),
    };
    history.record("policy", "shop", &PolicyEvent::RuleAdded { rule_id, rule });
    let sealed = BanReason::Sealed(Sealed::from_ciphertext("Ann is a fraud".to_owned()));
    history.record("user", user, &UserEvent::UserBanned { reason: sealed, until: None });
    let revoked = SessionEvent::SessionRevoked { reason: SessionEnd::Revoked };
    history.record("session", session, &revoked);
    let pool = given(&history).await;

    let entries = all(&pool, &Filter::default()).await;
    let expected = [
        "SessionRevoked",
        "UserBanned",
        "RuleAdded",
        "SessionStarted",
        "RoleGranted",
        "UserRegistered",
    ];
    assert_eq!(codes(&entries), expected);
    let [ended, banned, added, begun, granted, _] = &entries[..] else { panic!("six") };
    assert_eq!(
        (ended.user_id, begun.user_id, banned.user_id),
        (Some(user), Some(user), Some(user))
    );
    assert_eq!(granted.role.as_ref().map(RoleName::as_str), Some("staff"));
    assert_eq!(added.entry_id, Some(rule_id.uuid()));
    assert_eq!(added.actor.as_deref(), Some("system:test"));
    assert_eq!((added.kind, added.id, added.times), (Kind::Change, 5, 1));
    assert_eq!(added.at, recorded_at(Position::new(5)).into());

    let stored: String = sqlx::query_scalar("select json_agg(c)::text from audit_changes c")
        .fetch_one(&pool)
        .await
        .expect("rows");
    assert!(!stored.contains("Ann"), "{stored}");
}

#[tokio::test]
async fn changes_and_refusals_are_one_list_the_newest_first_page_by_page() {
    let history = Journal::default();
    let user = id::<UserId>(1);
    history.record("user", user, &registered());
    for _ in 0..3 {
        history.record("user", user, &UserEvent::RoleGranted { role: RoleName::known("staff") });
        history.record("user", user, &UserEvent::RoleRevoked { role: RoleName::known("staff") });
    }
    let pool = given(&history).await;
    // Some at the very moment of a change, two of them twice.
    let seen: Vec<_> = [2, 4, 4, 7, 7, 8].map(denied).into();
    requests::record(&pool, &seen).await.expect("they are written");

    let (mut entries, mut cursor) = (vec![], None);
    for _ in 0..10 {
        let limit = Limit::new(2).expect("a limit");
        let page: Page<Entry> =
            list(&pool, &Filter::default(), cursor.as_deref(), limit).await.expect("a query");
        entries.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(entries, all(&pool, &Filter::default()).await);
    assert_eq!(entries.len(), 13);
    let mut in_order = entries.clone();
    in_order.sort_by_key(|entry| std::cmp::Reverse((entry.at, entry.kind as i32, entry.id)));
    assert_eq!(entries, in_order);
    let newest = &entries[0];
    assert_eq!((newest.kind, newest.code.as_str()), (Kind::Denial, "forbidden"));
    assert_eq!(newest.address, Some([192, 0, 2, 8].into()));
    assert_eq!((newest.policy_version, newest.method.as_deref()), (Some(7), Some("GET")));
}

#[tokio::test]
async fn a_filter_narrows_both_kinds() {
    let history = Journal::default();
    let (ann, bob) = (id::<UserId>(1), id::<UserId>(2));
    history.record("user", ann, &registered());
    history.record("user", bob, &registered());
    let correlation_id = history.events()[1].metadata().expect("metadata").correlation_id;
    let pool = given(&history).await;
    make_key(&pool, ann).await;
    let email = EmailAddress::parse("Ann@Example.com").expect("an address");
    sqlx::query("insert into event_tags (tag, position, person_id) values ($1, 1, $2)")
        .bind(requests::email_tag(&email))
        .bind(ann.uuid())
        .execute(&pool)
        .await
        .expect("an account");
    let by_ann = SeenRequest { user_id: Some(ann), ..denied(3) };
    let (email_tag, email_hash) = (Some(requests::email_tag(&email)), Some("hash".to_owned()));
    let code = Some("bad_credentials");
    let as_ann = SeenRequest { email_tag, email_hash, code, ..denied(4) };
    // What led to the second change.
    let let_in = SeenRequest { code: None, request_id: correlation_id, ..denied(5) };
    requests::record(&pool, &[by_ann, as_ann, denied(6), let_in]).await.expect("written");

    let found = async |filter: Filter| {
        let entries = all(&pool, &filter).await;
        codes(&entries).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let of = Filter::default;
    let every = ["forbidden", "bad_credentials", "forbidden", "UserRegistered", "UserRegistered"];
    assert_eq!(found(of()).await, every);
    let kind = Some(Kind::Change);
    assert_eq!(found(Filter { kind, ..of() }).await, ["UserRegistered", "UserRegistered"]);
    let kind = Some(Kind::Denial);
    assert_eq!(found(Filter { kind, ..of() }).await, &every[..3]);
    let code = Some("bad_credentials".to_owned());
    assert_eq!(found(Filter { code, ..of() }).await, ["bad_credentials"]);
    let anns = &every[1..4];
    assert_eq!(found(Filter { user_id: Some(ann), ..of() }).await, anns);
    let email = Some((email, "hash".to_owned()));
    assert_eq!(found(Filter { email, ..of() }).await, anns);
    let address = Some("192.0.2.4/31".parse().expect("a network"));
    let from_there = all(&pool, &Filter { address, ..of() }).await;
    assert_eq!(codes(&from_there), ["bad_credentials", "UserRegistered"]);
    assert_eq!(from_there[1].address, Some([192, 0, 2, 5].into()));
    assert_eq!(from_there[1].path.as_deref(), Some("/api/v1/events"));
    let at = |number| Some(Timestamp::from(recorded_at(Position::new(number))));
    assert_eq!(found(Filter { since: at(2), until: at(4), ..of() }).await, &every[2..4]);
}

#[tokio::test]
async fn who_is_erased_is_in_no_request_any_more_and_none_is_added() {
    let pool = given(&Journal::default()).await;
    let (ann, bob) = (id::<UserId>(1), id::<UserId>(2));
    make_key(&pool, ann).await;
    make_key(&pool, bob).await;
    let of = |user_id| SeenRequest { user_id: Some(user_id), ..denied(1) };
    requests::record(&pool, &[of(ann), of(bob)]).await.expect("written");
    let erase = sqlx::query("delete from personal_keys where person_id = $1").bind(ann.uuid());
    erase.execute(&pool).await.expect("erased");
    // One that was still on its way.
    requests::record(&pool, &[of(ann)]).await.expect("written");
    let users: Vec<_> =
        all(&pool, &Filter::default()).await.into_iter().map(|entry| entry.user_id).collect();
    assert_eq!(users, [None, Some(bob)]);
}

#[tokio::test]
async fn the_oldest_go_when_there_are_too_many_of_their_kind_or_they_are_too_old() {
    let pool = given(&Journal::default()).await;
    let let_in = |number| SeenRequest { code: None, ..denied(number) };
    let seen = [denied(1), let_in(2), denied(3), let_in(4), denied(5), denied(6)];
    requests::record(&pool, &seen).await.expect("written");
    let kept = async |most| {
        requests::trim(&pool, most).await.expect("trimmed");
        let select = "select host(address) from security_log order by id";
        let kept: Vec<String> = sqlx::query_scalar(select).fetch_all(&pool).await.expect("rows");
        kept
    };
    let most = Most { denials: 2, changes: 5 };
    assert_eq!(kept(most).await, ["192.0.2.2", "192.0.2.4", "192.0.2.5", "192.0.2.6"]);
    sqlx::query("update security_log set at = now() - interval '31 days' where id = 2")
        .execute(&pool)
        .await
        .expect("time passes");
    assert_eq!(kept(Most::default()).await, ["192.0.2.4", "192.0.2.5", "192.0.2.6"]);
}
