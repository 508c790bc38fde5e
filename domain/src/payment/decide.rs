use super::captures::Captures;
use super::{Payment, PaymentEvent, PaymentStatus};
use crate::{Facts, Money, OrderId, Rejection, RejectionKind, UserId};

/// What can be asked of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaymentCommand {
    /// Ask for money; recorded before the provider is called.
    Request {
        /// What it is for.
        order_id: OrderId,
        /// Who pays.
        customer_id: UserId,
        /// Taken from the order, never from the caller.
        amount: Money,
        /// The kind of payment, e.g. `card`.
        method: String,
    },
    /// The provider says that the customer has to do something first.
    RecordActionRequired {
        /// Where to send the customer.
        url: String,
    },
    /// The provider says that it holds the money for us.
    RecordAuthorized,
    /// The provider says that it took money for us. What of it the order takes is decided now and
    /// stays so, which is why a repetition is refused and not passed over.
    RecordCaptured {
        /// How much in all in this currency.
        amount: Money,
        /// Why the order takes none of it, if it does not.
        refused: Option<String>,
    },
    /// The provider says that it took money, in words that are no amount.
    RecordCaptureUnreadable {
        /// What it said.
        said: String,
    },
    /// The provider says that it refused.
    RecordDeclined {
        /// Its reason.
        code: String,
    },
    /// The provider could not take the request, or tells nothing for too long.
    RecordFailed {
        /// Why.
        code: String,
    },
    /// The provider gave no answer.
    RecordUnknown,
    /// The provider says that it was called off.
    RecordVoided,
}

/// Why a payment refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaymentRejection {
    /// It was never requested.
    #[error("there is no such payment")]
    NotFound,
    /// It was requested before, for something else.
    #[error("the payment exists already and is for something else")]
    AlreadyExists,
    /// As much, or more, is known to be captured.
    #[error("that much was captured before")]
    AlreadyCaptured,
}

impl Rejection for PaymentRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::AlreadyExists => "payment_exists",
            Self::AlreadyCaptured => "payment_already_captured",
        }
    }

    fn kind(&self) -> RejectionKind {
        match self {
            Self::NotFound => RejectionKind::Absent,
            Self::AlreadyExists | Self::AlreadyCaptured => RejectionKind::Conflict,
        }
    }
}

impl Payment {
    /// Decides; see the module's rules. An empty list means "already so".
    ///
    /// # Errors
    /// [`PaymentRejection`] when a rule forbids it.
    pub fn decide(
        &self,
        command: PaymentCommand,
        _facts: &Facts,
    ) -> Result<Vec<PaymentEvent>, PaymentRejection> {
        if let PaymentCommand::Request { order_id, customer_id, amount, method } = command {
            return self.request(order_id, customer_id, amount, method);
        }
        let Some(requested) = self.amount else { return Err(PaymentRejection::NotFound) };
        let (status, event) = match command {
            PaymentCommand::Request { .. } => return Ok(vec![]),
            PaymentCommand::RecordCaptured { amount, refused } => {
                return if self.captured.has(amount) {
                    Err(PaymentRejection::AlreadyCaptured)
                } else {
                    Ok(Captures::decide(amount, requested, refused))
                };
            }
            PaymentCommand::RecordCaptureUnreadable { said } => {
                let event = PaymentEvent::PaymentCaptureUnreadable { said };
                return Ok((!self.unreadable).then_some(event).into_iter().collect());
            }
            PaymentCommand::RecordActionRequired { url } => {
                (PaymentStatus::ActionRequired, PaymentEvent::PaymentActionRequired { url })
            }
            PaymentCommand::RecordAuthorized => {
                (PaymentStatus::Authorized, PaymentEvent::PaymentAuthorized {})
            }
            PaymentCommand::RecordDeclined { code } => {
                (PaymentStatus::Declined, PaymentEvent::PaymentDeclined { code })
            }
            PaymentCommand::RecordFailed { code } => {
                (PaymentStatus::Failed, PaymentEvent::PaymentFailed { code })
            }
            PaymentCommand::RecordUnknown => {
                (PaymentStatus::Unknown, PaymentEvent::PaymentOutcomeUnknown {})
            }
            PaymentCommand::RecordVoided => (PaymentStatus::Voided, PaymentEvent::PaymentVoided {}),
        };
        // The one rule of all answers without money; see the module.
        Ok((status > self.status).then_some(event).into_iter().collect())
    }

    fn request(
        &self,
        order_id: OrderId,
        customer_id: UserId,
        amount: Money,
        method: String,
    ) -> Result<Vec<PaymentEvent>, PaymentRejection> {
        if !self.exists() {
            return Ok(vec![PaymentEvent::PaymentRequested {
                order_id,
                customer_id,
                amount,
                method,
            }]);
        }
        let same = self.order_id == Some(order_id)
            && self.customer_id == Some(customer_id)
            && self.amount == Some(amount)
            && self.method == method;
        if same { Ok(vec![]) } else { Err(PaymentRejection::AlreadyExists) }
    }
}
