//! What events there are.

use crate::conventions::Scene;
use reqwest::StatusCode;
use serde_json::json;

#[tokio::test]
async fn an_analyst_finds_the_schema_of_every_event() {
    let scene = Scene::shared().await;
    let (admin, customer) = (&scene.admin, scene.somebody().await);
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
