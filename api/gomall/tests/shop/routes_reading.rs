//! The catalogue and the journal as readers see them.

use crate::support::{Shop, key};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("a list");
    items.iter().filter_map(|item| item["name"].as_str()).collect()
}

#[tokio::test]
async fn the_catalogue_is_listed_searched_and_cached() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let visitor = shop.visitor(&gomall);
    let list = async |query: &str| {
        let answer = visitor.get(&format!("/api/v1/products?{query}")).await;
        answer.expect(StatusCode::OK).clone()
    };
    let cheap = list("sort=price&limit=2").await;
    assert_eq!(names(&cheap), ["Sweatshirt", "T-Shirt"]);
    let cursor = cheap["next_cursor"].as_str().expect("more products");
    let next = list(&format!("sort=price&limit=2&cursor={cursor}")).await;
    assert_eq!(names(&next), ["T-Shirt", "Mascot"]);
    assert_eq!(names(&list("sort=-price&limit=1").await), ["Notebook"]);
    assert_eq!(names(&list("q=mosue").await), ["Mouse-Pad"]);
    assert_eq!(
        names(&list("category=sticker&sort=name").await),
        ["Mascot", "Mouse-Pad", "Notebook"]
    );
    assert!(names(&list("category=none").await).is_empty());
    assert!(names(&list("currency=EUR").await).is_empty());
    let wrong_order = format!("/api/v1/products?sort=name&cursor={cursor}");
    visitor.get(&wrong_order).await.refused(422, "invalid_parameter");

    let one = visitor.get("/api/v1/products/7").await;
    assert_eq!(one.expect(StatusCode::OK)["name"], "Mascot");
    let by_id = format!("/api/v1/products/{}", one.body["id"].as_str().expect("an id"));
    let etag = one.header("etag").expect("a single resource has one").to_owned();
    let condition = [("if-none-match", etag.as_str())];
    let cached = visitor.send(Method::GET, &by_id, &condition, None).await;
    assert_eq!((cached.status, cached.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
    for nothing in ["8", "0", "07", "none", "0199d3a2-7c41-7000-8000-00000000abcd"] {
        visitor.get(&format!("/api/v1/products/{nothing}")).await.refused(404, "not_found");
    }

    // Stock is part of what is shown: the tag moves with it.
    let admin = shop.admin(&gomall).await;
    let receive = json!({"quantity": 1, "reason": "delivery"});
    let received = admin.post_keyed("/api/v1/admin/stock/mascot/receive", &key(), &receive).await;
    let position = received.position().to_string();
    let condition = [("if-none-match", etag.as_str()), ("gomall-position", position.as_str())];
    let fresh = visitor.send(Method::GET, &by_id, &condition, None).await;
    assert_eq!(fresh.expect(StatusCode::OK)["variants"][0]["available"], 1_001);

    let categories = visitor.get("/api/v1/categories").await;
    let expected = json!([
        {"slug": "Sticker", "name": "Sticker", "product_count": 3},
        {"slug": "T-Shirt", "name": "T-Shirt", "product_count": 4},
    ]);
    assert_eq!(categories.expect(StatusCode::OK)["items"], expected);
    let suggest = async |text: &str| {
        let answer = visitor.get(&format!("/api/v1/search/suggest?q={text}")).await;
        answer.expect(StatusCode::OK)["items"].clone()
    };
    assert_eq!(suggest("noteb").await, json!(["Notebook"]));
    assert_eq!(suggest("shirt").await, json!(["T-Shirt", "Sweatshirt"]), "each name once");
    assert_eq!(suggest("").await, json!([]));
    visitor.get("/api/v1/search/suggest").await.refused(422, "invalid_parameter");
    let ahead = visitor.get_after("/api/v1/categories", i64::MAX as u64).await;
    ahead.refused(503, "projection_behind");
    assert!(ahead.header("retry-after").is_some());
}

#[tokio::test]
async fn an_analyst_replays_every_event_from_any_position() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let admin = shop.admin(&gomall).await;
    let customer = shop.customer(&gomall).await;
    customer.get("/api/v1/events").await.refused(403, "forbidden");
    let roles = format!("/api/v1/admin/users/{}/roles", customer.id());
    let granted = admin.post(&roles, &json!({"role": "analyst"})).await;
    granted.expect(StatusCode::OK);
    let analyst = customer;

    let all = analyst.get("/api/v1/events").await;
    let all = all.expect(StatusCode::OK);
    let events = all["items"].as_array().expect("a list");
    let positions: Vec<_> = events.iter().filter_map(|event| event["position"].as_u64()).collect();
    let head = granted.position();
    assert_eq!(positions, (1..=head).collect::<Vec<_>>(), "no gap");
    assert_eq!(all["last_position"], head);
    let registered = events.iter().rfind(|event| event["type"] == "gomall.user.UserRegistered.v1");
    let registered = registered.expect("the analyst has registered");
    assert_eq!(registered["subject"], format!("user/{}", analyst.id()));
    assert!(!all.to_string().contains("@example.com"), "no personal data");

    let accept = [("accept", "application/x-ndjson")];
    let lines = analyst.send(Method::GET, "/api/v1/events", &accept, None).await;
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    let lines: Vec<Value> =
        lines.text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(&lines, events);
    let few = analyst.send(Method::GET, "/api/v1/events?limit=2&after=3", &accept, None).await;
    assert_eq!(few.text.lines().count(), 2);

    let page = analyst.get("/api/v1/events?after=3&limit=2").await;
    assert_eq!(page.expect(StatusCode::OK)["items"], json!(&events[3..5]));
    assert_eq!(page.body["last_position"], 5);
    let end = analyst.get(&format!("/api/v1/events?after={head}")).await;
    assert_eq!(end.expect(StatusCode::OK), &json!({"items": [], "last_position": head}));
    let until = analyst.get("/api/v1/events?until=4").await;
    assert_eq!(until.expect(StatusCode::OK)["last_position"], 4);
    let stock = analyst.get("/api/v1/events?aggregate=stock&aggregate_id=mascot").await;
    let subjects = stock.expect(StatusCode::OK)["items"].as_array().expect("a list");
    assert!(
        !subjects.is_empty() && subjects.iter().all(|event| event["subject"] == "stock/mascot")
    );
    let opened = analyst.get("/api/v1/events?types=StockItemOpened").await;
    assert_eq!(opened.expect(StatusCode::OK)["items"].as_array().map(Vec::len), Some(7));
    for bad in ["limit=0", "limit=1001", "after=x", "types=Nothing", "aggregate=nothing", "x=1"] {
        analyst.get(&format!("/api/v1/events?{bad}")).await.refused(422, "invalid_parameter");
    }
}

#[tokio::test]
async fn an_analyst_finds_the_schema_of_every_event() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let (admin, customer) = (shop.admin(&gomall).await, shop.customer(&gomall).await);
    customer.get("/api/v1/event-types").await.refused(403, "forbidden");
    let roles = format!("/api/v1/admin/users/{}/roles", customer.id());
    admin.post(&roles, &json!({"role": "analyst"})).await.expect(StatusCode::OK);
    let analyst = customer;
    analyst.get("/api/v1/event-types?x=1").await.refused(422, "invalid_parameter");

    let types = analyst.get("/api/v1/event-types").await;
    let types = types.expect(StatusCode::OK)["items"].as_array().expect("a list");
    assert_eq!(types.len(), domain::event_schemas().len(), "every version of every type");
    let placed = types.iter().find(|each| each["name"] == "OrderPlaced").expect("there is one");
    assert_eq!(placed["aggregate"], "order");
    assert!(!types.iter().any(|each| each.to_string().contains("x-personal")), "what readers get");

    let events = analyst.get("/api/v1/events").await;
    let events = events.expect(StatusCode::OK)["items"].as_array().expect("a list");
    assert!(events.len() > 40, "{}", events.len());
    for event in events {
        let described = types.iter().find(|each| each["type"] == event["type"]);
        let schema =
            &described.unwrap_or_else(|| panic!("{} is not listed", event["type"]))["schema"];
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        let data = event["data"].as_object().expect("an object");
        for member in data.keys() {
            assert!(schema["properties"][member].is_object(), "{member}: {event} {schema}");
        }
        for member in schema["required"].as_array().into_iter().flatten() {
            let member = member.as_str().expect("a name");
            assert!(data.contains_key(member), "{member}: {event} {schema}");
        }
    }
}
