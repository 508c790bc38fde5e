//! A read model's row is the view of its aggregate's state: what a command answers is what a read shows.

use crate::batches::{happen, steps};
use crate::support::given;
use cqrs_es::Aggregate;
use domain::cart::Cart;
use domain::order::Order;
use domain::product::Product;
use domain::stock::StockItem;
use domain::user::User;
use domain::{DecodeError, EventTypes, Position, RecordedEvent, Sku, Timestamp};
use projections::carts::{self, CartView};
use projections::catalogue::{self, ProductView};
use projections::orders::{self, OrderView};
use projections::stock::{self, StockView};
use projections::users::{self, UserView};
use proptest::prelude::Strategy;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use std::collections::{BTreeMap, BTreeSet};
use testkit::Journal;
use uuid::Uuid;

/// Random histories; each costs a database.
const HISTORIES: usize = 8;

/// An aggregate as its events leave it.
struct Folded<A> {
    state: A,
    version: u64,
    /// Of its first event and its last one.
    positions: (Position, Position),
    recorded_at: Timestamp,
}

/// Every aggregate of a type.
fn folded<A: Aggregate>(history: &Journal) -> BTreeMap<String, Folded<A>>
where
    A::Event: EventTypes,
{
    let mut all: BTreeMap<String, Folded<A>> = BTreeMap::new();
    for event in history.after(Position::START).filter(|event| event.aggregate_type == A::TYPE) {
        let decoded: Result<A::Event, DecodeError> = RecordedEvent::decode(&event);
        let entry = all.entry(event.aggregate_id.clone()).or_insert_with(|| Folded {
            state: A::default(),
            version: 0,
            positions: (event.position, Position::START),
            recorded_at: event.recorded_at.into(),
        });
        entry.state.apply(decoded.expect("this build wrote it"));
        entry.version = event.sequence;
        entry.positions.1 = event.position;
    }
    all
}

fn typed<Id: From<Uuid>>(id: &str) -> Id {
    Uuid::parse_str(id).expect("these aggregates have such ids").into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_the_views_of_their_aggregates_states() {
    let mut runner = TestRunner::new(Config::default());
    let mut compared = BTreeSet::new();
    for _ in 0..HISTORIES {
        let steps = steps().new_tree(&mut runner).expect("nothing is filtered").current();
        let history = Journal::default();
        steps.iter().for_each(|step| happen(&history, step));
        let pool = given(&history).await;

        let items = folded::<StockItem>(&history);
        for (id, Folded { state, version, positions, .. }) in &items {
            let sku = Sku::parse(id.as_str()).expect("these aggregates have such ids");
            let row = stock::by_sku(&pool, &sku).await.expect("a query");
            assert_eq!(row, StockView::of(sku, state, *version, positions.1));
            compared.extend(row.map(|_| "stock"));
        }
        for (id, Folded { state, version, positions, .. }) in folded::<Cart>(&history) {
            let row = carts::by_id(&pool, typed(&id)).await.expect("a query");
            assert_eq!(row, CartView::of(typed(&id), &state, version, positions.1));
            compared.extend(row.map(|_| "cart"));
        }
        for (id, Folded { state, version, positions, recorded_at }) in folded::<User>(&history) {
            let row = users::by_id(&pool, typed(&id)).await.expect("a query");
            assert_eq!(row, UserView::of(typed(&id), &state, recorded_at, version, positions.1));
            compared.extend(row.map(|_| "user"));
        }
        for (id, Folded { state, version, positions, recorded_at }) in folded::<Order>(&history) {
            let row = orders::by_id(&pool, typed(&id)).await.expect("a query");
            let placed = (recorded_at, positions.0);
            // In answers they are also of its payments.
            let row =
                row.map(|row| OrderView { payment_status: None, position: positions.1, ..row });
            assert_eq!(row, OrderView::of(typed(&id), &state, placed, version, positions.1));
            compared.extend(row.map(|_| "order"));
        }
        for (id, Folded { state, version, positions, .. }) in folded::<Product>(&history) {
            let row = catalogue::by_id(&pool, typed(&id)).await.expect("a query");
            let available =
                |sku: &Sku| items.get(sku.as_str()).map_or(0, |item| item.state.available());
            // It is also that of the stock.
            let row = row.map(|row| ProductView { position: positions.1, ..row });
            let view = ProductView::of(typed(&id), &state, available, version, positions.1);
            assert_eq!(row, view);
            compared.extend(row.map(|_| "product"));
        }
        pool.close().await;
    }
    assert_eq!(compared.len(), 5, "{compared:?}");
}
