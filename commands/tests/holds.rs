//! How many orders may wait for their money at once.

mod support;

use commands::bus::{Bus, ExecuteError, Plan, RequestKey};
use commands::checkout::{self, Checkout, MAX_OF_ADDRESS, MAX_OF_USER};
use domain::cart::{Cart, CartCommand};
use domain::{CartId, OrderId, ProductId, Sealed, UserId};
use futures::future::join_all;
use std::sync::Arc;
use support::{Database, context, product};
use testkit::{name, new_id, quantity, sku, usd};

struct Shop {
    database: Database,
    bus: Arc<Bus>,
    product_id: ProductId,
}

impl Shop {
    async fn new() -> Self {
        let database = Database::new().await;
        let bus = Arc::new(database.bus());
        let product_id = product(&bus, "MUG", usd(990), 10_000).await;
        Self { database, bus, product_id }
    }

    async fn customer(&self) -> UserId {
        let customer: UserId = new_id();
        sqlx::query("insert into personal_keys (person_id, key) values ($1, $2)")
            .bind(customer.uuid())
            .bind([7_u8; 32].as_slice())
            .execute(&self.database.pool)
            .await
            .expect("a person");
        customer
    }

    /// An order from a cart of its own, so that no two wait for the same cart.
    async fn order(
        &self,
        bus: &Bus,
        customer_id: UserId,
        address: Option<&str>,
    ) -> Result<OrderId, ExecuteError> {
        let cart_id: CartId = new_id();
        let add = CartCommand::AddItem {
            owner_id: customer_id,
            sku: sku("MUG"),
            product_id: self.product_id,
            name: name("Mug"),
            variant: None,
            picture: None,
            quantity: quantity(1),
            unit_price: usd(990),
        };
        bus.execute(Plan::new(&context()).step::<Cart>(&cart_id, add)).await?;
        let checkout = Checkout {
            customer_id,
            cart_id,
            cart_version: None,
            expected_total: None,
            contact: Sealed::from_ciphertext("at home".to_owned()),
            order_id: new_id(),
            number: 1,
            address: address.map(str::to_owned),
            payment: None,
        };
        let key = RequestKey { key: new_id(), fingerprint: [1; 32] };
        let placed = checkout::place_order(bus, &checkout, &context(), key).await?;
        Ok(placed.order_id)
    }
}

fn is_refused(placed: &Result<OrderId, ExecuteError>) -> bool {
    let Err(error) = placed else { return false };
    let ExecuteError::Rejected(refusals) = error else { panic!("{error}") };
    assert_eq!(refusals[0].code(), "too_many_open_orders");
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_any_number_of_checkouts_at_once_in_two_processes_a_user_gets_so_many_and_no_more() {
    let shop = Shop::new().await;
    let other = shop.database.bus();
    let customer = shop.customer().await;
    let checkouts = (0..60).map(|number| {
        let bus = if number % 2 == 0 { &shop.bus } else { &other };
        shop.order(bus, customer, Some("here"))
    });
    let placed = join_all(checkouts).await;
    let open: Vec<_> = placed.iter().filter_map(|placed| placed.as_ref().ok()).collect();
    let refused = placed.iter().filter(|placed| {
        // Others were faster each time: that is no place either.
        matches!(placed, Err(ExecuteError::Contended)) || is_refused(placed)
    });
    assert_eq!(open.len() + refused.count(), 60);
    assert!(open.len() <= MAX_OF_USER as usize, "{}", open.len());
    while !is_refused(&shop.order(&shop.bus, customer, Some("here")).await) {}
    let count = "select count(*) from events where event_type = 'OrderPlaced'";
    let all: i64 = sqlx::query_scalar(count).fetch_one(&shop.database.pool).await.expect("it");
    assert_eq!(all, i64::from(MAX_OF_USER));

    // Somebody else's are their own, and load generators have no bound.
    assert!(shop.order(&shop.bus, shop.customer().await, Some("here")).await.is_ok());
    assert!(shop.order(&shop.bus, customer, None).await.is_ok());
}

#[tokio::test]
async fn an_order_that_nobody_can_pay_any_more_frees_its_place() {
    let shop = Shop::new().await;
    let customer = shop.customer().await;
    let mut placed = vec![];
    for _ in 0..MAX_OF_USER {
        placed.push(shop.order(&shop.bus, customer, Some("here")).await.expect("there is room"));
    }
    assert!(is_refused(&shop.order(&shop.bus, customer, Some("here")).await));
    sqlx::query(
        "insert into events select (select max(position) + 1 from events), aggregate_type, aggregate_id, \
                sequence + 1, 'OrderCancelled', '1', '{\"reason\":\"unpaid\"}', metadata, gen_random_uuid(), \
                recorded_at from events where aggregate_id = $1",
    )
    .bind(placed[0].to_string())
    .execute(&shop.database.pool)
    .await
    .expect("the time to pay is over");
    assert!(shop.order(&shop.bus, customer, Some("here")).await.is_ok());
    assert!(is_refused(&shop.order(&shop.bus, customer, Some("here")).await));
}

#[tokio::test]
async fn an_address_has_a_bound_beside_its_users_and_no_row_has_it_in_the_clear() {
    let shop = Shop::new().await;
    for _ in 0..MAX_OF_ADDRESS / MAX_OF_USER {
        let customer = shop.customer().await;
        let placed = join_all((0..MAX_OF_USER).map(|_| async {
            while shop.order(&shop.bus, customer, Some("here")).await.is_err() {}
        }));
        placed.await;
    }
    let customer = shop.customer().await;
    assert!(is_refused(&shop.order(&shop.bus, customer, Some("here")).await));
    assert!(shop.order(&shop.bus, customer, Some("there")).await.is_ok());
    // Whose key is gone has ordered from nowhere.
    sqlx::query("delete from personal_keys where person_id <> $1")
        .bind(customer.uuid())
        .execute(&shop.database.pool)
        .await
        .expect("they are erased");
    assert!(shop.order(&shop.bus, customer, Some("here")).await.is_ok());
}
