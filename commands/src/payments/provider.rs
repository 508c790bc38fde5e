use domain::{Money, OrderId, PaymentId};
use std::future::Future;

/// What we ask a payment provider to take.
///
/// The token stands for the card; it is held in memory only, for this one call.
#[derive(Clone)]
pub struct Charge {
    /// Ours, and the provider's idempotency key: asking twice charges once.
    pub payment_id: PaymentId,
    /// The order, for the provider's books.
    pub order_id: OrderId,
    /// How much, from the order.
    pub amount: Money,
    /// The kind of payment, e.g. `card`.
    pub method: String,
    /// The provider's token for the card.
    pub token: String,
}

/// What a provider told us about a payment, or that it told us nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderAnswer {
    /// It holds the money.
    Authorized,
    /// It took money.
    Captured {
        /// How much in all in this currency, whatever was asked for.
        amount: Money,
    },
    /// It took money, and says how much in a way that cannot be an amount.
    CapturedUnreadable {
        /// What it said: a short text, safe to store and to show.
        said: String,
    },
    /// The customer has to do something at `url` first.
    ActionRequired {
        /// Absolute.
        url: String,
    },
    /// It refused the card.
    Declined {
        /// E.g. `insufficient_funds`.
        code: String,
    },
    /// It did not take the request, so nothing was and nothing will be charged for it.
    Unavailable,
    /// It has taken the request and not finished with it.
    Pending,
    /// It will never charge this payment.
    Voided,
    /// It has never heard of the payment.
    NotFound,
    /// No answer, or one that we do not understand: whether it charged is open.
    NoAnswer,
}

/// Somebody who takes money for us. Every call is bounded in time by the implementation and never
/// fails otherwise than by an answer: a payment is never lost in an error path.
pub trait PaymentProvider: Send + Sync + 'static {
    /// Asks for money; the same `payment_id` again gives the first outcome.
    fn charge(&self, charge: Charge) -> impl Future<Output = ProviderAnswer> + Send;

    /// Asks what became of a payment.
    fn query(&self, payment_id: PaymentId) -> impl Future<Output = ProviderAnswer> + Send;

    /// Calls a payment off, known to the provider or not: afterwards it is either settled or
    /// can never be charged. The answer says which.
    fn cancel(&self, payment_id: PaymentId) -> impl Future<Output = ProviderAnswer> + Send;
}
