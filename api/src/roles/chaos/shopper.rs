//! A customer who orders again and again through HTTP, and asks at the other process, under the same
//! key, when one does not answer.

use anyhow::Context as _;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// What is ordered: a sample product of which there is enough.
const SKU: &str = "notebook";

/// The most orders of one customer: there are a thousand pieces.
const MAX_ORDERS: u32 = 100;

/// How long an answer is waited for.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// How often a request is tried; with its pauses longer than any restart.
const TRIES: u32 = 60;

/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(250);

/// A customer and the processes that serve.
pub(super) struct Shopper {
    client: Client,
    shops: Vec<String>,
    seed: u64,
    number: u64,
}

impl Shopper {
    /// Customer `number` of a cycle.
    pub(super) fn new(shops: Vec<String>, seed: u64, number: u64) -> anyhow::Result<Self> {
        let client = Client::builder().no_proxy().timeout(ANSWER_PATIENCE).build()?;
        Ok(Self { client, shops, seed, number })
    }

    /// Orders until it is enough; the ids of all orders that were acknowledged.
    pub(super) async fn shop(self, enough: Arc<AtomicBool>) -> anyhow::Result<Vec<Uuid>> {
        let email = format!("chaos-{}@example.com", self.number);
        let account = json!({"email": email, "password": "a quite long password"});
        let registered = self.post("/api/v1/auth/register", None, self.key(0), &account).await?;
        let token = registered["access_token"].as_str().context("a token")?.to_owned();
        let mut orders = vec![];
        for number in 1..=MAX_ORDERS {
            if enough.load(Ordering::Relaxed) {
                break;
            }
            let line = json!({"sku": SKU, "quantity": 1});
            let (cart, checkout) = (self.key(2 * number), self.key(2 * number + 1));
            self.post("/api/v1/me/cart/lines", Some(&token), cart, &line).await?;
            let order = self.post("/api/v1/checkouts", Some(&token), checkout, &body()).await?;
            let again = self.post("/api/v1/checkouts", Some(&token), checkout, &body()).await?;
            let id = |order: &Value| order["order"]["id"].as_str().and_then(|id| id.parse().ok());
            let first: Uuid = id(&order).context("an order has an id")?;
            anyhow::ensure!(id(&again) == Some(first), "one key gave {first} and {again}");
            orders.push(first);
        }
        Ok(orders)
    }

    /// Asks until it is done, at one process after the other. Whatever is not an answer, and
    /// whatever says "later", is asked again.
    async fn post(
        &self,
        path: &str,
        token: Option<&str>,
        key: Uuid,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let mut last = String::new();
        for shop in self.shops.iter().cycle().skip(key.as_bytes()[15].into()).take(TRIES as usize) {
            let mut request = self.client.post(format!("{shop}{path}")).json(body);
            request = request.header("idempotency-key", key.to_string());
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            match request.send().await {
                Ok(answer) if answer.status().is_success() => {
                    if let Ok(body) = answer.json().await {
                        return Ok(body);
                    }
                }
                Ok(answer) => {
                    let status = answer.status();
                    last = format!("{status} {}", answer.text().await.unwrap_or_default());
                    let later = status.is_server_error()
                        || [StatusCode::CONFLICT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
                    anyhow::ensure!(later, "{path}: {last}");
                }
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(PAUSE).await;
        }
        anyhow::bail!("{path} was never answered: {last}")
    }

    fn key(&self, number: u32) -> Uuid {
        Uuid::from_u64_pair(self.seed, self.number << 32 | u64::from(number))
    }
}

fn body() -> Value {
    json!({
        "email": "customer@example.com",
        "shipping_address": {
            "name": "Ada Lovelace", "street": "12 St James's Square", "city": "London",
            "zip": "01234", "country": "GB",
        },
    })
}
