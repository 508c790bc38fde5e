use crate::support::{PATIENCE, Running, Source, options, record_foreign};
use crate::tally::{self, Mishap, Tally};
use compose::testing::eventually;
use domain::cart::CartEvent;
use domain::policy::PolicyEvent;
use domain::{CartId, Position, RecordedEvent};
use follow::elections::Elections;
use projections::dead_letters::{self, DeadLetterId, DeadLetterStatus, Decided};
use projections::list_projections;
use projections::permissions;
use projections::{
    Checkpoints, Limit, Options, Projection, ProjectionStatus, ReadModel, Status, carts,
};
use sqlx::PgPool;
use testkit::{Journal, id, name, pool, quantity, sku, usd};
use tokio_util::sync::CancellationToken;

fn only(read_model: &'static ReadModel) -> &'static [&'static dyn Projection] {
    Box::leak(vec![read_model as &dyn Projection].into_boxed_slice())
}

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

fn fill(history: &Journal, owner: u128) {
    history.record("cart", id::<CartId>(owner), &CartEvent::CartOpened { owner_id: id(owner) });
    let added = CartEvent::ItemAdded {
        sku: sku("MOUSE"),
        product_id: id(7),
        name: name("Mouse"),
        variant: None,
        picture: None,
        quantity: quantity(1),
        unit_price: usd(880),
    };
    history.record("cart", id::<CartId>(owner), &added);
}

/// Lets the event before which the projection stands be tried again.
async fn retry(pool: &PgPool, projection: &str, position: Position) {
    let id = DeadLetterId { consumer: projection.to_owned(), position };
    let decided = dead_letters::request_retry(pool, &id).await.expect("a query");
    assert_eq!(decided, Decided::Accepted, "{id}");
    eventually("it was tried", || async {
        let letter = dead_letters::find(pool, &id).await.expect("a query");
        letter.is_none_or(|letter| !letter.retry)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_event_parks_its_cart_only_and_is_never_skipped() {
    let pool = pool().await;
    let history = Journal::default();
    (1..=5).for_each(|owner| fill(&history, owner));
    let poison = history.head().next();
    history.record_raw("cart", id::<CartId>(1), "ItemAdded", r#"{"sku":17}"#);
    (6..=9).for_each(|owner| fill(&history, owner));
    let later = history.head().next();
    history.record("cart", id::<CartId>(1), &CartEvent::ItemRemoved { sku: sku("MOUSE") });
    let source = Source::of(&history);
    let cancel = CancellationToken::new();
    let checkpoints = Checkpoints::start(pool.connect_options().as_ref().clone(), cancel.clone());
    let running =
        Running::start(Options::new(&pool, checkpoints.clone(), Elections::new()), source.clone());

    // Whoever waits for a position gets an answer, from every projection.
    for projection in projections::ALL {
        let reached = checkpoints.wait_for(projection.name(), history.head(), PATIENCE).await;
        assert_eq!(reached, Ok(()), "{}", projection.name());
    }
    let found = status(&pool, carts::NAME).await;
    assert_eq!((found.status, found.parked_position()), (Status::PartlyParked, None));
    let letters = dead_letters::list(&pool, None, Limit::MAX).await.expect("a query").items;
    let shown = letters.iter().map(|letter| (letter.id.to_string(), letter.status));
    let expected = [
        (format!("carts.{poison}"), DeadLetterStatus::Failed),
        (format!("carts.{later}"), DeadLetterStatus::Waiting),
    ];
    assert_eq!(shown.collect::<Vec<_>>(), expected);
    let reason = letters[0].reason.clone().expect("a reason");
    assert!(reason.contains("ItemAdded"), "{reason}");
    // The cart is as it was before the event, the others are as they should be.
    let cart = carts::by_owner(&pool, id(1)).await.expect("a query").expect("a cart");
    assert_eq!((cart.lines[0].quantity.get(), cart.version), (1, 2));
    assert!(carts::by_owner(&pool, id(9)).await.expect("a query").is_some());

    // Trying again without a cure changes nothing.
    retry(&pool, carts::NAME, poison).await;
    let again = dead_letters::find(&pool, &letters[0].id).await.expect("a query");
    assert_eq!(again.map(|letter| letter.attempts), Some(2));

    // With a cure (here another event, usually another build) it goes on.
    let mut cured = source.journal.event(poison);
    cured.payload = source.journal.event(poison.previous()).payload;
    source.journal.replace(cured);
    retry(&pool, carts::NAME, poison).await;
    let cart = carts::by_owner(&pool, id(1)).await.expect("a query").expect("a cart");
    assert_eq!((cart.lines.len(), cart.version, cart.position), (0, 4, later));
    assert_eq!(status(&pool, carts::NAME).await.status, Status::Running);
    let unknown = dead_letters::request_retry(&pool, &letters[0].id).await.expect("a query");
    assert_eq!(unknown, Decided::Unknown, "nothing to retry");
    running.stop().await;
    cancel.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_newer_build_wrote_is_applied_once_a_build_knows_it() {
    let pool = pool().await;
    let history = Journal::default();
    fill(&history, 1);
    let newer = history.head();
    history.record("cart", id::<CartId>(1), &CartEvent::ItemRemoved { sku: sku("MOUSE") });
    let source = Source::of(&history);
    let known = source.journal.event(newer);
    source.journal.replace(RecordedEvent { event_version: "99".to_owned(), ..known.clone() });
    let carts = only(&carts::READ_MODEL);
    let running = Running::start(options(&pool, carts), source.clone());
    let letters =
        async || dead_letters::list(&pool, None, Limit::MAX).await.expect("a query").items;
    eventually("all of the cart waits", || async { letters().await.len() == 2 }).await;
    running.stop().await;

    source.journal.replace(known);
    let running = Running::start(options(&pool, carts), source);
    eventually("nothing waits", || async { letters().await.is_empty() }).await;
    let cart = carts::by_owner(&pool, id(1)).await.expect("a query").expect("a cart");
    assert_eq!((cart.lines.len(), cart.version), (0, 3));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_event_of_the_policy_parks_all_of_it_until_it_is_tried_again_or_given_up() {
    let pool = pool().await;
    let history = Journal::default();
    let path = |id: u128| PolicyEvent::PublicPathAdded {
        public_path_id: testkit::id(id),
        methods: vec![],
        path: "/x".to_owned(),
    };
    history.record("policy", "shop", &path(1));
    history.record_raw("policy", "shop", "PublicPathAdded", "{}");
    history.record("policy", "shop", &path(3));
    let running =
        Running::start(options(&pool, only(&permissions::READ_MODEL)), Source::of(&history));
    let found = parked(&pool, permissions::NAME).await;
    assert_eq!(
        (found.position, found.parked_position()),
        (Position::FIRST, Some(Position::new(2)))
    );
    retry(&pool, permissions::NAME, Position::new(2)).await;
    let again = parked(&pool, permissions::NAME).await;
    assert_eq!(
        (again.position, again.parked_position()),
        (Position::FIRST, Some(Position::new(2)))
    );
    let page = permissions::public_paths(&pool, None, Limit::MAX).await.expect("a query");
    assert_eq!(page.items.len(), 1);

    let id = "permissions.2".parse().expect("an id");
    let decided = dead_letters::give_up(&pool, &id).await.expect("a query");
    assert_eq!(decided, Decided::Accepted);
    eventually("it goes on", || async {
        let now = status(&pool, permissions::NAME).await;
        (now.status, now.position) == (Status::Running, Position::new(3))
    })
    .await;
    let page = permissions::public_paths(&pool, None, Limit::MAX).await.expect("a query");
    assert_eq!(page.items.len(), 2, "the one after it is there");
    running.stop().await;
}

/// Every fault that lasts parks before its event, whatever stands around it in the batch.
async fn parks_before(mishap: Mishap, expected_reason: &str) {
    let pool = pool().await;
    tally::create_table(&pool).await;
    let history = tally::history(400);
    // The 137th is followed by one that is not counted, so both neighbours are of both kinds.
    let poison = Position::new(137);
    let tally = Tally::new().with_mishap(poison.get(), mishap, 40).leak();
    let running = Running::start(options(&pool, tally), Source::of(&history));
    // As often as it is retried while the fault lasts.
    loop {
        let found = parked(&pool, tally::NAME).await;
        assert_eq!(found.parked_position(), Some(poison));
        let reason = found.parked_reason.clone().expect("a reason");
        assert!(reason.contains(expected_reason) && !reason.contains("secret"), "{reason}");
        let (position, counts) = tally::snapshot(&pool).await;
        assert_eq!(
            (position, &counts),
            (poison.previous(), &tally::expected(&history, poison.previous()))
        );
        retry(&pool, tally::NAME, poison).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_behind_events_of_no_interest_parks_directly_before_it() {
    let pool = pool().await;
    tally::create_table(&pool).await;
    let history = Journal::default();
    let foreign = (0..40).map(|_| record_foreign(&history)).last().expect("some");
    let poison = tally::count(&history, 1);
    assert_eq!(poison, foreign.next());
    tally::count(&history, 2);
    let tally = Tally::new().with_mishap(poison.get(), Mishap::ConstraintViolated, 1).leak();
    // So that the checkpoint is still behind when the fault is met.
    let options = Options { batch_events: 1, ..options(&pool, tally) };
    let running = Running::start(options, Source::of(&history));
    let found = parked(&pool, tally::NAME).await;
    assert_eq!((found.position, found.parked_position()), (foreign, Some(poison)));
    retry(&pool, tally::NAME, poison).await;
    eventually("it goes on", || async {
        let now = status(&pool, tally::NAME).await;
        (now.status, now.position) == (Status::Running, history.head())
    })
    .await;
    assert_eq!(tally::snapshot(&pool).await.1, tally::expected(&history, history.head()));
    running.stop().await;
}

#[tokio::test]
async fn an_event_that_contradicts_its_stream_is_a_dead_letter() {
    let pool = pool().await;
    let history = Journal::default();
    let removed = CartEvent::ItemRemoved { sku: sku("MOUSE") };
    history.record("cart", id::<CartId>(1), &removed);
    let running = Running::start(options(&pool, only(&carts::READ_MODEL)), Source::of(&history));
    eventually("it is a dead letter", || async {
        dead_letters::count(&pool).await.expect("a query") == [("carts".to_owned(), 1)]
    })
    .await;
    running.stop().await;
}
