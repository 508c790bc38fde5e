//! Members that are of the right type and out of range: a table.

use super::Scene;
use super::bodies::complaint;
use super::samples;
use crate::support::key;
use serde_json::{Value, json};

/// Operation, member, what is put there, and the code that answers it. The status is 422; a code
/// of the conventions names the member, a code of the domain need not.
fn table() -> Vec<(&'static str, &'static str, Vec<Value>, &'static str)> {
    const REGISTER: &str = "POST /api/v1/auth/register";
    const LOGIN: &str = "POST /api/v1/auth/login";
    const ADD_LINE: &str = "POST /api/v1/me/cart/lines";
    const CHANGE_LINE: &str = "PUT /api/v1/me/cart/lines/{sku}";
    const CHECKOUT: &str = "POST /api/v1/checkouts";
    const QUOTE: &str = "POST /api/v1/checkouts/quote";
    const PAY: &str = "POST /api/v1/orders/{id}/payments";
    const CREATE: &str = "POST /api/v1/admin/products";
    const REVISE: &str = "PUT /api/v1/admin/products/{id}";
    const RECEIVE: &str = "POST /api/v1/admin/stock/{sku}/receive";
    const ADJUST: &str = "POST /api/v1/admin/stock/{sku}/adjust";
    const GRANT: &str = "POST /api/v1/admin/users/{id}/roles";
    const BAN_USER: &str = "POST /api/v1/admin/users/{id}/ban";
    const ADD_RULE: &str = "POST /api/v1/admin/permission-rules";
    const CHANGE_RULE: &str = "PUT /api/v1/admin/permission-rules/{id}";
    const EXPLAIN: &str = "POST /api/v1/admin/permission-rules/explain";
    const OPEN: &str = "POST /api/v1/admin/public-paths";
    const BAN: &str = "POST /api/v1/admin/bans";
    const INVALID: &str = "invalid_field";

    let long = |chars: usize| json!("a".repeat(chars));
    let many = |count: usize, item: &str| Value::Array(vec![json!(item); count]);
    let emails = || {
        let long = format!("{}@example.com", "a".repeat(250));
        let texts = ["", "nobody", "a@", "@example.com", "a b@example.com", "a@.com", &long];
        texts.map(Value::from).to_vec()
    };
    let tokens = || vec![json!(""), json!("a b"), json!("a/b"), json!("ü"), long(65)];
    let lines = |most: usize| vec![json!(""), json!(" "), json!("a\nb"), long(most + 1)];
    let times = || {
        ["", "tomorrow", "2999-02-30T00:00:00Z", "2999-01-01", "2020-01-01T00:00:00Z"]
            .map(Value::from)
            .to_vec()
    };
    let patterns = || vec![json!("("), json!("a{99999}"), json!("a)|(?:b"), long(513)];
    let methods = || vec![json!([]), many(11, "GET")];
    let method = || ["get", "HEAD", "", "FETCH"].map(Value::from).to_vec();
    let mut table = vec![
        (REGISTER, "/email", emails(), INVALID),
        (
            REGISTER,
            "/password",
            vec![json!(""), json!("1234567"), json!("password"), long(129)],
            "weak_password",
        ),
        (REGISTER, "/name", lines(200), INVALID),
        (REGISTER, "/locale", vec![json!("fr"), json!("EN"), json!("")], INVALID),
        (LOGIN, "/email", emails(), INVALID),
        (ADD_LINE, "/sku", tokens(), INVALID),
        (
            ADD_LINE,
            "/quantity",
            vec![json!(0), json!(1000), json!(u32::MAX)],
            "quantity_out_of_range",
        ),
        (ADD_LINE, "/quantity", vec![json!(-1), json!(1_u64 << 32)], INVALID),
        (CHANGE_LINE, "/quantity", vec![json!(1000)], "quantity_out_of_range"),
        (CHANGE_LINE, "/quantity", vec![json!(-1)], INVALID),
        (RECEIVE, "/quantity", vec![json!(0), json!(-1), json!(1_000_000_001)], INVALID),
        (RECEIVE, "/reason", lines(500), INVALID),
        (ADJUST, "/quantity", vec![json!(0), json!(i64::MAX), json!(i64::MIN)], INVALID),
        (ADJUST, "/reason", lines(500), INVALID),
        (GRANT, "/role", tokens(), INVALID),
        (GRANT, "/role", vec![json!("anonymous"), json!("authenticated")], "role_reserved"),
        (BAN_USER, "/reason", lines(500), INVALID),
        (BAN_USER, "/until", times(), INVALID),
        (OPEN, "/methods", methods(), INVALID),
        (OPEN, "/methods/0", method(), INVALID),
        (OPEN, "/path", patterns(), "bad_pattern"),
        (BAN, "/reason", lines(500), INVALID),
        (BAN, "/until", times(), INVALID),
        (
            BAN,
            "/cidr",
            vec![json!(""), json!("here"), json!("203.0.113.0/33"), json!("300.0.0.1")],
            INVALID,
        ),
        (BAN, "/cidr", vec![json!("0.0.0.0/0"), json!("::/0")], "network_too_wide"),
        (EXPLAIN, "/method", method()[..1].to_vec(), INVALID),
        (
            EXPLAIN,
            "/path",
            vec![json!("//admin"), json!("/%61dmin"), json!("/admin/"), json!("admin")],
            INVALID,
        ),
        (
            EXPLAIN,
            "/roles",
            vec![Value::Array((0..51).map(|n| json!(format!("r{n}"))).collect())],
            INVALID,
        ),
        (EXPLAIN, "/roles/0", tokens(), INVALID),
    ];
    for checkout in [CHECKOUT, QUOTE] {
        let address = [
            ("/shipping_address/name", lines(200)),
            ("/shipping_address/street", lines(500)),
            ("/shipping_address/city", lines(500)),
            ("/shipping_address/state", lines(500)),
            ("/shipping_address/zip", lines(500)),
            ("/shipping_address/phone", lines(500)),
            ("/shipping_address/country", ["", "us", "XX", "USA"].map(Value::from).to_vec()),
        ];
        table.extend(address.map(|(member, values)| (checkout, member, values, INVALID)));
        table.push((checkout, "/email", emails(), INVALID));
        table.push((checkout, "/cart_version", vec![json!(-1)], INVALID));
        table.push((checkout, "/expected_total/currency", currencies(), INVALID));
        table.push((checkout, "/expected_total/amount", amounts(), INVALID));
        table.push((checkout, "/payment/method", vec![json!("cash"), json!("")], INVALID));
        table.push((checkout, "/payment/token", payment_tokens(), INVALID));
    }
    table.push((PAY, "/method", vec![json!("cash"), json!("")], INVALID));
    table.push((PAY, "/token", payment_tokens(), INVALID));
    for product in [CREATE, REVISE] {
        let variant = samples::body(CREATE)["variants"][0].clone();
        let distinct = |count: usize| {
            let numbered = (0..count).map(|number| {
                let mut variant = variant.clone();
                variant["sku"] = json!(format!("mug-{number}"));
                variant
            });
            Value::Array(numbered.collect())
        };
        table.push((product, "/name", lines(200), INVALID));
        table.push((product, "/description", vec![json!("a\u{7}b"), long(10_001)], INVALID));
        table.push((product, "/picture", lines(500), INVALID));
        table.push((product, "/categories", vec![many(21, "a")], INVALID));
        table.push((product, "/categories/0", tokens(), INVALID));
        table.push((product, "/variants", vec![json!([]), distinct(101)], INVALID));
        table.push((product, "/variants/0/sku", tokens(), INVALID));
        table.push((product, "/variants/0/name", lines(200), INVALID));
        table.push((product, "/variants/0/price/currency", currencies(), INVALID));
        table.push((product, "/variants/0/price/amount", amounts(), INVALID));
    }
    table.push((CREATE, "/categories", vec![json!(["a", "a"])], "duplicate_category"));
    let twice = samples::body(CREATE)["variants"][0].clone();
    table.push((CREATE, "/variants", vec![json!([twice, twice])], "duplicate_sku"));
    for rule in [ADD_RULE, CHANGE_RULE] {
        table.push((rule, "/effect", vec![json!("maybe"), json!("Allow")], INVALID));
        table.push((rule, "/roles", vec![json!([]), many(51, "staff")], INVALID));
        table.push((rule, "/roles/0", tokens(), INVALID));
        table.push((rule, "/methods", methods(), INVALID));
        table.push((rule, "/methods/0", method(), INVALID));
        table.push((rule, "/note", vec![json!("a\nb"), long(501)], INVALID));
    }
    // Whether there is such a rule is asked first.
    table.push((ADD_RULE, "/path", patterns(), "bad_pattern"));
    table
}

fn currencies() -> Vec<Value> {
    ["", "usd", "XXX", "US", "DOLLARS"].map(Value::from).to_vec()
}

fn amounts() -> Vec<Value> {
    vec![json!(-1), json!(1_000_000_000_001_i64), json!(i64::MIN), json!(i64::MAX)]
}

fn payment_tokens() -> Vec<Value> {
    vec![json!(""), json!("tok ok"), json!("tok_ö"), json!("t".repeat(201))]
}

/// The table, row by row.
pub(crate) async fn every_member_out_of_range_is_named(scene: &Scene) {
    let conventional = ["invalid_field", "weak_password"];
    let mut complaints = vec![];
    for (operation, pointer, values, code) in table() {
        for value in values {
            let mut body = samples::body(operation);
            *body.pointer_mut(pointer).expect("samples hold every member") = value.clone();
            let answer = send(scene, operation, &body).await;
            let place = conventional.contains(&code).then_some(pointer);
            let complaint = complaint(&answer, 422, code, place);
            complaints
                .extend(complaint.map(|text| format!("{operation} {pointer}: {value}: {text}")));
        }
    }
    assert!(complaints.is_empty(), "{complaints:#?}");

    // Members that exclude each other, and of which one is needed.
    for (operation, one, other) in [
        ("POST /api/v1/admin/bans", "user_id", ("cidr", json!("203.0.113.7"))),
        ("POST /api/v1/admin/permission-rules/explain", "user_id", ("roles", json!(["staff"]))),
    ] {
        let mut body = samples::body(operation);
        body[other.0] = other.1;
        body[one] = json!(scene.customer.id());
        let answer = send(scene, operation, &body).await;
        let pointer = format!("/{}", other.0);
        assert_eq!(complaint(&answer, 422, "invalid_field", Some(&pointer)), None, "{operation}");
        let members = body.as_object_mut().expect("an object");
        members.retain(|name, _| name != one && name != other.0);
        let answer = send(scene, operation, &body).await;
        let pointer = format!("/{one}");
        assert_eq!(complaint(&answer, 422, "missing_field", Some(&pointer)), None, "{operation}");
    }

    let unsold = json!({"sku": "nobody-sells-this", "quantity": 1});
    scene.customer.post("/api/v1/me/cart/lines", &unsold).await.refused(404, "unknown_sku");
}

async fn send(scene: &Scene, operation: &str, body: &Value) -> crate::support::Answer {
    let described = scene.contract.operation(operation);
    let (path, key) = (described.sample_path(scene.customer.id()), key());
    let headers = [("idempotency-key", key.as_str()), ("if-match", "*")];
    scene.admin.send(described.method(), &path, &headers, Some(body)).await
}
