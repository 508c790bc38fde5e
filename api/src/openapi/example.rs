//! Examples of requests and answers. A type that knows a good one says so (`#[schemars(example = …)]`);
//! everything else follows from the schema. The tests send those of requests and check the others
//! against the schemas.

use serde_json::{Map, Value, json};

/// What stands where nothing is known: a test finds it.
const FILLER: &str = "text";

/// An id as it looks.
const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// A time as it looks.
const TIME: &str = "2026-11-23T06:34:20.123Z";

/// What values of the domain look like, by the names of their schemas: some of them have bounds that
/// the words below do not keep, and of the others a real one is easier to read.
const VALUES: [(&str, &str); 10] = [
    ("CountryCode", "GB"),
    ("Currency", "USD"),
    ("MethodSelector", "GET"),
    ("Name", "Notebook"),
    ("Network", "203.0.113.0/24"),
    ("Reason", "abuse"),
    ("RoleName", "staff"),
    ("RoleSelector", "staff"),
    ("Sku", "notebook"),
    ("Slug", "sticker"),
];

/// What texts that nothing else describes look like, by the names of their members.
const MEMBERS: [(&str, &str); 38] = [
    ("access_token", "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIwMTg5MGE1ZCJ9.c2lnbmF0dXJl"),
    ("actor", "user:01890a5d-ac96-774b-bcce-b302099a8057"),
    ("address", "203.0.113.7"),
    ("aggregate_id", ID),
    ("aggregate_type", "order"),
    ("capture_unreadable", "{\"amount\":\"much\"}"),
    ("cidr", "203.0.113.0/24"),
    ("city", "London"),
    ("code", "insufficient_funds"),
    ("consumer", "orders"),
    ("degraded", "nats"),
    ("description", "Lined, 96 pages."),
    ("email_hash", "b1946ac92492d2347c6235b4d2611184"),
    ("event_type", "OrderPlaced"),
    ("failure_code", "insufficient_funds"),
    ("items", "notebook"),
    ("key", "gmk_AYkKXayWd0u8zrMCMJmoBw"),
    ("matches_routes", "GET /api/v1/products"),
    ("method", "GET"),
    ("name", "orders"),
    ("next_cursor", "MDE4OTBhNWQ"),
    ("note", "Staff may see all orders."),
    ("ordering_key", "order/01890a5d-ac96-774b-bcce-b302099a8057"),
    ("parked_reason", "the order was never placed"),
    ("path", "/api/v1/orders"),
    ("phone", "+44 20 7946 0000"),
    ("picture", "/static/image/notebook.jpeg"),
    ("reason", "the order was never placed"),
    ("recovery_codes", "abcd-efgh-jkmn"),
    ("refresh_token", "cmVmcmVzaA.MDE4OTBhNWQ"),
    ("secret", "JBSWY3DPEHPK3PXP"),
    ("state", "Greater London"),
    ("street", "12 St James Square"),
    ("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"),
    ("uri", "otpauth://totp/GoMall:ada%40example.com?secret=JBSWY3DPEHPK3PXP&issuer=GoMall"),
    ("user_agent", "Mozilla/5.0"),
    ("warning", "It is about no route."),
    ("zip", "SW1Y 4JH"),
];

/// Puts an example beside every parameter, beside the JSON that the operation takes, and beside that of
/// its successes.
pub(super) fn add(operation: &mut Map<String, Value>, components: &Value) {
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten().filter(|one| one["schema"].is_object()) {
        let name = parameter["name"].as_str().unwrap_or_default().to_owned();
        parameter["example"] = made(&name, &parameter["schema"], components);
    }
    if let Some(body) = operation.get_mut("requestBody") {
        add_to(&mut body["content"]["application/json"], components);
    }
    let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
    for (status, response) in responses.into_iter().flatten() {
        let media = response.pointer_mut("/content/application~1json");
        if let Some(media) = media.filter(|_| status.starts_with('2')) {
            add_to(media, components);
        }
    }
}

fn add_to(media: &mut Value, components: &Value) {
    let examples = said(&media["schema"], components);
    match &examples[..] {
        [] => media["example"] = made("", &media["schema"], components),
        [only] => media["example"] = only.clone(),
        several => {
            let numbered = several.iter().zip(1..);
            let numbered =
                numbered.map(|(one, number)| (number.to_string(), json!({"value": one})));
            media["examples"] = Value::Object(numbered.collect());
        }
    }
}

/// What the type itself gives as examples.
fn said(schema: &Value, components: &Value) -> Vec<Value> {
    match (&schema["examples"], referred(schema, components)) {
        (Value::Array(examples), _) => examples.clone(),
        (_, Some(named)) => said(named, components),
        _ => vec![],
    }
}

/// Something that the schema of a member of this name takes.
fn made(name: &str, schema: &Value, components: &Value) -> Value {
    if let Some(example) = said(schema, components).into_iter().next() {
        return example;
    }
    if let Some(named) = referred(schema, components) {
        let known = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
        let known = VALUES.iter().find(|(value, _)| Some(*value) == known);
        return known.map_or_else(|| made(name, named, components), |(_, value)| json!(value));
    }
    for fixed in [schema.get("const"), schema["enum"].get(0), schema.get("default")] {
        if let Some(fixed) = fixed.filter(|fixed| !fixed.is_null()) {
            return fixed.clone();
        }
    }
    for keyword in ["anyOf", "oneOf"] {
        let mut alternatives = schema[keyword].as_array().into_iter().flatten();
        if let Some(one) = alternatives.find(|one| one["type"] != "null") {
            return made(name, one, components);
        }
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null").unwrap_or(&Value::Null),
        kind => kind,
    };
    match kind.as_str() {
        Some("string") => json!(text(name, schema["format"].as_str())),
        Some("integer" | "number") => {
            let number = schema["minimum"].as_i64().map_or(1, |minimum| minimum.max(1));
            json!(schema["maximum"].as_i64().map_or(number, |maximum| maximum.min(number)))
        }
        Some("boolean") => json!(true),
        Some("array") => json!([made(name, &schema["items"], components)]),
        // Whatever says nothing takes anything.
        _ => {
            let members = schema["properties"].as_object().into_iter().flatten();
            let made =
                |(name, member): (&String, &Value)| (name.clone(), made(name, member, components));
            Value::Object(members.map(made).collect())
        }
    }
}

fn text(name: &str, format: Option<&str>) -> &'static str {
    match format {
        Some("uuid") => ID,
        Some("date-time") => TIME,
        Some("email") => "ada@example.com",
        Some("uri") => "https://example.com/",
        _ => MEMBERS.iter().find(|(known, _)| *known == name).map_or(FILLER, |(_, value)| value),
    }
}

fn referred<'a>(schema: &Value, components: &'a Value) -> Option<&'a Value> {
    let name = schema["$ref"].as_str()?.strip_prefix("#/components/schemas/")?;
    components["schemas"].get(name)
}
