//! One person's registration, asked for more than once.

mod support;

use commands::bus::{Bus, ExecuteError, Executed, RequestKey};
use commands::registration::{Registration, register};
use commands::vault::Vault;
use compose::testing::eventually;
use domain::user::User;
use domain::{EmailAddress, Locale, RoleName};
use support::{Database, context, new_id};
use uuid::Uuid;

const EMAIL: &str = "ada@example.com";

fn registration(user_id: Uuid, email: &str) -> Registration {
    Registration {
        user_id,
        email: EmailAddress::parse(email).expect("an address"),
        name: None,
        password_hash: "hash".to_owned(),
        locale: Locale::parse("en").expect("a language"),
        role: RoleName::known("customer"),
        number: 1,
    }
}

async fn sign_up(
    database: &Database,
    bus: &Bus,
    user_id: Uuid,
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

/// The claim that another process is making: it is there and cannot be seen yet.
async fn claim_of_another_process(
    database: &Database,
    user_id: Uuid,
) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let mut transaction = database.pool.begin().await.expect("the database is up");
    for statement in [
        "insert into personal_keys (person_id, key) select $1, decode(repeat('07', 32), 'hex') \
          where $2 <> ''",
        "insert into email_claims (email, person_id) values ($2, $1)",
    ] {
        let insert = sqlx::query(statement).bind(user_id).bind(EMAIL);
        insert.execute(&mut *transaction).await.expect("nobody has it");
    }
    transaction
}

async fn somebody_waits_for_it(database: &Database) {
    eventually("the claim is waited for", || async {
        let waiting = "select exists (select from pg_locks where locktype = 'transactionid' \
                                         and not granted)";
        let waits: bool =
            sqlx::query_scalar(waiting).fetch_one(&database.pool).await.expect("readable");
        waits.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_registration_at_two_processes_at_once_is_the_owners() {
    let database = Database::new().await;
    let (bus, user_id) = (database.bus(), new_id());
    let key = Some(RequestKey { key: new_id(), fingerprint: [1; 32] });
    let claim = claim_of_another_process(&database, user_id).await;
    let register = sign_up(&database, &bus, user_id, EMAIL, key);
    let meanwhile = async {
        somebody_waits_for_it(&database).await;
        claim.commit().await.expect("the database is up");
    };
    let (registered, ()) = tokio::join!(register, meanwhile);
    let registered = registered.map_err(|error| error.to_string()).expect("it is their own");
    assert!(!registered.replayed && registered.state::<User>(0).exists());
    let other = database.bus();
    let again = sign_up(&database, &other, user_id, EMAIL, key).await.expect("it is their own");
    assert!(again.replayed && again.positions == registered.positions);
}

#[tokio::test]
async fn an_address_that_somebody_else_is_getting_is_taken() {
    let database = Database::new().await;
    let bus = database.bus();
    let claim = claim_of_another_process(&database, new_id()).await;
    let key = Some(RequestKey { key: new_id(), fingerprint: [1; 32] });
    let register = sign_up(&database, &bus, new_id(), EMAIL, key);
    let meanwhile = async {
        somebody_waits_for_it(&database).await;
        claim.commit().await.expect("the database is up");
    };
    let (refused, ()) = tokio::join!(register, meanwhile);
    assert_eq!(code(refused), "email_taken");
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
    // Also when the first attempt has got no farther than to its claim.
    let (cut_off, key) = (new_id(), RequestKey { key: new_id(), fingerprint: [1; 32] });
    sqlx::query(
        "insert into personal_keys (person_id, key) values ($1, decode(repeat('07', 32), 'hex'))",
    )
    .bind(cut_off)
    .execute(&database.pool)
    .await
    .expect("nobody has it");
    sqlx::query("insert into email_claims (email, person_id) values ('cut@example.com', $1)")
        .bind(cut_off)
        .execute(&database.pool)
        .await
        .expect("nobody has it");
    let other = sign_up(&database, &bus, cut_off, "off@example.com", Some(key)).await.map(drop);
    assert!(matches!(other, Err(ExecuteError::KeyReused)), "{other:?}");
    let same = sign_up(&database, &bus, cut_off, "cut@example.com", Some(key)).await;
    assert!(same.is_ok(), "it goes on");
}

#[tokio::test]
async fn a_repetition_claims_nothing_for_somebody_who_was_erased_since() {
    let database = Database::new().await;
    let (bus, user_id) = (database.bus(), new_id());
    let key = Some(RequestKey { key: new_id(), fingerprint: [1; 32] });
    sign_up(&database, &bus, user_id, EMAIL, key).await.expect("a fresh address");
    let erase = "delete from personal_keys where person_id = $1";
    sqlx::query(erase).bind(user_id).execute(&database.pool).await.expect("the database is up");
    assert!(sign_up(&database, &bus, user_id, EMAIL, key).await.expect("it is known").replayed);
    let other = sign_up(&database, &bus, new_id(), EMAIL, None).await;
    assert!(other.is_ok(), "the address is free");
}
