use super::state::MAX_LINES;
use super::{CancelReason, Order, OrderEvent, OrderLine, OrderStatus, PaymentEnd, Totals};
use crate::{
    CartId, Facts, InvalidMoney, Money, OrderContact, PaymentId, Quantity, Rejection,
    RejectionKind, Sealed, Sku, Timestamp, UserId,
};
use serde_json::{Value, json};

/// What can be asked of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderCommand {
    /// Order these lines; the stock is reserved in the same append, and committed where nothing is to be paid.
    Place {
        /// A small positive number for people, unique among orders.
        number: i32,
        /// The user who orders.
        customer_id: UserId,
        /// The cart it comes from.
        cart_id: CartId,
        /// What is ordered.
        lines: Vec<OrderLine>,
        /// What it costs.
        totals: Totals,
        /// Whom it belongs to and where it goes.
        contact: Sealed<OrderContact>,
        /// Until when a payment may start.
        pay_by: Timestamp,
    },
    /// Send it elsewhere, or write to another address about it.
    ChangeAddress {
        /// The new contact, whole.
        contact: Sealed<OrderContact>,
    },
    /// Begin to pay it.
    StartPayment {
        /// The payment, whose request is appended with this.
        payment_id: PaymentId,
    },
    /// A payment ended without money.
    EndPayment {
        /// The payment.
        payment_id: PaymentId,
        /// How it ended.
        end: PaymentEnd,
    },
    /// The money arrived; the stock is committed in the same append.
    MarkPaid {
        /// The payment that did it.
        payment_id: PaymentId,
    },
    /// Give it up; the stock is released in the same append. Refused when it was cancelled before, so that
    /// nothing that goes with it is done twice.
    Cancel {
        /// Why.
        reason: CancelReason,
    },
}

/// Why an order refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderRejection {
    /// It was never placed.
    #[error("there is no such order")]
    NotFound,
    /// It was placed before.
    #[error("the order exists already")]
    AlreadyExists,
    /// None, or too many lines.
    #[error("an order has 1 to {MAX_LINES} lines")]
    LinesOutOfRange,
    /// A line holds none or too many pieces.
    #[error("a line holds 1 to {} pieces, the one of {sku} does not", Quantity::MAX)]
    QuantityOutOfRange {
        /// The line.
        sku: Sku,
    },
    /// Two lines share a SKU, which would reserve its stock twice.
    #[error("the SKU {sku} has two lines")]
    DuplicateSku {
        /// The first one that has.
        sku: Sku,
    },
    /// Lines and totals do not add up, or not in one currency.
    #[error("the lines and the totals do not add up in one currency")]
    TotalsDoNotBalance,
    /// It no longer waits for payment, so its address is settled.
    #[error("the order can no longer be changed")]
    NotChangeable,
    /// It no longer waits for payment, or its time is over.
    #[error("the order can no longer be paid")]
    NotPayable,
    /// It can be paid still.
    #[error("the order can be paid still")]
    StillPayable,
    /// Another payment is under way.
    #[error("a payment of this order is under way")]
    PaymentInProgress {
        /// The one under way.
        payment_id: PaymentId,
    },
    /// Another payment paid it.
    #[error("the order is paid already, by another payment")]
    AlreadyPaid {
        /// The one that paid it.
        payment_id: PaymentId,
    },
}

impl Rejection for OrderRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::AlreadyExists => "order_exists",
            Self::LinesOutOfRange => "lines_out_of_range",
            Self::QuantityOutOfRange { .. } => "quantity_out_of_range",
            Self::DuplicateSku { .. } => "duplicate_sku",
            Self::TotalsDoNotBalance => "totals_do_not_balance",
            Self::NotChangeable => "order_not_changeable",
            Self::NotPayable => "order_not_payable",
            Self::StillPayable => "order_still_payable",
            Self::PaymentInProgress { .. } => "payment_in_progress",
            Self::AlreadyPaid { .. } => "order_already_paid",
        }
    }

    fn kind(&self) -> RejectionKind {
        match self {
            Self::NotFound => RejectionKind::Absent,
            Self::AlreadyExists
            | Self::NotChangeable
            | Self::NotPayable
            | Self::StillPayable
            | Self::PaymentInProgress { .. }
            | Self::AlreadyPaid { .. } => RejectionKind::Conflict,
            Self::LinesOutOfRange
            | Self::QuantityOutOfRange { .. }
            | Self::DuplicateSku { .. }
            | Self::TotalsDoNotBalance => RejectionKind::Invalid,
        }
    }

    fn extra(&self) -> Option<Value> {
        match self {
            Self::QuantityOutOfRange { sku } | Self::DuplicateSku { sku } => {
                Some(json!({ "sku": sku }))
            }
            Self::PaymentInProgress { payment_id } | Self::AlreadyPaid { payment_id } => {
                Some(json!({ "payment_id": payment_id }))
            }
            Self::NotFound
            | Self::AlreadyExists
            | Self::LinesOutOfRange
            | Self::TotalsDoNotBalance
            | Self::NotChangeable
            | Self::NotPayable
            | Self::StillPayable => None,
        }
    }
}

impl Order {
    /// Decides; see the module's rules. An empty list means "already so".
    ///
    /// # Errors
    /// [`OrderRejection`] when a rule forbids it.
    pub fn decide(
        &self,
        command: OrderCommand,
        facts: &Facts,
    ) -> Result<Vec<OrderEvent>, OrderRejection> {
        if !self.exists() && !matches!(command, OrderCommand::Place { .. }) {
            return Err(OrderRejection::NotFound);
        }
        match command {
            OrderCommand::Place {
                number,
                customer_id,
                cart_id,
                lines,
                totals,
                contact,
                pay_by,
            } => {
                if self.exists() {
                    return Err(OrderRejection::AlreadyExists);
                }
                check_lines(&lines)?;
                if !balances(&lines, &totals).unwrap_or(false) {
                    return Err(OrderRejection::TotalsDoNotBalance);
                }
                let is_free = totals.is_free();
                let placed = OrderEvent::OrderPlaced {
                    number,
                    customer_id,
                    cart_id,
                    lines,
                    totals,
                    contact,
                    pay_by,
                };
                let free = is_free.then_some(OrderEvent::OrderRequiredNoPayment {});
                Ok([placed].into_iter().chain(free).collect())
            }
            OrderCommand::ChangeAddress { contact } => {
                if self.contact.as_ref() == Some(&contact) {
                    return Ok(vec![]);
                }
                if self.status != OrderStatus::AwaitingPayment {
                    return Err(OrderRejection::NotChangeable);
                }
                if let Some(payment_id) = self.payment_under_way {
                    return Err(OrderRejection::PaymentInProgress { payment_id });
                }
                Ok(vec![OrderEvent::OrderAddressChanged { contact }])
            }
            OrderCommand::StartPayment { payment_id } => {
                if self.last_payment_id == Some(payment_id) {
                    return Ok(vec![]);
                }
                if !self.is_payable(facts.now) {
                    return Err(OrderRejection::NotPayable);
                }
                if let Some(payment_id) = self.payment_under_way {
                    return Err(OrderRejection::PaymentInProgress { payment_id });
                }
                Ok(vec![OrderEvent::OrderPaymentStarted { payment_id }])
            }
            OrderCommand::EndPayment { payment_id, end } => {
                let under_way = self.payment_under_way == Some(payment_id);
                let ended = under_way.then_some(OrderEvent::OrderPaymentEnded { payment_id, end });
                Ok(ended.into_iter().collect())
            }
            OrderCommand::MarkPaid { payment_id } => match self.paid_by {
                None if self.status != OrderStatus::AwaitingPayment => {
                    Err(OrderRejection::NotPayable)
                }
                None => Ok(vec![OrderEvent::OrderPaid { payment_id }]),
                Some(paid_by) if paid_by == payment_id => Ok(vec![]),
                Some(paid_by) => Err(OrderRejection::AlreadyPaid { payment_id: paid_by }),
            },
            OrderCommand::Cancel { reason } => {
                if let Some(payment_id) = self.paid_by {
                    return Err(OrderRejection::AlreadyPaid { payment_id });
                }
                if self.status != OrderStatus::AwaitingPayment {
                    return Err(OrderRejection::NotChangeable);
                }
                if let Some(payment_id) = self.payment_under_way {
                    return Err(OrderRejection::PaymentInProgress { payment_id });
                }
                match reason {
                    CancelReason::Unpaid if self.is_payable(facts.now) => {
                        Err(OrderRejection::StillPayable)
                    }
                    CancelReason::Unpaid => Ok(vec![OrderEvent::OrderCancelled { reason }]),
                }
            }
        }
    }
}

fn check_lines(lines: &[OrderLine]) -> Result<(), OrderRejection> {
    if !(1..=MAX_LINES).contains(&lines.len()) {
        return Err(OrderRejection::LinesOutOfRange);
    }
    for (index, line) in lines.iter().enumerate() {
        if Quantity::new(line.quantity).is_err() {
            return Err(OrderRejection::QuantityOutOfRange { sku: line.sku.clone() });
        }
        if lines[..index].iter().any(|earlier| earlier.sku == line.sku) {
            return Err(OrderRejection::DuplicateSku { sku: line.sku.clone() });
        }
    }
    Ok(())
}

/// Does `items - discount + shipping + tax = total` hold, and is `items` the sum of the lines?
fn balances(lines: &[OrderLine], totals: &Totals) -> Result<bool, InvalidMoney> {
    let mut items = Money::zero(totals.items.currency());
    for line in lines {
        if line.unit_price.times(line.quantity)? != line.total {
            return Ok(false);
        }
        items = items.plus(line.total)?;
    }
    // Without a subtraction, because money is never negative.
    let charged = totals.items.plus(totals.shipping)?.plus(totals.tax)?;
    let owed = totals.total.plus(totals.discount)?;
    Ok(items == totals.items && charged == owed)
}
