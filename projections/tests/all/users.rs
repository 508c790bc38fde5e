use crate::support::given;
use domain::user::{BanReason, UserEvent};
use domain::{Locale, Position, RoleName, Sealed, Timestamp, UserId};
use projections::users;
use projections::{Limit, QueryError};
use std::collections::BTreeSet;
use testkit::{Journal, id, reason, recorded_at};

fn registered(number: i32) -> UserEvent {
    UserEvent::UserRegistered {
        number,
        profile: Sealed::from_ciphertext(format!("profile {number}")),
        password: Sealed::from_ciphertext(format!("password {number}")),
        locale: Locale::parse("en").expect("a language of ours"),
    }
}

fn granted(role: &'static str) -> UserEvent {
    UserEvent::RoleGranted { role: RoleName::known(role) }
}

fn sealed_reason() -> BanReason {
    BanReason::Sealed(Sealed::from_ciphertext("reason".to_owned()))
}

#[tokio::test]
async fn a_user_shows_roles_ban_and_a_profile_that_stays_sealed() {
    let until = Timestamp::from(recorded_at(Position::new(1_000)));
    let history = Journal::default();
    let user = |event| history.record("user", id::<UserId>(1), &event);
    user(registered(42));
    user(granted("staff"));
    user(granted("customer"));
    user(granted("admin"));
    user(UserEvent::RoleRevoked { role: RoleName::known("admin") });
    user(UserEvent::PasswordChanged { password: Sealed::from_ciphertext("other".to_owned()) });
    user(UserEvent::ProfileChanged {
        profile: Sealed::from_ciphertext("profile, changed".to_owned()),
        locale: Locale::parse("zh").expect("a language of ours"),
    });
    let last = user(UserEvent::UserBanned { reason: sealed_reason(), until: Some(until) });
    let pool = given(&history).await;

    let user = users::by_id(&pool, id(1)).await.expect("a query").expect("a user");
    assert_eq!((user.user_id, user.number), (id(1), 42));
    assert_eq!(user.profile.ciphertext(), "profile, changed");
    assert_eq!(user.locale.as_str(), "zh");
    let roles: Vec<&str> = user.roles.iter().map(RoleName::as_str).collect();
    assert_eq!(roles, ["customer", "staff"]);
    let ban = user.ban.clone().expect("a ban");
    assert_eq!((&ban.reason, ban.until), (&sealed_reason(), Some(until)));
    assert!(ban.is_in_force(until.plus_seconds(-1)) && !ban.is_in_force(until));
    assert_eq!(user.created_at, recorded_at(Position::new(1)).into());
    assert_eq!((user.version, user.position), (8, last));
    assert_eq!(users::by_number(&pool, 42).await.expect("a query"), Some(user));
    assert_eq!(users::banned(&pool).await.expect("a query"), [(id(1), ban)]);

    // Nothing of the password reaches the read model.
    let stored: String = sqlx::query_scalar("select to_json(u)::text from users u")
        .fetch_one(&pool)
        .await
        .expect("one row");
    assert!(!stored.contains("password"), "{stored}");
}

#[tokio::test]
async fn a_ban_of_before_reasons_were_sealed_is_shown() {
    let history = Journal::default();
    history.record("user", id::<UserId>(1), &registered(1));
    let stored = r#"{"reason":"fraud","until":null}"#;
    history.record_raw("user", id::<UserId>(1), "UserBanned", stored);
    let pool = given(&history).await;
    let user = users::by_id(&pool, id(1)).await.expect("a query").expect("a user");
    assert_eq!(user.ban.map(|ban| ban.reason), Some(BanReason::Clear(reason("fraud"))));
}

#[tokio::test]
async fn a_lifted_ban_is_gone() {
    let history = Journal::default();
    history.record("user", id::<UserId>(1), &registered(1));
    history.record(
        "user",
        id::<UserId>(1),
        &UserEvent::UserBanned { reason: sealed_reason(), until: None },
    );
    history.record("user", id::<UserId>(1), &UserEvent::UserUnbanned {});
    let pool = given(&history).await;
    let user = users::by_id(&pool, id(1)).await.expect("a query").expect("a user");
    assert_eq!(user.ban, None);
    assert_eq!(users::banned(&pool).await.expect("a query"), []);
}

#[tokio::test]
async fn erased_and_abandoned_users_leave_no_row() {
    let history = Journal::default();
    history.record("user", id::<UserId>(1), &registered(1));
    history.record("user", id::<UserId>(1), &UserEvent::UserErased {});
    history.record("user", id::<UserId>(2), &UserEvent::UserRegistrationAbandoned {});
    history.record("user", id::<UserId>(3), &registered(3));
    let pool = given(&history).await;
    let page = users::list(&pool, None, Limit::DEFAULT).await.expect("a query");
    let ids: Vec<_> = page.items.iter().map(|user| user.user_id).collect();
    assert_eq!(ids, [id(3)]);
    assert_eq!(users::by_id(&pool, id(1)).await.expect("a query"), None);
}

#[tokio::test]
async fn users_are_listed_by_number_page_by_page() {
    let history = Journal::default();
    for number in [5, 3, 1, 4, 2] {
        history.record("user", id::<UserId>(number as u128 + 100), &registered(number));
    }
    let pool = given(&history).await;
    let limit = Limit::new(2).expect("2 is a limit");
    let (mut numbers, mut cursor) = (Vec::new(), None);
    loop {
        let page = users::list(&pool, cursor.as_deref(), limit).await.expect("a query");
        numbers.push(page.items.iter().map(|user| user.number).collect::<Vec<_>>());
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(numbers, [vec![1, 2], vec![3, 4], vec![5]]);
}

#[tokio::test]
async fn a_cursor_that_is_not_ours_is_refused() {
    let pool = given(&Journal::default()).await;
    for cursor in ["", "x", "bm90IGpzb24", &"A".repeat(10_000)] {
        let refused = users::list(&pool, Some(cursor), Limit::DEFAULT).await;
        assert!(matches!(refused, Err(QueryError::InvalidCursor)), "{cursor}");
    }
}

#[tokio::test]
async fn of_those_with_a_role_who_are_not_banned_now_one_of_each_kind_is_found() {
    let until = Timestamp::from(recorded_at(Position::new(1_000)));
    let history = Journal::default();
    for (user, number) in [(5, 1), (4, 2), (3, 3), (2, 4), (1, 5)] {
        history.record("user", id::<UserId>(user), &registered(number));
        history.record("user", id::<UserId>(user), &granted("admin"));
    }
    for (user, until) in [(4, None), (3, Some(until))] {
        let banned = UserEvent::UserBanned { reason: sealed_reason(), until };
        history.record("user", id::<UserId>(user), &banned);
    }
    history.record(
        "user",
        id::<UserId>(2),
        &UserEvent::RoleRevoked { role: RoleName::known("admin") },
    );
    // One who has one role more than the others.
    history.record("user", id::<UserId>(6), &registered(6));
    history.record("user", id::<UserId>(6), &granted("admin"));
    history.record("user", id::<UserId>(6), &granted("customer"));
    let pool = given(&history).await;
    let found = async |except: Option<u128>, now, limit| {
        let (role, except) = (RoleName::known("admin"), except.map(id));
        let found = users::one_of_each_kind(&pool, &role, except, now, limit).await;
        found.expect("a query")
    };
    let roles = |names: &[&'static str]| -> BTreeSet<RoleName> {
        names.iter().map(|name| RoleName::known(name)).collect()
    };
    let (plain, customer) = (roles(&["admin"]), roles(&["admin", "customer"]));
    let kinds = |user| vec![(id::<UserId>(user), plain.clone()), (id(6), customer.clone())];
    let before = until.plus_seconds(-1);
    assert_eq!(found(None, before, 10).await, kinds(5));
    assert_eq!(found(Some(5), before, 10).await, kinds(1));
    assert_eq!(found(Some(5), until, 10).await, kinds(3));
    assert_eq!(found(None, until, 1).await, kinds(5)[..1]);
}
