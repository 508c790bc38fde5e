//! From the cart to an order, and to its first payment.

use super::orders::{self, OrderBody};
use super::payments::{self, PaymentBody};
use super::schema;
use crate::app::App;
use crate::guard::Member;
use crate::http::{Body, Etag, Json, KeyedCommand, Position, Problem, Replayed};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use commands::checkout::{self, Checkout, StartedPayment};
use commands::payments::Attempt;
use domain::order::{Order, OrderLine, Totals};
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
    let (in_flight, key) = (app.in_flight.clone(), command.key);
    in_flight.run(key, place_and_pay(app, member, command, body)).await
}

async fn place_and_pay(
    app: Arc<App>,
    member: Member,
    command: KeyedCommand,
    body: Body<CheckoutBody>,
) -> Result<Response, Problem> {
    let key = command.request_key(body.fingerprint);
    let order_id = command.new_id("order");
    let request = body.value;
    let contact = OrderContact { email: request.email, shipping_address: request.shipping_address };
    let payment = request.payment.map(|payment| (command.new_id("payment"), payment));
    let checkout = Checkout {
        customer_id: member.user_id,
        cart_id: member.user_id,
        cart_version: request.cart_version,
        expected_total: request.expected_total,
        contact: app.vault.seal(member.user_id, &contact).await?,
        order_id,
        number: app.order_numbers.next().await.map_err(|error| Problem::unavailable(&error))?,
        payment: payment.as_ref().map(|(payment_id, payment)| StartedPayment {
            payment_id: *payment_id,
            method: payment.method().to_owned(),
        }),
    };
    let placed = checkout::place_order(&app.bus, &checkout, &command.context, key).await?;

    let mut order = placed.order;
    let mut paid = None;
    if let Some((payment_id, payment)) = payment {
        let attempt = if placed.replayed { Attempt::Again } else { Attempt::First };
        let settled =
            payments::ask(&app, payment_id, order_id, payment, attempt, &command.context).await?;
        order = app.bus.load(&order_id.to_string()).await?;
        paid = Some(settled);
    }
    // An order's row moves with its own events and its payments', not with the stock's.
    let order_position = app.position_of::<Order>(order_id, order.sequence).await?;
    let payment_position = paid.as_ref().map_or(0, |settled| settled.position);
    let etag = Etag::new(order.sequence, order_position.max(payment_position));
    let position = placed.position.max(etag.position);
    let payment_status = paid.as_ref().map(|settled| settled.body.status());
    let order =
        orders::from_aggregate(&app, order_id, &order, placed.placed_at, payment_status).await?;
    let location = [(LOCATION, format!("/api/v1/orders/{order_id}"))];
    let answer = CheckedOut { order, payment: paid.map(|settled| settled.body) };
    let parts = (Position(position), etag, Replayed(placed.replayed));
    Ok((StatusCode::CREATED, parts, location, Json(answer)).into_response())
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
    let quote =
        checkout::quote(&app.bus, member.user_id, request.cart_version, request.expected_total);
    let quote = quote.await?;
    Ok(Json(QuoteBody { lines: quote.lines, totals: quote.totals }))
}
