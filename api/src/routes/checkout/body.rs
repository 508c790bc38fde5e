use crate::routes::orders::OrderBody;
use crate::routes::payments::{self, PaymentBody};
use crate::routes::schema;
use domain::order::{OrderLine, Totals};
use domain::{Address, EmailAddress, Money};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What to order.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckoutBody {
    /// The cart's version that was seen; another one is refused with `cart_changed`.
    #[serde(default)]
    pub(super) cart_version: Option<u64>,
    /// The total that is agreed to. Without it the prices last written to the cart count.
    #[serde(default)]
    #[schema(value_type = Option<schema::Money>)]
    pub(super) expected_total: Option<Money>,
    /// Where the confirmation goes.
    #[schema(value_type = String, format = Email)]
    pub(super) email: EmailAddress,
    /// Where the parcel goes.
    #[schema(value_type = schema::Address)]
    pub(super) shipping_address: Address,
    /// How to pay at once; without it the order waits for a payment.
    #[serde(default)]
    pub(super) payment: Option<payments::PaymentRequest>,
}

/// The order, and its payment if one was asked for.
#[derive(Serialize, ToSchema)]
pub(super) struct CheckedOut {
    pub(super) order: OrderBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) payment: Option<PaymentBody>,
}

/// What the cart would cost.
#[derive(Serialize, ToSchema)]
pub(super) struct QuoteBody {
    #[schema(value_type = Vec<schema::OrderLine>)]
    pub(super) lines: Vec<OrderLine>,
    #[schema(value_type = schema::Totals)]
    pub(super) totals: Totals,
}
