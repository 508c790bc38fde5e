//! Schemas of values that the domain knows and OpenAPI has to be told about.

use serde::Serialize;
use utoipa::ToSchema;

/// An amount of money in minor units (cents).
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount": 990, "currency": "USD"}))]
pub struct Money {
    /// Minor units, never negative.
    #[schema(minimum = 0)]
    amount: i64,
    currency: Currency,
}

/// An ISO 4217 code.
#[derive(Serialize, ToSchema)]
#[schema(value_type = String, pattern = "^[A-Z]{3}$", example = "USD")]
pub struct Currency(String);

/// A SKU, slug, code or role name.
#[derive(Serialize, ToSchema)]
#[schema(value_type = String, pattern = "^[A-Za-z0-9_-]{1,64}$")]
pub struct Token(String);

/// A time in UTC with milliseconds.
#[derive(Serialize, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-11-23T06:34:20.123Z")]
pub struct Timestamp(String);

/// An error (RFC 9457).
#[derive(Serialize, ToSchema)]
pub struct Problem {
    /// Names the code: `urn:gomall:problem:<code>`.
    r#type: String,
    title: String,
    status: u16,
    /// Stable, snake case, never translated.
    #[schema(example = "out_of_stock")]
    code: String,
    /// English, for people.
    detail: String,
    /// Tells support which request it was.
    trace_id: String,
    /// What is wrong with which part of the request.
    #[schema(required = false)]
    errors: Vec<FieldError>,
}

/// One thing that is wrong with one part of the request.
#[derive(Serialize, ToSchema)]
pub struct FieldError {
    /// A JSON pointer into the body.
    #[schema(required = false)]
    pointer: Option<String>,
    /// A query parameter's or header's name.
    #[schema(required = false)]
    parameter: Option<String>,
    code: String,
    message: String,
}

/// A postal address.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    name: String,
    street: String,
    city: String,
    #[schema(required = false)]
    state: Option<String>,
    /// Text: leading zeros and letters count.
    zip: String,
    /// ISO 3166 alpha-2.
    #[schema(pattern = "^[A-Z]{2}$", example = "US")]
    country: String,
    #[schema(required = false)]
    phone: Option<String>,
}

/// One line of an order, frozen when it was placed.
#[derive(Serialize, ToSchema)]
pub struct OrderLine {
    sku: Token,
    product_id: uuid::Uuid,
    name: String,
    #[schema(required = false)]
    picture: Option<String>,
    quantity: u32,
    unit_price: Money,
    total: Money,
}

/// `items - discount + shipping + tax = total`.
#[derive(Serialize, ToSchema)]
pub struct Totals {
    items: Money,
    discount: Money,
    shipping: Money,
    tax: Money,
    total: Money,
}
