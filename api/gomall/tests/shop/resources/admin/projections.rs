//! How far the read models are.

use crate::conventions::Scene;
use reqwest::StatusCode;
use serde_json::Value;

const PROJECTIONS: &str = "/api/v1/admin/projections";

#[tokio::test]
async fn staff_see_how_far_each_read_model_is() {
    let scene = Scene::shared().await;
    let added = scene.customer.add("notebook", 1).await;
    let cart = scene.customer.get_once_at("/api/v1/me/cart", added.position()).await;
    cart.expect(StatusCode::OK);
    let shown = scene.admin.get_once_at(PROJECTIONS, added.position()).await;
    let mut names: Vec<_> = shown.items().iter().filter_map(|one| one["name"].as_str()).collect();
    assert!(names.is_sorted(), "{names:?}");
    let mut all: Vec<_> = projections::ALL.iter().map(|projection| projection.name()).collect();
    all.sort_unstable();
    names.sort_unstable();
    assert_eq!(names, all);
    let carts = shown.items().iter().find(|one| one["name"] == "carts").expect("it runs");
    assert_eq!((&carts["status"], &carts["parked_position"]), (&"running".into(), &Value::Null));
    assert!(carts["position"].as_u64() >= Some(added.position()), "it was waited for: {carts}");
    assert!(carts["lag"].is_u64() && carts["version"].is_u64() && carts["updated_at"].is_string());
    scene.visitor.get(PROJECTIONS).await.refused(401, "unauthenticated");
    scene.customer.get(PROJECTIONS).await.refused(403, "forbidden");
    scene.admin.get(&format!("{PROJECTIONS}?limit=1")).await.refused(422, "invalid_parameter");
}
