//! What people do to others by way of the shop: mails to strangers, cards that are not theirs.

use crate::support::{Gomall, PASSWORD, Person, Shop, key, new_id};
use compose::testing::eventually;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;

/// The mails to an address, read.
fn mails_to(shop: &Shop, address: &str) -> Vec<String> {
    let folder = shop.data_dir.path().join("mail");
    let mails = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mails = mails.filter_map(|mail| std::fs::read_to_string(mail.path()).ok());
    mails.filter(|mail| mail.lines().any(|line| line == format!("To: {address}"))).collect()
}

async fn mail_to(shop: &Shop, address: &str, words: &str) -> String {
    eventually(words, || async {
        mails_to(shop, address).into_iter().find(|mail| mail.contains(words))
    })
    .await
}

async fn registered(shop: &Shop, gomall: &Gomall, name: &str) -> Person {
    let email = format!("{}@example.com", new_id().simple());
    let body = json!({"email": email, "password": PASSWORD, "name": name});
    let answer = shop.visitor(gomall).post("/api/v1/auth/register", &body).await;
    answer.expect(StatusCode::CREATED);
    let token = answer.body["access_token"].as_str();
    let mut person = shop.visitor(gomall).with_token(token);
    person.user = answer.body["user"].clone();
    person
}

fn checkout_to(email: &str, token: Option<&str>) -> Value {
    let mut body = crate::support::checkout_body(token);
    body["email"] = json!(email);
    body
}

async fn order_to(person: &Person, email: &str) {
    person.add("notebook", 1).await.expect(StatusCode::OK);
    let placed = person.post_keyed("/api/v1/checkouts", &key(), &checkout_to(email, None)).await;
    placed.expect(StatusCode::CREATED);
}

#[tokio::test]
async fn nobody_writes_to_a_stranger_by_the_name_that_they_choose() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    for name in ["You won, collect at http://win.example", "Call 0900 12345", "Ada"] {
        let person = registered(&shop, &gomall, name).await;
        let stranger = format!("{}@example.com", new_id().simple());
        order_to(&person, &stranger).await;
        let mail = mail_to(&shop, &stranger, "thank you for your order").await;
        assert!(mail.contains("Hello,"), "{mail}");
        for free_text in [name, "won", "0900", "Ada Lovelace", "Square"] {
            assert!(!mail.contains(free_text), "{free_text}: {mail}");
        }
        let own = person.user["email"].as_str().expect("an address");
        let asked = mail_to(&shop, own, "confirm that it is yours").await;
        assert!(!asked.contains(name), "{asked}");
    }

    // Who has proved that an address is theirs is greeted there, and nowhere else.
    let person = registered(&shop, &gomall, "Grace").await;
    let own = person.user["email"].as_str().expect("an address").to_owned();
    let mail = mail_to(&shop, &own, "confirm that it is yours").await;
    let token = mail.lines().find_map(|line| line.strip_prefix("  ")).expect("a token");
    let verify = json!({"token": token});
    let verified = shop.visitor(&gomall).post("/api/v1/auth/verify-email", &verify).await;
    verified.expect(StatusCode::NO_CONTENT);
    order_to(&person, &own).await;
    let mail = mail_to(&shop, &format!("Grace <{own}>"), "thank you for your order").await;
    assert!(mail.contains("Hello Grace,"), "{mail}");
    let stranger = format!("{}@example.com", new_id().simple());
    order_to(&person, &stranger).await;
    let mail = mail_to(&shop, &stranger, "thank you for your order").await;
    assert!(mail.contains("Hello,") && !mail.contains("Grace"), "{mail}");
}

#[tokio::test]
async fn cards_that_are_declined_are_braked_and_told_of_once() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let (thief, customer) = (shop.customer(&gomall).await, shop.customer(&gomall).await);
    let address = format!("{}@example.com", new_id().simple());
    thief.add("notebook", 1).await.expect(StatusCode::OK);
    let order = checkout_to(&address, None);
    let placed = thief.post_keyed("/api/v1/checkouts", &key(), &order).await;
    let placed = placed.expect(StatusCode::CREATED)["order"].clone();
    let path = format!("/api/v1/orders/{}/payments", placed["id"].as_str().expect("an id"));
    let pay = |token: &str| json!({"method": "card", "token": token});

    let first = key();
    for attempt in 0..5 {
        let key = if attempt == 0 { first.clone() } else { key() };
        let paid = thief.post_keyed(&path, &key, &pay("tok_declined")).await;
        assert_eq!(paid.expect(StatusCode::CREATED)["status"], "declined");
    }
    // Another card does not help, what was answered is answered again, and the price of asking is nothing.
    for token in ["tok_ok", "tok_declined"] {
        let braked = thief.post_keyed(&path, &key(), &pay(token)).await;
        braked.refused(429, "too_many_declines");
        let wait = braked.header("retry-after").and_then(|wait| wait.parse::<u64>().ok());
        assert!(wait.is_some_and(|wait| (1..=61).contains(&wait)), "{wait:?}");
    }
    let again = thief.post_keyed(&path, &first, &pay("tok_declined")).await;
    assert_eq!(again.expect(StatusCode::CREATED)["status"], "declined");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let order = thief.get(path.trim_end_matches("/payments")).await;
    assert_eq!(order.expect(StatusCode::OK)["status"], "awaiting_payment");

    // Nobody else waits, and whoever tries the same card at many orders does.
    customer.add("notebook", 1).await.expect(StatusCode::OK);
    let paid = customer.check_out(&key(), Some("tok_ok")).await;
    assert_eq!(paid.expect(StatusCode::CREATED)["order"]["status"], "paid");
    let mut answers = vec![];
    for _ in 0..8 {
        let other = shop.customer(&gomall).await;
        other.add("notebook", 1).await.expect(StatusCode::OK);
        answers.push(other.check_out(&key(), Some("tok_declined")).await);
    }
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, [201, 201, 201, 201, 201, 429, 429, 429]);
    answers[7].refused(429, "too_many_declines");

    mail_to(&shop, &address, "was declined").await;
    let told = |mails: &[String]| mails.iter().filter(|mail| mail.contains("was declined")).count();
    let skipped =
        "select count(*) from mails where state = 'skipped' and kind = 'payment_declined'";
    let pool = PgPool::connect(&shop.stack.postgres.url("gomall")).await.expect("it is up");
    eventually("the other declines are not told of", || async {
        let skipped: i64 = sqlx::query_scalar(skipped).fetch_one(&pool).await.ok()?;
        (skipped == 4).then_some(())
    })
    .await;
    assert_eq!(told(&mails_to(&shop, &address)), 1);
}
