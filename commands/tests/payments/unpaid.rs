//! Orders that nobody pays are given up: once, whole, and never one that is paid.

use crate::shop::{PRICE, Shop, action, captured};
use crate::support::{Database, context, world};
use commands::payments::{self, ProviderAnswer};
use compose::testing::eventually;
use domain::cart::Cart;
use domain::order::{Order, OrderStatus};
use domain::payment::PaymentStatus;
use domain::stock::StockItem;
use domain::{OrderId, Timestamp};
use std::time::Duration;
use testkit::{new_id, sku, usd};

/// A moment that is nearly over.
fn soon() -> Timestamp {
    (world().now)().plus_seconds(1)
}

/// As the journal has it, past every memory.
async fn status(shop: &Shop, order_id: OrderId) -> OrderStatus {
    shop.load_order(order_id).await.status
}

async fn ends(shop: &Shop, order_id: OrderId, expected: OrderStatus) {
    eventually("it has its end", async || (status(shop, order_id).await == expected).then_some(()))
        .await;
}

/// Pieces set aside, and pieces in the order's cart.
async fn books(shop: &Shop, order: &Order) -> (u64, u32) {
    let stock =
        shop.bus.load::<StockItem>(&sku("MUG")).await.expect("the journal is readable").state;
    let cart_id = order.cart_id.expect("it was placed");
    let cart = shop.bus.load::<Cart>(&cart_id).await.expect("the journal is readable").state;
    (stock.reserved, cart.lines.iter().map(|line| line.quantity.get()).sum())
}

async fn cancellations(database: &Database) -> i64 {
    sqlx::query_scalar("select count(*) from events where event_type = 'OrderCancelled'")
        .fetch_one(&database.pool)
        .await
        .expect("a query")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_give_an_unpaid_order_up_once_and_release_and_restore_all_of_it() {
    const ORDERS: usize = 12;
    let shop = Shop::new().await;
    let running =
        [shop.give_up_unpaid().await, shop.give_up_unpaid().await, shop.give_up_unpaid().await];
    let mut orders = vec![];
    for _ in 0..ORDERS {
        orders.push(shop.order_to_pay_by(soon()).await);
    }
    let paid_in_time = shop.order_to_pay_by(soon()).await;
    let payment_id = new_id();
    shop.start(paid_in_time, payment_id).await.expect("it can be paid");
    shop.record((paid_in_time, payment_id), captured(usd(PRICE))).await;
    for order_id in &orders {
        ends(&shop, *order_id, OrderStatus::Cancelled).await;
    }
    for order_id in orders {
        let order = shop.load_order(order_id).await;
        assert_eq!(books(&shop, &order).await, (0, 1), "its stock is free, its cart is filled");
    }
    assert_eq!(status(&shop, paid_in_time).await, OrderStatus::Paid);
    // Nobody gives one up that is given up, or paid.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(cancellations(&shop.database).await, ORDERS as i64);
    eventually("no timer is left", async || shop.database.timers().await == 0).await;
    for process in running {
        process.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_payment_is_called_off_first_and_counts_if_it_brought_money_after_all() {
    let shop = Shop::new().await;
    let (left_open, confirmed) =
        (shop.order_to_pay_by(soon()).await, shop.order_to_pay_by(soon()).await);
    let (open_payment, late_payment) = (new_id(), new_id());
    for (order_id, payment_id, when_cancelled) in [
        (left_open, open_payment, ProviderAnswer::Voided),
        (confirmed, late_payment, captured(usd(PRICE))),
    ] {
        shop.start(order_id, payment_id).await.expect("it can be paid");
        shop.provider.says_when_cancelled(payment_id, action(), when_cancelled);
        shop.record((order_id, payment_id), action()).await;
    }
    let _running = shop.give_up_unpaid().await;
    ends(&shop, left_open, OrderStatus::Cancelled).await;
    ends(&shop, confirmed, OrderStatus::Paid).await;
    assert_eq!(shop.load_payment(open_payment).await.status, PaymentStatus::Voided);
    shop.balances(left_open, &[open_payment]).await;
    shop.balances(confirmed, &[late_payment]).await;

    // Should it bring money now, that goes back.
    shop.record((left_open, open_payment), captured(usd(PRICE))).await;
    assert_eq!(status(&shop, left_open).await, OrderStatus::Cancelled);
    let payment = shop.load_payment(open_payment).await;
    assert_eq!(payment.outcome_code(), Some("order_cancelled"));
    shop.balances(left_open, &[open_payment]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_in_the_same_second_pays_or_goes_back_and_nothing_is_half_done() {
    const ORDERS: u64 = 30;
    let shop = Shop::new().await;
    let running = [shop.give_up_unpaid().await, shop.give_up_unpaid().await];
    let mut money = tokio::task::JoinSet::new();
    for number in 0..ORDERS {
        let pay_by = soon();
        let order_id = shop.order_to_pay_by(pay_by).await;
        let payment_id = new_id();
        shop.start(order_id, payment_id).await.expect("it can be paid");
        // What its provider says when it is called off is what it will have said by then.
        shop.provider.says_when_cancelled(payment_id, action(), ProviderAnswer::Voided);
        let bus = shop.database.bus();
        money.spawn(async move {
            // Around the moment at which the order is given up.
            tokio::time::sleep(Duration::from_millis(1_500 + 50 * number)).await;
            let says = captured(usd(PRICE));
            let recorded = payments::record(&bus, payment_id, order_id, says, &context()).await;
            recorded.expect("whatever is said can be recorded");
            (order_id, payment_id)
        });
    }
    let mut paid = 0;
    for (order_id, payment_id) in money.join_all().await {
        eventually("it has its end", async || {
            (status(&shop, order_id).await != OrderStatus::AwaitingPayment).then_some(())
        })
        .await;
        shop.balances(order_id, &[payment_id]).await;
        let order = shop.load_order(order_id).await;
        let in_cart = books(&shop, &order).await.1;
        assert_eq!(in_cart, u32::from(order.status == OrderStatus::Cancelled), "{order:?}");
        paid += i64::from(order.status == OrderStatus::Paid);
    }
    assert_eq!(cancellations(&shop.database).await + paid, ORDERS.cast_signed());
    let stock =
        shop.bus.load::<StockItem>(&sku("MUG")).await.expect("the journal is readable").state;
    assert_eq!(stock.reserved, 0);
    for process in running {
        process.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_die_anywhere_leave_no_order_half_given_up() {
    let shop = Shop::new().await;
    let mut orders = vec![];
    for _ in 0..10 {
        orders.push(shop.order_to_pay_by(soon()).await);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    for life in 0..12_u64 {
        let running = shop.give_up_unpaid().await;
        tokio::time::sleep(Duration::from_millis(5 * life * life)).await;
        running.task.abort();
        // Nobody waits for the leases of the dead here.
        sqlx::query("update process_timers set due_at = clock_timestamp()")
            .execute(&shop.database.pool)
            .await
            .expect("a query");
    }
    let _running = shop.give_up_unpaid().await;
    for order_id in &orders {
        ends(&shop, *order_id, OrderStatus::Cancelled).await;
        let order = shop.load_order(*order_id).await;
        assert_eq!(books(&shop, &order).await.1, 1, "its cart is filled once");
    }
    assert_eq!(cancellations(&shop.database).await, 10);
}
