use super::*;
use crate::testing::{at, facts_at, given, id, quantity, reason, sku, state};
use crate::{Rejection, RejectionKind};
use cqrs_es::Aggregate;
use proptest::prelude::*;
use serde_json::json;

fn opened() -> StockEvent {
    StockEvent::StockItemOpened { product_id: id(1) }
}

fn received(pieces: u32) -> StockEvent {
    StockEvent::StockReceived { quantity: pieces, reason: reason("delivery") }
}

fn adjusted(delta: i64) -> StockEvent {
    StockEvent::StockAdjusted { delta, reason: reason("count") }
}

fn reserved(order: u128, pieces: u32) -> StockEvent {
    StockEvent::StockReserved { order_id: id(order), quantity: pieces, until: at(900) }
}

fn committed(order: u128, pieces: u32) -> StockEvent {
    StockEvent::StockCommitted { order_id: id(order), quantity: pieces }
}

fn released(order: u128, pieces: u32) -> StockEvent {
    StockEvent::StockReleased {
        order_id: id(order),
        quantity: pieces,
        reason: reason("order cancelled"),
    }
}

fn receive(pieces: u32) -> StockCommand {
    StockCommand::Receive { quantity: pieces, reason: reason("delivery") }
}

fn adjust(delta: i64) -> StockCommand {
    StockCommand::Adjust { delta, reason: reason("count") }
}

fn reserve(order: u128, pieces: u32) -> StockCommand {
    StockCommand::Reserve {
        sku: sku("MUG"),
        order_id: id(order),
        quantity: quantity(pieces),
        until: at(900),
    }
}

fn commit(order: u128) -> StockCommand {
    StockCommand::Commit { order_id: id(order) }
}

fn release(order: u128) -> StockCommand {
    StockCommand::Release { order_id: id(order), reason: reason("order cancelled") }
}

#[test]
fn a_sku_is_taken_once_for_ever() {
    let open = |product| StockCommand::Open { product_id: id(product) };
    given::<StockItem>(vec![]).when(open(1)).then_expect_events(vec![opened()]);
    given::<StockItem>(vec![opened()]).when(open(1)).then_expect_events(vec![]);
    given::<StockItem>(vec![opened()])
        .when(open(2))
        .then_expect_error(StockRejection::SkuTaken { product_id: id(1) });
}

#[test]
fn a_sku_that_nobody_took_is_absent() {
    for command in [receive(1), adjust(1), reserve(1, 1), commit(1), release(1)] {
        given::<StockItem>(vec![]).when(command).then_expect_error(StockRejection::NotFound);
    }
    assert_eq!(StockRejection::NotFound.kind(), RejectionKind::Absent);
}

#[test]
fn what_arrives_is_on_hand() {
    given::<StockItem>(vec![opened()]).when(receive(7)).then_expect_events(vec![received(7)]);
    assert_eq!(state::<StockItem>([opened(), received(7)]).available(), 7);
}

#[test]
fn one_to_a_billion_pieces_arrive_at_once() {
    for pieces in [0, MAX_RECEIVED + 1, u32::MAX] {
        given::<StockItem>(vec![opened()])
            .when(receive(pieces))
            .then_expect_error(StockRejection::QuantityOutOfRange);
    }
    given::<StockItem>(vec![opened()])
        .when(receive(MAX_RECEIVED))
        .then_expect_events(vec![received(MAX_RECEIVED)]);
}

#[test]
fn what_is_on_hand_is_bounded() {
    let full = vec![opened(), adjusted(1_000_000_000_000)];
    for command in [receive(1), adjust(1), adjust(i64::MAX)] {
        given::<StockItem>(full.clone())
            .when(command)
            .then_expect_error(StockRejection::QuantityOutOfRange);
    }
}

#[test]
fn a_correction_never_goes_below_what_is_reserved() {
    let given_reserved = || given::<StockItem>(vec![opened(), received(10), reserved(1, 4)]);
    given_reserved().when(adjust(-6)).then_expect_events(vec![adjusted(-6)]);
    for delta in [-7, -11, i64::MIN] {
        given_reserved()
            .when(adjust(delta))
            .then_expect_error(StockRejection::InsufficientStock { available: 6 });
    }
}

#[test]
fn a_correction_by_nothing_changes_nothing() {
    given::<StockItem>(vec![opened()]).when(adjust(0)).then_expect_events(vec![]);
}

#[test]
fn the_last_piece_is_reserved_once() {
    let last = || vec![opened(), received(1)];
    given::<StockItem>(last()).when(reserve(1, 1)).then_expect_events(vec![reserved(1, 1)]);
    given::<StockItem>([last(), vec![reserved(1, 1)]].concat())
        .when(reserve(2, 1))
        .then_expect_error(StockRejection::OutOfStock {
            sku: sku("MUG"),
            requested: 1,
            available: 0,
        });
}

#[test]
fn out_of_stock_tells_what_is_left() {
    let rejection = StockRejection::OutOfStock { sku: sku("MUG"), requested: 3, available: 2 };
    assert_eq!(rejection.code(), "out_of_stock");
    assert_eq!(rejection.kind(), RejectionKind::Conflict);
    let lines = json!({ "lines": [{ "sku": "MUG", "requested": 3, "available": 2 }] });
    assert_eq!(rejection.extra(), Some(lines));
}

#[test]
fn an_order_has_one_reservation_of_a_sku() {
    let events = || vec![opened(), received(10), reserved(1, 4)];
    given::<StockItem>(events()).when(reserve(1, 4)).then_expect_events(vec![]);
    given::<StockItem>(events())
        .when(reserve(1, 5))
        .then_expect_error(StockRejection::AlreadyReserved { reserved: 4 });
}

#[test]
fn a_commit_takes_the_reserved_pieces_out() {
    let events = vec![opened(), received(10), reserved(1, 4)];
    given::<StockItem>(events.clone()).when(commit(1)).then_expect_events(vec![committed(1, 4)]);
    let item: StockItem = state([events, vec![committed(1, 4)]].concat());
    assert_eq!((item.on_hand, item.reserved, item.available()), (6, 0, 6));
}

#[test]
fn only_what_is_reserved_is_committed() {
    let events = vec![opened(), received(10), reserved(1, 4), committed(1, 4)];
    for order in [1, 2] {
        given::<StockItem>(events.clone())
            .when(commit(order))
            .then_expect_error(StockRejection::NotReserved);
    }
}

#[test]
fn a_release_makes_the_pieces_available_again() {
    let events = vec![opened(), received(10), reserved(1, 4)];
    given::<StockItem>(events.clone()).when(release(1)).then_expect_events(vec![released(1, 4)]);
    let item: StockItem = state([events, vec![released(1, 4)]].concat());
    assert_eq!((item.on_hand, item.reserved, item.available()), (10, 0, 10));
}

#[test]
fn releasing_twice_or_what_was_never_reserved_changes_nothing() {
    let events = vec![opened(), received(10), reserved(1, 4), released(1, 4)];
    for order in [1, 2] {
        given::<StockItem>(events.clone()).when(release(order)).then_expect_events(vec![]);
    }
}

#[test]
fn a_released_order_can_reserve_again() {
    given::<StockItem>(vec![opened(), received(10), reserved(1, 4), released(1, 4)])
        .when(reserve(1, 5))
        .then_expect_events(vec![reserved(1, 5)]);
}

fn any_command() -> impl Strategy<Value = StockCommand> {
    let order = 1..6_u128;
    prop_oneof![
        (0..40_u32).prop_map(receive),
        Just(receive(u32::MAX)),
        (-40..40_i64).prop_map(adjust),
        prop_oneof![Just(i64::MIN), Just(i64::MAX)].prop_map(adjust),
        (order.clone(), 1..30_u32).prop_map(|(order, pieces)| reserve(order, pieces)),
        order.clone().prop_map(commit),
        order.prop_map(release),
    ]
}

proptest! {
    #[test]
    fn stock_never_goes_below_zero_under_any_commands(
        commands in prop::collection::vec(any_command(), 1..300),
    ) {
        let mut item: StockItem = state([opened()]);
        // What is on hand, counted by the facts alone and without any saturation.
        let mut on_hand = 0_i128;
        for command in commands {
            for event in item.decide(command, &facts_at(0)).unwrap_or_default() {
                on_hand += match &event {
                    StockEvent::StockReceived { quantity, .. } => i128::from(*quantity),
                    StockEvent::StockAdjusted { delta, .. } => i128::from(*delta),
                    StockEvent::StockCommitted { quantity, .. } => -i128::from(*quantity),
                    StockEvent::StockItemOpened { .. }
                    | StockEvent::StockReserved { .. }
                    | StockEvent::StockReleased { .. } => 0,
                };
                item.apply(event);
            }
            let held: u64 = item.reservations.values().map(|held| u64::from(held.quantity)).sum();
            prop_assert_eq!(i128::from(item.on_hand), on_hand);
            prop_assert_eq!(item.reserved, held);
            prop_assert!(item.reserved <= item.on_hand);
            prop_assert_eq!(item.available(), item.on_hand - item.reserved);
        }
    }
}
