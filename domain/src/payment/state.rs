use super::captures::Captures;
use super::{CAPTURE_UNREADABLE, CAPTURED_LESS, PaymentCommand, PaymentEvent, PaymentRejection};
use crate::{Facts, Identified, Money, OrderId, PaymentId, UserId};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A payment's state. `Default` is a payment that was not requested yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// What it is for; absent before it was requested.
    pub order_id: Option<OrderId>,
    /// Who pays; absent before it was requested.
    pub customer_id: Option<UserId>,
    /// How much is asked for; absent before it was requested.
    pub amount: Option<Money>,
    /// The kind of payment, e.g. `card`.
    pub method: String,
    /// What the provider said.
    pub status: PaymentStatus,
    /// What was taken.
    pub captured: Captures,
    /// The provider says that it took money, but not how much in a way that can be understood.
    pub unreadable: bool,
    /// Why not, while the status is `declined` or `failed`.
    pub failure: Option<String>,
    /// Where to send the customer, while the status is `action_required`.
    pub action_url: Option<String>,
}

/// What the provider said, in ascending order of what counts: a payment only ever moves up.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// Nothing yet.
    #[default]
    Pending,
    /// It gave no answer when it was asked; it has to be asked again.
    Unknown,
    /// The customer has to do something first.
    ActionRequired,
    /// It holds the money for us.
    Authorized,
    /// It could not take the request; nothing was charged.
    Failed,
    /// It refused.
    Declined,
    /// It was called off.
    Voided,
    /// It took the money for us.
    Captured,
}

impl PaymentStatus {
    /// Whether the order need not wait for this payment any longer.
    #[must_use]
    pub fn is_settled(self) -> bool {
        match self {
            Self::Pending | Self::Unknown | Self::ActionRequired | Self::Authorized => false,
            Self::Failed | Self::Declined | Self::Voided | Self::Captured => true,
        }
    }

    /// The word for it in JSON and SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Unknown => "unknown",
            Self::ActionRequired => "action_required",
            Self::Authorized => "authorized",
            Self::Failed => "failed",
            Self::Declined => "declined",
            Self::Voided => "voided",
            Self::Captured => "captured",
        }
    }
}

impl Payment {
    /// Whether it was requested.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.order_id.is_some()
    }

    /// Whether the order took what was requested.
    #[must_use]
    pub fn pays(&self) -> bool {
        self.amount.is_some_and(|requested| self.captured.pay(requested))
    }

    /// Whether somebody has to see to it that money goes back.
    #[must_use]
    pub fn is_orphaned(&self) -> bool {
        self.unreadable || self.captured.orphaned().next().is_some()
    }

    /// The status for whoever pays: `captured` means that it pays the order, and money that does
    /// not is a failure to pay. Staff see both apart.
    #[must_use]
    pub fn outcome(&self) -> PaymentStatus {
        match self.status {
            PaymentStatus::Captured if !self.pays() => PaymentStatus::Failed,
            status => status,
        }
    }

    /// Why the [`Payment::outcome`] is `declined` or `failed`.
    #[must_use]
    pub fn outcome_code(&self) -> Option<&str> {
        match self.status {
            PaymentStatus::Captured if self.pays() => None,
            PaymentStatus::Captured => {
                let code = self.captured.iter().find_map(|known| known.code.as_deref());
                // Of a capture of nothing there is nothing to give back.
                let other = if self.unreadable { CAPTURE_UNREADABLE } else { CAPTURED_LESS };
                Some(code.unwrap_or(other))
            }
            _ => self.failure.as_deref(),
        }
    }

    /// Moves to `status`; what only the status before it meant is forgotten.
    fn become_status(&mut self, status: PaymentStatus) {
        self.status = status;
        self.failure = None;
        self.action_url = None;
    }
}

impl Identified for Payment {
    type Id = PaymentId;
}

impl Aggregate for Payment {
    const TYPE: &'static str = "payment";
    type Command = PaymentCommand;
    type Event = PaymentEvent;
    type Error = PaymentRejection;
    type Services = Facts;

    async fn handle(
        &mut self,
        command: PaymentCommand,
        facts: &Facts,
        sink: &EventSink<Self>,
    ) -> Result<(), PaymentRejection> {
        for event in self.decide(command, facts)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: PaymentEvent) {
        match event {
            PaymentEvent::PaymentRequested { order_id, customer_id, amount, method } => {
                self.order_id = Some(order_id);
                self.customer_id = Some(customer_id);
                self.amount = Some(amount);
                self.method = method;
            }
            PaymentEvent::PaymentActionRequired { url } => {
                self.become_status(PaymentStatus::ActionRequired);
                self.action_url = Some(url);
            }
            PaymentEvent::PaymentAuthorized {} => self.become_status(PaymentStatus::Authorized),
            PaymentEvent::PaymentCaptured { amount } => {
                self.become_status(PaymentStatus::Captured);
                self.captured.apply_captured(amount);
            }
            PaymentEvent::PaymentCaptureUnreadable { said: _ } => {
                self.become_status(PaymentStatus::Captured);
                self.unreadable = true;
            }
            PaymentEvent::PaymentDeclined { code } => {
                self.become_status(PaymentStatus::Declined);
                self.failure = Some(code);
            }
            PaymentEvent::PaymentFailed { code } => {
                self.become_status(PaymentStatus::Failed);
                self.failure = Some(code);
            }
            PaymentEvent::PaymentOutcomeUnknown {} => self.become_status(PaymentStatus::Unknown),
            PaymentEvent::PaymentVoided {} => self.become_status(PaymentStatus::Voided),
            PaymentEvent::PaymentOrphaned { code, amount } => {
                self.captured.apply_orphaned(&code, amount);
            }
        }
    }
}
