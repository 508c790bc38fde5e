//! A customer who orders again and again through HTTP, and asks at the other process, under the same
//! key, when one does not answer.

use super::cycle::Cycle;
use super::staff::Staff;
use super::{LOOK, PATIENCE, gather};
use anyhow::Context as _;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use uuid::Uuid;

/// What is ordered, one customer after the other: sample products, of which there are a thousand pieces.
const SKUS: [&str; 3] = ["notebook", "mouse-pad", "sweatshirt"];

/// The most orders of one customer: there have to be enough pieces for a dozen of them.
pub(super) const MAX_ORDERS: u32 = 100;

/// How long an answer is waited for.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// How often a request is tried; with its pauses longer than any restart.
const TRIES: u32 = 60;

/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(250);

/// Customers who order at once.
pub(super) struct Shoppers {
    enough: Arc<AtomicBool>,
    shopping: JoinSet<anyhow::Result<Vec<Uuid>>>,
    /// What those said who have finished.
    told: Vec<Uuid>,
}

impl Shoppers {
    /// Those of these numbers begin to order.
    pub(super) fn start(
        cycle: &Cycle<'_>,
        staff: &Staff,
        numbers: Range<u64>,
    ) -> anyhow::Result<Self> {
        Self::start_for(cycle, staff, numbers, "customer")
    }

    /// The same; each order's mails go to a mailbox of its own, whose address begins so.
    pub(super) fn start_for(
        cycle: &Cycle<'_>,
        staff: &Staff,
        numbers: Range<u64>,
        mailbox: &'static str,
    ) -> anyhow::Result<Self> {
        let (enough, mut shopping) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        for number in numbers {
            let client = Client::builder().no_proxy().timeout(ANSWER_PATIENCE).build()?;
            let (shops, seed) = (staff.addresses(), cycle.seed);
            let shopper = Shopper { client, shops, seed, number, mailbox };
            shopping.spawn(shopper.shop(Arc::clone(&enough)));
        }
        Ok(Self { enough, shopping, told: vec![] })
    }

    /// Waits until there are more orders than `before`; says why when a customer has given up.
    pub(super) async fn more_orders(
        &mut self,
        cycle: &Cycle<'_>,
        before: i64,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while gather::orders(cycle).await? <= before {
            if let Some(ended) = self.shopping.try_join_next() {
                self.told.extend(ended??);
            }
            anyhow::ensure!(Instant::now() < deadline, "nobody orders");
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Lets them finish the order that they are at; the ids of all orders that were acknowledged.
    pub(super) async fn finish(
        self,
        cycle: &Cycle<'_>,
        staff: &mut Staff,
    ) -> anyhow::Result<Vec<Uuid>> {
        self.enough.store(true, Ordering::Relaxed);
        self.end(cycle, staff).await
    }

    /// Waits until each has ordered as often as it may.
    pub(super) async fn end(
        mut self,
        cycle: &Cycle<'_>,
        staff: &mut Staff,
    ) -> anyhow::Result<Vec<Uuid>> {
        let mut told = self.told;
        while !self.shopping.is_empty() {
            staff.supervise(cycle).await?;
            if let Ok(Some(orders)) = tokio::time::timeout(LOOK, self.shopping.join_next()).await {
                told.extend(orders??);
            }
        }
        Ok(told)
    }
}

/// A customer and the processes that serve.
struct Shopper {
    client: Client,
    shops: Vec<String>,
    seed: u64,
    number: u64,
    mailbox: &'static str,
}

impl Shopper {
    /// Orders until it is enough; the ids of all orders that were acknowledged.
    async fn shop(self, enough: Arc<AtomicBool>) -> anyhow::Result<Vec<Uuid>> {
        let email = format!("chaos-{}@example.com", self.number);
        let account = json!({"email": email, "password": "a quite long password"});
        let registered = self.post("/api/v1/auth/register", None, self.key(0), &account).await?;
        let token = registered["access_token"].as_str().context("a token")?.to_owned();
        let mut orders = vec![];
        for number in 1..=MAX_ORDERS {
            if enough.load(Ordering::Relaxed) {
                break;
            }
            let sku = SKUS[usize::try_from(self.number)? % SKUS.len()];
            let line = json!({"sku": sku, "quantity": 1});
            let body = self.body(number);
            let (cart, checkout) = (self.key(2 * number), self.key(2 * number + 1));
            self.post("/api/v1/me/cart/lines", Some(&token), cart, &line).await?;
            let order = self.post("/api/v1/checkouts", Some(&token), checkout, &body).await?;
            let again = self.post("/api/v1/checkouts", Some(&token), checkout, &body).await?;
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
    /// What is said at a checkout.
    fn body(&self, number: u32) -> Value {
        json!({
            "email": format!("{}-{}-{number}@example.com", self.mailbox, self.number),
            "shipping_address": {
                "name": "Ada Lovelace", "street": "12 St James's Square", "city": "London",
                "zip": "01234", "country": "GB",
            },
        })
    }
}
