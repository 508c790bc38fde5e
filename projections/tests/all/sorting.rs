use crate::catalogue::{created, published, sample, sell, variant};
use crate::support::given;
use domain::product::ProductEvent;
use domain::{Currency, Money, ProductId};
use projections::catalogue::{self, ProductFilter, ProductSort};
use projections::{Limit, QueryError};
use sqlx::PgPool;
use testkit::{Journal, id, sku, usd};

fn euro() -> Currency {
    Currency::parse("EUR").expect("a currency")
}

fn eur(cents: i64) -> Money {
    Money::new(cents, euro()).expect("a price")
}

/// A published product with a variant a price.
fn priced(history: &Journal, number: i32, prices: &[Money]) {
    let product_id = id::<ProductId>(u128::from(number.unsigned_abs()));
    let codes: Vec<String> = (0..prices.len()).map(|nth| format!("P{number}-{nth}")).collect();
    let variants = (0..).zip(&codes).map(|(nth, code)| variant(code, number + nth * 100));
    let created = created(&format!("Thing {number}"), "Things", variants.collect());
    history.record("product", product_id, &created);
    for (code, price) in codes.iter().zip(prices) {
        let priced = ProductEvent::ProductPriced { sku: sku(code), price: *price };
        history.record("product", product_id, &priced);
    }
    history.record("product", product_id, &ProductEvent::ProductPublished {});
}

/// Page after page of two, so that every cursor of the list is used.
async fn numbers(pool: &PgPool, filter: &ProductFilter, sort: ProductSort) -> Vec<i32> {
    let limit = Limit::new(2).expect("2 is a limit");
    let (mut numbers, mut cursor) = (Vec::new(), None);
    loop {
        let page = catalogue::list(pool, filter, sort, cursor.as_deref(), limit).await;
        let page = page.expect("a query");
        numbers.extend(page.items.iter().map(|product| product.number));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return numbers;
        }
    }
}

#[tokio::test]
async fn prices_of_one_currency_are_compared_and_what_has_none_comes_last() {
    let history = Journal::default();
    priced(&history, 1, &[usd(100), eur(9_000)]);
    priced(&history, 2, &[eur(500)]);
    priced(&history, 3, &[usd(300)]);
    priced(&history, 4, &[eur(8_000), usd(200), usd(700)]);
    priced(&history, 5, &[usd(250)]);
    let pool = given(&history).await;
    let all = published();
    for (sort, expected) in [
        (ProductSort::Price(euro()), [2, 4, 1, 3, 5]),
        (ProductSort::PriceDescending(euro()), [1, 4, 2, 3, 5]),
        (ProductSort::Price(Currency::USD), [1, 4, 5, 3, 2]),
        (ProductSort::PriceDescending(Currency::USD), [3, 5, 4, 1, 2]),
    ] {
        assert_eq!(numbers(&pool, &all, sort).await, expected, "{sort:?}");
    }
    let in_euro = ProductFilter { currency: Some(euro()), ..published() };
    assert_eq!(numbers(&pool, &in_euro, ProductSort::Price(euro())).await, [2, 4, 1]);
    assert_eq!(numbers(&pool, &in_euro, ProductSort::Price(Currency::USD)).await, [1, 4, 2]);
    let things = ProductFilter { text: Some("thing".to_owned()), ..published() };
    assert_eq!(numbers(&pool, &things, ProductSort::Price(euro())).await, [2, 4, 1, 3, 5]);
}

#[tokio::test]
async fn a_price_that_changes_its_currency_moves_the_product() {
    let history = Journal::default();
    priced(&history, 1, &[usd(100)]);
    priced(&history, 2, &[usd(200)]);
    let repriced = ProductEvent::ProductPriced { sku: sku("P1-0"), price: eur(50) };
    history.record("product", id::<ProductId>(1), &repriced);
    let pool = given(&history).await;
    assert_eq!(numbers(&pool, &published(), ProductSort::Price(Currency::USD)).await, [2, 1]);
    assert_eq!(numbers(&pool, &published(), ProductSort::Price(euro())).await, [1, 2]);
    let rows: i64 = sqlx::query_scalar("select count(*) from product_prices")
        .fetch_one(&pool)
        .await
        .expect("a query");
    assert_eq!(rows, 2);
}

#[tokio::test]
async fn a_draft_without_a_price_comes_last_for_staff() {
    let history = sample();
    history.record(
        "product",
        id::<ProductId>(8),
        &created("Draft", "Drafts", vec![variant("SKU-8", 8)]),
    );
    let pool = given(&history).await;
    let any = ProductFilter::default();
    for sort in [ProductSort::Price(Currency::USD), ProductSort::PriceDescending(Currency::USD)] {
        assert_eq!(numbers(&pool, &any, sort).await.last(), Some(&8), "{sort:?}");
    }
}

#[tokio::test]
async fn names_sort_as_languages_do_and_numbers_in_them_by_value() {
    let history = Journal::default();
    let names = ["Zebra", "lamp 10", "Öl", "Lamp 2", "Äpfel", "apple", "Lamp 2", "书包"];
    for (number, name) in (1..).zip(names) {
        sell(&history, number, name, "Things", 100);
    }
    let pool = given(&history).await;
    assert_eq!(
        numbers(&pool, &published(), ProductSort::Name).await,
        [5, 6, 4, 7, 2, 3, 1, 8],
        "ties by number"
    );
}

#[tokio::test]
async fn a_cursor_of_another_currency_or_an_older_build_is_refused() {
    let history = sample();
    let pool = given(&history).await;
    let refused = async |sort, cursor: &str| {
        let page = catalogue::list(&pool, &published(), sort, Some(cursor), Limit::DEFAULT).await;
        matches!(page, Err(QueryError::InvalidCursor))
    };
    let (up, down) =
        (ProductSort::Price(Currency::USD), ProductSort::PriceDescending(Currency::USD));
    let limit = Limit::new(2).expect("2 is a limit");
    let page = catalogue::list(&pool, &published(), up, None, limit).await.expect("a query");
    let cursor = page.next_cursor.expect("there are more");
    assert!(!refused(up, &cursor).await);
    assert!(refused(ProductSort::Price(euro()), &cursor).await);
    assert!(refused(down, &cursor).await);
    // base64url of {"key":{"Price":990},…}, {"key":{"Name":"mug"},…}, and of a name's key that is none.
    for cursor in [
        "eyJrZXkiOnsiUHJpY2UiOjk5MH0sIm51bWJlciI6MSwicHJvZHVjdF9pZCI6IjAwMDAwMDAwLTAwMDAtMDAwMC0wMDAwLTAwMDAwMDAwMDAwMSJ9",
        "eyJrZXkiOnsiTmFtZSI6Im11ZyJ9LCJudW1iZXIiOjEsInByb2R1Y3RfaWQiOiIwMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDEifQ",
        "eyJrZXkiOnsiQ29sbGF0ZWQiOiJ6eiJ9LCJudW1iZXIiOjEsInByb2R1Y3RfaWQiOiIwMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDEifQ",
    ] {
        for sort in [up, down, ProductSort::Name] {
            assert!(refused(sort, cursor).await, "{sort:?} {cursor}");
        }
    }
}

/// The migration that brought prices and keys of names, on the rows of the build before it.
#[tokio::test]
async fn rows_of_before_are_sorted_by_price_until_they_are_built_anew() {
    let history = Journal::default();
    priced(&history, 1, &[usd(100), eur(9_000)]);
    priced(&history, 2, &[eur(500)]);
    priced(&history, 3, &[usd(300), usd(200)]);
    let draft = created("Draft", "Drafts", vec![variant("DRAFT", 4)]);
    history.record("product", id::<ProductId>(4), &draft);
    let pool = given(&history).await;
    let rows = async || {
        let rows: Vec<String> = sqlx::query_scalar(
            "select m::text from product_prices m union all \
             select c::text from catalogue_currencies c union all \
             select currencies from products order by 1",
        )
        .fetch_all(&pool)
        .await
        .expect("a query");
        rows
    };
    let made = rows().await;
    let before = "drop table product_prices, catalogue_currencies; \
                  alter table products drop column name_key, drop column currencies;";
    let migration = include_str!("../../../migrations/0030_prices_and_names.sql");
    for statements in [before, migration] {
        sqlx::raw_sql(statements).execute(&pool).await.expect("they can be carried out");
    }
    assert_eq!(rows().await, made);
    assert_eq!(numbers(&pool, &published(), ProductSort::Price(euro())).await, [2, 1, 3]);
    assert_eq!(numbers(&pool, &published(), ProductSort::Name).await, [1, 2, 3]);
}
