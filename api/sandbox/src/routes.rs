use super::store::{NewPayment, Payment, Store};
use super::token::Card;
use super::{MAX_DELAY, SandboxSettings, page};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use domain::{Money, PaymentId};
use provider::wire::{
    ChargeRequest, IDEMPOTENCY_KEY, NOT_FOUND, PaymentAnswer, PaymentState, Refusal, Status,
    UNAVAILABLE,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// A charge is a few hundred bytes.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// Longest method, token and reference: all are short names.
const MAX_TEXT_BYTES: usize = 255;

/// What the handlers share.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) store: Store,
    /// Without a slash at the end.
    public_url: Arc<str>,
    delay: Duration,
    /// Wakes the deliverer after a change.
    pub(super) changed: Arc<Notify>,
    /// Ends the long waits when the service stops.
    stopping: CancellationToken,
}

impl Service {
    pub(super) fn new(store: Store, settings: &SandboxSettings, stop: CancellationToken) -> Self {
        Self {
            store,
            public_url: settings.public_url.as_str().trim_end_matches('/').into(),
            delay: settings.delay.min(MAX_DELAY),
            changed: Arc::new(Notify::new()),
            stopping: stop,
        }
    }

    /// What is told about a payment.
    pub(super) fn describe(&self, payment: Payment) -> PaymentAnswer {
        let state =
            describe(&self.public_url, payment.id, payment.status, payment.amount, payment.code);
        PaymentAnswer { id: payment.id, state }
    }

    /// A payment as it stands now: one that is due is captured first.
    pub(super) async fn current(&self, id: PaymentId) -> Result<Option<Payment>, Failure> {
        match self.store.find(id).await? {
            Some(payment) if payment.status == Status::Pending && payment.settles_in.is_zero() => {
                self.settled(id).await.map(Some)
            }
            found => Ok(found),
        }
    }

    /// Captures a payment whose time has come, unless somebody was faster, and reads it.
    async fn settled(&self, id: PaymentId) -> Result<Payment, Failure> {
        if let Some(payment) = self.store.settle(id).await? {
            self.changed.notify_one();
            return Ok(payment);
        }
        self.store.find(id).await?.ok_or(Failure::Vanished)
    }

    async fn pause(&self, duration: Duration) {
        tokio::select! {
            () = sleep(duration) => {}
            () = self.stopping.cancelled() => {}
        }
    }
}

/// The state of a payment on the wire.
pub(super) fn describe(
    public_url: &str,
    id: PaymentId,
    status: Status,
    amount: Option<Money>,
    code: Option<String>,
) -> PaymentState {
    PaymentState {
        status,
        amount: amount.map(|amount| amount.amount_minor()).into(),
        currency: amount.map(|amount| amount.currency().to_string()).into(),
        code,
        url: (status == Status::ActionRequired)
            .then(|| format!("{public_url}/sandbox/payments/{id}")),
    }
}

/// The whole service.
pub(super) fn router(service: Service) -> Router {
    Router::new()
        .route("/v1/payments", post(charge))
        .route("/v1/payments/{id}", get(query))
        .route("/v1/payments/{id}/cancel", post(cancel))
        .merge(page::routes())
        .fallback(async || Failure::Refused {
            status: StatusCode::NOT_FOUND,
            code: "unknown_path",
            detail: "no such path",
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(service)
}

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{detail}")]
    Refused { status: StatusCode, code: &'static str, detail: &'static str },
    #[error("the sandbox's books cannot be read or written")]
    Store(#[from] sqlx::Error),
    #[error("a payment vanished from the sandbox's books")]
    Vanished,
}

impl Failure {
    pub(super) fn unknown_payment() -> Self {
        let detail = "this payment was never asked for";
        Self::Refused { status: StatusCode::NOT_FOUND, code: NOT_FOUND, detail }
    }

    pub(super) fn malformed_json(detail: &'static str) -> Self {
        Self::Refused { status: StatusCode::BAD_REQUEST, code: "malformed_json", detail }
    }

    pub(super) fn invalid_field(detail: &'static str) -> Self {
        Self::Refused { status: StatusCode::UNPROCESSABLE_ENTITY, code: "invalid_field", detail }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, code, detail) = match self {
            Self::Refused { status, code, detail } => (status, code, detail),
            // The caller learns only that we failed, and has to ask what became of the payment.
            Self::Store(_) | Self::Vanished => {
                tracing::warn!(error = ?self, "the sandbox provider failed a request");
                (StatusCode::INTERNAL_SERVER_ERROR, "internal", "the provider failed")
            }
        };
        (status, Json(Refusal { code: code.to_owned(), detail: detail.to_owned() })).into_response()
    }
}

/// The id that a path names; what is no id names no payment.
pub(super) fn payment_id(text: &str) -> Result<PaymentId, Failure> {
    text.parse().map_err(|_| Failure::unknown_payment())
}

async fn charge(
    State(service): State<Service>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<PaymentAnswer>, Failure> {
    let (request, amount) = read_charge(&headers, &body)?;
    let card = Card::of(&request.token, amount.currency());
    let (status, code) = match card {
        Card::Captures | Card::CapturesOther { .. } => (Status::Pending, None),
        Card::AnswersLate { .. } => (Status::Captured, None),
        Card::NeedsAction => (Status::ActionRequired, None),
        Card::Declines { code } => (Status::Declined, Some(code)),
        // Nothing is recorded; an id that is known keeps its first outcome all the same.
        Card::Unavailable => {
            return match service.store.find(request.id).await? {
                Some(payment) => service.outcome(payment).await,
                None => Err(Failure::Refused {
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    code: UNAVAILABLE,
                    detail: "try again later",
                }),
            };
        }
    };
    let new = NewPayment {
        id: request.id,
        // From here on the books name what was taken, as this provider has it.
        amount: if let Card::CapturesOther { captured } = card { captured } else { amount },
        method: &request.method,
        reference: &request.reference,
        status,
        code,
        delay: service.delay,
    };
    let payment = match service.store.open(new).await? {
        Some(payment) => {
            service.changed.notify_one();
            if let Card::AnswersLate { hold } = card {
                service.pause(hold).await;
            }
            payment
        }
        None => service.store.find(request.id).await?.ok_or(Failure::Vanished)?,
    };
    service.outcome(payment).await
}

impl Service {
    /// The first outcome of a payment, waited for while it is pending. Whoever waits captures it;
    /// should all who wait be gone, the sweep or the next question does.
    async fn outcome(&self, mut payment: Payment) -> Result<Json<PaymentAnswer>, Failure> {
        if payment.status == Status::Pending {
            self.pause(payment.settles_in).await;
            // A stop cuts the wait short; the payment then is truthfully still pending.
            payment = self.current(payment.id).await?.ok_or(Failure::Vanished)?;
        }
        Ok(Json(self.describe(payment)))
    }
}

/// Reads a charge. The refusals name fields, never what was in them: one is the token.
fn read_charge(headers: &HeaderMap, body: &[u8]) -> Result<(ChargeRequest, Money), Failure> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY).and_then(|value| value.to_str().ok()) else {
        return Err(Failure::Refused {
            status: StatusCode::BAD_REQUEST,
            code: "idempotency_key_missing",
            detail: "send the payment's id as Idempotency-Key",
        });
    };
    let request: ChargeRequest = serde_json::from_slice(body).map_err(|_| {
        Failure::malformed_json("expected {id, amount, currency, method, token, reference}")
    })?;
    if key.parse() != Ok(request.id) {
        return Err(Failure::invalid_field("Idempotency-Key and id differ"));
    }
    let texts = [&request.method, &request.token, &request.reference];
    if texts.iter().any(|text| text.len() > MAX_TEXT_BYTES || text.contains('\0')) {
        let detail = "method, token and reference are at most 255 bytes without NUL";
        return Err(Failure::invalid_field(detail));
    }
    let amount = Money::new(request.amount, request.currency)
        .map_err(|_| Failure::invalid_field("amount is out of range"))?;
    Ok((request, amount))
}

async fn query(
    State(service): State<Service>,
    Path(id): Path<String>,
) -> Result<Json<PaymentAnswer>, Failure> {
    let payment = service.current(payment_id(&id)?).await?.ok_or_else(Failure::unknown_payment)?;
    Ok(Json(service.describe(payment)))
}

async fn cancel(
    State(service): State<Service>,
    Path(id): Path<String>,
) -> Result<Json<PaymentAnswer>, Failure> {
    let id = payment_id(&id)?;
    let payment = match service.store.void(id).await? {
        Some(voided) => {
            service.changed.notify_one();
            voided
        }
        None => service.store.find(id).await?.ok_or(Failure::Vanished)?,
    };
    Ok(Json(service.describe(payment)))
}
