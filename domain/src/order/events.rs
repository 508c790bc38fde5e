use crate::tag::ORDERED_BY;
use crate::{
    CartId, Money, Name, OrderContact, PaymentId, ProductId, Sealed, Sku, Text, Timestamp, UserId,
    event_types,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One line of an order, frozen when it was placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderLine {
    /// What.
    pub sku: Sku,
    /// The product it is a variant of.
    pub product_id: ProductId,
    /// The product's name then.
    pub name: Name,
    /// What told the variant from its siblings then, if there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<Name>,
    /// Its picture then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<Text>,
    /// How many.
    pub quantity: u32,
    /// The price of one piece.
    pub unit_price: Money,
    /// The price of the line.
    pub total: Money,
}

/// What an order costs; `items - discount + shipping + tax = total`, all in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// The sum of the lines.
    pub items: Money,
    /// What a coupon takes off.
    pub discount: Money,
    /// Shipping.
    pub shipping: Money,
    /// Tax on top.
    pub tax: Money,
    /// What is paid.
    pub total: Money,
}

impl Totals {
    /// Whether nothing is to be paid.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.total.amount_minor() == 0
    }
}

/// How a payment of an order ended without money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentEnd {
    /// The card was refused.
    Declined,
    /// It ended without paying the order: the provider could not take it, never told what became of
    /// it, or took an amount that does not pay the order.
    Failed,
    /// It was given up before money moved.
    Voided,
}

/// Why an order was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// Nobody paid it in time.
    Unpaid,
}

/// Facts about an order. The stream's id is the order's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OrderEvent {
    /// The customer ordered; the stock is reserved in the same append.
    OrderPlaced {
        /// A small positive number for people.
        number: i32,
        /// The user who ordered.
        customer_id: UserId,
        /// The cart it came from.
        cart_id: CartId,
        /// At least one.
        lines: Vec<OrderLine>,
        /// What it costs.
        totals: Totals,
        /// Whom it belongs to and where it goes; sealed with the customer's key.
        contact: Sealed<OrderContact>,
        /// Until when it can be paid.
        pay_by: Timestamp,
    },
    /// Address or e-mail changed before payment.
    OrderAddressChanged {
        /// The new contact, whole.
        contact: Sealed<OrderContact>,
    },
    /// A payment is under way; no second one may start before it ends.
    OrderPaymentStarted {
        /// The payment.
        payment_id: PaymentId,
    },
    /// The payment under way ended without money; another one may start.
    OrderPaymentEnded {
        /// The payment.
        payment_id: PaymentId,
        /// How it ended.
        end: PaymentEnd,
    },
    /// The order is paid; the stock is committed in the same append.
    OrderPaid {
        /// The payment that did it.
        payment_id: PaymentId,
    },
    /// Its total is zero, so it was paid with being placed, and nobody was asked for money; the stock is committed in the
    /// same append.
    OrderRequiredNoPayment {},
    /// Nobody gets it; its stock is released in the same append. Money that arrives later goes back.
    OrderCancelled {
        /// Why.
        reason: CancelReason,
    },
}

event_types!(OrderEvent {
    OrderPlaced: 1 tagged ORDERED_BY,
    OrderAddressChanged: 1,
    OrderPaymentStarted: 1,
    OrderPaymentEnded: 1,
    OrderPaid: 1,
    OrderRequiredNoPayment: 1,
    OrderCancelled: 1,
});
