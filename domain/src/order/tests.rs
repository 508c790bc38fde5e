use super::*;
use crate::testing::{at, eur, given, given_at, id, name, sealed, sku, state, usd};
use crate::{Facts, Money, PaymentId, Rejection, RejectionKind};
use proptest::prelude::*;
use serde_json::json;

const PAY_BY_SECONDS: i64 = 900;

fn line(of: &str, quantity: u32, unit_price: Money) -> OrderLine {
    OrderLine {
        sku: sku(of),
        product_id: id(2),
        name: name("Mug"),
        variant: None,
        picture: None,
        quantity,
        unit_price,
        total: unit_price.times(quantity).expect("a small amount"),
    }
}

fn totals(items: i64, discount: i64, shipping: i64, tax: i64, total: i64) -> Totals {
    Totals {
        items: usd(items),
        discount: usd(discount),
        shipping: usd(shipping),
        tax: usd(tax),
        total: usd(total),
    }
}

fn place(lines: Vec<OrderLine>, totals: Totals) -> OrderCommand {
    OrderCommand::Place {
        number: 17,
        customer_id: id(3),
        cart_id: id(3),
        lines,
        totals,
        contact: sealed("at home"),
        pay_by: at(PAY_BY_SECONDS),
    }
}

fn placed_with(lines: Vec<OrderLine>, totals: Totals) -> OrderEvent {
    OrderEvent::OrderPlaced {
        number: 17,
        customer_id: id(3),
        cart_id: id(3),
        lines,
        totals,
        contact: sealed("at home"),
        pay_by: at(PAY_BY_SECONDS),
    }
}

fn placed() -> OrderEvent {
    placed_with(vec![line("MUG", 2, usd(990))], totals(1980, 0, 0, 0, 1980))
}

fn started(payment: u128) -> OrderEvent {
    OrderEvent::OrderPaymentStarted { payment_id: id(payment) }
}

fn ended(payment: u128) -> OrderEvent {
    OrderEvent::OrderPaymentEnded { payment_id: id(payment), end: PaymentEnd::Declined }
}

fn paid(payment: u128) -> OrderEvent {
    OrderEvent::OrderPaid { payment_id: id(payment) }
}

fn start(payment: u128) -> OrderCommand {
    OrderCommand::StartPayment { payment_id: id(payment) }
}

fn end(payment: u128) -> OrderCommand {
    OrderCommand::EndPayment { payment_id: id(payment), end: PaymentEnd::Declined }
}

fn mark_paid(payment: u128) -> OrderCommand {
    OrderCommand::MarkPaid { payment_id: id(payment) }
}

fn change_address(contact: &str) -> OrderCommand {
    OrderCommand::ChangeAddress { contact: sealed(contact) }
}

fn free() -> Vec<OrderEvent> {
    let sample = placed_with(vec![line("SAMPLE", 1, usd(0))], totals(0, 0, 0, 0, 0));
    vec![sample, OrderEvent::OrderRequiredNoPayment {}]
}

#[test]
fn an_order_that_costs_nothing_is_paid_with_being_placed() {
    given::<Order>(vec![])
        .when(place(vec![line("SAMPLE", 1, usd(0))], totals(0, 0, 0, 0, 0)))
        .then_expect_events(free());
    let coupon = totals(1980, 1980, 0, 0, 0);
    given::<Order>(vec![]).when(place(vec![line("MUG", 2, usd(990))], coupon)).then_expect_events(
        vec![
            placed_with(vec![line("MUG", 2, usd(990))], coupon),
            OrderEvent::OrderRequiredNoPayment {},
        ],
    );
    let order: Order = state(free());
    assert_eq!((order.status, order.paid_by), (OrderStatus::Paid, None));
}

#[test]
fn an_order_that_costs_nothing_takes_no_payment_and_is_not_cancelled_as_unpaid() {
    given::<Order>(free()).when(start(5)).then_expect_error(OrderRejection::NotPayable);
    let mark = OrderCommand::MarkPaid { payment_id: id(5) };
    given::<Order>(free()).when(mark).then_expect_error(OrderRejection::NotPayable);
    let cancel = OrderCommand::Cancel { reason: CancelReason::Unpaid };
    given_at::<Order>(PAY_BY_SECONDS + 1, free())
        .when(cancel)
        .then_expect_error(OrderRejection::NotChangeable);
}

#[test]
fn an_order_that_balances_is_placed() {
    let lines = vec![line("MUG", 2, usd(990)), line("CAP", 1, usd(20))];
    let sums = totals(2000, 500, 300, 77, 1877);
    given::<Order>(vec![])
        .when(place(lines.clone(), sums))
        .then_expect_events(vec![placed_with(lines, sums)]);
}

#[test]
fn an_order_is_placed_once() {
    given::<Order>(vec![placed()])
        .when(place(vec![line("MUG", 2, usd(990))], totals(1980, 0, 0, 0, 1980)))
        .then_expect_error(OrderRejection::AlreadyExists);
}

#[test]
fn an_order_has_one_to_a_hundred_lines() {
    let lines =
        |count: u32| (0..count).map(|number| line(&format!("S{number}"), 1, usd(1))).collect();
    for count in [0, 101] {
        given::<Order>(vec![])
            .when(place(lines(count), totals(i64::from(count), 0, 0, 0, i64::from(count))))
            .then_expect_error(OrderRejection::LinesOutOfRange);
    }
    let sums = totals(100, 0, 0, 0, 100);
    given::<Order>(vec![])
        .when(place(lines(100), sums))
        .then_expect_events(vec![placed_with(lines(100), sums)]);
}

#[test]
fn a_line_holds_one_to_999_pieces() {
    for pieces in [0, 1000] {
        let sum = i64::from(pieces);
        given::<Order>(vec![])
            .when(place(vec![line("MUG", pieces, usd(1))], totals(sum, 0, 0, 0, sum)))
            .then_expect_error(OrderRejection::QuantityOutOfRange { sku: sku("MUG") });
    }
}

#[test]
fn two_lines_never_share_a_stock_item() {
    given::<Order>(vec![])
        .when(place(
            vec![line("MUG", 1, usd(1)), line("CAP", 1, usd(1)), line("MUG", 1, usd(1))],
            totals(3, 0, 0, 0, 3),
        ))
        .then_expect_error(OrderRejection::DuplicateSku { sku: sku("MUG") });
}

#[test]
fn totals_that_do_not_balance_are_refused() {
    for sums in [
        totals(1981, 0, 0, 0, 1981),
        totals(1980, 0, 0, 0, 1979),
        totals(1980, 1, 0, 0, 1980),
        totals(1980, 0, 1, 0, 1980),
        totals(1980, 0, 0, 1, 1980),
    ] {
        given::<Order>(vec![])
            .when(place(vec![line("MUG", 2, usd(990))], sums))
            .then_expect_error(OrderRejection::TotalsDoNotBalance);
    }
    assert_eq!(OrderRejection::TotalsDoNotBalance.kind(), RejectionKind::Invalid);
}

#[test]
fn a_line_costs_its_price_times_its_quantity() {
    let wrong = OrderLine { total: usd(1979), ..line("MUG", 2, usd(990)) };
    given::<Order>(vec![])
        .when(place(vec![wrong], totals(1979, 0, 0, 0, 1979)))
        .then_expect_error(OrderRejection::TotalsDoNotBalance);
}

#[test]
fn an_order_is_in_one_currency() {
    let mixed = vec![line("MUG", 1, usd(1)), line("CAP", 1, eur(1))];
    given::<Order>(vec![])
        .when(place(mixed, totals(2, 0, 0, 0, 2)))
        .then_expect_error(OrderRejection::TotalsDoNotBalance);
    let sums = Totals { shipping: eur(0), ..totals(1, 0, 0, 0, 1) };
    given::<Order>(vec![])
        .when(place(vec![line("MUG", 1, usd(1))], sums))
        .then_expect_error(OrderRejection::TotalsDoNotBalance);
}

#[test]
fn an_order_that_was_never_placed_is_absent() {
    for command in [change_address("away"), start(1), end(1), mark_paid(1)] {
        given::<Order>(vec![]).when(command).then_expect_error(OrderRejection::NotFound);
    }
    assert_eq!(OrderRejection::NotFound.kind(), RejectionKind::Absent);
}

#[test]
fn the_address_changes_while_the_order_waits_for_payment() {
    given::<Order>(vec![placed(), started(1), ended(1)])
        .when(change_address("away"))
        .then_expect_events(vec![OrderEvent::OrderAddressChanged { contact: sealed("away") }]);
}

#[test]
fn changing_the_address_to_what_it_is_changes_nothing() {
    given::<Order>(vec![placed()]).when(change_address("at home")).then_expect_events(vec![]);
}

#[test]
fn the_address_does_not_change_during_a_payment() {
    given::<Order>(vec![placed(), started(1)])
        .when(change_address("away"))
        .then_expect_error(OrderRejection::PaymentInProgress { payment_id: id(1) });
}

#[test]
fn the_address_of_a_paid_order_is_settled() {
    given::<Order>(vec![placed(), started(1), paid(1)])
        .when(change_address("away"))
        .then_expect_error(OrderRejection::NotChangeable);
}

#[test]
fn a_payment_starts_until_pay_by() {
    given_at::<Order>(PAY_BY_SECONDS, vec![placed()])
        .when(start(1))
        .then_expect_events(vec![started(1)]);
    given_at::<Order>(PAY_BY_SECONDS + 1, vec![placed()])
        .when(start(1))
        .then_expect_error(OrderRejection::NotPayable);
    assert_eq!(OrderRejection::NotPayable.code(), "order_not_payable");
}

#[test]
fn one_payment_at_a_time() {
    let rejection = OrderRejection::PaymentInProgress { payment_id: id(1) };
    assert_eq!(rejection.code(), "payment_in_progress");
    assert_eq!(rejection.extra(), Some(json!({ "payment_id": id::<PaymentId>(1) })));
    given::<Order>(vec![placed(), started(1)]).when(start(2)).then_expect_error(rejection);
}

#[test]
fn after_a_decline_another_payment_starts() {
    given::<Order>(vec![placed(), started(1), ended(1)])
        .when(start(2))
        .then_expect_events(vec![started(2)]);
}

#[test]
fn a_payment_is_started_once() {
    for events in [
        vec![placed(), started(1)],
        vec![placed(), started(1), ended(1)],
        vec![placed(), started(1), paid(1)],
    ] {
        given::<Order>(events).when(start(1)).then_expect_events(vec![]);
    }
}

#[test]
fn a_paid_order_takes_no_further_payment() {
    given::<Order>(vec![placed(), started(1), paid(1)])
        .when(start(2))
        .then_expect_error(OrderRejection::NotPayable);
}

#[test]
fn a_payment_that_ends_frees_the_order() {
    given::<Order>(vec![placed(), started(1)]).when(end(1)).then_expect_events(vec![ended(1)]);
}

#[test]
fn the_end_of_a_payment_that_is_not_under_way_changes_nothing() {
    for events in [
        vec![placed()],
        vec![placed(), started(2)],
        vec![placed(), started(1), ended(1)],
        vec![placed(), started(1), paid(1)],
    ] {
        given::<Order>(events).when(end(1)).then_expect_events(vec![]);
    }
}

#[test]
fn money_that_arrived_pays_the_order() {
    let events = vec![placed(), started(1)];
    given::<Order>(events.clone()).when(mark_paid(1)).then_expect_events(vec![paid(1)]);
    let order: Order = state([events, vec![paid(1)]].concat());
    assert_eq!(order.status, OrderStatus::Paid);
    assert_eq!((order.paid_by, order.payment_under_way), (Some(id(1)), None));
}

#[test]
fn money_counts_even_after_pay_by() {
    given_at::<Order>(PAY_BY_SECONDS + 3600, vec![placed(), started(1)])
        .when(mark_paid(1))
        .then_expect_events(vec![paid(1)]);
}

#[test]
fn money_of_a_payment_that_was_given_up_counts() {
    let events = vec![placed(), started(1), ended(1), started(2)];
    given::<Order>(events.clone()).when(mark_paid(1)).then_expect_events(vec![paid(1)]);
    let order: Order = state([events, vec![paid(1)]].concat());
    assert_eq!(order.last_payment_id, Some(id(1)));
    assert_eq!(order.payment_under_way, Some(id(2)), "its end is still awaited");
}

#[test]
fn paying_twice_by_the_same_payment_changes_nothing() {
    given::<Order>(vec![placed(), started(1), paid(1)])
        .when(mark_paid(1))
        .then_expect_events(vec![]);
}

#[test]
fn an_order_is_paid_by_one_payment() {
    let rejection = OrderRejection::AlreadyPaid { payment_id: id(1) };
    assert_eq!(rejection.code(), "order_already_paid");
    given::<Order>(vec![placed(), started(1), paid(1)])
        .when(mark_paid(2))
        .then_expect_error(rejection);
}

#[test]
fn a_status_reads_the_same_in_json() {
    for status in [OrderStatus::AwaitingPayment, OrderStatus::Paid] {
        assert_eq!(serde_json::to_value(status).ok(), Some(status.as_str().into()));
    }
}

proptest! {
    #[test]
    fn totals_balance_to_the_cent(
        lines in prop::collection::vec((1..=999_u32, 0..1_000_000_i64), 1..=100),
        discount_permille in 0..=1000_i64,
        shipping in 0..10_000_i64,
        tax in 0..1_000_000_i64,
        error in 1..1000_i64,
    ) {
        let lines: Vec<_> = lines
            .iter()
            .enumerate()
            .map(|(number, (pieces, cents))| line(&format!("S{number}"), *pieces, usd(*cents)))
            .collect();
        let items: i64 = lines.iter().map(|line| line.total.amount_minor()).sum();
        let discount = items * discount_permille / 1000;
        let total = items - discount + shipping + tax;
        let order = Order::default();
        let facts = Facts { now: at(0) };

        let right = totals(items, discount, shipping, tax, total);
        prop_assert!(order.decide(place(lines.clone(), right), &facts).is_ok());
        let wrong = totals(items, discount, shipping, tax, total + error);
        prop_assert_eq!(
            order.decide(place(lines, wrong), &facts),
            Err(OrderRejection::TotalsDoNotBalance)
        );
    }
}

fn cancel() -> OrderCommand {
    OrderCommand::Cancel { reason: CancelReason::Unpaid }
}

fn cancelled() -> OrderEvent {
    OrderEvent::OrderCancelled { reason: CancelReason::Unpaid }
}

#[test]
fn an_order_that_nobody_paid_in_time_is_cancelled_once() {
    let after = || Facts { now: at(PAY_BY_SECONDS + 1) };
    let decide =
        |before: Vec<OrderEvent>, facts: Facts| state::<Order>(before).decide(cancel(), &facts);
    assert_eq!(decide(vec![placed()], after()), Ok(vec![cancelled()]));
    let early = Facts { now: at(PAY_BY_SECONDS) };
    assert_eq!(decide(vec![placed()], early), Err(OrderRejection::StillPayable));
    let twice = decide(vec![placed(), cancelled()], after());
    assert_eq!(twice, Err(OrderRejection::NotChangeable));
    let under_way = decide(vec![placed(), started(5)], after());
    assert_eq!(under_way, Err(OrderRejection::PaymentInProgress { payment_id: id(5) }));
    let ended = decide(vec![placed(), started(5), ended(5)], after());
    assert_eq!(ended, Ok(vec![cancelled()]));
    assert_eq!(OrderRejection::StillPayable.code(), "order_still_payable");
}

#[test]
fn a_paid_order_is_never_cancelled_and_a_cancelled_one_never_paid() {
    let after = Facts { now: at(PAY_BY_SECONDS + 1) };
    let paid_first = state::<Order>(vec![placed(), started(5), paid(5)]).decide(cancel(), &after);
    assert_eq!(paid_first, Err(OrderRejection::AlreadyPaid { payment_id: id(5) }));
    let cancelled = state::<Order>(vec![placed(), cancelled()]);
    assert_eq!(cancelled.status, OrderStatus::Cancelled);
    let pay = OrderCommand::MarkPaid { payment_id: id(5) };
    assert_eq!(cancelled.decide(pay, &after), Err(OrderRejection::NotPayable));
    assert_eq!(cancelled.decide(start(6), &after), Err(OrderRejection::NotPayable));
}
