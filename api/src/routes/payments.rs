//! Paying an order.

use super::{orders, schema};
use crate::app::App;
use crate::guard::Member;
use crate::http::{Body, Etag, Id, Json, KeyedCommand, Path, Position, Problem, Replayed};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use commands::bus::{Context, Loaded};
use commands::payments::{self, Attempt, Charge};
use domain::Money;
use domain::payment::{Payment, PaymentStatus};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// How long a call that pays waits for the outcome; after that the payment is `pending`.
const WAIT_FOR_OUTCOME: Duration = Duration::from_secs(10);

/// The routes of this module.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(pay))
}

/// How to pay.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PaymentRequest {
    method: Method,
    /// The provider's token for the card, never the card itself.
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    token: Token,
}

/// The ways to pay that we know.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Method {
    Card,
}

/// A token: 1 to 200 visible ASCII characters. Never shown in a log.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
struct Token(String);

impl TryFrom<String> for Token {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits = (1..=200).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if fits { Ok(Self(text)) } else { Err("expected a token of 1 to 200 visible characters") }
    }
}

impl fmt::Debug for PaymentRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PaymentRequest(…)")
    }
}

impl PaymentRequest {
    /// The kind of payment as events name it.
    pub(super) fn method(&self) -> &'static str {
        match self.method {
            Method::Card => "card",
        }
    }
}

/// A payment as its payer sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaymentBody {
    id: Uuid,
    order_id: Uuid,
    /// `pending`, `authorized`, `captured`, `declined`, `action_required`, `voided`, `unknown` or
    /// `failed`.
    #[schema(value_type = String)]
    status: PaymentStatus,
    #[schema(value_type = schema::Money)]
    amount: Money,
    /// Why it was declined or failed. Money that was taken and does not pay the order is `failed`
    /// with `captured_less`, `captured_other_currency`, `capture_unreadable` or
    /// `order_already_paid`, and goes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    /// What the customer has to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<Action>,
}

/// Why a payment was declined or failed.
#[derive(Debug, Serialize, ToSchema)]
struct Failure {
    /// E.g. `insufficient_funds` or `provider_unavailable`.
    code: String,
}

/// Where the customer has to go.
#[derive(Debug, Serialize, ToSchema)]
struct Action {
    /// `redirect`.
    r#type: &'static str,
    url: String,
}

impl PaymentBody {
    /// Where it stands.
    pub(super) fn status(&self) -> PaymentStatus {
        self.status
    }

    fn new(id: Uuid, payment: Payment) -> Result<Self, Problem> {
        let (Some(order_id), Some(amount)) = (payment.order_id, payment.amount) else {
            return Err(Problem::not_found());
        };
        let waits = payment.status == PaymentStatus::ActionRequired;
        Ok(Self {
            id,
            order_id,
            status: payment.outcome(),
            amount,
            failure: payment.outcome_code().map(|code| Failure { code: code.to_owned() }),
            action: payment
                .action_url
                .filter(|_| waits)
                .map(|url| Action { r#type: "redirect", url }),
        })
    }
}

/// A payment after its provider was asked.
pub(super) struct Asked {
    pub(super) body: PaymentBody,
    pub(super) version: u64,
    pub(super) position: u64,
}

/// Pays the order. A decline is a 201 with status `declined`: the order stays payable. A payment
/// that waits for the customer to confirm it is called off first.
#[utoipa::path(post, path = "/api/v1/orders/{id}/payments", tag = "orders", request_body = PaymentRequest,
    params(("id" = Uuid, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 201, body = PaymentBody), (status = 404, body = schema::Problem), (status = 409, body = schema::Problem)))]
async fn pay(
    State(app): State<Arc<App>>,
    member: Member,
    Path(Id(order_id)): Path<Id>,
    command: KeyedCommand,
    body: Body<PaymentRequest>,
) -> Result<Response, Problem> {
    let (in_flight, key) = (app.in_flight.clone(), command.key);
    in_flight.run(key, start_and_ask(app, member, order_id, command, body)).await
}

async fn start_and_ask(
    app: Arc<App>,
    member: Member,
    order_id: Uuid,
    command: KeyedCommand,
    body: Body<PaymentRequest>,
) -> Result<Response, Problem> {
    // Whose an order is never changes: this says the same before and after the first outcome.
    orders::owned(&app, &member, order_id).await?;
    let key = command.request_key(body.fingerprint);
    let payment_id = command.new_id("payment");
    let started = payments::start(
        &app.bus,
        &*app.provider,
        order_id,
        payment_id,
        body.value.method(),
        &command.context,
        key,
    )
    .await?;
    let attempt = if started.replayed { Attempt::Again } else { Attempt::First };
    let asked = ask(&app, payment_id, order_id, body.value, attempt, &command.context).await?;
    let position = Position(asked.position.max(started.position));
    let parts = (position, Etag::new(asked.version, position.0), Replayed(started.replayed));
    Ok((StatusCode::CREATED, parts, Json(asked.body)).into_response())
}

/// Asks the provider about a payment that was recorded as requested, unless that has been done,
/// and says how it stands after at most [`WAIT_FOR_OUTCOME`].
///
/// Asking runs in a task of its own: a customer who leaves does not cut it off.
pub(super) async fn ask(
    app: &Arc<App>,
    payment_id: Uuid,
    order_id: Uuid,
    request: PaymentRequest,
    attempt: Attempt,
    context: &Context,
) -> Result<Asked, Problem> {
    let payment: Loaded<Payment> = app.bus.load(&payment_id.to_string()).await?;
    let Some(amount) = payment.state.amount else { return Err(Problem::not_found()) };
    // What is not pending any more was asked before: this is a replay, or settlement was faster.
    if payment.state.status == PaymentStatus::Pending {
        let charge = Charge {
            payment_id,
            order_id,
            amount,
            method: request.method().to_owned(),
            token: request.token.0,
        };
        let (app, context) = (Arc::clone(app), context.clone());
        let asking = tokio::spawn(async move {
            let asked =
                payments::charge_and_record(&app.bus, &*app.provider, charge, attempt, &context)
                    .await;
            if let Err(error) = asked {
                warn!(payment.id = %payment_id, %error, "an answer could not be recorded yet");
            }
        });
        // Whether it ended or not: how the payment stands is in the journal.
        let _ = tokio::time::timeout(WAIT_FOR_OUTCOME, asking).await;
    }
    let payment: Loaded<Payment> = app.bus.load(&payment_id.to_string()).await?;
    let position = app.position_of::<Payment>(payment_id, payment.sequence).await?;
    let body = PaymentBody::new(payment_id, payment.state)?;
    Ok(Asked { body, version: payment.sequence, position })
}
