//! What things cost: nothing, something in another currency than before, and each variant its own.

use crate::support::{Person, Shop, checkout_body, key};
use compose::testing::eventually;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;

/// The body of a product with these variants: SKU, name if it has one, price.
fn product(name: &str, variants: &[(&str, Option<&str>, i64, &str)]) -> Value {
    let variants = variants.iter().map(|(sku, name, amount, currency)| {
        json!({"sku": sku, "name": name, "price": {"amount": amount, "currency": currency}})
    });
    json!({
        "name": name, "description": "", "categories": [],
        "variants": variants.collect::<Vec<_>>(),
    })
}

/// Puts a product on sale, ten of each variant, and gives its path.
async fn sell(admin: &Person, product: &Value) -> String {
    let created = admin.post_keyed("/api/v1/admin/products", &key(), product).await;
    let id = created.expect(StatusCode::CREATED)["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/admin/products/{id}");
    let mut last = admin.post(&format!("{path}/publish"), &json!({})).await;
    last.expect(StatusCode::OK);
    for variant in product["variants"].as_array().expect("variants") {
        let sku = variant["sku"].as_str().expect("a SKU");
        let receive = json!({"quantity": 10, "reason": "delivery"});
        let stock = format!("/api/v1/admin/stock/{sku}/receive");
        last = admin.post_keyed(&stock, &key(), &receive).await;
        last.expect(StatusCode::OK);
    }
    admin.get_once_at("/api/v1/products", last.position()).await.expect(StatusCode::OK);
    path
}

fn mails(shop: &Shop) -> Vec<String> {
    let folder = std::fs::read_dir(shop.data_dir.path().join("mail"));
    let files = folder.into_iter().flatten().flatten();
    files.filter_map(|mail| std::fs::read_to_string(mail.path()).ok()).collect()
}

#[tokio::test]
async fn an_order_that_costs_nothing_is_paid_at_once_and_asks_nobody() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let admin = shop.admin(&gomall).await;
    sell(&admin, &product("Sample", &[("sample", None, 0, "USD")])).await;
    let pool = PgPool::connect(&shop.stack.postgres.url("gomall")).await.expect("it is up");
    // Without a payment, and with cards that would be refused, never answered, or asked about.
    for token in [None, Some("tok_declined"), Some("tok_timeout"), Some("tok_unavailable")] {
        let customer = shop.customer(&gomall).await;
        customer.add("sample", 2).await.expect(StatusCode::OK);
        let once = key();
        let placed = customer.check_out(&once, token).await;
        let order = placed.expect(StatusCode::CREATED)["order"].clone();
        assert_eq!(order["status"], "paid", "{token:?}");
        assert_eq!(order["payment_status"], "none", "{token:?}");
        assert_eq!(order["totals"]["total"], json!({"amount": 0, "currency": "USD"}));
        assert!(placed.body.get("payment").is_none(), "{token:?}: {}", placed.text);
        let again = customer.check_out(&once, token).await;
        assert_eq!(again.expect(StatusCode::CREATED)["order"], order);
        assert_eq!(again.header("idempotent-replayed"), Some("true"));

        let id = order["id"].as_str().expect("an id");
        let path = format!("/api/v1/orders/{id}");
        let shown = customer.get_once_at(&path, placed.position()).await;
        assert_eq!(shown.expect(StatusCode::OK)["status"], "paid");
        let pay = json!({"method": "card", "token": "tok_ok"});
        let refused = customer.post_keyed(&format!("{path}/payments"), &key(), &pay).await;
        refused.refused(409, "order_not_payable");
        // One append: placed, sold, and the cart empty, all of one request.
        let types: Vec<String> = sqlx::query_scalar(
            "select event_type from events where metadata::jsonb ->> 'correlation_id' = \
               (select metadata::jsonb ->> 'correlation_id' from events \
                 where aggregate_id = $1 and sequence = 1) order by event_type",
        )
        .bind(id)
        .fetch_all(&pool)
        .await
        .expect("a query");
        let one_append = [
            "CartCheckedOut",
            "OrderPlaced",
            "OrderRequiredNoPayment",
            "StockCommitted",
            "StockReserved",
        ];
        assert_eq!(types, one_append, "{token:?}");
    }
    let asked: i64 =
        sqlx::query_scalar("select count(*) from events where aggregate_type = 'payment'")
            .fetch_one(&pool)
            .await
            .expect("a query");
    assert_eq!(asked, 0);
    // Nothing waits for money that never comes.
    eventually("no timer is left", async || {
        let timers = "select count(*) from process_timers where process = 'unpaid_orders'";
        let timers: i64 = sqlx::query_scalar(timers).fetch_one(&pool).await.expect("a query");
        let seen = "select position >= (select max(position) from events \
                      where aggregate_type = 'order') from process_checkpoints \
                     where name = 'unpaid_orders'";
        let seen = sqlx::query_scalar(seen).fetch_optional(&pool).await.expect("a query");
        (timers == 0 && seen == Some(true)).then_some(())
    })
    .await;
    let stock = admin.get("/api/v1/products?q=sample").await;
    assert_eq!(stock.expect(StatusCode::OK)["items"][0]["variants"][0]["available"], 2);
    let told = eventually("the mails", async || {
        let told: Vec<String> =
            mails(&shop).into_iter().filter(|mail| mail.contains("Your order ")).collect();
        (told.len() == 4).then_some(told)
    })
    .await;
    for mail in told {
        assert!(mail.contains("There is nothing to pay."), "{mail}");
        assert!(!mail.contains("Please pay"), "{mail}");
    }
    assert!(!mails(&shop).iter().any(|mail| mail.contains("received your payment")));
}

#[tokio::test]
async fn a_line_that_lost_the_carts_currency_is_named() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let admin = shop.admin(&gomall).await;
    let customer = shop.customer(&gomall).await;
    sell(&admin, &product("Stays", &[("stays", None, 500, "USD")])).await;
    let path = sell(&admin, &product("Moves", &[("moves", None, 700, "USD")])).await;
    for sku in ["stays", "moves"] {
        customer.add(sku, 1).await.expect(StatusCode::OK);
    }
    let known = admin.get(&path).await;
    let version = known.header("etag").expect("a single resource has one").to_owned();
    let revised = product("Moves", &[("moves", None, 600, "EUR")]);
    let headers = [("if-match", version.as_str())];
    admin.send(Method::PUT, &path, &headers, Some(&revised)).await.expect(StatusCode::OK);

    let lines = json!([{
        "sku": "moves",
        "seen": {"amount": 700, "currency": "USD"}, "now": {"amount": 600, "currency": "EUR"},
    }]);
    let mut agreeing = checkout_body(None);
    agreeing["expected_total"] = json!({"amount": 1_200, "currency": "USD"});
    for body in [checkout_body(None), checkout_body(Some("tok_ok")), agreeing] {
        let quoted = customer.post("/api/v1/checkouts/quote", &body).await;
        let ordered = customer.post_keyed("/api/v1/checkouts", &key(), &body).await;
        for refused in [quoted, ordered] {
            assert_eq!(refused.refused(422, "currency_unavailable")["lines"], lines);
        }
    }
    // Whoever takes the line out can order the rest.
    customer.delete("/api/v1/me/cart/lines/moves").await.expect(StatusCode::OK);
    customer.check_out(&key(), None).await.expect(StatusCode::CREATED);
}

#[tokio::test]
async fn the_variant_that_was_bought_is_named_everywhere() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let admin = shop.admin(&gomall).await;
    let customer = shop.customer(&gomall).await;
    let sizes = [("shirt-s", Some("Size S"), 500, "USD"), ("shirt-m", Some("Size M"), 600, "USD")];
    sell(&admin, &product("Linen shirt", &sizes)).await;
    sell(&admin, &product("Plain mug", &[("mug", None, 100, "USD")])).await;
    let named = |lines: &Value| -> Vec<(String, Option<String>)> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let lines = lines.as_array().expect("lines").iter();
        lines.map(|line| (text(&line["name"]).expect("a name"), text(&line["variant"]))).collect()
    };
    let line = |name: &str, variant: Option<&str>| (name.to_owned(), variant.map(str::to_owned));
    let expected = [
        line("Linen shirt", Some("Size S")),
        line("Linen shirt", Some("Size M")),
        line("Plain mug", None),
    ];

    let mut cart = Value::Null;
    let mut position = 0;
    for sku in ["shirt-s", "shirt-m", "mug"] {
        let added = customer.add(sku, 1).await;
        cart = added.expect(StatusCode::OK).clone();
        position = added.position();
    }
    assert_eq!(named(&cart["lines"]), expected);
    let shown = customer.get_once_at("/api/v1/me/cart", position).await;
    assert_eq!(named(&shown.expect(StatusCode::OK)["lines"]), expected);
    let quote = customer.post("/api/v1/checkouts/quote", &checkout_body(None)).await;
    assert_eq!(named(&quote.expect(StatusCode::OK)["lines"]), expected);
    let placed = customer.check_out(&key(), Some("tok_ok")).await;
    let order = placed.expect(StatusCode::CREATED)["order"].clone();
    assert_eq!(named(&order["lines"]), expected);
    let path = format!("/api/v1/orders/{}", order["id"].as_str().expect("an id"));
    let shown = customer.get_once_at(&path, placed.position()).await;
    assert_eq!(named(&shown.expect(StatusCode::OK)["lines"]), expected);

    let events = admin.get("/api/v1/events?types=ItemAdded,OrderPlaced").await;
    let events = events.expect(StatusCode::OK)["items"].as_array().expect("a list").clone();
    let (placed, added): (Vec<_>, Vec<_>) =
        events.iter().partition(|event| event["type"] == "gomall.order.OrderPlaced.v1");
    assert_eq!(named(&placed[0]["data"]["lines"]), expected);
    let added = added.into_iter().map(|event| event["data"].clone()).collect();
    assert_eq!(named(&Value::Array(added)), expected);
    let mail = eventually("the mail", async || {
        mails(&shop).into_iter().find(|mail| mail.contains("This is what you ordered"))
    })
    .await;
    for told in ["1 x Linen shirt (Size S): 5.00 USD", "1 x Linen shirt (Size M): 6.00 USD"] {
        assert!(mail.contains(told), "{mail}");
    }
    assert!(mail.contains("1 x Plain mug: 1.00 USD"), "{mail}");
}

#[tokio::test]
async fn a_cart_shows_by_itself_what_has_become_of_its_lines() {
    const CART: &str = "/api/v1/me/cart";
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let admin = shop.admin(&gomall).await;
    let customer = shop.customer(&gomall).await;
    let lamp = |amount: i64, currency: &str| product("Lamp", &[("lamp", None, amount, currency)]);
    let path = sell(&admin, &lamp(500, "USD")).await;
    let added = customer.add("lamp", 3).await;
    added.expect(StatusCode::OK);
    let shown = customer.get_once_at(CART, added.position()).await;
    assert_eq!(shown.expect(StatusCode::OK), &added.body, "there is nothing to say");
    let mut tags = vec![shown.header("etag").expect("a tag").to_owned()];
    let revise = async |body: Value| {
        let revised = admin.send(Method::PUT, &path, &[("if-match", "*")], Some(&body)).await;
        revised.expect(StatusCode::OK);
        revised.position()
    };
    let adjust = async |quantity: i64| {
        let body = json!({"quantity": quantity, "reason": "broken"});
        let adjusted = admin.post_keyed("/api/v1/admin/stock/lamp/adjust", &key(), &body).await;
        adjusted.expect(StatusCode::OK);
        adjusted.position()
    };
    let mut says = async |position: u64, notice: Value| {
        // Whoever has the cart as it was is told that it is another one.
        let known = tags.last().expect("a tag").clone();
        let position = position.to_string();
        let headers = [("gomall-position", &*position), ("if-none-match", &*known)];
        let shown = customer.send(Method::GET, CART, &headers, None).await;
        let line = &shown.expect(StatusCode::OK)["lines"][0];
        assert_eq!((&line["notice"], &line["unit_price"]["amount"]), (&notice, &json!(500)));
        let tag = shown.header("etag").expect("a tag").to_owned();
        assert!(notice.is_null() || !tags.contains(&tag), "{tags:?} {tag}");
        tags.push(tag);
    };
    says(revise(lamp(700, "USD")).await, json!("price_changed")).await;
    says(adjust(-8).await, json!("short")).await;
    says(adjust(8).await, json!("price_changed")).await;
    says(revise(lamp(500, "USD")).await, Value::Null).await;
    says(adjust(-8).await, json!("short")).await;
    says(revise(lamp(500, "EUR")).await, json!("unavailable")).await;
    says(revise(lamp(500, "USD")).await, json!("short")).await;
    let retired = admin.post(&format!("{path}/retire"), &json!({})).await;
    retired.expect(StatusCode::OK);
    says(retired.position(), json!("unavailable")).await;
}
