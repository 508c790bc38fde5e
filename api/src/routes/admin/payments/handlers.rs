use super::body::{PaymentListParams, StaffPaymentBody, body};
use crate::application::App;
use crate::http::{AtLeast, Json, List, Params, Problem};
use axum::extract::State;
use projections::orders::{self, PaymentFilter};
use std::sync::Arc;

/// Payments, those that were asked for last first.
#[utoipa::path(get, path = "/api/v1/admin/payments", operation_id = "list_payments", tag = "orders",
    responses((status = 200, body = List<StaffPaymentBody>)))]
pub(super) async fn list(
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
