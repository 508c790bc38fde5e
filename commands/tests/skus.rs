//! SKUs that differ in case only are one, whoever takes them at whatever process.

mod support;

use commands::bus::{Bus, ExecuteError, Plan};
use commands::skus::{SkuTaken, Spelled, spelled};
use domain::stock::{StockCommand, StockItem};
use domain::{ProductId, Sku, Tag};
use std::sync::Arc;
use support::{Database, context};
use testkit::{new_id, sku};

/// Takes a SKU as whoever found it free does.
async fn take(bus: &Bus, product_id: ProductId, sku: &Sku) -> Result<(), ExecuteError> {
    let plan = Plan::new(&context())
        .step::<StockItem>(sku, StockCommand::Open { product_id })
        .at_most(1, Tag::of_sku(sku), || Box::new(SkuTaken));
    bus.execute(plan).await.map(drop)
}

async fn found(database: &Database, named: &[&str]) -> Vec<(String, bool)> {
    let named = named.iter().map(|named| sku(named)).collect();
    let spelled = spelled(&database.pool, named).await.expect("readable");
    spelled.into_iter().map(|Spelled { sku, is_taken }| (sku.to_string(), is_taken)).collect()
}

#[tokio::test]
async fn of_all_cases_of_a_sku_one_is_taken() {
    let database = Database::new().await;
    let buses = [Arc::new(database.bus()), Arc::new(database.bus())];
    let mut all = tokio::task::JoinSet::new();
    for (number, named) in
        ["abc", "Abc", "aBc", "abC", "ABc", "aBC", "AbC", "ABC"].into_iter().enumerate()
    {
        let bus = Arc::clone(&buses[number % 2]);
        all.spawn(async move { take(&bus, new_id(), &sku(named)).await });
    }
    let (done, refused): (Vec<_>, Vec<_>) =
        all.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!((done.len(), refused.len()), (1, 7));
    for refused in refused {
        match refused {
            Err(ExecuteError::Rejected(rejections)) => {
                assert_eq!(rejections[0].code(), "sku_taken")
            }
            other => panic!("expected a rejection: {other:?}"),
        }
    }
    database.assert_gap_free().await;
}

#[tokio::test]
async fn a_sku_is_found_in_any_case_also_one_that_was_taken_before_it_had_a_tag() {
    let database = Database::new().await;
    let bus = database.bus();
    take(&bus, new_id(), &sku("Abc")).await.expect("it is free");
    let as_taken = [("Abc".to_owned(), true), ("Abc".to_owned(), true), ("xyz".to_owned(), false)];
    assert_eq!(found(&database, &["Abc", "aBC", "xyz"]).await, as_taken);

    // A build before took another one beside it.
    sqlx::query("delete from event_tags")
        .execute(&database.pool)
        .await
        .expect("nothing protects it");
    take(&bus, new_id(), &sku("abc")).await.expect("nobody knows better");
    sqlx::query("delete from event_tags")
        .execute(&database.pool)
        .await
        .expect("nothing protects it");
    let migration = include_str!("../../migrations/0029_skus_in_one_case.sql");
    sqlx::query(migration).execute(&database.pool).await.expect("it runs");
    let both =
        [("Abc", true), ("abc", true), ("Abc", true)].map(|(sku, taken)| (sku.to_owned(), taken));
    assert_eq!(found(&database, &["Abc", "abc", "ABC"]).await, both, "each keeps its own");
}
