//! A body that is taken, for every operation that takes one. Whatever is optional is there, so
//! that the tests see every member.

use serde_json::{Value, json};

/// Bodies by operation; an operation whose members exclude each other has several.
pub(crate) fn bodies() -> Vec<(&'static str, Value)> {
    let money = json!({"amount": 990, "currency": "USD"});
    let address = json!({
        "name": "Ada Lovelace", "street": "12 St James's Square", "city": "London",
        "state": "Greater London", "zip": "01234", "country": "GB", "phone": "+44 20 7930 7705",
    });
    let payment = json!({"method": "card", "token": "tok_ok"});
    let checkout = json!({
        "cart_version": 1, "expected_total": money, "email": "ada@example.com",
        "shipping_address": address, "payment": payment,
    });
    let product = json!({
        "name": "Mug", "description": "Holds tea.", "picture": "/static/image/mug.jpeg",
        "categories": ["Sticker"],
        "variants": [{"sku": "mug-blue", "name": "Blue", "price": money}],
    });
    let rule = json!({
        "effect": "allow", "roles": ["staff"], "methods": ["GET"], "path": "/api/v1/x",
        "note": "A sample.",
    });
    let until = "2999-12-31T23:59:59.999Z";
    let stock = json!({"quantity": 1, "reason": "delivery"});
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    vec![
        (
            "POST /api/v1/auth/register",
            json!({
                "email": "ada@example.com", "password": "a quite long password", "name": "Ada",
                "locale": "en",
            }),
        ),
        ("POST /api/v1/auth/login", json!({"email": "ada@example.com", "password": "anything"})),
        ("POST /api/v1/auth/refresh", json!({"refresh_token": "anything"})),
        ("POST /api/v1/me/cart/lines", json!({"sku": "notebook", "quantity": 1})),
        ("PUT /api/v1/me/cart/lines/{sku}", json!({"quantity": 1})),
        ("POST /api/v1/checkouts", checkout.clone()),
        ("POST /api/v1/checkouts/quote", checkout),
        ("POST /api/v1/orders/{id}/payments", payment),
        ("POST /api/v1/admin/products", product.clone()),
        ("PUT /api/v1/admin/products/{id}", product),
        ("POST /api/v1/admin/stock/{sku}/receive", stock.clone()),
        ("POST /api/v1/admin/stock/{sku}/adjust", stock),
        ("POST /api/v1/admin/users/{id}/roles", json!({"role": "staff"})),
        ("POST /api/v1/admin/users/{id}/ban", json!({"reason": "abuse", "until": until})),
        ("POST /api/v1/admin/permission-rules", rule.clone()),
        ("PUT /api/v1/admin/permission-rules/{id}", rule),
        (
            "POST /api/v1/admin/permission-rules/explain",
            json!({"roles": ["staff"], "method": "GET", "path": "/api/v1/me"}),
        ),
        (
            "POST /api/v1/admin/permission-rules/explain",
            json!({"user_id": id, "method": "GET", "path": "/api/v1/me"}),
        ),
        ("POST /api/v1/admin/public-paths", json!({"methods": ["GET"], "path": "/x"})),
        (
            "POST /api/v1/admin/bans",
            json!({"cidr": "203.0.113.0/24", "reason": "abuse", "until": until}),
        ),
        ("POST /api/v1/admin/bans", json!({"user_id": id, "reason": "abuse", "until": until})),
    ]
}

/// The body of an operation that has one.
pub(crate) fn body(operation: &str) -> Value {
    let found = bodies().into_iter().find(|(name, _)| *name == operation);
    found.unwrap_or_else(|| panic!("a sample for {operation}?")).1
}
