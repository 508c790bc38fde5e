use crate::support::given;
use domain::CartId;
use domain::cart::CartEvent;
use projections::carts::{self, CartView};
use testkit::{Journal, id, name, quantity, sku, usd};

fn added(what: &str, pieces: u32, cents: i64) -> CartEvent {
    CartEvent::ItemAdded {
        sku: sku(what),
        product_id: id(7),
        name: name(what),
        variant: None,
        picture: None,
        quantity: quantity(pieces),
        unit_price: usd(cents),
    }
}

fn lines(cart: &CartView) -> Vec<(&str, u32, i64)> {
    cart.lines
        .iter()
        .map(|line| (line.sku.as_str(), line.quantity.get(), line.unit_price.amount_minor()))
        .collect()
}

#[tokio::test]
async fn a_cart_shows_its_lines_as_they_were_last_written() {
    let history = Journal::default();
    let cart = |event| history.record("cart", id::<CartId>(1), &event);
    cart(CartEvent::CartOpened { owner_id: id(1) });
    cart(added("MOUSE", 1, 880));
    cart(added("NOTEBOOK", 2, 990));
    cart(added("MOUSE", 2, 900));
    cart(CartEvent::QuantityChanged {
        sku: sku("NOTEBOOK"),
        quantity: quantity(5),
        unit_price: usd(1_000),
    });
    cart(added("SHIRT", 1, 660));
    let last = cart(CartEvent::ItemRemoved { sku: sku("SHIRT") });
    let pool = given(&history).await;

    let cart = carts::by_owner(&pool, id(1)).await.expect("a query").expect("a cart");
    assert_eq!(lines(&cart), [("MOUSE", 3, 900), ("NOTEBOOK", 5, 1_000)]);
    assert_eq!(cart.total(), Ok(Some(usd(3 * 900 + 5 * 1_000))));
    assert_eq!((cart.version, cart.position), (7, last));
    assert_eq!(carts::by_id(&pool, id(1)).await.expect("a query"), Some(cart));
}

#[tokio::test]
async fn a_cart_is_empty_after_its_checkout_and_keeps_its_version() {
    let history = Journal::default();
    history.record("cart", id::<CartId>(1), &CartEvent::CartOpened { owner_id: id(1) });
    history.record("cart", id::<CartId>(1), &added("MOUSE", 1, 880));
    history.record("cart", id::<CartId>(1), &CartEvent::CartCheckedOut { order_id: id(2) });
    let pool = given(&history).await;

    let cart = carts::by_owner(&pool, id(1)).await.expect("a query").expect("a cart");
    assert_eq!((lines(&cart), cart.currency(), cart.version), (vec![], None, 3));
}

#[tokio::test]
async fn an_owner_who_never_added_anything_has_no_row() {
    let pool = given(&Journal::default()).await;
    assert_eq!(carts::by_owner(&pool, id(1)).await.expect("a query"), None);
    let empty = CartView::empty(id(1));
    assert_eq!((empty.version, empty.total()), (0, Ok(None)));
}
