//! The command bus on a real journal: several aggregates, retries, keys, races.

mod support;

use commands::bus::{Bus, ExecuteError, Plan, RequestKey};
use commands::checkout::{self, Checkout, StartedPayment};
use commands::journal::JournalEventStore;
use cqrs_es::{Aggregate, CqrsFramework};
use domain::cart::{Cart, CartCommand};
use domain::order::OrderStatus;
use domain::payment::Payment;
use domain::product::{Product, ProductCommand, Variant};
use domain::stock::{StockCommand, StockItem};
use domain::{
    CartId, Currency, Cursor, Description, EventSource, Facts, Money, Name, Position, ProductId,
    Quantity, Sealed, UserId,
};
use serde_json::json;
use std::sync::Arc;
use support::{Database, context, later, product, world};
use testkit::{new_id, reason, sku, usd};

fn add(
    owner_id: UserId,
    product_id: ProductId,
    sku_text: &str,
    quantity: u32,
    cents: i64,
) -> CartCommand {
    CartCommand::AddItem {
        owner_id,
        sku: sku(sku_text),
        product_id,
        name: Name::parse("Thing").expect("valid"),
        variant: None,
        picture: None,
        quantity: Quantity::new(quantity).expect("in range"),
        unit_price: usd(cents),
    }
}

fn checkout_of(customer_id: UserId) -> Checkout {
    Checkout {
        customer_id,
        cart_id: CartId::of(customer_id),
        cart_version: None,
        expected_total: None,
        contact: Sealed::from_ciphertext("sealed".to_owned()),
        order_id: new_id(),
        number: 1,
        address: None,
        payment: None,
    }
}

fn request_key() -> RequestKey {
    RequestKey { key: new_id(), fingerprint: [1; 32] }
}

fn codes(error: &ExecuteError) -> Vec<&'static str> {
    match error {
        ExecuteError::Rejected(rejections) => rejections.iter().map(|each| each.code()).collect(),
        other => panic!("expected a rejection, got {other}"),
    }
}

#[tokio::test]
async fn the_last_unit_is_not_sold_twice_by_two_processes_at_once() {
    let database = Database::new().await;
    let buses = [Arc::new(database.bus()), Arc::new(database.bus())];
    let product_id = product(&buses[0], "LAST", usd(100), 1).await;
    let mut customers = tokio::task::JoinSet::new();
    for client in 0..32 {
        let bus = Arc::clone(&buses[client % 2]);
        customers.spawn(async move {
            let customer_id: UserId = new_id();
            let fill = Plan::new(&context()).step::<Cart>(
                &CartId::of(customer_id),
                add(customer_id, product_id, "LAST", 1, 100),
            );
            bus.execute(fill).await.expect("carts are not contended");
            checkout::place_order(&bus, &checkout_of(customer_id), &context(), request_key()).await
        });
    }
    let outcomes = customers.join_all().await;
    let sold = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(sold, 1);
    for refused in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        if !matches!(refused, ExecuteError::Contended) {
            assert_eq!(codes(refused), ["out_of_stock"]);
        }
    }
    let stock = buses[0].load::<StockItem>(&sku("LAST")).await.expect("readable").state;
    assert_eq!((stock.on_hand, stock.reserved, stock.available()), (1, 1, 0));
    database.assert_gap_free().await;
}

#[tokio::test]
async fn one_process_sells_every_unit_of_a_hot_item_exactly_once() {
    let database = Database::new().await;
    let bus = Arc::new(database.bus());
    product(&bus, "HOT", usd(100), 40).await;
    let mut orders = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let bus = Arc::clone(&bus);
        orders.spawn(async move {
            let quantity = Quantity::new(1).expect("in range");
            let reserve = StockCommand::Reserve {
                sku: sku("HOT"),
                order_id: new_id(),
                quantity,
                until: later(),
            };
            bus.execute(Plan::new(&context()).step::<StockItem>(&sku("HOT"), reserve)).await
        });
    }
    let outcomes = orders.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 40);
    assert!(outcomes.iter().filter_map(|o| o.as_ref().err()).all(|e| codes(e) == ["out_of_stock"]));
}

#[tokio::test]
async fn a_checkout_under_the_same_key_gives_the_same_order_also_when_the_cart_is_empty() {
    let database = Database::new().await;
    let bus = database.bus();
    let product_id = product(&bus, "ONE", usd(250), 10).await;
    let customer_id: UserId = new_id();
    let fill = Plan::new(&context())
        .step::<Cart>(&CartId::of(customer_id), add(customer_id, product_id, "ONE", 2, 250));
    bus.execute(fill).await.expect("the cart takes it");
    let (checkout, key) = (checkout_of(customer_id), request_key());
    let first = checkout::place_order(&bus, &checkout, &context(), key).await.expect("in stock");
    assert!(!first.replayed);
    let again = checkout::place_order(&bus, &checkout, &context(), key).await.expect("replayed");
    assert!(again.replayed);
    assert_eq!(again.order_id, first.order_id);
    assert_eq!(again.order.state, first.order.state);
    assert_eq!(again.position, first.position);

    let other_body = RequestKey { fingerprint: [2; 32], ..key };
    let reused = checkout::place_order(&bus, &checkout, &context(), other_body).await;
    assert!(matches!(reused, Err(ExecuteError::KeyReused)));

    let empty =
        checkout::place_order(&bus, &checkout_of(customer_id), &context(), request_key()).await;
    assert_eq!(codes(&empty.expect_err("nothing is left")), ["cart_empty"]);
}

#[tokio::test]
async fn a_changed_price_is_reported_and_can_be_accepted() {
    let database = Database::new().await;
    let bus = database.bus();
    let product_id = product(&bus, "DEAR", usd(100), 10).await;
    let customer_id: UserId = new_id();
    let fill = Plan::new(&context())
        .step::<Cart>(&CartId::of(customer_id), add(customer_id, product_id, "DEAR", 3, 100));
    bus.execute(fill).await.expect("the cart takes it");

    // Repriced by another process, whose cache we do not share.
    let elsewhere = database.bus();
    let known = elsewhere.load::<Product>(&product_id).await.expect("readable").state;
    let variant: Variant = known.variants[0].variant.clone();
    let reprice = ProductCommand::Revise {
        name: known.name.expect("it has one"),
        description: Description::parse("").expect("valid"),
        picture: None,
        categories: vec![],
        variants: vec![(variant, usd(120))],
    };
    let plan = Plan::new(&context()).step::<Product>(&product_id, reprice);
    elsewhere.execute(plan).await.expect("a product can be repriced");

    let refused =
        checkout::place_order(&bus, &checkout_of(customer_id), &context(), request_key()).await;
    let Err(ExecuteError::Rejected(rejections)) = refused else { panic!("the price differs") };
    assert_eq!(rejections[0].code(), "price_changed");
    assert_eq!(
        rejections[0].extra(),
        Some(
            json!({"total": usd(360), "lines": [{"sku": "DEAR", "seen": usd(100), "now": usd(120)}]})
        )
    );
    let accepting = Checkout { expected_total: Some(usd(360)), ..checkout_of(customer_id) };
    let placed = checkout::place_order(&bus, &accepting, &context(), request_key()).await;
    let totals = placed.expect("accepted").order.state.totals.expect("placed");
    assert_eq!(totals.total, usd(360));
}

#[tokio::test]
async fn lines_that_are_sold_in_another_currency_by_now_are_named() {
    let database = Database::new().await;
    let bus = database.bus();
    let customer_id: UserId = new_id();
    let eur = |cents| Money::new(cents, Currency::parse("EUR").expect("active")).expect("small");
    for (sku, reprice) in [("STAYS", None), ("MOVES", Some(eur(100)))] {
        let product_id = product(&bus, sku, usd(100), 10).await;
        let fill = Plan::new(&context())
            .step::<Cart>(&CartId::of(customer_id), add(customer_id, product_id, sku, 1, 100));
        bus.execute(fill).await.expect("the cart takes it");
        let known = bus.load::<Product>(&product_id).await.expect("readable").state;
        let Some(price) = reprice else { continue };
        let reprice = ProductCommand::Revise {
            name: known.name.expect("it has one"),
            description: Description::parse("").expect("valid"),
            picture: None,
            categories: vec![],
            variants: vec![(known.variants[0].variant.clone(), price)],
        };
        let plan = Plan::new(&context()).step::<Product>(&product_id, reprice);
        bus.execute(plan).await.expect("a product can be repriced");
    }
    let asked = checkout_of(customer_id);
    let quoted = checkout::quote(&bus, asked.cart_id, None, None).await.map(|quote| quote.totals);
    let ordered = checkout::place_order(&bus, &asked, &context(), request_key()).await;
    for refused in [quoted.map(drop), ordered.map(drop)] {
        let Err(ExecuteError::Rejected(rejections)) = refused else { panic!("it cannot be") };
        assert_eq!(rejections[0].code(), "currency_unavailable");
        let lines = json!([{"sku": "MOVES", "seen": usd(100), "now": eur(100)}]);
        assert_eq!(rejections[0].extra(), Some(json!({ "lines": lines })));
    }
}

#[tokio::test]
async fn an_order_that_costs_nothing_is_sold_in_the_append_that_places_it() {
    let database = Database::new().await;
    let bus = database.bus();
    let product_id = product(&bus, "FREE", usd(0), 10).await;
    let customer_id: UserId = new_id();
    let fill = Plan::new(&context())
        .step::<Cart>(&CartId::of(customer_id), add(customer_id, product_id, "FREE", 2, 0));
    bus.execute(fill).await.expect("the cart takes it");
    let payment = StartedPayment { payment_id: new_id(), method: "card".to_owned() };
    let payment_id = payment.payment_id;
    let asked = Checkout { payment: Some(payment), ..checkout_of(customer_id) };
    let placed = checkout::place_order(&bus, &asked, &context(), request_key()).await;
    let order = placed.expect("it is placed").order.state;
    assert_eq!((order.status, order.last_payment_id), (OrderStatus::Paid, None));
    let payment = bus.load::<Payment>(&payment_id).await.expect("readable").state;
    assert_eq!(payment.amount, None, "nobody is asked");
    let stock = bus.load::<StockItem>(&sku("FREE")).await.expect("readable").state;
    assert_eq!((stock.on_hand, stock.reserved, stock.available()), (8, 0, 8));
    database.assert_gap_free().await;
}

#[tokio::test]
async fn every_line_that_is_short_is_named_and_nothing_is_reserved() {
    let database = Database::new().await;
    let bus = database.bus();
    let scarce = product(&bus, "SCARCE", usd(100), 1).await;
    let plenty = product(&bus, "PLENTY", usd(100), 100).await;
    let none = product(&bus, "NONE", usd(100), 1).await;
    let id: UserId = new_id();
    let fill = Plan::new(&context())
        .step::<Cart>(&CartId::of(id), add(id, scarce, "SCARCE", 2, 100))
        .step::<Cart>(&CartId::of(id), add(id, plenty, "PLENTY", 2, 100))
        .step::<Cart>(&CartId::of(id), add(id, none, "NONE", 5, 100));
    bus.execute(fill).await.expect("the cart takes it");
    let before = database.events().await.len();
    let refused = checkout::place_order(&bus, &checkout_of(id), &context(), request_key()).await;
    let Err(ExecuteError::Rejected(rejections)) = refused else { panic!("two lines are short") };
    assert_eq!(
        rejections[0].extra(),
        Some(json!({"lines": [
            {"sku": "SCARCE", "requested": 2, "available": 1},
            {"sku": "NONE", "requested": 5, "available": 1},
        ]}))
    );
    assert_eq!(database.events().await.len(), before, "all or nothing");
}

#[tokio::test]
async fn the_frames_own_framework_runs_on_the_journal() {
    let database = Database::new().await;
    let journal = database.journal();
    let store = JournalEventStore::new(journal, world());
    let facts = Facts { now: (world().now)() };
    let framework: CqrsFramework<StockItem, _> = CqrsFramework::new(store, vec![], facts);
    let product_id = new_id();
    framework.execute("CQRS", StockCommand::Open { product_id }).await.expect("fresh");
    let receive = StockCommand::Receive { quantity: 5, reason: reason("test") };
    framework.execute("CQRS", receive).await.expect("it exists");
    let quantity = Quantity::new(6).expect("in range");
    let too_many =
        StockCommand::Reserve { sku: sku("CQRS"), order_id: new_id(), quantity, until: later() };
    let refused = framework.execute("CQRS", too_many).await;
    assert!(matches!(refused, Err(cqrs_es::AggregateError::UserError(_))), "{refused:?}");

    // What the framework wrote, the bus reads, and the events were applied once.
    let bus = database.bus();
    let stock = bus.load::<StockItem>(&sku("CQRS")).await.expect("readable");
    assert_eq!((stock.sequence, stock.state.on_hand), (2, 5));
    assert_eq!(StockItem::TYPE, "stock");
    database.assert_gap_free().await;
}

#[tokio::test]
async fn a_tail_started_late_sees_everything_in_order() {
    use commands::journal::{JournalReader, Tail};
    let database = Database::new().await;
    let bus = database.bus();
    product(&bus, "EARLY", usd(1), 1).await;
    let reader = JournalReader::new(database.pool.clone(), bus.journal().head());
    let cancel = tokio_util::sync::CancellationToken::new();
    let tail = Tail::start(reader, cancel.clone()).await.expect("readable");
    product(&bus, "LATE", usd(1), 1).await;
    let mut positions = vec![];
    while positions.len() < 10 {
        let after = Position::new(positions.last().copied().unwrap_or(0));
        tail.wait_after(after).await;
        let events = tail.read_after(Cursor::at(after), 3).await.expect("readable");
        positions.extend(events.iter().map(|event| event.position.get()));
    }
    assert_eq!(positions, (1..=10).collect::<Vec<_>>());
    cancel.cancel();
}

/// Every client books pieces one by one and comes back whenever it is told that there are too many.
async fn book(buses: &[Arc<Bus>], clients: usize, pieces: usize) -> Vec<u64> {
    let mut clerks = tokio::task::JoinSet::new();
    for client in 0..clients {
        let bus = Arc::clone(&buses[client % buses.len()]);
        clerks.spawn(async move {
            let mut versions = vec![];
            while versions.len() < pieces {
                let receive = StockCommand::Receive { quantity: 1, reason: reason("test") };
                let plan = Plan::new(&context()).step::<StockItem>(&sku("HOT"), receive);
                match bus.execute(plan).await {
                    Ok(done) => versions.push(done.version(0)),
                    Err(ExecuteError::Contended) => {}
                    Err(other) => panic!("nothing else can go wrong: {other}"),
                }
            }
            versions
        });
    }
    clerks.join_all().await.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_hot_item_asked_of_several_processes_refuses_nobody_and_every_command_takes_place_once() {
    let database = Database::new().await;
    let buses: Vec<_> = (0..4).map(|_| Arc::new(database.bus())).collect();
    product(&buses[0], "HOT", usd(100), 1).await;
    let mut versions = book(&buses[..1], 32, 10).await;
    let alone = buses[0].counters().now();
    assert_eq!((alone.conflicts, alone.contended), (0, 0), "one process is in nobody's way");
    for processes in [2, 4] {
        versions.extend(book(&buses[..processes], 120, 8).await);
    }
    let lost: u64 = buses.iter().map(|bus| bus.counters().now().retried).sum();
    let given_up: u64 = buses.iter().map(|bus| bus.counters().now().contended).sum();
    assert!(lost > 0, "nobody was ever overtaken");
    assert_eq!(given_up, 0, "of {lost} who were overtaken");
    versions.sort_unstable();
    let booked = u64::try_from(versions.len()).expect("a few");
    assert_eq!(versions, (3..3 + booked).collect::<Vec<_>>());
    let stock = buses[0].load::<StockItem>(&sku("HOT")).await.expect("readable");
    assert_eq!((stock.state.on_hand, stock.sequence), (1 + booked, 2 + booked));
    database.assert_gap_free().await;
}

#[tokio::test]
async fn what_a_plan_was_made_on_and_has_changed_is_told_from_an_item_that_was_faster() {
    let database = Database::new().await;
    let (here, elsewhere) = (database.bus(), database.bus());
    let product_id = product(&here, "A", usd(100), 5).await;
    let seen = here.peek::<Product>(&product_id).await.expect("readable");
    let receive = |bus| {
        let command = StockCommand::Receive { quantity: 1, reason: reason("test") };
        let plan = Plan::new(&context()).step::<StockItem>(&sku("A"), command);
        let plan = plan.unchanged::<Product>(&product_id, seen.head);
        async move { Bus::execute(bus, plan).await }
    };
    receive(&here).await.expect("nobody else");
    receive(&elsewhere).await.expect("it reads the item anew");
    receive(&here).await.expect("the item was faster, the product is as it was");
    let price = ProductCommand::Retire;
    let reprice = Plan::new(&context()).step::<Product>(&product_id, price);
    elsewhere.execute(reprice).await.expect("it may be retired");
    let late = receive(&here).await;
    assert!(matches!(late, Err(ExecuteError::Contended)), "only its maker can make the plan again");
}
