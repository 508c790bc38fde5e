use crate::support::given;
use domain::product::{ProductEvent, ProductStatus, Variant};
use domain::stock::StockEvent;
use domain::{Currency, ProductId, Timestamp};
use projections::catalogue::{self, ProductFilter, ProductSort, ProductView};
use projections::{Limit, QueryError};
use sqlx::PgPool;
use testkit::{Journal, id, name, reason, sku, slug, usd};

pub(crate) fn variant(code: &str, number: i32) -> Variant {
    Variant { sku: sku(code), number, name: None }
}

pub(crate) fn created(title: &str, category: &str, variants: Vec<Variant>) -> ProductEvent {
    ProductEvent::ProductCreated {
        name: name(title),
        description: format!("A fine {title}."),
        picture: None,
        categories: vec![slug(category)],
        variants,
    }
}

/// A published product with one variant, whose id, SKU and number go together.
pub(crate) fn sell(history: &Journal, number: i32, title: &str, category: &str, cents: i64) {
    let product_id = id(u128::from(number.unsigned_abs()));
    let code = format!("SKU-{number}");
    let product = |event| history.record("product", product_id, &event);
    product(created(title, category, vec![variant(&code, number)]));
    product(ProductEvent::ProductPriced { sku: sku(&code), price: usd(cents) });
    product(ProductEvent::ProductPublished {});
    history.record("stock", &code, &StockEvent::StockItemOpened { product_id });
    let received = StockEvent::StockReceived { quantity: 1_000, reason: reason("first delivery") };
    history.record("stock", &code, &received);
}

/// The sample catalogue of the shop.
pub(crate) fn sample() -> Journal {
    let history = Journal::default();
    for (number, title, category, cents) in [
        (1, "Notebook", "Sticker", 990),
        (2, "Mouse-Pad", "Sticker", 880),
        (3, "T-Shirt", "T-Shirt", 660),
        (4, "T-Shirt", "T-Shirt", 220),
        (5, "Sweatshirt", "T-Shirt", 110),
        (6, "T-Shirt", "T-Shirt", 180),
        (7, "Mascot", "Sticker", 480),
    ] {
        sell(&history, number, title, category, cents);
    }
    history
}

const PRICE_UP: ProductSort = ProductSort::Price(Currency::USD);
const PRICE_DOWN: ProductSort = ProductSort::PriceDescending(Currency::USD);

pub(crate) fn published() -> ProductFilter {
    ProductFilter { status: Some(ProductStatus::Published), ..ProductFilter::default() }
}

async fn numbers(pool: &PgPool, filter: &ProductFilter, sort: ProductSort) -> Vec<i32> {
    let page = catalogue::list(pool, filter, sort, None, Limit::MAX).await.expect("a query");
    page.items.iter().map(|product| product.number).collect()
}

async fn product(pool: &PgPool, number: i32) -> ProductView {
    catalogue::by_number(pool, number).await.expect("a query").expect("a product")
}

#[tokio::test]
async fn a_product_shows_its_variants_with_price_and_stock() {
    let history = Journal::default();
    history.record(
        "product",
        id::<ProductId>(1),
        &created("Shirt", "Wear", vec![variant("SHIRT-M", 2), variant("SHIRT-L", 1)]),
    );
    for (code, cents) in [("SHIRT-L", 700), ("SHIRT-M", 600)] {
        let priced = ProductEvent::ProductPriced { sku: sku(code), price: usd(cents) };
        history.record("product", id::<ProductId>(1), &priced);
    }
    history.record("product", id::<ProductId>(1), &ProductEvent::ProductPublished {});
    history.record("stock", "SHIRT-M", &StockEvent::StockItemOpened { product_id: id(1) });
    let received = StockEvent::StockReceived { quantity: 10, reason: reason("delivery") };
    let last = history.record("stock", "SHIRT-M", &received);
    let pool = given(&history).await;

    let shirt = catalogue::by_id(&pool, id(1)).await.expect("a query").expect("a product");
    assert_eq!((shirt.number, shirt.name.as_str()), (2, "Shirt"));
    assert_eq!(shirt.description, "A fine Shirt.");
    assert_eq!(
        (shirt.status, shirt.categories.as_slice()),
        (ProductStatus::Published, &[slug("Wear")][..])
    );
    let variants: Vec<_> = shirt
        .variants
        .iter()
        .map(|variant| (variant.sku.as_str(), variant.number, variant.price, variant.available))
        .collect();
    // In the product's order, not by number; a SKU without stock has none available.
    assert_eq!(variants, [("SHIRT-M", 2, Some(usd(600)), 10), ("SHIRT-L", 1, Some(usd(700)), 0)]);
    // The version is the product's, the position also tells of stock.
    assert_eq!((shirt.version, shirt.position), (4, last));
    assert_eq!(product(&pool, 1).await, shirt);
    assert_eq!(product(&pool, 2).await, shirt);
    assert_eq!(catalogue::by_number(&pool, 3).await.expect("a query"), None);
}

#[tokio::test]
async fn stock_follows_every_kind_of_booking() {
    let order_id = id(9);
    let until = Timestamp::EPOCH;
    let history = Journal::default();
    let stock = |event| history.record("stock", "MOUSE", &event);
    stock(StockEvent::StockItemOpened { product_id: id(1) });
    stock(StockEvent::StockReceived { quantity: 100, reason: reason("delivery") });
    stock(StockEvent::StockAdjusted { delta: -10, reason: reason("broken") });
    stock(StockEvent::StockReserved { order_id, quantity: 7, until });
    stock(StockEvent::StockReserved { order_id: id(8), quantity: 5, until });
    stock(StockEvent::StockCommitted { order_id, quantity: 7 });
    let released = stock(StockEvent::StockReserved { order_id: id(7), quantity: 3, until });
    let reason = reason("order cancelled");
    let last = stock(StockEvent::StockReleased { order_id: id(8), quantity: 5, reason });
    assert_eq!(last, released.next());
    let pool = given(&history).await;

    let stock = projections::stock::by_sku(&pool, &sku("MOUSE")).await.expect("a query");
    let stock = stock.expect("a stock item");
    assert_eq!((stock.on_hand, stock.reserved, stock.available()), (83, 3, 80));
    assert_eq!((stock.product_id, stock.version, stock.position), (id(1), 8, last));
    let page = projections::stock::list(&pool, None, Limit::DEFAULT).await.expect("a query");
    assert_eq!((page.items, page.next_cursor), (vec![stock], None));
}

#[tokio::test]
async fn a_variant_that_a_revision_drops_is_not_sold_but_still_found() {
    let history = Journal::default();
    sell(&history, 1, "Notebook", "Sticker", 990);
    let revised = |variants| ProductEvent::ProductRevised {
        name: name("Notebook"),
        description: String::new(),
        picture: None,
        categories: vec![],
        variants,
    };
    history.record("product", id::<ProductId>(1), &revised(vec![variant("SKU-8", 8)]));
    let priced = ProductEvent::ProductPriced { sku: sku("SKU-8"), price: usd(1_100) };
    history.record("product", id::<ProductId>(1), &priced);
    let pool = given(&history).await;

    let notebook = product(&pool, 1).await;
    assert_eq!((notebook.number, notebook.variants.len()), (8, 1));
    assert_eq!(notebook.variants[0].price, Some(usd(1_100)));
    let skus = ["SKU-1", "SKU-8", "SKU-9"].map(sku);
    let mut offers = catalogue::variants_by_sku(&pool, &skus).await.expect("a query");
    offers.sort_by_key(|offer| offer.number);
    let on_sale: Vec<_> =
        offers.iter().map(|offer| (offer.sku.as_str(), offer.on_sale, offer.price)).collect();
    assert_eq!(on_sale, [("SKU-1", false, Some(usd(990))), ("SKU-8", true, Some(usd(1_100)))]);

    // One that comes back has no price until it is priced again.
    history.record("product", id::<ProductId>(1), &revised(vec![variant("SKU-1", 1)]));
    let pool = given(&history).await;
    assert_eq!(product(&pool, 1).await.variants[0].price, None);
}

#[tokio::test]
async fn offers_are_on_sale_while_the_product_is_published() {
    let history = sample();
    history.record("product", id::<ProductId>(2), &ProductEvent::ProductRetired {});
    let pool = given(&history).await;
    let skus = [sku("SKU-1"), sku("SKU-2")];
    let mut offers = catalogue::variants_by_sku(&pool, &skus).await.expect("a query");
    offers.sort_by_key(|offer| offer.number);
    assert_eq!(offers.iter().map(|offer| offer.on_sale).collect::<Vec<_>>(), [true, false]);
    assert_eq!((offers[0].product_id, offers[0].product_name.as_str()), (id(1), "Notebook"));
    assert_eq!((offers[0].price, offers[0].available), (Some(usd(990)), 1_000));
}

#[tokio::test]
async fn lists_hold_what_the_filter_says_in_the_order_that_is_asked_for() {
    let history = sample();
    let draft = created("Draft", "Sticker", vec![variant("SKU-8", 8)]);
    history.record("product", id::<ProductId>(8), &draft);
    history.record("product", id::<ProductId>(7), &ProductEvent::ProductRetired {});
    let pool = given(&history).await;

    let all = published();
    assert_eq!(numbers(&pool, &all, ProductSort::Relevance).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(numbers(&pool, &all, ProductSort::Name).await, [2, 1, 5, 3, 4, 6]);
    assert_eq!(numbers(&pool, &all, PRICE_UP).await, [5, 6, 4, 3, 2, 1]);
    assert_eq!(numbers(&pool, &all, PRICE_DOWN).await, [1, 2, 3, 4, 6, 5]);
    assert_eq!(numbers(&pool, &all, ProductSort::Newest).await, [6, 5, 4, 3, 2, 1]);
    let any = ProductFilter::default();
    assert_eq!(numbers(&pool, &any, ProductSort::Number).await, [1, 2, 3, 4, 5, 6, 7, 8]);

    for (category, expected) in [
        ("T-Shirt", vec![3, 4, 5, 6]),
        ("t-shirt", vec![3, 4, 5, 6]),
        ("sticker", vec![1, 2]),
        ("No", vec![]),
    ] {
        let filter = ProductFilter { category: Some(category.to_owned()), ..published() };
        assert_eq!(numbers(&pool, &filter, ProductSort::Number).await, expected, "{category}");
    }
    let euro = Currency::parse("EUR").expect("a currency");
    for (currency, expected) in [(Currency::USD, 6), (euro, 0)] {
        let filter = ProductFilter { currency: Some(currency), ..published() };
        assert_eq!(numbers(&pool, &filter, ProductSort::Number).await.len(), expected);
    }
}

#[tokio::test]
async fn pages_meet_without_gap_or_overlap_in_every_order() {
    let pool = given(&sample()).await;
    let shirts = ProductFilter { text: Some("shirt".to_owned()), ..published() };
    for (filter, sort) in [
        (published(), ProductSort::Number),
        (published(), ProductSort::Name),
        (published(), PRICE_UP),
        (published(), PRICE_DOWN),
        (published(), ProductSort::Newest),
        (shirts, ProductSort::Relevance),
    ] {
        let whole = numbers(&pool, &filter, sort).await;
        let limit = Limit::new(2).expect("2 is a limit");
        let (mut paged, mut cursor) = (Vec::new(), None);
        loop {
            let page = catalogue::list(&pool, &filter, sort, cursor.as_deref(), limit).await;
            let page = page.expect("a query");
            assert!(page.items.len() <= 2);
            paged.extend(page.items.iter().map(|product| product.number));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(paged, whole, "{sort:?}");
    }
}

#[tokio::test]
async fn a_cursor_of_another_order_is_refused() {
    let pool = given(&sample()).await;
    let limit = Limit::new(2).expect("2 is a limit");
    let page = catalogue::list(&pool, &published(), ProductSort::Name, None, limit).await;
    let cursor = page.expect("a query").next_cursor;
    let refused = catalogue::list(&pool, &published(), PRICE_UP, cursor.as_deref(), limit).await;
    assert!(matches!(refused, Err(QueryError::InvalidCursor)));
}

#[tokio::test]
async fn categories_count_published_products_only() {
    let history = sample();
    let count = async |history: &Journal| {
        let pool = given(history).await;
        let categories = catalogue::categories(&pool).await.expect("a query");
        categories
            .into_iter()
            .map(|category| (category.slug.to_string(), category.name, category.product_count))
            .collect::<Vec<_>>()
    };
    let (sticker, shirt) = ("sticker".to_owned(), "t-shirt".to_owned());
    assert_eq!(
        count(&history).await,
        [(sticker.clone(), sticker.clone(), 3), (shirt.clone(), shirt.clone(), 4)]
    );
    for number in [1, 2, 3, 7] {
        history.record("product", id::<ProductId>(number), &ProductEvent::ProductRetired {});
    }
    history.record(
        "product",
        id::<ProductId>(8),
        &created("Draft", "Drafts", vec![variant("SKU-8", 8)]),
    );
    assert_eq!(count(&history).await, [(shirt.clone(), shirt, 3)]);
}

#[tokio::test]
async fn a_cursor_with_a_nul_is_refused_before_the_database_sees_it() {
    let pool = given(&Journal::default()).await;
    // base64url of "\u0000" with its quotes.
    let refused = projections::stock::list(&pool, Some("Ilx1MDAwMCI"), Limit::DEFAULT).await;
    assert!(matches!(refused, Err(QueryError::InvalidCursor)));
}
