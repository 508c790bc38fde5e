use crate::support::{
    History, PATIENCE, Running, database, eventually, id, name, options, quantity,
};
use crate::support::{sku, usd};
use crate::tally::{self, Mishap, Tally};
use domain::cart::CartEvent;
use projections::{Checkpoints, Options, ProjectionStatus, Status, carts};
use projections::{list_projections, retry_parked};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

async fn status(pool: &PgPool, projection: &str) -> ProjectionStatus {
    let statuses = list_projections(pool).await.expect("a query");
    statuses.into_iter().find(|status| status.name == projection).expect("it is registered")
}

async fn parked(pool: &PgPool, projection: &str) -> ProjectionStatus {
    eventually("it is parked", || async {
        let statuses = list_projections(pool).await.expect("a query");
        statuses.iter().any(|found| found.name == projection && found.status == Status::Parked)
    })
    .await;
    status(pool, projection).await
}

fn fill(history: &mut History, owner: u128) {
    history.record("cart", id(owner), &CartEvent::CartOpened { owner_id: id(owner) });
    let added = CartEvent::ItemAdded {
        sku: sku("MOUSE"),
        product_id: id(7),
        name: name("Mouse"),
        picture: None,
        quantity: quantity(1),
        unit_price: usd(880),
    };
    history.record("cart", id(owner), &added);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_event_parks_its_projection_only_and_is_never_skipped() {
    let pool = database().await;
    let mut history = History::default();
    (1..=5).for_each(|owner| fill(&mut history, owner));
    let poison = history.head() + 1;
    history.record_raw("cart", id(1), "ItemAdded", r#"{"sku":17}"#.to_owned());
    (6..=9).for_each(|owner| fill(&mut history, owner));
    let source = history.source();
    let cancel = CancellationToken::new();
    let checkpoints = Checkpoints::start(pool.connect_options().as_ref().clone(), cancel.clone());
    let running = Running::start(Options::new(&pool, checkpoints.clone()), source.clone());

    for projection in projections::ALL.iter().filter(|other| other.name() != carts::NAME) {
        let reached = checkpoints.wait_for(projection.name(), history.head(), PATIENCE).await;
        assert_eq!(reached, Ok(()), "{}", projection.name());
    }
    let found = parked(&pool, carts::NAME).await;
    assert_eq!((found.position, found.parked_position()), (poison - 1, Some(poison)));
    let reason = found.parked_reason.clone().expect("a reason");
    assert!(reason.contains("ItemAdded"), "{reason}");
    // What came before it is there, what comes after it is not.
    assert!(carts::by_owner(&pool, id(5)).await.expect("a query").is_some());
    assert!(carts::by_owner(&pool, id(6)).await.expect("a query").is_none());

    // Trying again without a cure parks it again, at the same place.
    assert!(retry_parked(&pool, carts::NAME).await.expect("a query"));
    let again = parked(&pool, carts::NAME).await;
    assert_eq!(
        (again.position, again.parked_position()),
        (found.position, found.parked_position())
    );

    // With a cure (here another event, usually another build) it goes on.
    let mut cured = source.event(poison);
    cured.payload = source.event(poison - 1).payload;
    source.replace(cured);
    assert!(retry_parked(&pool, carts::NAME).await.expect("a query"));
    checkpoints.wait_for(carts::NAME, history.head(), PATIENCE).await.expect("it goes on");
    assert!(!retry_parked(&pool, carts::NAME).await.expect("a query"), "nothing to retry");
    let cart = carts::by_owner(&pool, id(1)).await.expect("a query").expect("a cart");
    assert_eq!((cart.lines[0].quantity.get(), cart.version, cart.position), (2, 3, poison));
    assert!(carts::by_owner(&pool, id(9)).await.expect("a query").is_some());
    running.stop().await;
    cancel.cancel();
}

/// Every fault that lasts parks before its event, whatever stands around it in the batch.
async fn parks_before(mishap: Mishap, expected_reason: &str) {
    let pool = database().await;
    tally::create_table(&pool).await;
    let history = tally::history(400);
    // The 137th is followed by one that is not counted, so both neighbours are of both kinds.
    let poison = 137;
    let tally = Tally::new().with_mishap(poison, mishap, 40).leak();
    let running = Running::start(options(&pool, tally), history.source());
    // As often as it is retried while the fault lasts.
    loop {
        let found = parked(&pool, tally::NAME).await;
        assert_eq!(found.parked_position(), Some(poison));
        let reason = found.parked_reason.clone().expect("a reason");
        assert!(reason.contains(expected_reason) && !reason.contains("secret"), "{reason}");
        let (position, counts) = tally::snapshot(&pool).await;
        assert_eq!((position, &counts), (poison - 1, &tally::expected(&history, poison - 1)));
        assert!(retry_parked(&pool, tally::NAME).await.expect("a query"));
        eventually("it is parked again or at the end", || async {
            let now = status(&pool, tally::NAME).await;
            now.status == Status::Parked || now.position == history.head()
        })
        .await;
        if status(&pool, tally::NAME).await.status == Status::Running {
            break;
        }
    }
    let (position, counts) = tally::snapshot(&pool).await;
    assert_eq!((position, counts), (history.head(), tally::expected(&history, history.head())));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_the_database_refuses_park_before_their_event() {
    parks_before(Mishap::ConstraintViolated, "SQLSTATE 23514, constraint counts_up").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_parks_before_its_event() {
    parks_before(Mishap::Panic, "panicked").await;
}

#[tokio::test]
async fn an_event_that_contradicts_its_stream_parks() {
    let pool = database().await;
    let mut history = History::default();
    let removed = CartEvent::ItemRemoved { sku: sku("MOUSE") };
    history.record("cart", id(1), &removed);
    let running = Running::start(options(&pool, &[&carts::Carts]), history.source());
    let found = parked(&pool, carts::NAME).await;
    assert_eq!((found.position, found.parked_position()), (0, Some(1)));
    running.stop().await;
}
