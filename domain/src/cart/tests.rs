use super::*;
use crate::testing::{eur, facts_at, given, id, name, quantity, sku, state, usd};
use crate::{Money, Quantity, Rejection, RejectionKind};
use cqrs_es::Aggregate;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn add(of: &str, pieces: u32, unit_price: Money) -> CartCommand {
    CartCommand::AddItem {
        owner_id: id(1),
        sku: sku(of),
        product_id: id(2),
        name: name("Mug"),
        variant: None,
        picture: None,
        quantity: quantity(pieces),
        unit_price,
    }
}

fn opened() -> CartEvent {
    CartEvent::CartOpened { owner_id: id(1) }
}

fn added(of: &str, pieces: u32, unit_price: Money) -> CartEvent {
    CartEvent::ItemAdded {
        sku: sku(of),
        product_id: id(2),
        name: name("Mug"),
        variant: None,
        picture: None,
        quantity: quantity(pieces),
        unit_price,
    }
}

fn change(of: &str, pieces: u32, unit_price: Money) -> CartCommand {
    CartCommand::ChangeQuantity { sku: sku(of), quantity: quantity(pieces), unit_price }
}

fn changed(of: &str, pieces: u32, unit_price: Money) -> CartEvent {
    CartEvent::QuantityChanged { sku: sku(of), quantity: quantity(pieces), unit_price }
}

fn check_out(lines: &[(&str, u32)]) -> CartCommand {
    let lines = lines.iter().map(|(of, pieces)| (sku(of), quantity(*pieces))).collect();
    CartCommand::CheckOut { order_id: id(9), lines }
}

fn full_cart() -> Vec<CartEvent> {
    let lines = (0..MAX_LINES).map(|line| added(&format!("S{line}"), 1, usd(1)));
    [opened()].into_iter().chain(lines).collect()
}

fn restore(lines: &[(&str, u32)]) -> CartCommand {
    let lines = lines.iter().map(|(of, pieces)| CartLine {
        sku: sku(of),
        product_id: id(2),
        name: name("Mug"),
        variant: None,
        picture: None,
        quantity: quantity(*pieces),
        unit_price: usd(990),
    });
    CartCommand::Restore { owner_id: id(1), lines: lines.collect() }
}

#[test]
fn an_order_that_came_to_nothing_gives_back_each_line_that_fits() {
    given::<Cart>(vec![opened(), added("MUG", 999, usd(990)), added("PEN", 1, usd(990))])
        .when(restore(&[("MUG", 2), ("PEN", 3), ("PAD", 1)]))
        .then_expect_events(vec![added("PEN", 3, usd(990)), added("PAD", 1, usd(990))]);
    given::<Cart>(vec![])
        .when(restore(&[("MUG", 2), ("MUG", 998)]))
        .then_expect_events(vec![opened(), added("MUG", 2, usd(990))]);
    given::<Cart>(vec![opened(), added("MUG", 1, eur(990))])
        .when(restore(&[("PAD", 1)]))
        .then_expect_events(vec![]);
}

#[test]
fn the_first_item_opens_the_cart() {
    given::<Cart>(vec![])
        .when(add("MUG", 2, usd(990)))
        .then_expect_events(vec![opened(), added("MUG", 2, usd(990))]);
}

#[test]
fn adding_a_sku_again_adds_to_its_line_at_the_new_price() {
    let cart: Cart = state([
        opened(),
        added("MUG", 2, usd(990)),
        added("CAP", 1, usd(5)),
        added("MUG", 3, usd(880)),
    ]);
    assert_eq!(cart.lines.len(), 2);
    let line = cart.line(&sku("MUG")).expect("the line is there");
    assert_eq!((line.quantity, line.unit_price), (quantity(5), usd(880)));
    assert_eq!(cart.total(), Ok(Some(usd(5 * 880 + 5))));
}

#[test]
fn a_line_names_the_variant_and_keeps_its_name_in_what_comes_back_from_an_order() {
    let named = |variant: &str| match added("SHIRT-M", 1, usd(990)) {
        CartEvent::ItemAdded {
            sku,
            product_id,
            name: product,
            picture,
            quantity,
            unit_price,
            ..
        } => {
            let variant = Some(name(variant));
            CartEvent::ItemAdded {
                sku,
                product_id,
                name: product,
                variant,
                picture,
                quantity,
                unit_price,
            }
        }
        other => other,
    };
    let cart: Cart = state([opened(), named("M"), named("Medium")]);
    assert_eq!(cart.lines.len(), 1);
    assert_eq!(cart.lines[0].variant, Some(name("Medium")));
    let lines = vec![CartLine { quantity: quantity(1), ..cart.lines[0].clone() }];
    given::<Cart>(vec![])
        .when(CartCommand::Restore { owner_id: id(1), lines })
        .then_expect_events(vec![opened(), named("Medium")]);
}

#[test]
fn a_line_never_holds_more_than_999() {
    given::<Cart>(vec![opened(), added("MUG", 999, usd(1))])
        .when(add("MUG", 1, usd(1)))
        .then_expect_error(CartRejection::QuantityOutOfRange { would_hold: 1000 });
}

#[test]
fn a_cart_holds_at_most_a_hundred_lines() {
    given::<Cart>(full_cart())
        .when(add("ONE-MORE", 1, usd(1)))
        .then_expect_error(CartRejection::TooManyLines);
}

#[test]
fn a_full_cart_still_takes_more_of_what_it_holds() {
    given::<Cart>(full_cart()).when(add("S7", 1, usd(1))).then_expect_events(vec![added(
        "S7",
        1,
        usd(1),
    )]);
}

#[test]
fn the_first_line_sets_the_currency() {
    given::<Cart>(vec![opened(), added("MUG", 1, usd(1))])
        .when(add("CAP", 1, eur(1)))
        .then_expect_error(CartRejection::CurrencyUnavailable { cart: "USD".to_owned() });
}

#[test]
fn an_emptied_cart_takes_any_currency() {
    let removed = CartEvent::ItemRemoved { sku: sku("MUG") };
    given::<Cart>(vec![opened(), added("MUG", 1, usd(1)), removed])
        .when(add("CAP", 1, eur(1)))
        .then_expect_events(vec![added("CAP", 1, eur(1))]);
}

#[test]
fn a_cart_never_costs_more_than_can_be_counted() {
    given::<Cart>(vec![opened(), added("MUG", 1, usd(1_000_000_000_000))])
        .when(add("CAP", 1, usd(1)))
        .then_expect_error(CartRejection::TotalOutOfRange);
}

#[test]
fn changing_a_line_writes_its_quantity_and_price() {
    given::<Cart>(vec![opened(), added("MUG", 2, usd(990))])
        .when(change("MUG", 7, usd(880)))
        .then_expect_events(vec![changed("MUG", 7, usd(880))]);
}

#[test]
fn changing_a_line_to_what_it_is_changes_nothing() {
    given::<Cart>(vec![opened(), added("MUG", 2, usd(990))])
        .when(change("MUG", 2, usd(990)))
        .then_expect_events(vec![]);
}

#[test]
fn a_line_that_is_not_there_cannot_be_changed() {
    given::<Cart>(vec![])
        .when(change("MUG", 2, usd(1)))
        .then_expect_error(CartRejection::NoSuchLine);
}

#[test]
fn removing_a_line_that_is_not_there_changes_nothing() {
    given::<Cart>(vec![])
        .when(CartCommand::RemoveItem { sku: sku("MUG") })
        .then_expect_events(vec![]);
}

#[test]
fn clearing_removes_every_line() {
    given::<Cart>(vec![opened(), added("MUG", 2, usd(1)), added("CAP", 1, usd(2))])
        .when(CartCommand::Clear)
        .then_expect_events(vec![
            CartEvent::ItemRemoved { sku: sku("MUG") },
            CartEvent::ItemRemoved { sku: sku("CAP") },
        ]);
}

#[test]
fn checking_out_exactly_the_lines_empties_the_cart() {
    let before = vec![opened(), added("MUG", 2, usd(1)), added("CAP", 1, usd(2))];
    let checked_out = CartEvent::CartCheckedOut { order_id: id(9) };
    given::<Cart>(before.clone())
        .when(check_out(&[("MUG", 2), ("CAP", 1)]))
        .then_expect_events(vec![checked_out.clone()]);
    assert_eq!(state::<Cart>(before.into_iter().chain([checked_out])).lines, vec![]);
}

#[test]
fn a_cart_that_changed_is_not_checked_out() {
    let before = || vec![opened(), added("MUG", 2, usd(1)), added("CAP", 1, usd(2))];
    for lines in [&[("MUG", 3), ("CAP", 1)][..], &[("MUG", 2)], &[("CAP", 1), ("MUG", 2)]] {
        given::<Cart>(before())
            .when(check_out(lines))
            .then_expect_error(CartRejection::CartChanged);
    }
}

#[test]
fn an_empty_cart_is_not_checked_out() {
    given::<Cart>(vec![]).when(check_out(&[])).then_expect_error(CartRejection::CartIsEmpty);
}

#[test]
fn an_unknown_sku_looks_absent() {
    assert_eq!(CartRejection::NoSuchLine.code(), "unknown_sku");
    assert_eq!(CartRejection::NoSuchLine.kind(), RejectionKind::Absent);
}

fn any_command() -> impl Strategy<Value = CartCommand> {
    let a_sku = (0..120_u32).prop_map(|number| format!("S{number}"));
    let a_price = (0..=1_000_000_000_000_i64, prop::bool::weighted(0.9))
        .prop_map(|(cents, dollars)| if dollars { usd(cents % 9999) } else { eur(cents) });
    let line = (a_sku, 1..=Quantity::MAX, a_price);
    prop_oneof![
        8 => line.clone().prop_map(|(of, pieces, price)| add(&of, pieces, price)),
        4 => line.clone().prop_map(|(of, pieces, price)| change(&of, pieces, price)),
        2 => line.prop_map(|(of, _, _)| CartCommand::RemoveItem { sku: sku(&of) }),
    ]
}

proptest! {
    #[test]
    fn a_cart_keeps_its_rules_under_any_commands(
        commands in prop::collection::vec(any_command(), 1..200),
    ) {
        let mut cart = Cart::default();
        for command in commands {
            for event in cart.decide(command, &facts_at(0)).unwrap_or_default() {
                cart.apply(event);
            }
            prop_assert!(cart.lines.len() <= MAX_LINES);
            let skus: BTreeSet<_> = cart.lines.iter().map(|line| &line.sku).collect();
            prop_assert_eq!(skus.len(), cart.lines.len());
            let currency = cart.currency();
            prop_assert!(cart.lines.iter().all(|line| Some(line.unit_price.currency()) == currency));
            prop_assert!(cart.total().is_ok());
        }
    }
}

#[test]
fn a_line_is_taken_out_by_its_sku_in_any_case_and_first_by_its_own() {
    let lines =
        [opened(), added("Abc", 1, usd(1)), added("abc", 1, usd(1)), added("Mug", 1, usd(1))];
    let removed = |of: &str| CartEvent::ItemRemoved { sku: sku(of) };
    for (named, of) in [("abc", "abc"), ("Abc", "Abc"), ("ABC", "Abc"), ("mug", "Mug")] {
        given::<Cart>(lines.to_vec())
            .when(CartCommand::RemoveItem { sku: sku(named) })
            .then_expect_events(vec![removed(of)]);
    }
}
