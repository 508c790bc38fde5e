use crate::public_event::PublicEvent;
use domain::order::{OrderEvent, PaymentEnd};
use domain::{EventTypes, is_event_name};
use serde::Deserialize;

/// The mails that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailKind {
    /// The order was placed.
    OrderConfirmation,
    /// The order was paid.
    PaymentReceived,
    /// A payment was declined; another one can be tried.
    PaymentDeclined,
}

const ORDER: &str = "order";
const PLACED: &str = "OrderPlaced";
const PAID: &str = "OrderPaid";
const PAYMENT_ENDED: &str = "OrderPaymentEnded";

/// An event that is renamed would silently send no mail.
const _: () = {
    assert!(is_event_name(OrderEvent::TYPES, PLACED));
    assert!(is_event_name(OrderEvent::TYPES, PAID));
    assert!(is_event_name(OrderEvent::TYPES, PAYMENT_ENDED));
};

impl MailKind {
    /// The events that may send a mail: aggregate type and event type.
    pub const EVENTS: &'static [(&'static str, &'static str)] =
        &[(ORDER, PLACED), (ORDER, PAID), (ORDER, PAYMENT_ENDED)];

    /// The mail that an event sends, if it sends one.
    #[must_use]
    pub fn of(event: &PublicEvent<'_>) -> Option<Self> {
        match (event.aggregate_type(), event.event_type()) {
            (ORDER, PLACED) => Some(Self::OrderConfirmation),
            (ORDER, PAID) => Some(Self::PaymentReceived),
            (ORDER, PAYMENT_ENDED) => declined(event).then_some(Self::PaymentDeclined),
            _ => None,
        }
    }

    /// The event that sends it.
    pub(super) fn event_type(self) -> &'static str {
        match self {
            Self::OrderConfirmation => PLACED,
            Self::PaymentReceived => PAID,
            Self::PaymentDeclined => PAYMENT_ENDED,
        }
    }

    /// Its name in the database and in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OrderConfirmation => "order_confirmation",
            Self::PaymentReceived => "payment_received",
            Self::PaymentDeclined => "payment_declined",
        }
    }
}

impl MailKind {
    /// The kind of that name in the database, if this build knows it.
    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::OrderConfirmation, Self::PaymentReceived, Self::PaymentDeclined]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
}

fn declined(event: &PublicEvent<'_>) -> bool {
    #[derive(Deserialize)]
    struct Ended {
        end: PaymentEnd,
    }
    event
        .data
        .as_deref()
        .and_then(|data| serde_json::from_str::<Ended>(data.get()).ok())
        .is_some_and(|ended| ended.end == PaymentEnd::Declined)
}
