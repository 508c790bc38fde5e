//! The client of a payment provider that speaks the sandbox's protocol (see `sandbox`).

use crate::wire::{ChargeRequest, IDEMPOTENCY_KEY, NOT_FOUND, PaymentAnswer, Refusal, UNAVAILABLE};
use commands::payments::{Charge, PaymentProvider, ProviderAnswer};
use domain::PaymentId;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use std::fmt;
use std::time::Duration;

/// The longest that one call takes, from the connection to the last byte of the answer. Below the
/// ten seconds that a paying customer is kept waiting, so that there is time to ask once more.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// A provider that takes longer to accept a connection is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// An answer is a few hundred bytes; a longer one is not an answer.
const MAX_ANSWER_BYTES: usize = 16 * 1024;

/// A payment provider reached over HTTP.
///
/// A charge is `Unavailable` only when it provably was not taken: no connection came about, or the
/// provider said so (503 `unavailable`). About any other failure nothing is concluded (`NoAnswer`).
/// To a question and to a cancellation nobody may answer `Unavailable` at all: that would say that
/// nothing was charged, when only the question was not heard.
#[derive(Clone)]
pub struct HttpProvider {
    client: Client,
    /// Without a slash at the end.
    base_url: String,
}

/// Why there is no provider to speak to.
#[derive(Debug, thiserror::Error)]
pub enum InvalidProvider {
    /// The address cannot be one.
    #[error(
        "expected a provider's address like https://pay.example.com, without user, password, query or fragment"
    )]
    Address,
    /// The HTTP client could not be built.
    #[error("cannot build the HTTP client of the payment provider")]
    Client(#[from] reqwest::Error),
}

impl HttpProvider {
    /// The provider whose paths begin at `base_url`.
    ///
    /// # Errors
    /// [`InvalidProvider`].
    pub fn new(base_url: &str) -> Result<Self, InvalidProvider> {
        let url = Url::parse(base_url).map_err(|_| InvalidProvider::Address)?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !plain {
            return Err(InvalidProvider::Address);
        }
        // Card tokens go to the configured provider and nowhere else: no redirects, no proxy out
        // of the environment. Repeating is the payment process's decision, not the client's.
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .build()?;
        Ok(Self { client, base_url: url.as_str().trim_end_matches('/').to_owned() })
    }

    fn payment_url(&self, payment_id: PaymentId) -> String {
        format!("{}/v1/payments/{payment_id}", self.base_url)
    }
}

impl fmt::Debug for HttpProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpProvider").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

impl PaymentProvider for HttpProvider {
    async fn charge(&self, charge: Charge) -> ProviderAnswer {
        let payment_id = charge.payment_id;
        let body = ChargeRequest {
            id: payment_id,
            amount: charge.amount.amount_minor(),
            currency: charge.amount.currency(),
            method: charge.method,
            token: charge.token,
            reference: charge.order_id.to_string(),
        };
        let url = format!("{}/v1/payments", self.base_url);
        let key = payment_id.to_string();
        let request = self.client.post(url).header(IDEMPOTENCY_KEY, key).json(&body);
        conclude("charge", payment_id, call(request).await, |missed| match missed {
            Missed::NotSent => ProviderAnswer::Unavailable,
            Missed::Refused(StatusCode::SERVICE_UNAVAILABLE, code) if code == UNAVAILABLE => {
                ProviderAnswer::Unavailable
            }
            Missed::Refused(..) | Missed::Unknown(_) => ProviderAnswer::NoAnswer,
        })
    }

    async fn query(&self, payment_id: PaymentId) -> ProviderAnswer {
        let request = self.client.get(self.payment_url(payment_id));
        conclude("query", payment_id, call(request).await, |missed| match missed {
            Missed::Refused(StatusCode::NOT_FOUND, code) if code == NOT_FOUND => {
                ProviderAnswer::NotFound
            }
            Missed::NotSent | Missed::Refused(..) | Missed::Unknown(_) => ProviderAnswer::NoAnswer,
        })
    }

    async fn cancel(&self, payment_id: PaymentId) -> ProviderAnswer {
        let request = self.client.post(format!("{}/cancel", self.payment_url(payment_id)));
        conclude("cancel", payment_id, call(request).await, |_| ProviderAnswer::NoAnswer)
    }
}

/// Why a call brought nothing about the payment.
#[derive(Debug, thiserror::Error)]
enum Missed {
    /// No connection came about, so the provider has not seen a byte of the request.
    #[error("no connection")]
    NotSent,
    /// The provider answered something else than success; the code is empty when unreadable.
    #[error("{0} {1}")]
    Refused(StatusCode, String),
    /// The request may have been seen; for the log, why the answer was not.
    #[error("{0}")]
    Unknown(String),
}

/// The answer about that payment, or what `otherwise` makes of its absence.
fn conclude(
    call: &'static str,
    payment_id: PaymentId,
    outcome: Result<PaymentAnswer, Missed>,
    otherwise: impl FnOnce(&Missed) -> ProviderAnswer,
) -> ProviderAnswer {
    let missed = match outcome {
        Ok(answer) if answer.id == payment_id => return answer.state.answer(),
        Ok(_) => Missed::Unknown("the answer is about another payment".to_owned()),
        Err(missed) => missed,
    };
    let answer = otherwise(&missed);
    if answer != ProviderAnswer::NotFound {
        tracing::warn!(payment.id = %payment_id, call, reason = %missed, "no outcome from the payment provider");
    }
    answer
}

async fn call(request: RequestBuilder) -> Result<PaymentAnswer, Missed> {
    let unknown = |error: reqwest::Error| Missed::Unknown(format!("{:?}", error.without_url()));
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) if error.is_connect() => return Err(Missed::NotSent),
        Err(error) => return Err(unknown(error)),
    };
    let status = response.status();
    let body = read_bounded(response).await.map_err(unknown)?;
    if !status.is_success() {
        let refusal = body.and_then(|body| serde_json::from_slice::<Refusal>(&body).ok());
        return Err(Missed::Refused(status, refusal.map(|r| r.code).unwrap_or_default()));
    }
    let answer = body.and_then(|body| serde_json::from_slice(&body).ok());
    answer.ok_or_else(|| Missed::Unknown("the answer is too long or unreadable".to_owned()))
}

/// The body, or nothing when it is longer than an answer can be.
async fn read_bounded(mut response: Response) -> reqwest::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
