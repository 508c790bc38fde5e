use crate::{Money, OrderId, UserId, event_types};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Facts about one attempt to pay. The stream's id is the payment's id, which is also the
/// provider's idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PaymentEvent {
    /// Money is asked for. Appended before the provider is called, so that a crash in between
    /// leaves something to settle.
    PaymentRequested {
        /// What it is for.
        order_id: OrderId,
        /// Who pays.
        customer_id: UserId,
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
    /// The provider took money for us. Appended again, with the new sum, should it say later that it
    /// took more, or something in another currency as well.
    PaymentCaptured {
        /// How much in all in this currency, as the provider says it, whatever was requested. What
        /// was said of the same currency before is superseded.
        amount: Money,
    },
    /// The provider says that it took money, but no amount that can be one. Somebody has to look it
    /// up there.
    PaymentCaptureUnreadable {
        /// What it said instead of an amount, cut to a short text.
        said: String,
    },
    /// The provider refused.
    PaymentDeclined {
        /// The provider's reason, e.g. `insufficient_funds`.
        code: String,
    },
    /// The provider could not take the request, or never told what became of it; no charge is known.
    PaymentFailed {
        /// E.g. `provider_unavailable` or `provider_silent`.
        code: String,
    },
    /// The provider gave no answer; whether it charged is not known yet and will be asked.
    PaymentOutcomeUnknown {},
    /// It was called off at the provider; it will never be captured.
    PaymentVoided {},
    /// Money arrived that no order waits for; it has to go back. In the same append as the capture
    /// that it is a part of.
    PaymentOrphaned {
        /// Why, e.g. `order_already_paid`, `captured_less`, `captured_more` or
        /// `captured_other_currency`.
        code: String,
        /// How much of what was captured in this currency, at most all of it; absent in older
        /// events, which mean all of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        amount: Option<Money>,
    },
}

event_types!(PaymentEvent {
    PaymentRequested: 1,
    PaymentActionRequired: 1,
    PaymentAuthorized: 1,
    PaymentCaptured: 1,
    PaymentCaptureUnreadable: 1,
    PaymentDeclined: 1,
    PaymentFailed: 1,
    PaymentOutcomeUnknown: 1,
    PaymentVoided: 1,
    PaymentOrphaned: 1,
});
