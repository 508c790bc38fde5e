//! The member's orders.

use super::cart::shopper;
use super::{Resource, Thing};
use crate::conventions::Scene;
use crate::support::{Answer, key};
use futures::FutureExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const ORDERS: &str = "/api/v1/orders";
const NOBODYS: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

pub(super) const RESOURCE: Resource =
    Resource { things: |scene| things(scene).boxed_local(), ..Resource::NONE };

async fn things(scene: &Scene) -> Vec<Thing> {
    let customer = shopper(scene).await;
    let placed = customer.check_out(&key(), None).await;
    let id = placed.expect(StatusCode::CREATED)["order"]["id"].as_str().expect("an id").to_owned();
    vec![Thing::new(&customer, "/api/v1/orders/{id}", &id, placed)]
}

#[tokio::test]
async fn orders_are_listed_newest_first_and_shown_as_they_were_placed() {
    let scene = Scene::shared().await;
    let customer = scene.somebody().await;
    assert_eq!(customer.get(ORDERS).await.items(), &[] as &[Value]);
    let mut placed = vec![];
    for sku in ["notebook", "mascot"] {
        customer.add(sku, 1).await.expect(StatusCode::OK);
        placed.push(customer.check_out(&key(), None).await);
    }
    let position = placed[1].position();
    let listed = customer.get_once_at(ORDERS, position).await;
    assert_eq!(listed.items(), [placed[1].body["order"].clone(), placed[0].body["order"].clone()]);
    let one = listed.items()[0].clone();
    assert_eq!(one["lines"][0]["sku"], "mascot");
    assert_eq!(one["shipping_address"]["zip"], "01234");
    assert_eq!(
        (&one["status"], &one["payment_status"]),
        (&json!("awaiting_payment"), &json!("none"))
    );
    let first = customer.get(&format!("{ORDERS}?limit=1")).await;
    let cursor = first.body["next_cursor"].as_str().expect("there is another");
    let next = customer.get(&format!("{ORDERS}?limit=1&cursor={cursor}")).await;
    assert_eq!(next.items(), [placed[0].body["order"].clone()]);

    let path = format!("{ORDERS}/{}", one["id"].as_str().expect("an id"));
    let shown = customer.get(&path).await;
    assert_eq!(shown.expect(StatusCode::OK), &one);
    let tag = placed[1].header("etag").expect("a command answers with a tag");
    let cached = customer.send(Method::GET, &path, &[("if-none-match", tag)], None).await;
    assert_eq!((cached.status, cached.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
    scene.visitor.get(ORDERS).await.refused(401, "unauthenticated");
}

/// What is somebody else's is answered like what is not there.
#[tokio::test]
async fn somebody_elses_order_looks_absent() {
    let scene = Scene::shared().await;
    let customer = shopper(&scene).await;
    let placed = customer.check_out(&key(), None).await;
    let order = placed.expect(StatusCode::CREATED)["order"]["id"].as_str().expect("an id");
    let path = format!("{ORDERS}/{order}");
    customer.get_once_at(&path, placed.position()).await.expect(StatusCode::OK);

    let stranger = scene.somebody().await;
    let payment = json!({"method": "card", "token": "tok_ok"});
    // Not even an administrator has it among his own.
    for person in [&stranger, &scene.admin] {
        let absent = format!("{ORDERS}/{NOBODYS}");
        let mut told = vec![];
        for path in [&path, &absent] {
            let shown = person.get(path).await;
            let paid = person.post_keyed(&format!("{path}/payments"), &key(), &payment).await;
            told.push([shown, paid].map(|answer| without_trace(&answer)));
        }
        assert_eq!(told[0], told[1]);
        assert_eq!(told[0][0]["code"], "not_found");
        assert_eq!(told[0][1]["code"], "not_found");
    }
    for nothing in ["nonsense", "7", &order.to_uppercase(), &order.replace('-', "")] {
        let answer = customer.get(&format!("{ORDERS}/{nothing}")).await;
        answer.refused(404, "not_found");
    }
}

fn without_trace(answer: &Answer) -> Value {
    let mut body = answer.body.clone();
    body.as_object_mut().expect("a problem").remove("trace_id");
    body
}
