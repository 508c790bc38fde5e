//! Staff's routes: products, stock, users and the read models' state.

use crate::support;

use crate::support::{Answer, Person, Shop, key};
use compose::testing::eventually;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;

const PRODUCTS: &str = "/api/v1/admin/products";

fn product(skus: &[&str]) -> Value {
    let price = json!({"amount": 500, "currency": "USD"});
    let variants: Vec<_> = skus.iter().map(|sku| json!({"sku": sku, "price": price})).collect();
    json!({"name": "Kettle", "description": "", "categories": ["Kitchen"], "variants": variants})
}

async fn put(person: &Person, path: &str, if_match: &str, body: &Value) -> Answer {
    person.send(Method::PUT, path, &[("if-match", if_match)], Some(body)).await
}

#[tokio::test]
async fn products_are_drafted_published_revised_and_retired() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let (admin, visitor) = (shop.admin(&gomall).await, shop.visitor(&gomall));
    visitor.post(PRODUCTS, &product(&["kettle"])).await.refused(401, "unauthenticated");
    let customer = shop.customer(&gomall).await;
    customer.post(PRODUCTS, &product(&["kettle"])).await.refused(403, "forbidden");

    // A draft is seen by staff only.
    admin.post(PRODUCTS, &product(&["kettle"])).await.refused(400, "idempotency_key_missing");
    let create_key = key();
    let created = admin.post_keyed(PRODUCTS, &create_key, &product(&["kettle", "kettle-xl"])).await;
    let body = created.expect(StatusCode::CREATED);
    assert_eq!((&body["status"], &body["number"]), (&json!("draft"), &json!(8)));
    let id = body["id"].as_str().expect("an id").to_owned();
    let (path, public) = (format!("{PRODUCTS}/{id}"), format!("/api/v1/products/{id}"));
    assert_eq!(created.header("location"), Some(path.as_str()));
    visitor.get_after(&public, created.position()).await.refused(404, "not_found");
    let shown = admin.get_after(&path, created.position()).await;
    assert_eq!(shown.expect(StatusCode::OK), body);
    assert_eq!(shown.header("etag"), created.header("etag"));
    let again = admin.post_keyed(PRODUCTS, &create_key, &product(&["kettle", "kettle-xl"])).await;
    assert_eq!(again.expect(StatusCode::CREATED), body, "a retry answers the same");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let taken = admin.post_keyed(PRODUCTS, &key(), &product(&["pot", "kettle"])).await;
    taken.refused(409, "sku_taken");
    let free = admin.post_keyed(PRODUCTS, &key(), &product(&["pot"])).await;
    free.expect(StatusCode::CREATED);

    let published = admin.post(&format!("{path}/publish"), &json!({})).await;
    assert_eq!(published.expect(StatusCode::OK)["status"], "published");
    let shown = visitor.get_after(&public, published.position()).await;
    assert_eq!(shown.expect(StatusCode::OK), &published.body);

    // A revision needs the version; what stays keeps its number, what is new opens its stock.
    let mut revised = product(&["kettle-xl", "kettle-xxl"]);
    revised["name"] = json!("Samovar");
    admin.put(&path, &revised).await.refused(428, "precondition_required");
    put(&admin, &path, "\"1.1\"", &revised).await.refused(412, "version_conflict");
    let etag = published.header("etag").expect("a version").to_owned();
    let changed = put(&admin, &path, &etag, &revised).await;
    let body = changed.expect(StatusCode::OK);
    assert_eq!((&body["name"], &body["number"]), (&json!("Samovar"), &json!(9)));
    put(&admin, &path, &etag, &revised).await.refused(412, "version_conflict");
    put(&admin, &path, "*", &product(&["pot"])).await.refused(409, "sku_taken");
    let receive = json!({"quantity": 3, "reason": "delivery"});
    let received =
        admin.post_keyed("/api/v1/admin/stock/kettle-xxl/receive", &key(), &receive).await;
    received.expect(StatusCode::OK);
    let shown = visitor.get_after(&public, received.position()).await;
    assert_eq!(shown.expect(StatusCode::OK)["variants"][1]["available"], 3);

    let retired = admin.post(&format!("{path}/retire"), &json!({})).await;
    assert_eq!(retired.expect(StatusCode::OK)["status"], "retired");
    let shown = visitor.get_after(&public, retired.position()).await;
    assert_eq!(shown.expect(StatusCode::OK)["status"], "retired", "orders name it");
    let drafts = admin.get("/api/v1/admin/products?status=draft").await;
    assert_eq!(drafts.expect(StatusCode::OK)["items"].as_array().map(Vec::len), Some(1));

    let nobody = format!("{PRODUCTS}/0199d3a2-7c41-7000-8000-00000000abcd");
    put(&admin, &nobody, "*", &product(&["pan"])).await.refused(404, "not_found");
    admin.post(&format!("{nobody}/publish"), &json!({})).await.refused(404, "not_found");
    refuses_bad_products(&admin).await;
}

async fn refuses_bad_products(admin: &Person) {
    let with = |member: &str, value: Value| {
        let mut body = product(&["pan"]);
        body[member] = value;
        body
    };
    let negative = json!({"amount": -1, "currency": "USD"});
    let many: Vec<_> = (0..101).map(|n| format!("pan-{n}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    for (body, code, pointer) in [
        (with("name", json!("")), "invalid_field", "/name"),
        (with("colour", json!("red")), "unknown_field", "/colour"),
        (with("variants", json!([])), "invalid_field", "/variants"),
        (with("variants", json!([{"sku": "pan"}])), "missing_field", "/variants/0/price"),
        (
            with("variants", json!([{"sku": "pan", "price": negative}])),
            "invalid_field",
            "/variants/0/price/amount",
        ),
        (with("categories", json!(["a b"])), "invalid_field", "/categories/0"),
        (product(&many), "invalid_field", "/variants"),
    ] {
        let refused = admin.post_keyed(PRODUCTS, &key(), &body).await;
        assert_eq!(refused.refused(422, code)["errors"][0]["pointer"], pointer);
    }
    let twice = admin.post_keyed(PRODUCTS, &key(), &product(&["pan", "pan"])).await;
    twice.refused(422, "duplicate_sku");
}

#[tokio::test]
async fn stock_is_booked_once_and_never_below_what_is_there() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let admin = shop.admin(&gomall).await;
    let book = async |sku: &str, what: &str, key: &str, quantity: Value| {
        let body = json!({"quantity": quantity, "reason": "stocktaking"});
        admin.post_keyed(&format!("/api/v1/admin/stock/{sku}/{what}"), key, &body).await
    };
    let retried = key();
    let received = book("mascot", "receive", &retried, json!(5)).await;
    assert_eq!(received.expect(StatusCode::OK)["on_hand"], 1_005);
    let again = book("mascot", "receive", &retried, json!(5)).await;
    assert_eq!(again.expect(StatusCode::OK), &received.body);
    let adjusted = book("mascot", "adjust", &key(), json!(-1_005)).await;
    assert_eq!(adjusted.expect(StatusCode::OK)["available"], 0);
    let missing = book("mascot", "adjust", &key(), json!(-1)).await;
    assert_eq!(missing.refused(409, "insufficient_stock")["available"], 0);
    for quantity in [json!(0), json!(-1), json!(1.5), json!("1"), json!(1_000_000_001)] {
        book("mascot", "receive", &key(), quantity).await.refused(422, "invalid_field");
    }
    book("mascot", "adjust", &key(), json!(0)).await.refused(422, "invalid_field");
    book("nothing", "receive", &key(), json!(1)).await.refused(404, "not_found");

    let stock = admin.get_after("/api/v1/admin/stock?limit=2", adjusted.position()).await;
    let stock = stock.expect(StatusCode::OK);
    assert_eq!(stock["items"][0], adjusted.body, "by SKU: the mascot is the first");
    let cursor = stock["next_cursor"].as_str().expect("seven SKUs are more than a page");
    let next = admin.get(&format!("/api/v1/admin/stock?limit=100&cursor={cursor}")).await;
    let next = next.expect(StatusCode::OK);
    assert_eq!(next["items"].as_array().map(Vec::len), Some(5));
    assert_eq!(next["next_cursor"], Value::Null);
    admin.get("/api/v1/admin/stock?cursor=x").await.refused(422, "invalid_parameter");

    let projections = admin.get("/api/v1/admin/projections").await;
    let projections = projections.expect(StatusCode::OK)["items"].as_array().expect("a list");
    let catalogue = projections.iter().find(|one| one["name"] == "catalogue").expect("it runs");
    assert_eq!(catalogue["status"], "running");
    assert!(catalogue["position"].as_u64() >= Some(adjusted.position()));
    assert!(catalogue["lag"].is_u64() && catalogue["version"].is_u64());
}

#[tokio::test]
async fn roles_and_bans_bite_at_once_and_an_administrator_stays() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let admin = shop.admin(&gomall).await;
    let customer = shop.customer(&gomall).await;
    let path = format!("/api/v1/admin/users/{}", customer.id());
    let own = format!("/api/v1/admin/users/{}", admin.id());
    let role = |role: &str| json!({"role": role});
    customer.get(PRODUCTS).await.refused(403, "forbidden");
    let granted = admin.post(&format!("{path}/roles"), &role("staff")).await;
    assert_eq!(granted.expect(StatusCode::OK)["roles"], json!(["customer", "staff"]));
    assert_eq!(granted.body["email"], customer.user["email"]);
    customer.get(PRODUCTS).await.expect(StatusCode::OK);
    let users = admin.get_after("/api/v1/admin/users", granted.position()).await;
    let users = users.expect(StatusCode::OK)["items"].as_array().expect("a list").clone();
    assert!(users.contains(&granted.body), "{users:?}");
    let revoked = admin.delete(&format!("{path}/roles/staff")).await;
    assert_eq!(revoked.expect(StatusCode::OK)["roles"], json!(["customer"]));
    customer.get(PRODUCTS).await.refused(403, "forbidden");
    admin.post(&format!("{path}/roles"), &role("anonymous")).await.refused(422, "role_reserved");
    admin.post(&format!("{path}/roles"), &role("a b")).await.refused(422, "invalid_field");
    admin.post("/api/v1/admin/users/x/roles", &role("staff")).await.refused(404, "not_found");

    let ban = json!({"reason": "scraping", "until": "2999-01-01T00:00:00Z"});
    let banned = admin.post(&format!("{path}/ban"), &ban).await;
    assert_eq!(banned.expect(StatusCode::OK)["ban"]["reason"], "scraping");
    customer.get("/api/v1/me").await.refused(403, "banned");
    let late = json!({"reason": "scraping", "until": "2001-01-01T00:00:00Z"});
    let late = admin.post(&format!("{path}/ban"), &late).await;
    assert_eq!(late.refused(422, "invalid_field")["errors"][0]["pointer"], "/until");
    let unbanned = admin.post(&format!("{path}/unban"), &json!({})).await;
    assert_eq!(unbanned.expect(StatusCode::OK)["ban"], Value::Null);
    customer.get("/api/v1/me").await.expect(StatusCode::OK);

    // The last administrator stays one, until there is another.
    let last = "last_administrator";
    admin.delete(&format!("{own}/roles/admin")).await.refused(409, last);
    admin.post(&format!("{own}/ban"), &json!({"reason": "x"})).await.refused(409, last);
    let second = admin.post(&format!("{path}/roles"), &role("admin")).await;
    let position = second.position();
    second.expect(StatusCode::OK);
    admin.get_after("/api/v1/admin/users", position).await.expect(StatusCode::OK);
    admin.delete(&format!("{own}/roles/admin")).await.expect(StatusCode::OK);
    admin.get(PRODUCTS).await.refused(403, "forbidden");
    customer.delete(&format!("{path}/roles/admin")).await.refused(409, last);
}

#[tokio::test]
async fn two_administrators_cannot_dismiss_each_other_at_the_same_time() {
    const ROUNDS: usize = 20;
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let mut admin = shop.admin(&gomall).await;
    let mut other = shop.customer(&gomall).await;
    let users = "/api/v1/admin/users";
    for _ in 0..ROUNDS {
        let roles = format!("{users}/{}/roles", other.id());
        let appointed = admin.post(&roles, &json!({"role": "admin"})).await;
        appointed.expect(StatusCode::OK);
        admin.get_after(users, appointed.position()).await.expect(StatusCode::OK);
        let (of_admin, of_other) = (
            format!("{users}/{}/roles/admin", admin.id()),
            format!("{users}/{}/roles/admin", other.id()),
        );
        let dismissals = tokio::join!(other.delete(&of_admin), admin.delete(&of_other));
        let done = [&dismissals.0, &dismissals.1].map(|answer| answer.status == StatusCode::OK);
        assert_ne!(done, [true, true], "nobody is left");
        // Whoever is left appoints the other one again.
        if done[0] {
            std::mem::swap(&mut admin, &mut other);
        }
    }
}

/// Puts an event at the journal's end as no build would write it.
async fn record(pool: &PgPool, payment: &str, sequence: i64, event_type: &str) -> i64 {
    sqlx::query_scalar(
        "insert into events (position, aggregate_type, aggregate_id, sequence, event_type, \
                             event_version, payload, metadata, event_id, recorded_at) \
         select max(position) + 1, 'payment', $1, $2, $3, '1', '{}', '{}', $4, max(recorded_at) \
         from events returning position",
    )
    .bind(payment)
    .bind(sequence)
    .bind(event_type)
    .bind(support::new_id())
    .fetch_one(pool)
    .await
    .expect("nobody else writes")
}

/// Waits until these are the dead letters: id, status, attempts.
async fn shows(admin: &Person, expected: &[String]) {
    let text = |letter: &Value, name: &str| letter[name].as_str().unwrap_or("-").to_owned();
    eventually(&format!("{expected:?}"), || async {
        let answer = admin.get("/api/v1/admin/dead-letters").await;
        let letters = answer.expect(StatusCode::OK)["items"].as_array().expect("a list");
        let shown = letters.iter().map(|letter| {
            let retrying = if letter["retrying"] == true { " retrying" } else { "" };
            let (id, status) = (text(letter, "id"), text(letter, "status"));
            format!("{id} {status} {}{retrying}", letter["attempts"])
        });
        (shown.collect::<Vec<_>>() == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn dead_letters_are_shown_tried_again_and_given_up() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let (admin, customer) = (shop.admin(&gomall).await, shop.customer(&gomall).await);
    let pool = PgPool::connect(&shop.stack.postgres.url("gomall")).await.expect("it is up");
    let payment = support::new_id().to_string();
    let failed = record(&pool, &payment, 1, "PaymentRequested").await;
    let waiting = record(&pool, &payment, 2, "PaymentVoided").await;
    // Whoever reads the payments cannot read this one: the orders and settlement.
    shows(
        &admin,
        &[
            format!("orders.{failed} failed 1"),
            format!("orders.{waiting} waiting 0"),
            format!("settlement.{failed} failed 1"),
            format!("settlement.{waiting} waiting 0"),
        ],
    )
    .await;
    let page = admin.get("/api/v1/admin/dead-letters?limit=1").await;
    let letter = &page.expect(StatusCode::OK)["items"][0];
    assert_eq!(
        (
            &letter["consumer"],
            &letter["position"],
            &letter["aggregate_id"],
            &letter["ordering_key"]
        ),
        (&json!("orders"), &json!(failed), &json!(payment), &json!(format!("payment/{payment}")))
    );
    assert!(letter["reason"].as_str().is_some_and(|reason| reason.contains("PaymentRequested")));
    let cursor = page.body["next_cursor"].as_str().expect("there are more");
    let next = admin.get(&format!("/api/v1/admin/dead-letters?limit=1&cursor={cursor}")).await;
    assert_eq!(next.expect(StatusCode::OK)["items"][0]["id"], format!("orders.{waiting}"));
    let models = admin.get("/api/v1/admin/projections").await;
    let models = models.expect(StatusCode::OK)["items"].as_array().expect("a list").clone();
    let orders = models.iter().find(|model| model["name"] == "orders").expect("it is there");
    assert_eq!((&orders["status"], &orders["lag"]), (&json!("partly_parked"), &json!(0)));
    eventually("they are counted", || async {
        let metrics = admin.get("/metrics").await;
        let lines = ["gomall_dead_letters{consumer=\"orders\"} 2", "{consumer=\"carts\"} 0"];
        lines.iter().all(|line| metrics.text.contains(line)).then_some(())
    })
    .await;
    // Everything else goes on, and is read at its position.
    customer.add("mascot", 1).await.expect(StatusCode::OK);
    let order = customer.check_out(&key(), None).await;
    let (position, id) =
        (order.position(), order.expect(StatusCode::CREATED)["order"]["id"].clone());
    let path = format!("/api/v1/orders/{}", id.as_str().expect("an id"));
    customer.get_after(&path, position).await.expect(StatusCode::OK);

    let letter = |id: &str| format!("/api/v1/admin/dead-letters/{id}");
    let orders = letter(&format!("orders.{failed}"));
    customer.post(&format!("{orders}/retry"), &json!({})).await.refused(403, "forbidden");
    customer.delete(&orders).await.refused(403, "forbidden");
    for unknown in ["orders.1", "orders.01", "nonsense", "nobody.1"] {
        let retry = format!("{}/retry", letter(unknown));
        admin.post(&retry, &json!({})).await.refused(404, "not_found");
        admin.delete(&letter(unknown)).await.refused(404, "not_found");
    }
    let waits = letter(&format!("orders.{waiting}"));
    admin.delete(&waits).await.refused(409, "dead_letter_waits");
    // Without a cure a retry changes nothing but the count; asked by the last letter of the ordering key.
    let retried = admin.post(&format!("{waits}/retry"), &json!({})).await;
    retried.expect(StatusCode::ACCEPTED);
    shows(
        &admin,
        &[
            format!("orders.{failed} failed 2"),
            format!("orders.{waiting} waiting 0"),
            format!("settlement.{failed} failed 1"),
            format!("settlement.{waiting} waiting 0"),
        ],
    )
    .await;
    // What is given up has no effect here; what waited behind it cannot do without it, and says so.
    let given_up = admin.delete(&orders).await;
    given_up.expect(StatusCode::NO_CONTENT);
    admin.delete(&orders).await.expect(StatusCode::NO_CONTENT);
    admin.post(&format!("{orders}/retry"), &json!({})).await.refused(409, "dead_letter_given_up");
    shows(
        &admin,
        &[
            format!("orders.{failed} given_up 3"),
            format!("orders.{waiting} failed 1"),
            format!("settlement.{failed} failed 1"),
            format!("settlement.{waiting} waiting 0"),
        ],
    )
    .await;
    // A cure (here another event, usually another build) comes with a restart. Where HTTP is away,
    // the same is asked for by command.
    gomall.terminate();
    sqlx::query("update events set payload = $1::json where position = $2")
        .bind(
            json!({
                "order_id": support::new_id(), "customer_id": support::new_id(), "method": "card",
                "amount": {"amount": 990, "currency": "USD"},
            })
            .to_string(),
        )
        .bind(failed)
        .execute(&pool)
        .await
        .expect("nobody else mends it");
    shop.run(&["dead-letters", "retry", &format!("settlement.{failed}")]);
    let gomall = shop.serve();
    let admin = admin.at(&gomall);
    shows(&admin, &[format!("orders.{failed} given_up 3"), format!("orders.{waiting} failed 1")])
        .await;
    let listed = shop.run(&["dead-letters", "list"]);
    assert!(
        listed.starts_with(&format!("orders.{failed}  given up  PaymentRequested")),
        "{listed}"
    );
    shop.run(&["dead-letters", "give-up", &format!("orders.{waiting}")]);
    shows(&admin, &[format!("orders.{failed} given_up 3"), format!("orders.{waiting} given_up 2")])
        .await;
    // A rebuild by a build that can apply them after all takes them in.
    shop.run(&["rebuild", "orders"]);
    shows(&admin, &[]).await;
    pool.close().await;
}
