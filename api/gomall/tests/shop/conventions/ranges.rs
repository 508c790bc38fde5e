//! Members that are out of range in a way that the document cannot say: each resource says it. What the document
//! can say is tried by [`super::bounds`].

use super::Scene;
use super::bodies::complaint;
use super::samples;
use crate::resources::{self, OutOfRange};
use crate::support::{Answer, key};
use serde_json::{Value, json};

/// Those of every resource.
pub(crate) async fn every_member_out_of_range_is_named(scene: &Scene) {
    let conventional = ["invalid_field", "weak_password"];
    let (mut tried, mut complaints) = (0, vec![]);
    for OutOfRange { operation, member, values, code } in
        resources::all().flat_map(|resource| (resource.ranges)())
    {
        for value in values {
            tried += 1;
            let mut body = samples::body(operation);
            *body.pointer_mut(member).expect("samples hold every member") = value.clone();
            let answer = send(scene, operation, &body).await;
            let place = conventional.contains(&code).then_some(member);
            let complaint = complaint(&answer, 422, code, place);
            complaints
                .extend(complaint.map(|text| format!("{operation} {member}: {value}: {text}")));
        }
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
    assert!(tried > 40, "only {tried} values were told");
}

/// Members that exclude each other, and of which one is needed.
pub(crate) async fn of_members_that_exclude_each_other_one_is_taken(scene: &Scene) {
    for (operation, one, (other, value)) in resources::all().flat_map(|resource| resource.either) {
        let mut body = samples::body(operation);
        // Other kinds of bodies have them in other examples.
        body[other] = serde_json::from_str(value).expect("it is JSON");
        body[one] = json!(scene.customer.id());
        let answer = send(scene, operation, &body).await;
        let pointer = format!("/{other}");
        assert_eq!(complaint(&answer, 422, "invalid_field", Some(&pointer)), None, "{operation}");
        let members = body.as_object_mut().expect("an object");
        members.retain(|name, _| name != one && name != other);
        let answer = send(scene, operation, &body).await;
        let pointer = format!("/{one}");
        assert_eq!(complaint(&answer, 422, "missing_field", Some(&pointer)), None, "{operation}");
    }
}

async fn send(scene: &Scene, operation: &str, body: &Value) -> Answer {
    let described = scene.contract.operation(operation);
    let (path, key) = (described.sample_path(scene.customer.id()), key());
    let headers = [("idempotency-key", key.as_str()), ("if-match", "*")];
    scene.admin.send(described.method(), &path, &headers, Some(body)).await
}
