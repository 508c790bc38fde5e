//! Paying an order.

use super::schema;
use crate::application::App;
use crate::application::payments::{self, Asked, Instrument};
use crate::guard::Member;
use crate::http::{Body, Etag, Id, Json, KeyedCommand, Path, Position, Problem, Replayed};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::Money;
use domain::payment::PaymentStatus;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

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

impl From<PaymentRequest> for Instrument {
    fn from(request: PaymentRequest) -> Self {
        let method = match request.method {
            Method::Card => "card",
        };
        Self { method, token: request.token.0 }
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
    /// with `captured_less`, `captured_other_currency`, `capture_unreadable`,
    /// `order_already_paid` or `order_cancelled`, and goes back.
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

    pub(super) fn new(asked: Asked) -> Result<Self, Problem> {
        let (id, payment) = (asked.payment_id, asked.payment.state);
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
    let call = command.call(body.fingerprint);
    let paid = payments::pay(app, call, member.user_id, order_id, body.value.into()).await?;
    let etag = Etag::new(paid.asked.payment.sequence, paid.position);
    let parts = (Position(paid.position), etag, Replayed(paid.replayed));
    Ok((StatusCode::CREATED, parts, Json(PaymentBody::new(paid.asked)?)).into_response())
}
