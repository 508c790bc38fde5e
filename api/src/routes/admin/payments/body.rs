use crate::http::{Cursor, Limit};
use crate::openapi::schema::answers;
use domain::payment::{Captured, PaymentStatus};
use domain::{Money, OrderId, PaymentId, UserId};
use projections::orders::PaymentView;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

answers!(StaffPaymentBody);

/// A payment as staff see it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct StaffPaymentBody {
    pub(super) id: PaymentId,
    pub(super) order_id: OrderId,
    pub(super) customer_id: UserId,
    /// What the provider said last: `pending`, `unknown`, `action_required`, `authorized`,
    /// `failed`, `declined`, `voided` or `captured`.
    pub(super) status: PaymentStatus,
    /// What was asked for.
    pub(super) amount: Money,
    /// What was taken, an item a currency.
    pub(super) captured: Vec<CapturedBody>,
    /// What the provider said where an amount should stand; null when it said amounts.
    pub(super) capture_unreadable: Option<String>,
    /// Whether money has to go back: some of `captured`, or what the provider cannot name.
    pub(super) orphaned: bool,
    /// Why it was declined or failed.
    pub(super) failure_code: Option<String>,
}

/// What was taken in one currency.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CapturedBody {
    /// All of it.
    pub(super) amount: Money,
    /// The part that no order took and that has to go back.
    pub(super) orphaned: Money,
    /// Why: `captured_less`, `captured_more`, `captured_other_currency`, or what the order refused
    /// it with, such as `order_already_paid`. Null when nothing has to go back.
    pub(super) code: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PaymentListParams {
    /// Only those of this order.
    pub(super) order_id: Option<OrderId>,
    /// Only those with money that has to go back, or only those without.
    pub(super) orphaned: Option<bool>,
    /// How many items at most.
    #[serde(default)]
    pub(super) limit: Limit,
    /// The last page's `next_cursor`.
    pub(super) cursor: Option<Cursor>,
}

pub(super) fn body(view: PaymentView) -> StaffPaymentBody {
    let captured = view.captured.iter().map(|known: &Captured| CapturedBody {
        amount: known.amount,
        orphaned: known.orphaned,
        code: known.code.clone(),
    });
    StaffPaymentBody {
        id: view.payment_id,
        order_id: view.order_id,
        customer_id: view.customer_id,
        status: view.status,
        amount: view.amount,
        captured: captured.collect(),
        capture_unreadable: view.capture_unreadable,
        orphaned: view.orphaned,
        failure_code: view.failure_code,
    }
}
