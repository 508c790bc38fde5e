use super::{OrderCommand, OrderEvent, OrderLine, OrderRejection, Totals};
use crate::{
    CartId, Facts, Identified, OrderContact, OrderId, PaymentId, Sealed, Timestamp, UserId,
};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most lines of an order, the same as of a cart.
pub const MAX_LINES: usize = crate::cart::MAX_LINES;

/// An order's state. `Default` is an order that was not placed yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// A small positive number for people; absent before it was placed.
    pub number: Option<i32>,
    /// The user who ordered; absent before it was placed.
    pub customer_id: Option<UserId>,
    /// The cart it came from; absent before it was placed.
    pub cart_id: Option<CartId>,
    /// What was ordered.
    pub lines: Vec<OrderLine>,
    /// What it costs; absent before it was placed.
    pub totals: Option<Totals>,
    /// Whom it belongs to and where it goes; absent before it was placed.
    pub contact: Option<Sealed<OrderContact>>,
    /// Until when a payment may start; absent before it was placed.
    pub pay_by: Option<Timestamp>,
    /// What it waits for.
    pub status: OrderStatus,
    /// The payment whose outcome is awaited.
    pub payment_under_way: Option<PaymentId>,
    /// The payment that tells most about the order: the one that paid it, else the last started.
    pub last_payment_id: Option<PaymentId>,
    /// The payment that paid it; none of an order that required none.
    pub paid_by: Option<PaymentId>,
}

/// What an order waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// For money.
    #[default]
    AwaitingPayment,
    /// For being sent.
    Paid,
    /// For nothing: nobody gets it.
    Cancelled,
}

impl OrderStatus {
    /// The word for it in JSON and SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AwaitingPayment => "awaiting_payment",
            Self::Paid => "paid",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Order {
    /// Whether it was placed.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.number.is_some()
    }

    /// Whether a payment could start at `now`, if none is under way.
    #[must_use]
    pub fn is_payable(&self, now: Timestamp) -> bool {
        self.status == OrderStatus::AwaitingPayment
            && self.pay_by.is_some_and(|pay_by| now <= pay_by)
    }
}

impl Identified for Order {
    type Id = OrderId;
}

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Command = OrderCommand;
    type Event = OrderEvent;
    type Error = OrderRejection;
    type Services = Facts;

    async fn handle(
        &mut self,
        command: OrderCommand,
        facts: &Facts,
        sink: &EventSink<Self>,
    ) -> Result<(), OrderRejection> {
        for event in self.decide(command, facts)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: OrderEvent) {
        match event {
            OrderEvent::OrderPlaced {
                number,
                customer_id,
                cart_id,
                lines,
                totals,
                contact,
                pay_by,
            } => {
                self.number = Some(number);
                self.customer_id = Some(customer_id);
                self.cart_id = Some(cart_id);
                self.lines = lines;
                self.totals = Some(totals);
                self.contact = Some(contact);
                self.pay_by = Some(pay_by);
            }
            OrderEvent::OrderAddressChanged { contact } => self.contact = Some(contact),
            OrderEvent::OrderPaymentStarted { payment_id } => {
                self.payment_under_way = Some(payment_id);
                self.last_payment_id = Some(payment_id);
            }
            OrderEvent::OrderPaymentEnded { payment_id, end: _ } => {
                self.payment_under_way.take_if(|under_way| *under_way == payment_id);
            }
            // Another payment may still be under way; it stays so until its own end is known.
            OrderEvent::OrderPaid { payment_id } => {
                self.status = OrderStatus::Paid;
                self.payment_under_way.take_if(|under_way| *under_way == payment_id);
                self.last_payment_id = Some(payment_id);
                self.paid_by = Some(payment_id);
            }
            OrderEvent::OrderRequiredNoPayment {} => self.status = OrderStatus::Paid,
            OrderEvent::OrderCancelled { reason: _ } => self.status = OrderStatus::Cancelled,
        }
    }
}
