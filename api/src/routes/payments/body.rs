use crate::application::payments::{Asked, Instrument};
use crate::http::Problem;
use crate::openapi::schema::answers;
use domain::payment::PaymentStatus;
use domain::{Money, OrderId, PaymentId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt;

answers!(PaymentBody);

/// How to pay.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({"method": "card", "token": "tok_ok"}))]
pub(in crate::routes) struct PaymentRequest {
    pub(super) method: Method,
    /// The provider's token for the card, never the card itself.
    pub(super) token: Token,
}

/// The ways to pay that we know.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Method {
    Card,
}

/// The longest token of a provider.
const MAX_TOKEN_CHARS: usize = 200;

/// A token: 1 to 200 visible ASCII characters. Never shown in a log.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(rename = "PaymentToken", extend("minLength" = 1, "maxLength" = MAX_TOKEN_CHARS, "pattern" = "^[!-~]*$"))]
pub(super) struct Token(pub(super) String);

impl TryFrom<String> for Token {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits = (1..=MAX_TOKEN_CHARS).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_graphic());
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
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::routes) struct PaymentBody {
    pub(super) id: PaymentId,
    pub(super) order_id: OrderId,
    pub(super) status: PaymentStatus,
    pub(super) amount: Money,
    /// Why it was declined or failed. Money that was taken and does not pay the order is `failed`
    /// with `captured_less`, `captured_other_currency`, `capture_unreadable`,
    /// `order_already_paid` or `order_cancelled`, and goes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<Failure>,
    /// What the customer has to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) action: Option<Action>,
}

/// Why a payment was declined or failed.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Failure {
    /// E.g. `insufficient_funds` or `provider_unavailable`.
    pub(super) code: String,
}

/// What the customer has to do.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ActionType {
    /// Go to `url`.
    Redirect,
}

/// Where the customer has to go.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Action {
    pub(super) r#type: ActionType,
    #[schemars(extend("format" = "uri"))]
    pub(super) url: String,
}

impl PaymentBody {
    /// Where it stands.
    pub(in crate::routes) fn status(&self) -> PaymentStatus {
        self.status
    }

    pub(in crate::routes) fn new(asked: Asked) -> Result<Self, Problem> {
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
                .map(|url| Action { r#type: ActionType::Redirect, url }),
        })
    }
}
