//! An order to pay, a provider that says what the test wants, and what must hold afterwards.

use crate::support::{Database, Running, context, later, product};
use commands::bus::{Bus, ExecuteError, Executed, Plan, RequestKey};
use commands::checkout::unpaid;
use commands::payments::{self, Charge, PaymentProvider, ProviderAnswer, settlement};
use compose::testing::eventually;
use domain::order::{Order, OrderCommand, OrderLine, OrderStatus, Totals};
use domain::payment::{Payment, PaymentStatus};
use domain::stock::{StockCommand, StockItem};
use domain::tag::ORDERED_BY;
use domain::{Money, OrderId, PaymentId, Rejection, Sealed, Tag, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use testkit::{name, new_id, quantity, sku, usd};

/// What every order here costs, in cents.
pub(crate) const PRICE: i64 = 990;

/// What the provider knows of a payment.
#[derive(Clone)]
struct Known {
    says: ProviderAnswer,
    /// What it says once it was asked to call the payment off.
    when_cancelled: ProviderAnswer,
    cancelled: u32,
}

/// A provider that says of each payment what the test tells it to, to whatever call. What it was
/// not told about it does not know.
#[derive(Clone, Default)]
pub(crate) struct Provider(Arc<Mutex<HashMap<PaymentId, Known>>>);

impl Provider {
    pub(crate) fn says(&self, payment_id: PaymentId, says: ProviderAnswer) {
        self.says_when_cancelled(payment_id, says.clone(), says);
    }

    pub(crate) fn says_when_cancelled(
        &self,
        payment_id: PaymentId,
        says: ProviderAnswer,
        when_cancelled: ProviderAnswer,
    ) {
        let known = Known { says, when_cancelled, cancelled: 0 };
        self.0.lock().expect("nobody panics with it").insert(payment_id, known);
    }

    /// How often a payment was called off.
    pub(crate) fn cancelled(&self, payment_id: PaymentId) -> u32 {
        let known = self.0.lock().expect("nobody panics with it");
        known.get(&payment_id).map_or(0, |known| known.cancelled)
    }

    fn answer(&self, payment_id: PaymentId) -> ProviderAnswer {
        let known = self.0.lock().expect("nobody panics with it");
        known.get(&payment_id).map_or(ProviderAnswer::NotFound, |known| known.says.clone())
    }
}

impl PaymentProvider for Provider {
    async fn charge(&self, charge: Charge) -> ProviderAnswer {
        self.answer(charge.payment_id)
    }

    async fn query(&self, payment_id: PaymentId) -> ProviderAnswer {
        self.answer(payment_id)
    }

    async fn cancel(&self, payment_id: PaymentId) -> ProviderAnswer {
        let mut known = self.0.lock().expect("nobody panics with it");
        let Some(known) = known.get_mut(&payment_id) else { return ProviderAnswer::Voided };
        known.cancelled += 1;
        known.says = known.when_cancelled.clone();
        known.says.clone()
    }
}

/// A journal with an order of one piece that waits for its money, as often as one wants one.
pub(crate) struct Shop {
    pub(crate) database: Database,
    pub(crate) bus: Arc<Bus>,
    pub(crate) provider: Provider,
}

impl Shop {
    pub(crate) async fn new() -> Self {
        let database = Database::new().await;
        let bus = Arc::new(database.bus());
        product(&bus, "MUG", usd(PRICE), 100_000).await;
        Self { database, bus, provider: Provider::default() }
    }

    /// An order with a piece set aside.
    pub(crate) async fn order(&self) -> OrderId {
        self.order_to_pay_by(later()).await
    }

    /// The same with another time to pay.
    pub(crate) async fn order_to_pay_by(&self, pay_by: Timestamp) -> OrderId {
        let order_id = new_id();
        let line = OrderLine {
            sku: sku("MUG"),
            product_id: new_id(),
            name: name("Mug"),
            variant: None,
            picture: None,
            quantity: 1,
            unit_price: usd(PRICE),
            total: usd(PRICE),
        };
        let place = OrderCommand::Place {
            number: 1,
            customer_id: new_id(),
            cart_id: new_id(),
            lines: vec![line],
            totals: Totals {
                items: usd(PRICE),
                discount: usd(0),
                shipping: usd(0),
                tax: usd(0),
                total: usd(PRICE),
            },
            contact: Sealed::from_ciphertext("at home".to_owned()),
            pay_by,
        };
        let reserve = StockCommand::Reserve {
            sku: sku("MUG"),
            order_id,
            quantity: quantity(1),
            until: later(),
        };
        let plan = Plan::new(&context())
            .step::<StockItem>(&sku("MUG"), reserve)
            .step::<Order>(&order_id, place)
            .tagged(Tag { name: ORDERED_BY, value: "test".to_owned(), person_id: None });
        self.bus.execute(plan).await.expect("there is enough of it");
        order_id
    }

    /// Asks for the order's money, under the payment's id as key.
    pub(crate) async fn start(
        &self,
        order_id: OrderId,
        payment_id: PaymentId,
    ) -> Result<Executed, ExecuteError> {
        let key = RequestKey { key: payment_id.uuid(), fingerprint: [7; 32] };
        let (bus, provider) = (&self.bus, &self.provider);
        payments::start(bus, provider, order_id, payment_id, "card", &context(), key).await
    }

    /// An order whose payment was asked for.
    pub(crate) async fn paying(&self) -> (OrderId, PaymentId) {
        let (order_id, payment_id) = (self.order().await, new_id());
        self.start(order_id, payment_id).await.expect("nothing is under way");
        (order_id, payment_id)
    }

    pub(crate) async fn record(
        &self,
        (order_id, payment_id): (OrderId, PaymentId),
        says: ProviderAnswer,
    ) {
        let recorded = payments::record(&self.bus, payment_id, order_id, says, &context()).await;
        recorded.expect("whatever the provider says can be recorded");
    }

    pub(crate) async fn load_order(&self, order_id: OrderId) -> Order {
        self.bus.load(&order_id).await.expect("the journal is readable").state
    }

    pub(crate) async fn load_payment(&self, payment_id: PaymentId) -> Payment {
        self.bus.load(&payment_id).await.expect("the journal is readable").state
    }

    /// Whether a payment is still looked after.
    pub(crate) async fn in_the_air(&self, payment_id: PaymentId) -> bool {
        sqlx::query_scalar("select exists (select from process_timers where key = $1::text)")
            .bind(payment_id.uuid())
            .fetch_one(&self.database.pool)
            .await
            .expect("a query")
    }

    /// Settlement sees the payment as one that was asked for so long ago, and due.
    pub(crate) async fn age(&self, payment_id: PaymentId, seconds: i32) {
        eventually("settlement has taken the payment in", async || {
            let aged = sqlx::query(
                "update process_timers set due_at = now(), \
                   set_at = now() - make_interval(secs => $2) where key = $1::text",
            )
            .bind(payment_id.uuid())
            .bind(f64::from(seconds))
            .execute(&self.database.pool)
            .await
            .expect("a query");
            (aged.rows_affected() == 1).then_some(())
        })
        .await;
    }

    /// A process that gives up orders which nobody pays, with its own memory and eyes.
    pub(crate) async fn give_up_unpaid(&self) -> Running {
        let (bus, provider) = (Arc::new(self.database.bus()), Arc::new(self.provider.clone()));
        self.database.process(|tail, stop| unpaid::run(bus, provider, tail, stop)).await
    }

    /// Starts settlement; it ends with the test.
    pub(crate) async fn settle(&self) {
        let (bus, provider) = (Arc::clone(&self.bus), Arc::new(self.provider.clone()));
        self.database.process(|tail, stop| settlement::run(bus, provider, tail, stop)).await;
    }

    /// Waits until the payment has this status and is not looked after any more.
    pub(crate) async fn ends(&self, payment_id: PaymentId, status: PaymentStatus) {
        eventually("the payment has ended", async || {
            let reached = self.load_payment(payment_id).await.status == status;
            (reached && !self.in_the_air(payment_id).await).then_some(())
        })
        .await;
    }

    /// What must hold of an order and all its payments, whatever was said of them.
    pub(crate) async fn balances(&self, order_id: OrderId, payment_ids: &[PaymentId]) {
        let order = self.load_order(order_id).await;
        let mut paying = vec![];
        for payment_id in payment_ids {
            let payment = self.load_payment(*payment_id).await;
            for captured in payment.captured.iter() {
                let kept = captured.amount.minus(captured.orphaned).expect("at most all of it");
                if kept.amount_minor() > 0 {
                    assert_eq!(kept, usd(PRICE), "in one piece");
                    paying.push(*payment_id);
                }
            }
        }
        let expected: Vec<PaymentId> = order.paid_by.into_iter().collect();
        assert_eq!(paying, expected, "the order was paid by what it kept");
        assert_eq!(order.status == OrderStatus::Paid, order.paid_by.is_some());
    }
}

/// The codes that a plan was refused with.
pub(crate) fn codes<T>(outcome: Result<T, ExecuteError>) -> Vec<&'static str> {
    match outcome {
        Err(ExecuteError::Rejected(rejections)) => {
            rejections.iter().map(|rejection| Rejection::code(&**rejection)).collect()
        }
        Err(error) => panic!("{error}"),
        Ok(_) => vec![],
    }
}

pub(crate) fn eur(cents: i64) -> Money {
    Money::new(cents, domain::Currency::parse("EUR").expect("a currency")).expect("in range")
}

pub(crate) fn captured(amount: Money) -> ProviderAnswer {
    ProviderAnswer::Captured { amount }
}

pub(crate) fn unreadable() -> ProviderAnswer {
    ProviderAnswer::CapturedUnreadable { said: "1e30 USD".to_owned() }
}

pub(crate) fn action() -> ProviderAnswer {
    ProviderAnswer::ActionRequired { url: "https://bank.example/confirm".to_owned() }
}
