use super::body::{PaymentBody, PaymentRequest};
use crate::application::App;
use crate::application::payments;
use crate::guard::{LimitedAddress, Member};
use crate::http::{Body, Etag, Id, Json, KeyedCommand, Path, Position, Problem, Replayed};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::OrderId;
use std::sync::Arc;

/// Pays the order. A decline is a 201 with status `declined`: the order stays payable. A payment
/// that waits for the customer to confirm it is called off first.
#[utoipa::path(post, path = "/api/v1/orders/{id}/payments", tag = "orders", responses((status = 201, body = PaymentBody, headers(("ETag")))))]
pub(super) async fn pay(
    State(app): State<Arc<App>>,
    member: Member,
    LimitedAddress(from): LimitedAddress,
    Path(Id(order_id)): Path<Id<OrderId>>,
    command: KeyedCommand,
    body: Body<PaymentRequest>,
) -> Result<Response, Problem> {
    let call = command.call(body.fingerprint);
    let paid = payments::pay(app, call, member.user_id, order_id, from, body.value.into()).await?;
    let etag = Etag::new(paid.asked.payment.sequence, paid.position);
    let parts = (Position(paid.position), etag, Replayed(paid.replayed));
    Ok((StatusCode::CREATED, parts, Json(PaymentBody::new(paid.asked)?)).into_response())
}
