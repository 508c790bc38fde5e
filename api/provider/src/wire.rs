//! What goes over the wire, for both ends.

use commands::payments::ProviderAnswer;
use domain::{Currency, Money, PaymentId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The header of a charge that repeats the payment's id.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The code of a 503 that promises that nothing was recorded.
pub const UNAVAILABLE: &str = "unavailable";

/// The code of a 404 for a payment that was never asked for. The code tells it from the 404 of a
/// server that is no payment provider at all.
pub const NOT_FOUND: &str = "not_found";

/// The reason that stands for a refusal without a readable one.
const UNSPECIFIED: &str = "unspecified";

/// Codes become part of events and answers, so what a provider may put there is bounded.
const MAX_CODE_CHARS: usize = 64;

/// The same goes for what stands where an amount should.
const MAX_SAID_CHARS: usize = 64;

/// Longer addresses are not sent to a customer's browser.
const MAX_URL_CHARS: usize = 2_048;

/// The body of `POST /v1/payments`. Not `Debug`: the token stands for a card.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChargeRequest {
    /// Ours; the same as the header.
    pub id: PaymentId,
    /// Minor units.
    pub amount: i64,
    /// An ISO 4217 code.
    pub currency: Currency,
    /// What kind of means of payment it is.
    pub method: String,
    /// Stands for the means of payment.
    pub token: String,
    /// The order, for the provider's books.
    pub reference: String,
}

/// Where a payment stands at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nobody knows yet.
    Pending,
    /// The customer has to do something.
    ActionRequired,
    /// The money is reserved.
    Authorized,
    /// The money is taken.
    Captured,
    /// No money is taken.
    Declined,
    /// It was cancelled.
    Voided,
}

impl Status {
    /// The word on the wire and in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::ActionRequired => "action_required",
            Self::Authorized => "authorized",
            Self::Captured => "captured",
            Self::Declined => "declined",
            Self::Voided => "voided",
        }
    }

    /// The status of that word.
    pub fn parse(word: &str) -> Option<Self> {
        let all = [
            Self::Pending,
            Self::ActionRequired,
            Self::Authorized,
            Self::Captured,
            Self::Declined,
            Self::Voided,
        ];
        all.into_iter().find(|status| status.as_str() == word)
    }
}

/// What is told about a payment, in answers and in notifications.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentState {
    /// Where it stands.
    pub status: Status,
    /// Minor units: what was captured, else what was asked for. Null in a tombstone. Any JSON, so
    /// that a capture is heard of whatever stands here.
    #[serde(default)]
    pub amount: Value,
    /// An ISO 4217 code; any JSON, as above.
    #[serde(default)]
    pub currency: Value,
    /// Why it was declined.
    #[serde(default)]
    pub code: Option<String>,
    /// Where the customer has to act; absolute.
    #[serde(default)]
    pub url: Option<String>,
}

impl PaymentState {
    /// The same in the shop's terms. What is not understood is `NoAnswer`, never a guess.
    pub fn answer(self) -> ProviderAnswer {
        match self.status {
            Status::Pending => ProviderAnswer::Pending,
            Status::Authorized => ProviderAnswer::Authorized,
            Status::Voided => ProviderAnswer::Voided,
            Status::Captured => match self.money() {
                Some(amount) => ProviderAnswer::Captured { amount },
                None => ProviderAnswer::CapturedUnreadable { said: self.said() },
            },
            Status::ActionRequired => match self.url.filter(|url| is_web_address(url)) {
                Some(url) => ProviderAnswer::ActionRequired { url },
                None => ProviderAnswer::NoAnswer,
            },
            Status::Declined => {
                let code = self.code.filter(|code| is_code(code));
                ProviderAnswer::Declined { code: code.unwrap_or_else(|| UNSPECIFIED.to_owned()) }
            }
        }
    }

    fn money(&self) -> Option<Money> {
        let currency = Currency::parse(self.currency.as_str()?).ok()?;
        Money::new(self.amount.as_i64()?, currency).ok()
    }

    /// What stands where an amount should, for people to read.
    fn said(&self) -> String {
        let text = format!("{} {}", self.amount, self.currency);
        text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(MAX_SAID_CHARS).collect()
    }
}

/// The answer about one payment.
#[derive(Debug, Serialize, Deserialize)]
pub struct PaymentAnswer {
    /// The payment.
    pub id: PaymentId,
    /// What is told about it.
    #[serde(flatten)]
    pub state: PaymentState,
}

/// The answer to a request that was not carried out.
#[derive(Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// Stable snake case.
    pub code: String,
    /// English.
    #[serde(default)]
    pub detail: String,
}

/// The body of a notification.
#[derive(Debug, Serialize, Deserialize)]
pub struct NotificationBody {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// The event's id, also in the header `webhook-id`.
    pub id: String,
    /// The payment.
    pub payment_id: PaymentId,
    /// What is told about it.
    #[serde(flatten)]
    pub state: PaymentState,
}

fn is_code(code: &str) -> bool {
    (1..=MAX_CODE_CHARS).contains(&code.len())
        && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn is_web_address(url: &str) -> bool {
    url.len() <= MAX_URL_CHARS
        && reqwest::Url::parse(url)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}
