use super::{Payment, PaymentEvent, PaymentStatus};
use crate::{Facts, Money, Rejection, RejectionKind};
use uuid::Uuid;

/// What can be asked of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaymentCommand {
    /// Ask for money; recorded before the provider is called.
    Request {
        /// What it is for.
        order_id: Uuid,
        /// Who pays.
        customer_id: Uuid,
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
    /// The provider says that it took the money for us.
    RecordCaptured {
        /// How much.
        amount: Money,
    },
    /// The provider says that it refused.
    RecordDeclined {
        /// Its reason.
        code: String,
    },
    /// The provider could not take the request.
    RecordFailed {
        /// Why.
        code: String,
    },
    /// The provider gave no answer.
    RecordUnknown,
    /// The provider says that it was called off.
    RecordVoided,
    /// No order waits for the money that was taken.
    Orphan {
        /// Why.
        code: String,
    },
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
    /// More was taken than we asked for, or another currency.
    #[error("{captured} was captured where {requested} was requested")]
    CapturedMoreThanRequested {
        /// What we asked for.
        requested: Money,
        /// What the provider says it took.
        captured: Money,
    },
    /// The provider said before that it took another amount.
    #[error("{captured} was captured before")]
    CapturedOtherAmount {
        /// What it said first.
        captured: Money,
    },
    /// No money was taken, so none can be without an order.
    #[error("nothing was captured")]
    NotCaptured,
}

impl Rejection for PaymentRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::AlreadyExists => "payment_exists",
            Self::CapturedMoreThanRequested { .. } => "captured_more_than_requested",
            Self::CapturedOtherAmount { .. } => "captured_other_amount",
            Self::NotCaptured => "payment_not_captured",
        }
    }

    fn kind(&self) -> RejectionKind {
        match self {
            Self::NotFound => RejectionKind::Absent,
            Self::CapturedMoreThanRequested { .. } => RejectionKind::Invalid,
            Self::AlreadyExists | Self::CapturedOtherAmount { .. } | Self::NotCaptured => {
                RejectionKind::Conflict
            }
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
        if !self.exists() && !matches!(command, PaymentCommand::Request { .. }) {
            return Err(PaymentRejection::NotFound);
        }
        let (status, event) = match command {
            PaymentCommand::Request { order_id, customer_id, amount, method } => {
                return self.request(order_id, customer_id, amount, method);
            }
            PaymentCommand::RecordActionRequired { url } => {
                (PaymentStatus::ActionRequired, PaymentEvent::PaymentActionRequired { url })
            }
            PaymentCommand::RecordAuthorized => {
                (PaymentStatus::Authorized, PaymentEvent::PaymentAuthorized {})
            }
            PaymentCommand::RecordCaptured { amount } => {
                self.check_captured(amount)?;
                (PaymentStatus::Captured, PaymentEvent::PaymentCaptured { amount })
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
            PaymentCommand::Orphan { code } => {
                if self.status != PaymentStatus::Captured {
                    return Err(PaymentRejection::NotCaptured);
                }
                let orphaned = (!self.orphaned).then_some(PaymentEvent::PaymentOrphaned { code });
                return Ok(orphaned.into_iter().collect());
            }
        };
        // The one rule of all answers; see the module.
        Ok((status > self.status).then_some(event).into_iter().collect())
    }

    fn request(
        &self,
        order_id: Uuid,
        customer_id: Uuid,
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

    fn check_captured(&self, captured: Money) -> Result<(), PaymentRejection> {
        let requested = self.amount.ok_or(PaymentRejection::NotFound)?;
        if captured.currency() != requested.currency()
            || captured.amount_minor() > requested.amount_minor()
        {
            return Err(PaymentRejection::CapturedMoreThanRequested { requested, captured });
        }
        match self.captured {
            Some(before) if before != captured => {
                Err(PaymentRejection::CapturedOtherAmount { captured: before })
            }
            Some(_) | None => Ok(()),
        }
    }
}
