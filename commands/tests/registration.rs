//! One person's registration, asked for more than once.

mod support;

use commands::bus::{Bus, ExecuteError, Executed, Plan, RequestKey};
use commands::journal::AppendError;
use commands::registration::{
    EmailTaken, Registration, find_by_email, find_twins, fold_claims, register,
};
use commands::vault::Vault;
use compose::testing::eventually;
use domain::tag::EMAIL as EMAIL_TAG;
use domain::user::{User, UserCommand};
use domain::{EmailAddress, Locale, Profile, RoleName, Tag, UserId};
use std::sync::Arc;
use support::{Database, context};
use testkit::new_id;
use uuid::Uuid;

const EMAIL: &str = "ada@example.com";

fn registration(user_id: UserId, email: &str) -> Registration {
    Registration {
        user_id,
        email: EmailAddress::parse(email).expect("an address"),
        name: None,
        password_hash: "hash".to_owned(),
        locale: Locale::parse("en").expect("a language"),
        role: RoleName::known("customer"),
        verify_email: true,
        number: 1,
    }
}

async fn sign_up(
    database: &Database,
    bus: &Bus,
    user_id: UserId,
    email: &str,
    key: Option<RequestKey>,
) -> Result<Executed, ExecuteError> {
    let vault = Vault::new(database.pool.clone());
    register(bus, &vault, registration(user_id, email), &context(), key).await
}

fn code(outcome: Result<Executed, ExecuteError>) -> &'static str {
    match outcome.map(drop) {
        Err(ExecuteError::Rejected(rejections)) => rejections[0].code(),
        other => panic!("expected a rejection: {other:?}"),
    }
}

async fn register_command(vault: &Vault, user_id: UserId) -> UserCommand {
    vault.make_key(user_id).await.expect("the database is up");
    let profile = Profile { email: EmailAddress::parse(EMAIL).expect("an address"), name: None };
    UserCommand::Register {
        number: 1,
        profile: vault.seal(user_id, &profile).await.expect("there is a key"),
        password: vault.seal(user_id, &"hash".to_owned()).await.expect("there is a key"),
        locale: Locale::parse("en").expect("a language"),
        role: RoleName::known("customer"),
        verify_email: true,
    }
}

/// Two people, or one person twice, at two processes: both have looked before either is written.
async fn both_at_once(
    database: &Database,
    people: [(UserId, Option<RequestKey>); 2],
) -> [Result<Executed, ExecuteError>; 2] {
    let buses = [database.bus(), database.bus()];
    let mut lock = database.pool.begin().await.expect("the database is up");
    let take = sqlx::query("select pg_advisory_xact_lock($1)").bind(domain::locks::APPEND);
    take.execute(&mut *lock).await.expect("nobody has it for long");
    let let_go = async {
        eventually("both wait to append", || async {
            let waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted \
                           and database = (select oid from pg_database where datname = current_database())";
            let waiting: i64 =
                sqlx::query_scalar(waiting).fetch_one(&database.pool).await.expect("readable");
            (waiting == 2).then_some(())
        })
        .await;
        lock.commit().await.expect("the database is up");
    };
    let [(one, one_key), (other, other_key)] = people;
    let (one, other, ()) = tokio::join!(
        sign_up(database, &buses[0], one, EMAIL, one_key),
        sign_up(database, &buses[1], other, EMAIL, other_key),
        let_go
    );
    [one, other]
}

#[tokio::test]
async fn a_registration_at_two_processes_at_once_is_the_owners() {
    let database = Database::new().await;
    let user_id = new_id();
    let key = Some(RequestKey { key: new_id(), fingerprint: [1; 32] });
    let both = both_at_once(&database, [(user_id, key); 2]).await;
    let mut replayed: Vec<_> = both
        .into_iter()
        .map(|one| one.map_err(|error| error.to_string()).expect("it is their own"))
        .inspect(|one| assert!(one.state::<User>(0).exists()))
        .map(|one| one.replayed)
        .collect();
    replayed.sort_unstable();
    assert_eq!(replayed, [false, true]);
}

#[tokio::test]
async fn an_address_that_two_people_want_at_once_is_one_persons() {
    let database = Database::new().await;
    for (rounds, keyed) in [(1, false), (2, true)] {
        let key = || keyed.then(|| RequestKey { key: new_id(), fingerprint: [rounds; 32] });
        let both = both_at_once(&database, [(new_id(), key()), (new_id(), key())]).await;
        let (theirs, refused): (Vec<_>, Vec<_>) = both.into_iter().partition(Result::is_ok);
        assert_eq!(theirs.len(), 1);
        assert_eq!(refused.into_iter().map(code).collect::<Vec<_>>(), ["email_taken"]);
        // Both were appended as far as they could be, and what was refused has left nothing.
        let registered = "select count(*) from events where event_type = 'UserRegistered'";
        let registered: i64 =
            sqlx::query_scalar(registered).fetch_one(&database.pool).await.expect("readable");
        assert_eq!(registered, 1);
        sqlx::query("truncate events, event_tags, email_claims")
            .execute(&database.pool)
            .await
            .expect("nobody else uses it");
    }
}

#[tokio::test]
async fn a_key_that_was_used_for_another_address_is_used() {
    let database = Database::new().await;
    let (bus, user_id) = (database.bus(), new_id());
    let key = RequestKey { key: new_id(), fingerprint: [1; 32] };
    sign_up(&database, &bus, user_id, EMAIL, Some(key)).await.expect("a fresh address");
    let other = Some(RequestKey { fingerprint: [2; 32], ..key });
    for email in ["other@example.com", EMAIL] {
        let refused = sign_up(&database, &bus, user_id, email, other).await.map(drop);
        assert!(matches!(refused, Err(ExecuteError::KeyReused)), "{refused:?}");
    }
}

#[tokio::test]
async fn a_repetition_takes_no_address_for_somebody_who_was_erased_since() {
    let database = Database::new().await;
    let (bus, user_id) = (database.bus(), new_id());
    let key = Some(RequestKey { key: new_id(), fingerprint: [1; 32] });
    sign_up(&database, &bus, user_id, EMAIL, key).await.expect("a fresh address");
    let erase = "delete from personal_keys where person_id = $1";
    sqlx::query(erase)
        .bind(user_id.uuid())
        .execute(&database.pool)
        .await
        .expect("the database is up");
    assert!(sign_up(&database, &bus, user_id, EMAIL, key).await.expect("it is known").replayed);
    let other = sign_up(&database, &bus, new_id(), EMAIL, None).await;
    assert!(other.is_ok(), "the address is free");
}

#[tokio::test]
async fn an_address_that_a_process_of_the_build_before_has_claimed_is_taken() {
    let database = Database::new().await;
    let bus = database.bus();
    let owner: UserId = new_id();
    let claim = async |age: &str| {
        for statement in [
            "insert into personal_keys (person_id, key) select $1, decode(repeat('07', 32), 'hex') \
              where $2 <> '' and $3 <> '' on conflict do nothing",
            "insert into email_claims (email, person_id, claimed_at) values ($2, $1, now() - $3::interval) \
             on conflict (email) do update set claimed_at = excluded.claimed_at",
        ] {
            let insert = sqlx::query(statement).bind(owner.uuid()).bind(EMAIL).bind(age);
            insert.execute(&database.pool).await.expect("the database is up");
        }
    };
    claim("1 second").await;
    assert_eq!(code(sign_up(&database, &bus, new_id(), EMAIL, None).await), "email_taken");
    // Its account is as that build makes it.
    sqlx::query(
        "insert into events select 1, 'user', $1::text, 1, 'UserRegistered', '1', '{}', '{}', \
           gen_random_uuid(), now()",
    )
    .bind(owner.uuid())
    .execute(&database.pool)
    .await
    .expect("the journal is empty");
    claim("2 hours").await;
    assert_eq!(code(sign_up(&database, &bus, new_id(), EMAIL, None).await), "email_taken");
    sqlx::query("delete from events").execute(&database.pool).await.expect("nothing protects it");
    let theirs = new_id();
    sign_up(&database, &bus, theirs, EMAIL, None).await.expect("nobody came back for it");
    let email = EmailAddress::parse(EMAIL).expect("an address");
    let found = find_by_email(&database.pool, &email).await.expect("readable");
    assert_eq!(found, Some(theirs));
}

#[tokio::test]
async fn a_process_of_the_build_before_finds_who_registers_now() {
    let database = Database::new().await;
    let user_id = new_id();
    sign_up(&database, &database.bus(), user_id, EMAIL, None).await.expect("a fresh address");
    let claimed: Option<Uuid> =
        sqlx::query_scalar("select person_id from email_claims where email = $1")
            .bind(EMAIL)
            .fetch_optional(&database.pool)
            .await
            .expect("readable");
    assert_eq!(claimed, Some(user_id.uuid()));
}

#[tokio::test]
async fn accounts_of_before_are_found_by_the_one_form_of_their_address_once_it_is_made() {
    let database = Database::new().await;
    let bus = database.bus();
    // Before, each of these was an account.
    let claims = [
        ("anna@bücher.example", "first@example.com"),
        ("anna@bu\u{308}cher.example", "second@example.com"),
        ("anna@xn--bcher-kva.example", "anna@xn--bcher-kva.example"),
        ("jo\u{308}rg@example.com", "third@example.com"),
    ];
    let mut people = vec![];
    for (before, today) in claims {
        let user_id = new_id();
        sign_up(&database, &bus, user_id, today, None).await.expect("a fresh address");
        sqlx::query("update event_tags set tag = 'email:' || $1 where tag = 'email:' || $2")
            .bind(before)
            .bind(today)
            .execute(&database.pool)
            .await
            .expect("it is there");
        people.push(user_id);
    }
    let of_account = |text: &str| EmailAddress::of_account(text).expect("an address");
    let found =
        async |email: &str| find_twins(&database.pool, &of_account(email)).await.expect("readable");
    assert_eq!(found("anna@bücher.example").await, [people[2]], "by its tag of today");
    assert_eq!(fold_claims(&database.pool).await.expect("writable"), 3);
    for twin in ["anna@bücher.example", "Anna@xn--bcher-kva.example"] {
        assert_eq!(found(twin).await, people[..3], "{twin}");
        let taken = sign_up(&database, &bus, new_id(), twin, None).await;
        assert_eq!(code(taken), "email_taken");
    }
    assert_eq!(found("JÖRG@example.com").await, [people[3]]);
    assert_eq!(fold_claims(&database.pool).await.expect("writable"), 0, "once");
}

#[tokio::test]
async fn as_many_events_have_a_tag_as_a_limit_allows_and_no_more() {
    const MOST: u32 = 3;
    let database = Database::new().await;
    let buses = [Arc::new(database.bus()), Arc::new(database.bus())];
    let vault = Vault::new(database.pool.clone());
    let mut all = tokio::task::JoinSet::new();
    for number in 0..16 {
        let (bus, vault) = (Arc::clone(&buses[number % 2]), vault.clone());
        all.spawn(async move {
            let user_id = new_id();
            let command = register_command(&vault, user_id).await;
            let tag = Tag { name: EMAIL_TAG, value: "shared".to_owned(), person_id: None };
            let plan = Plan::new(&context())
                .step::<User>(&user_id, command)
                .tagged(tag.clone())
                .at_most(MOST, tag, || Box::new(EmailTaken));
            bus.execute(plan).await
        });
    }
    let (done, refused): (Vec<_>, Vec<_>) =
        all.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(done.len(), MOST as usize);
    assert!(refused.into_iter().all(|refused| code(refused) == "email_taken"));
    database.assert_gap_free().await;
}

#[tokio::test]
async fn an_event_that_has_a_tag_is_not_appended_without_it() {
    let database = Database::new().await;
    let (bus, user_id) = (database.bus(), new_id());
    let vault = Vault::new(database.pool.clone());
    let command = register_command(&vault, user_id).await;
    let plan = Plan::new(&context()).step::<User>(&user_id, command);
    let refused = bus.execute(plan).await.map(drop);
    assert!(
        matches!(refused, Err(ExecuteError::Append(AppendError::Unstorable(_)))),
        "{refused:?}"
    );
}
