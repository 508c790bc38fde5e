//! What staff write in words of their own, and the addresses that they ban, are for staff.

use crate::support::{Answer, Person, Shop, key};
use compose::testing::eventually;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;

/// What each of them says of somebody; a text of its own in every place.
const BAN: &str = "Ann Lee, +49 170 1234567, shouts at couriers";
const BAN_IN_A_LIST: &str = "Bob Poe, +49 170 7654321, sells our mugs on";
const ADDRESS: &str = "2001:db8:5ad:1::77";
const ADDRESS_BAN: &str = "the router of Cid Roy, 030 5550199";
const RECEIVED: &str = "brought by Dee Fox, 0171 5550123";
const ADJUSTED: &str = "broken by Eve Kay, dee@example.net";
const NOTE: &str = "asked for by Fay Orr, 0171 5550777";
const NOTE_CHANGED: &str = "asked for by Gil Ash, 0171 5550888";
const ALL: [&str; 8] =
    [BAN, BAN_IN_A_LIST, ADDRESS, ADDRESS_BAN, RECEIVED, ADJUSTED, NOTE, NOTE_CHANGED];

/// Whom the bans are about, and where to read what was written.
struct Written {
    ann: Person,
    bob: Person,
    address_ban: String,
    rule: String,
    last: u64,
}

#[tokio::test]
async fn words_of_staff_and_banned_addresses_are_for_staff_and_go_with_the_person() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let admin = shop.admin(&gomall).await;
    let (ann, bob) = (shop.customer(&gomall).await, shop.customer(&gomall).await);
    let written = write(&admin, ann, bob).await;
    let Written { ann, bob, last, .. } = &written;

    let shown = staff_see(&admin, &written).await;
    for (text, of_whom) in [(BAN, ann), (BAN_IN_A_LIST, bob)] {
        assert_eq!(shown.matches(text).count(), 3, "{text} in the list, alone, and of the user");
        // Whoever is banned does not hear why.
        assert!(!of_whom.get("/api/v1/me").await.refused(403, "banned").to_string().contains(text));
    }
    for text in [ADDRESS, ADDRESS_BAN, NOTE_CHANGED] {
        assert_eq!(shown.matches(text).count(), 2, "{text} in a list and alone");
    }
    assert_eq!((shown.matches(RECEIVED).count(), shown.matches(ADJUSTED).count()), (1, 1));

    let page = admin.get(&format!("/api/v1/events?after={}", last.saturating_sub(50))).await;
    let events = page.expect(StatusCode::OK)["items"].as_array().expect("a list").clone();
    for event in ["UserBanned.v2", "AddressBanned.v1", "StockReceived.v1", "RuleChanged.v1"] {
        assert!(page.text.contains(event), "{event} is there: {}", page.text);
    }
    holds_none("a page of events", &page.text);
    let accept = [("accept", "application/x-ndjson")];
    let export = admin.send(Method::GET, "/api/v1/events", &accept, None).await;
    assert!(export.text.lines().count() as u64 >= *last, "all of them");
    holds_none("an export", &export.text);
    holds_none("the stream", &stream(&shop, *last).await);
    let audit = admin.get_after("/api/v1/admin/audit?limit=100", *last).await;
    holds_none("the audit", audit.expect(StatusCode::OK).to_string().as_str());
    assert_eq!(events.last().map(|event| &event["position"]), Some(&json!(last)));

    // In the journal what speaks of somebody with an account is ciphertext only.
    let pool = PgPool::connect(&shop.stack.postgres.url("gomall")).await.expect("it is up");
    let stored = everything_stored(&pool).await;
    for text in [BAN, BAN_IN_A_LIST] {
        assert!(!stored.contains(text), "{text} is stored in the clear");
    }
    assert!(stored.contains(RECEIVED), "it would have been found");

    erase(&pool, ann).await;
    eventually("no process has the key any more", || async {
        let shown = staff_see(&admin, &written).await;
        (!shown.contains(BAN)).then_some(())
    })
    .await;
    let bans = format!("/api/v1/admin/bans/{}", ann.id());
    let ban = admin.get(&bans).await;
    assert_eq!(ban.expect(StatusCode::OK)["reason"], Value::Null);
    assert_eq!(ban.body["until"], "2999-01-01T00:00:00.000Z", "and the rest of it is there");
    ann.get("/api/v1/me").await.refused(403, "banned");
    assert!(staff_see(&admin, &written).await.contains(BAN_IN_A_LIST), "another's stays");
    let unbanned = admin.post(&format!("/api/v1/admin/users/{}/unban", ann.id()), &json!({})).await;
    assert_eq!(unbanned.expect(StatusCode::OK)["ban"], Value::Null);
}

#[tokio::test]
async fn a_ban_for_the_same_words_is_the_same_ban_and_a_retry_answers_as_before() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let admin = shop.admin(&gomall).await;
    let ann = shop.customer(&gomall).await;
    let path = format!("/api/v1/admin/users/{}/ban", ann.id());
    let (body, first_key) = (json!({"reason": BAN}), key());
    let first = admin.post_keyed(&path, &first_key, &body).await;
    assert_eq!(first.expect(StatusCode::OK)["ban"], json!({"reason": BAN, "until": null}));
    let again = admin.post_keyed(&path, &key(), &body).await;
    assert_eq!(again.expect(StatusCode::OK)["version"], first.body["version"], "nothing to do");
    let other = admin.post(&path, &json!({"reason": BAN_IN_A_LIST})).await;
    assert_eq!(other.expect(StatusCode::OK)["ban"]["reason"], BAN_IN_A_LIST);
    assert_ne!(other.body["version"], first.body["version"]);
    let shorter = json!({"reason": BAN_IN_A_LIST, "until": "2999-01-01T00:00:00Z"});
    let shorter = admin.post(&path, &shorter).await;
    assert_eq!(shorter.expect(StatusCode::OK)["ban"]["until"], "2999-01-01T00:00:00.000Z");
    let retried = admin.post_keyed(&path, &first_key, &body).await;
    assert_eq!(retried.header("idempotent-replayed"), Some("true"));
    assert_eq!(retried.expect(StatusCode::OK), &first.body);

    let nobody = format!("/api/v1/admin/users/{}/ban", crate::support::new_id());
    admin.post(&nobody, &body).await.refused(404, "not_found");
    let nobody = json!({"user_id": crate::support::new_id(), "reason": BAN});
    admin.post("/api/v1/admin/bans", &nobody).await.refused(404, "not_found");

    // Nothing can be sealed for who was erased. What was done before is answered as before, but for the words.
    let pool = PgPool::connect(&shop.stack.postgres.url("gomall")).await.expect("it is up");
    erase(&pool, &ann).await;
    eventually("the process has the key no more", || async {
        let refused = admin.post(&path, &json!({"reason": "another"})).await;
        (refused.status == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
    let retried = admin.post_keyed(&path, &first_key, &body).await;
    assert_eq!(retried.expect(StatusCode::OK)["ban"], json!({"reason": null, "until": null}));
    assert_eq!(retried.header("idempotent-replayed"), Some("true"));
}

/// A ban that an older build stored and published with its reason in the clear.
#[tokio::test]
async fn a_ban_of_before_reasons_were_sealed_is_read_by_staff_and_published_without_it() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let admin = shop.admin(&gomall).await;
    let ann = shop.customer(&gomall).await;
    let path = format!("/api/v1/admin/users/{}/ban", ann.id());
    let position = admin.post(&path, &json!({"reason": "x"})).await.position();
    // The ban is followed by the end of the sessions.
    drop(gomall);
    let pool = PgPool::connect(&shop.stack.postgres.url("gomall")).await.expect("it is up");
    let stored = format!(r#"{{"reason":"{BAN}","until":null}}"#);
    let older = sqlx::query(
        "update events set event_version = '1', payload = $1::json \
          where aggregate_id = $2 and event_type = 'UserBanned'",
    );
    let older = older.bind(stored).bind(ann.id()).execute(&pool).await.expect("it is up");
    assert_eq!(older.rows_affected(), 1);
    sqlx::query("delete from aggregate_snapshots").execute(&pool).await.expect("it is up");
    shop.run(&["rebuild", "users"]);
    let gomall = shop.serve();
    let admin = admin.at(&gomall);
    let bans = format!("/api/v1/admin/bans/{}", ann.id());
    eventually("the read model has it", || async {
        let ban = admin.get(&bans).await;
        (ban.body["reason"] == BAN).then_some(())
    })
    .await;
    ann.at(&gomall).get("/api/v1/me").await.refused(403, "banned");
    let page = admin.get(&format!("/api/v1/events?after={}", position.saturating_sub(5))).await;
    assert!(page.expect(StatusCode::OK).to_string().contains("UserBanned.v1"), "{}", page.text);
    holds_none("a page of events", &page.text);
    erase(&pool, &ann).await;
    eventually("words in the clear are gone from what staff see", || async {
        let ban = admin.get(&bans).await;
        ban.expect(StatusCode::OK)["reason"].is_null().then_some(())
    })
    .await;
}

/// Writes something of each kind.
async fn write(admin: &Person, ann: Person, bob: Person) -> Written {
    let until = "2999-01-01T00:00:00Z";
    let ban = json!({"reason": BAN, "until": until});
    let banned = admin.post(&format!("/api/v1/admin/users/{}/ban", ann.id()), &ban).await;
    assert_eq!(banned.expect(StatusCode::OK)["ban"]["reason"], BAN);
    let ban = json!({"user_id": bob.id(), "reason": BAN_IN_A_LIST});
    let banned = admin.post("/api/v1/admin/bans", &ban).await;
    assert_eq!(banned.expect(StatusCode::CREATED)["reason"], BAN_IN_A_LIST);
    let ban = json!({"cidr": ADDRESS, "reason": ADDRESS_BAN});
    let address_ban = made(admin.post("/api/v1/admin/bans", &ban).await);
    for (action, reason) in [("receive", RECEIVED), ("adjust", ADJUSTED)] {
        let path = format!("/api/v1/admin/stock/mascot/{action}");
        let booking = json!({"quantity": 7, "reason": reason});
        admin.post_keyed(&path, &key(), &booking).await.expect(StatusCode::OK);
    }
    let rule = |note: &str| {
        json!({"effect": "deny", "roles": ["visitor"], "methods": ["GET"], "path": "/api/v1/me",
               "note": note})
    };
    let added = admin.post("/api/v1/admin/permission-rules", &rule(NOTE)).await;
    let tag = added.header("etag").expect("a tag").to_owned();
    let rule_id = made(added);
    let path = format!("/api/v1/admin/permission-rules/{rule_id}");
    let headers = [("if-match", tag.as_str())];
    let changed = admin.send(Method::PUT, &path, &headers, Some(&rule(NOTE_CHANGED))).await;
    changed.expect(StatusCode::OK);
    Written { ann, bob, address_ban, rule: rule_id, last: changed.position() }
}

fn made(answer: Answer) -> String {
    answer.expect(StatusCode::CREATED)["id"].as_str().expect("an id").to_owned()
}

/// Everything that staff read about it.
async fn staff_see(admin: &Person, written: &Written) -> String {
    let Written { ann, bob, address_ban, rule, last } = written;
    let mut shown = String::new();
    for path in [
        "bans?limit=100".to_owned(),
        format!("bans/{address_ban}"),
        format!("bans/{}", ann.id()),
        format!("bans/{}", bob.id()),
        "users?limit=100".to_owned(),
        "permission-rules?limit=100".to_owned(),
        format!("permission-rules/{rule}"),
        "stock/mascot/ledger".to_owned(),
    ] {
        let answer = admin.get_once_at(&format!("/api/v1/admin/{path}"), *last).await;
        answer.expect(StatusCode::OK);
        shown.push_str(&answer.text);
    }
    shown
}

#[track_caller]
fn holds_none(whence: &str, text: &str) {
    for told in ALL {
        assert!(!text.contains(told), "{whence} holds {told}");
    }
}

/// All that JetStream has, headers included.
async fn stream(shop: &Shop, last: u64) -> String {
    let client = async_nats::connect(shop.stack.nats.url()).await.expect("NATS is up");
    let jetstream = async_nats::jetstream::new(client);
    let stream = eventually("the stream has everything", || async {
        let mut stream = jetstream.get_stream("GOMALL").await.ok()?;
        let info = stream.info().await.ok()?;
        (info.state.last_sequence >= last).then(|| stream.clone())
    })
    .await;
    let mut text = String::new();
    for sequence in 1..=last {
        let message = stream.get_raw_message(sequence).await.expect("no gap");
        text.push_str(&format!("{} {:?} ", message.subject, message.headers));
        text.push_str(&String::from_utf8_lossy(&message.payload));
    }
    text
}

/// Every row of every table, as text.
async fn everything_stored(pool: &PgPool) -> String {
    let tables = "select format('%I.%I', table_schema, table_name) from information_schema.tables \
                   where table_type = 'BASE TABLE' \
                     and table_schema not in ('pg_catalog', 'information_schema')";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(pool).await.expect("it is up");
    let mut text = String::new();
    for table in tables {
        let rows = format!("select coalesce(string_agg(r::text, E'\\n'), '') from {table} r");
        let rows: String = sqlx::query_scalar(&rows).fetch_one(pool).await.expect("a table");
        text.push_str(&rows);
    }
    text
}

/// Deletes the person's key, which is what makes an erasure.
async fn erase(pool: &PgPool, person: &Person) {
    let id: uuid::Uuid = person.id().parse().expect("an id");
    let erase = sqlx::query("delete from personal_keys where person_id = $1").bind(id);
    let erased = erase.execute(pool).await.expect("it is up");
    assert_eq!(erased.rows_affected(), 1);
}
