//! From the cart to an order, and to its first payment.

use super::orders::{self, OrderBody};
use super::payments::{self, PaymentBody};
use super::schema;
use crate::application::App;
use crate::application::checkouts::{self, CheckOut};
use crate::guard::Member;
use crate::http::{Body, Etag, Json, KeyedCommand, Position, Problem, Replayed};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use domain::order::{OrderLine, Totals};
use domain::{Address, EmailAddress, Money, OrderContact};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this module.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(check_out)).routes(routes!(quote))
}

/// What to order.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckoutBody {
    /// The cart's version that was seen; another one is refused with `cart_changed`.
    #[serde(default)]
    cart_version: Option<u64>,
    /// The total that is agreed to. Without it the prices last written to the cart count.
    #[serde(default)]
    #[schema(value_type = Option<schema::Money>)]
    expected_total: Option<Money>,
    /// Where the confirmation goes.
    #[schema(value_type = String, format = Email)]
    email: EmailAddress,
    /// Where the parcel goes.
    #[schema(value_type = schema::Address)]
    shipping_address: Address,
    /// How to pay at once; without it the order waits for a payment.
    #[serde(default)]
    payment: Option<payments::PaymentRequest>,
}

/// The order, and its payment if one was asked for.
#[derive(Serialize, ToSchema)]
pub struct CheckedOut {
    order: OrderBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment: Option<PaymentBody>,
}

/// What the cart would cost.
#[derive(Serialize, ToSchema)]
pub struct QuoteBody {
    #[schema(value_type = Vec<schema::OrderLine>)]
    lines: Vec<OrderLine>,
    #[schema(value_type = schema::Totals)]
    totals: Totals,
}

/// Orders the cart: stock reserved, order placed, cart emptied, all or nothing. With `payment` the
/// money is asked for as well, and the answer waits up to ten seconds for the outcome.
#[utoipa::path(post, path = "/api/v1/checkouts", tag = "checkout", request_body = CheckoutBody,
    params(("Idempotency-Key" = String, Header)),
    responses((status = 201, body = CheckedOut), (status = 409, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn check_out(
    State(app): State<Arc<App>>,
    member: Member,
    command: KeyedCommand,
    body: Body<CheckoutBody>,
) -> Result<Response, Problem> {
    let request = body.value;
    let check_out = CheckOut {
        cart_version: request.cart_version,
        expected_total: request.expected_total,
        contact: OrderContact { email: request.email, shipping_address: request.shipping_address },
        payment: request.payment.map(Into::into),
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
#[utoipa::path(post, path = "/api/v1/checkouts/quote", tag = "checkout", request_body = CheckoutBody,
    responses((status = 200, body = QuoteBody), (status = 409, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn quote(
    State(app): State<Arc<App>>,
    member: Member,
    body: Body<CheckoutBody>,
) -> Result<Json<QuoteBody>, Problem> {
    let request = body.value;
    let (version, total) = (request.cart_version, request.expected_total);
    let quote = checkouts::quote(&app, member.user_id, version, total).await?;
    Ok(Json(QuoteBody { lines: quote.lines, totals: quote.totals }))
}
