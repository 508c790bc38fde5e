use super::body::{CheckedOut, CheckoutBody, QuoteBody};
use crate::application::App;
use crate::application::checkouts::{self, CheckOut};
use crate::guard::{LimitedAddress, Member};
use crate::http::{Body, Etag, Json, KeyedCommand, Position, Problem, Replayed};
use crate::routes::orders;
use crate::routes::payments::PaymentBody;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use domain::OrderContact;
use std::sync::Arc;

/// Orders the cart: stock reserved, order placed, cart emptied, all or nothing. With `payment` the
/// money is asked for as well, and the answer waits up to ten seconds for the outcome. An order whose total is zero is
/// paid at once and asks nobody, with `payment` or without.
#[utoipa::path(post, path = "/api/v1/checkouts", tag = "checkout", responses((status = 201, body = CheckedOut, headers(("ETag"), ("Location")))))]
pub(super) async fn check_out(
    State(app): State<Arc<App>>,
    member: Member,
    LimitedAddress(from): LimitedAddress,
    command: KeyedCommand,
    body: Body<CheckoutBody>,
) -> Result<Response, Problem> {
    let request = body.value;
    let check_out = CheckOut {
        cart_version: request.cart_version,
        expected_total: request.expected_total,
        contact: OrderContact {
            email: request.email,
            shipping_address: request.shipping_address.0,
        },
        payment: request.payment.map(Into::into),
        from,
    };
    let call = command.call(body.fingerprint);
    let done = checkouts::check_out(Arc::clone(&app), call, member.user_id, check_out).await?;
    let etag = Etag::new(done.order.sequence, done.order_position);
    let payment = done.payment.map(PaymentBody::new).transpose()?;
    let status = payment.as_ref().map(PaymentBody::status);
    let order =
        orders::from_aggregate(&app, done.order_id, &done.order, done.placed_at, status).await?;
    let location = [(LOCATION, format!("/api/v1/orders/{}", done.order_id))];
    let parts = (Position(done.position), etag, Replayed(done.replayed));
    let answer = Json(CheckedOut { order, payment });
    Ok((StatusCode::CREATED, parts, location, answer).into_response())
}

/// Prices the cart as a checkout would, without any effect.
#[utoipa::path(post, path = "/api/v1/checkouts/quote", tag = "checkout", responses((status = 200, body = QuoteBody), (status = 409)))]
pub(super) async fn quote(
    State(app): State<Arc<App>>,
    member: Member,
    body: Body<CheckoutBody>,
) -> Result<Json<QuoteBody>, Problem> {
    let request = body.value;
    let (version, total) = (request.cart_version, request.expected_total);
    let quote = checkouts::quote(&app, member.user_id, version, total).await?;
    Ok(Json(QuoteBody { lines: quote.lines, totals: quote.totals }))
}
