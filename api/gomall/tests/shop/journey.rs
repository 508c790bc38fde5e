//! The journey: from nothing to a paid order and its mail, and what must hold on the way.

use crate::support::{Person, Shop, key};
use compose::testing::eventually;
use reqwest::StatusCode;
use serde_json::{Value, json};

/// Everything that the README shows, as one story.
#[tokio::test]
async fn a_person_registers_orders_pays_and_gets_mail_and_an_analyst_replays_it() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let visitor = shop.visitor(&gomall);

    let products = visitor.get("/api/v1/products").await;
    let names: Vec<_> = items(&products.body).iter().map(|p| p["number"].clone()).collect();
    assert_eq!(names, [1, 2, 3, 4, 5, 6, 7], "the seven samples, in their order");
    let sku = products.body["items"][0]["variants"][0]["sku"].as_str().expect("a SKU").to_owned();

    let customer = shop.customer(&gomall).await;
    let me = customer.get("/api/v1/me").await;
    assert_eq!(me.expect(StatusCode::OK)["roles"], json!(["customer"]));

    let added = customer.add(&sku, 2).await;
    assert_eq!(added.expect(StatusCode::OK)["total"], json!({"amount": 1980, "currency": "USD"}));
    let cart = customer.get_after("/api/v1/me/cart", added.position()).await;
    assert_eq!(cart.body, added.body, "one reads what one has written");

    let checkout_key = key();
    let placed = customer.check_out(&checkout_key, Some("tok_ok")).await;
    placed.expect(StatusCode::CREATED);
    assert_eq!(placed.body["order"]["status"], "paid", "{}", placed.text);
    assert_eq!(placed.body["payment"]["status"], "captured");
    assert_eq!(placed.body["order"]["shipping_address"]["zip"], "01234", "zip codes are text");
    let order_path = format!("/api/v1/orders/{}", placed.body["order"]["id"].as_str().expect("id"));

    // A retry under the same key gives the same order; another body does not.
    let again = customer.check_out(&checkout_key, Some("tok_ok")).await;
    assert_eq!(again.expect(StatusCode::CREATED)["order"], placed.body["order"]);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    customer.check_out(&checkout_key, None).await.refused(422, "idempotency_key_reused");
    assert_eq!(items(&customer.get("/api/v1/orders").await.body).len(), 1);

    let order = customer.get_after(&order_path, placed.position()).await;
    assert_eq!(order.expect(StatusCode::OK), &placed.body["order"]);
    let stranger = shop.customer(&gomall).await;
    stranger.get(&order_path).await.refused(404, "not_found");

    let mails = shop.data_dir.path().join("mail");
    eventually("two mails about the order", || async {
        let mails = std::fs::read_dir(&mails).ok()?.flatten();
        let mails: Vec<_> =
            mails.filter_map(|mail| std::fs::read_to_string(mail.path()).ok()).collect();
        let about_orders = mails.iter().filter(|mail| mail.contains("order"));
        (about_orders.count() == 2).then_some(())
    })
    .await;

    // Every step is an event, in order, without personal data.
    let admin = shop.admin(&gomall).await;
    let events = admin.get("/api/v1/events?limit=1000").await;
    let events = items(events.expect(StatusCode::OK)).clone();
    let positions: Vec<_> = events.iter().filter_map(|event| event["position"].as_u64()).collect();
    assert_eq!(positions, (1..=positions.len() as u64).collect::<Vec<_>>());
    let text = serde_json::to_string(&events).expect("JSON");
    for personal in ["customer@example.com", "Lovelace", "St James", "argon2"] {
        assert!(!text.contains(personal), "{personal} must not be public");
    }
    for step in ["UserRegistered", "ItemAdded", "OrderPlaced", "PaymentCaptured", "OrderPaid"] {
        assert!(text.contains(step), "{step} is an event");
    }
    assert_stream_equals_journal(&shop, &events).await;
}

#[tokio::test]
async fn the_last_unit_is_not_sold_twice_by_64_parallel_checkouts_at_two_processes() {
    let shop = Shop::new().await;
    let processes = [shop.serve(), shop.serve()];
    let admin = shop.admin(&processes[0]).await;
    create_product(&admin, "LAST-ONE", 500, 1).await;

    let mut customers = tokio::task::JoinSet::new();
    let first = shop.customer(&processes[0]).await;
    for number in 0..64 {
        let buyer =
            if number == 0 { first.clone() } else { shop.customer(&processes[number % 2]).await };
        buyer.add("LAST-ONE", 1).await.expect(StatusCode::OK);
        customers.spawn(async move {
            // Told to come back (contended), a customer comes back under the same key.
            let key = key();
            loop {
                let answer = buyer.check_out(&key, None).await;
                if answer.status != StatusCode::SERVICE_UNAVAILABLE {
                    return answer;
                }
            }
        });
    }
    let answers = customers.join_all().await;
    let sold = answers.iter().filter(|answer| answer.status == StatusCode::CREATED).count();
    assert_eq!(sold, 1);
    for answer in answers.iter().filter(|answer| answer.status != StatusCode::CREATED) {
        let problem = answer.refused(409, "out_of_stock");
        assert_eq!(problem["lines"], json!([{"sku": "LAST-ONE", "requested": 1, "available": 0}]));
    }
}

#[tokio::test]
async fn nats_stopped_in_the_middle_does_not_stop_the_shop_and_the_stream_catches_up() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let customer = shop.customer(&gomall).await;
    customer.add("notebook", 1).await.expect(StatusCode::OK);
    shop.stack.nats.stop().await;

    let placed = customer.check_out(&key(), Some("tok_ok")).await;
    assert_eq!(placed.expect(StatusCode::CREATED)["order"]["status"], "paid");
    let order_path = format!("/api/v1/orders/{}", placed.body["order"]["id"].as_str().expect("id"));
    let order = customer.get_after(&order_path, placed.position()).await;
    assert_eq!(order.expect(StatusCode::OK)["status"], "paid");
    eventually("the shop says that it is degraded", || async {
        let ready = shop.visitor(&gomall).get("/readyz").await;
        (ready.expect(StatusCode::OK)["degraded"] == json!(["nats"])).then_some(())
    })
    .await;

    shop.stack.nats.start().await.expect("nats-server starts again");
    let admin = shop.admin(&gomall).await;
    let events = admin.get("/api/v1/events").await;
    assert_stream_equals_journal(&shop, items(&events.body)).await;
}

#[tokio::test]
async fn a_payment_cut_off_by_kill_9_is_looked_up_and_the_order_ends_paid() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let customer = shop.customer(&gomall).await;
    customer.add("notebook", 1).await.expect(StatusCode::OK);
    let placed = customer.check_out(&key(), None).await;
    placed.expect(StatusCode::CREATED);
    let order_id = placed.body["order"]["id"].as_str().expect("id").to_owned();
    let payments = format!("/api/v1/orders/{order_id}/payments");
    let paying = {
        let customer = customer.clone();
        // The provider takes the money at once and answers ten seconds later.
        let body = json!({"method": "card", "token": "tok_slow_10000"});
        tokio::spawn(async move {
            let key = key();
            let request = customer.post_keyed(&payments, &key, &body);
            let _ = tokio::time::timeout(std::time::Duration::from_secs(30), request).await;
        })
    };
    let admin = shop.admin(&gomall).await;
    eventually("the payment is recorded as asked for", || async {
        let events = admin.get("/api/v1/events?types=PaymentRequested").await;
        (items(&events.body).len() == 1).then_some(())
    })
    .await;
    // The sandbox keeps its books in the same cluster: the money is taken.
    let database =
        sqlx::PgPool::connect(&shop.stack.postgres.url("gomall")).await.expect("it is up");
    eventually("the provider has captured", || async {
        let captured: i64 =
            sqlx::query_scalar("select count(*) from sandbox.payments where status = 'captured'")
                .fetch_one(&database)
                .await
                .expect("the sandbox's books are readable");
        (captured == 1).then_some(())
    })
    .await;
    gomall.kill9();
    paying.abort();

    let gomall = shop.serve();
    let customer = customer.at(&gomall);
    eventually("the order is paid", || async {
        let order = customer.get(&format!("/api/v1/orders/{order_id}")).await;
        (order.body["status"] == "paid").then_some(())
    })
    .await;
    let admin = shop.admin(&gomall).await;
    let captured = admin.get("/api/v1/events?types=PaymentCaptured,OrderPaid").await;
    assert_eq!(items(&captured.body).len(), 2, "recorded once");
}

fn items(list: &Value) -> &Vec<Value> {
    list["items"].as_array().expect("a list")
}

async fn create_product(admin: &Person, sku: &str, cents: i64, stock: u32) {
    let product = json!({
        "name": "Thing", "description": "", "categories": [],
        "variants": [{"sku": sku, "price": {"amount": cents, "currency": "USD"}}],
    });
    let created = admin.post_keyed("/api/v1/admin/products", &key(), &product).await;
    let id = created.expect(StatusCode::CREATED)["id"].as_str().expect("id").to_owned();
    let published = admin.post(&format!("/api/v1/admin/products/{id}/publish"), &json!({})).await;
    published.expect(StatusCode::OK);
    let receive = json!({"quantity": stock, "reason": "delivery"});
    let path = format!("/api/v1/admin/stock/{sku}/receive");
    let received = admin.post_keyed(&path, &key(), &receive).await;
    let position = received.position();
    received.expect(StatusCode::OK);
    admin.get_after("/api/v1/products", position).await.expect(StatusCode::OK);
}

/// JetStream holds every event of the journal: message sequence = position, the same id, the same
/// body.
async fn assert_stream_equals_journal(shop: &Shop, events: &[Value]) {
    let client = async_nats::connect(shop.stack.nats.url()).await.expect("NATS is up");
    let jetstream = async_nats::jetstream::new(client);
    let last = events.last().and_then(|event| event["position"].as_u64()).expect("events");
    let stream = eventually("the stream has everything", || async {
        let mut stream = jetstream.get_stream("GOMALL").await.ok()?;
        let info = stream.info().await.ok()?;
        (info.state.last_sequence >= last).then(|| stream.clone())
    })
    .await;
    for event in events {
        let position = event["position"].as_u64().expect("a position");
        let message = stream.get_raw_message(position).await.expect("no gap");
        let body: Value = serde_json::from_slice(&message.payload).expect("JSON");
        assert_eq!(&body, event);
    }
}
