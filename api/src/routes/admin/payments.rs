//! What staff see of payments: what the provider took, and what has to go back.

use super::super::schema;
use crate::application::App;
use crate::http::{AtLeast, Json, Limit, List, Params, Problem};
use axum::extract::State;
use domain::Money;
use domain::payment::{Captured, PaymentStatus};
use projections::orders::{self, PaymentFilter, PaymentView};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The routes of this module.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A payment as staff see it.
#[derive(Debug, Serialize, ToSchema)]
pub struct StaffPaymentBody {
    id: Uuid,
    order_id: Uuid,
    customer_id: Uuid,
    /// What the provider said last: `pending`, `unknown`, `action_required`, `authorized`,
    /// `failed`, `declined`, `voided` or `captured`.
    #[schema(value_type = String)]
    status: PaymentStatus,
    /// What was asked for.
    #[schema(value_type = schema::Money)]
    amount: Money,
    /// What was taken, an item a currency.
    captured: Vec<CapturedBody>,
    /// What the provider said where an amount should stand; null when it said amounts.
    capture_unreadable: Option<String>,
    /// Whether money has to go back: some of `captured`, or what the provider cannot name.
    orphaned: bool,
    /// Why it was declined or failed.
    failure_code: Option<String>,
}

/// What was taken in one currency.
#[derive(Debug, Serialize, ToSchema)]
struct CapturedBody {
    /// All of it.
    #[schema(value_type = schema::Money)]
    amount: Money,
    /// The part that no order took and that has to go back.
    #[schema(value_type = schema::Money)]
    orphaned: Money,
    /// Why: `captured_less`, `captured_more`, `captured_other_currency`, or what the order refused
    /// it with, such as `order_already_paid`. Null when nothing has to go back.
    code: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PaymentListParams {
    /// Only those of this order.
    order_id: Option<Uuid>,
    /// Only those with money that has to go back, or only those without.
    orphaned: Option<bool>,
    /// How many items at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 20)]
    limit: Limit,
    /// The last page's `next_cursor`.
    cursor: Option<String>,
}

/// Payments, those that were asked for last first.
#[utoipa::path(get, path = "/api/v1/admin/payments", operation_id = "list_payments", tag = "orders",
    params(PaymentListParams),
    responses((status = 200, body = List<StaffPaymentBody>), (status = 422, body = schema::Problem)))]
async fn list(
    State(app): State<Arc<App>>,
    Params(params): Params<PaymentListParams>,
    at_least: AtLeast,
) -> Result<Json<List<StaffPaymentBody>>, Problem> {
    app.caught_up(orders::NAME, at_least).await?;
    let filter = PaymentFilter { order_id: params.order_id, orphaned: params.orphaned };
    let page =
        orders::list_payments(&app.pool, filter, params.cursor.as_deref(), params.limit.into())
            .await?;
    Ok(Json(List::from(page).map(body)))
}

fn body(view: PaymentView) -> StaffPaymentBody {
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
