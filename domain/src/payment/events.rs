use crate::{Money, event_types};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Facts about one attempt to pay. The stream's id is the payment's id, which is also the
/// provider's idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PaymentEvent {
    /// Money is asked for. Appended before the provider is called, so that a crash in between
    /// leaves something to settle.
    PaymentRequested {
        /// What it is for.
        order_id: Uuid,
        /// Who pays.
        customer_id: Uuid,
        /// Taken from the order, never from the caller.
        amount: Money,
        /// The kind of payment, e.g. `card`.
        method: String,
    },
    /// The customer has to do something first, e.g. confirm with their bank.
    PaymentActionRequired {
        /// Where to send the customer.
        url: String,
    },
    /// The provider holds the money for us.
    PaymentAuthorized {},
    /// The provider took the money for us.
    PaymentCaptured {
        /// How much; at most what was requested.
        amount: Money,
    },
    /// The provider refused.
    PaymentDeclined {
        /// The provider's reason, e.g. `insufficient_funds`.
        code: String,
    },
    /// The provider could not take the request; nothing was charged.
    PaymentFailed {
        /// E.g. `provider_unavailable`.
        code: String,
    },
    /// The provider gave no answer; whether it charged is not known yet and will be asked.
    PaymentOutcomeUnknown {},
    /// It was called off at the provider; it will never be captured.
    PaymentVoided {},
    /// Money arrived that no order waits for; it has to go back.
    PaymentOrphaned {
        /// Why, e.g. `order_already_paid`.
        code: String,
    },
}

event_types!(PaymentEvent {
    PaymentRequested: 1,
    PaymentActionRequired: 1,
    PaymentAuthorized: 1,
    PaymentCaptured: 1,
    PaymentDeclined: 1,
    PaymentFailed: 1,
    PaymentOutcomeUnknown: 1,
    PaymentVoided: 1,
    PaymentOrphaned: 1,
});
