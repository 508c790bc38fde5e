use crate::openapi::schema::answers;
use crate::routes::orders::OrderBody;
use crate::routes::payments::{self, PaymentBody};
use domain::order::{OrderLine, Totals};
use domain::{EmailAddress, GivenAddress, Money};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

answers!(CheckedOut, QuoteBody);

/// What to order.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({
    "cart_version": 1, "expected_total": {"amount": 990, "currency": "USD"},
    "email": "ada@example.com",
    "shipping_address": {
        "name": "Ada Lovelace", "street": "12 St James's Square", "city": "London",
        "state": "Greater London", "zip": "01234", "country": "GB", "phone": "+44 20 7930 7705",
    },
    "payment": {"method": "card", "token": "tok_ok"},
}))]
pub(super) struct CheckoutBody {
    /// The cart's version that was seen; another one is refused with `cart_changed`.
    #[serde(default)]
    pub(super) cart_version: Option<u64>,
    /// The total that is agreed to. Without it the prices last written to the cart count.
    #[serde(default)]
    pub(super) expected_total: Option<Money>,
    /// Where the confirmation goes.
    pub(super) email: EmailAddress,
    /// Where the parcel goes.
    pub(super) shipping_address: GivenAddress,
    /// How to pay at once; without it the order waits for a payment.
    #[serde(default)]
    pub(super) payment: Option<payments::PaymentRequest>,
}

/// The order, and its payment if one was asked for.
#[derive(Serialize, JsonSchema)]
pub(super) struct CheckedOut {
    pub(super) order: OrderBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) payment: Option<PaymentBody>,
}

/// What the cart would cost.
#[derive(Serialize, JsonSchema)]
pub(super) struct QuoteBody {
    pub(super) lines: Vec<OrderLine>,
    pub(super) totals: Totals,
}
