//! Whatever a payment provider says, on a real journal: it is recorded, the books balance, and
//! everything has an end.

mod random;
mod shop;
mod unpaid;

#[path = "../support/mod.rs"]
mod support;

use commands::bus::new_event;
use commands::journal::{Append, Appended, Expectation};
use commands::payments::{Attempt, Charge, ProviderAnswer, charge_and_record};
use domain::payment::{
    CAPTURED_LESS, CAPTURED_MORE, CAPTURED_OTHER_CURRENCY, PaymentEvent, PaymentStatus,
};
use domain::stock::{StockCommand, StockItem};
use domain::{Money, OrderId, PaymentId, StreamKey};
use shop::{PRICE, Shop, action, captured, codes, eur, unreadable};
use support::context;
use testkit::{new_id, reason, sku, usd};

/// How the shop hears of it.
#[derive(Debug, Clone, Copy)]
enum Way {
    Answer,
    Notification,
    Query,
}

/// The shop hears by `way` what the provider says of a payment.
async fn hear(shop: &Shop, way: Way, ids: (OrderId, PaymentId), says: ProviderAnswer) {
    let (order_id, payment_id) = ids;
    shop.provider.says(payment_id, says.clone());
    match way {
        Way::Answer => {
            let charge = Charge {
                payment_id,
                order_id,
                amount: usd(PRICE),
                method: "card".to_owned(),
                token: "tok".to_owned(),
            };
            let (bus, provider) = (&shop.bus, &shop.provider);
            let asked = charge_and_record(bus, provider, charge, Attempt::First, &context()).await;
            asked.expect("whatever the provider says can be recorded");
        }
        Way::Notification => shop.record(ids, says).await,
        Way::Query => {
            shop.age(payment_id, 2).await;
            shop.ends(payment_id, PaymentStatus::Captured).await;
        }
    }
}

#[tokio::test]
async fn every_capture_is_recorded_and_ends_the_payment_by_whichever_way_it_comes() {
    let shop = Shop::new().await;
    shop.settle().await;
    let orphan = |amount: Money, code: &'static str| vec![(amount, code)];
    for (says, pays, orphaned) in [
        (captured(usd(PRICE)), true, vec![]),
        (captured(usd(PRICE + 1)), true, orphan(usd(1), CAPTURED_MORE)),
        (captured(usd(1_000_000_000_000)), true, orphan(usd(999_999_999_010), CAPTURED_MORE)),
        (captured(usd(PRICE - 1)), false, orphan(usd(PRICE - 1), CAPTURED_LESS)),
        (captured(eur(PRICE)), false, orphan(eur(PRICE), CAPTURED_OTHER_CURRENCY)),
        (captured(usd(0)), false, vec![]),
        (unreadable(), false, vec![]),
    ] {
        for way in [Way::Answer, Way::Notification, Way::Query] {
            let told = format!("{says:?} by {way:?}");
            let ids = shop.paying().await;
            let (order_id, payment_id) = ids;
            hear(&shop, way, ids, says.clone()).await;
            // At once, and not only when it is said again.
            assert_eq!(shop.load_order(order_id).await.payment_under_way, None, "{told}");
            // And again by all other ways.
            hear(&shop, Way::Notification, ids, says.clone()).await;
            hear(&shop, Way::Answer, ids, says.clone()).await;

            let payment = shop.load_payment(payment_id).await;
            assert_eq!(payment.status, PaymentStatus::Captured, "{told}");
            let said: Vec<_> = payment.captured.iter().map(|known| known.amount).collect();
            match &says {
                ProviderAnswer::Captured { amount } => assert_eq!(said, [*amount], "{told}"),
                _ => assert!(said.is_empty() && payment.unreadable, "{told}"),
            }
            let rest = payment.captured.iter().filter_map(|known| {
                known.code.as_deref().map(|code| (known.orphaned, code.to_owned()))
            });
            let expected = orphaned.iter().map(|(amount, code)| (*amount, (*code).to_owned()));
            assert!(rest.eq(expected), "{told}");
            shop.balances(order_id, &[payment_id]).await;
            shop.ends(payment_id, PaymentStatus::Captured).await;

            // The order is paid, or it can be.
            let order = shop.load_order(order_id).await;
            assert_eq!(order.paid_by, pays.then_some(payment_id), "{told}");
            assert_eq!(order.payment_under_way, None, "{told}");
            let another = codes(shop.start(order_id, new_id()).await);
            let refused: &[_] = if pays { &["order_not_payable"] } else { &[] };
            assert_eq!(another, refused, "{told}");
        }
    }
}

#[tokio::test]
async fn money_that_comes_after_an_end_counts_and_grows() {
    let shop = Shop::new().await;
    for end in [
        ProviderAnswer::Declined { code: "insufficient_funds".to_owned() },
        ProviderAnswer::Voided,
        ProviderAnswer::Unavailable,
        captured(usd(500)),
        captured(eur(500)),
        unreadable(),
    ] {
        let ids = shop.paying().await;
        shop.record(ids, end.clone()).await;
        assert_eq!(shop.load_order(ids.0).await.paid_by, None, "{end:?}");
        shop.record(ids, captured(usd(PRICE))).await;
        assert_eq!(shop.load_order(ids.0).await.paid_by, Some(ids.1), "{end:?}");
        // It was more after all, and an older sum arrives late.
        shop.record(ids, captured(usd(PRICE + 200))).await;
        shop.record(ids, captured(usd(PRICE + 100))).await;
        let rest = shop.load_payment(ids.1).await;
        let rest: Vec<_> = rest.captured.orphaned().filter(|rest| *rest != eur(500)).collect();
        assert_eq!(rest, [usd(200)], "{end:?}");
        shop.balances(ids.0, &[ids.1]).await;
    }
}

#[tokio::test]
async fn money_that_comes_second_is_orphaned_and_keeps_no_order_waiting() {
    let shop = Shop::new().await;
    let (order_id, first) = shop.paying().await;
    shop.record((order_id, first), ProviderAnswer::Voided).await;
    let second = new_id();
    shop.start(order_id, second).await.expect("the first one has ended");
    shop.record((order_id, first), captured(usd(PRICE))).await;
    shop.record((order_id, second), captured(usd(PRICE))).await;
    let order = shop.load_order(order_id).await;
    assert_eq!((order.paid_by, order.payment_under_way), (Some(first), None));
    let second_payment = shop.load_payment(second).await;
    assert_eq!(second_payment.outcome_code(), Some("order_already_paid"));
    shop.balances(order_id, &[first, second]).await;
}

#[tokio::test]
async fn money_for_an_order_that_lost_its_stock_is_orphaned_and_never_pays_later() {
    let shop = Shop::new().await;
    let ids = shop.paying().await;
    let release = StockCommand::Release { order_id: ids.0, reason: reason("test") };
    let plan = commands::bus::Plan::new(&context()).step::<StockItem>(&sku("MUG"), release);
    shop.bus.execute(plan).await.expect("a piece is set aside");
    for _ in 0..2 {
        shop.record(ids, captured(usd(PRICE))).await;
        let order = shop.load_order(ids.0).await;
        assert_eq!((order.paid_by, order.payment_under_way), (None, None));
        let payment = shop.load_payment(ids.1).await;
        assert_eq!(payment.captured.orphaned().collect::<Vec<_>>(), [usd(PRICE)]);
        assert_eq!(payment.outcome_code(), Some("not_reserved"));
        shop.balances(ids.0, &[ids.1]).await;
    }
}

#[tokio::test]
async fn an_open_action_is_called_off_by_the_next_attempt() {
    let shop = Shop::new().await;
    for (when_cancelled, status, refused) in [
        (ProviderAnswer::Voided, PaymentStatus::Voided, &[][..]),
        (
            ProviderAnswer::Declined { code: "authentication_failed".to_owned() },
            PaymentStatus::Declined,
            &[],
        ),
        // The customer had confirmed it after all: that is what counts.
        (captured(usd(PRICE)), PaymentStatus::Captured, &["order_not_payable"]),
        (captured(usd(PRICE - 1)), PaymentStatus::Captured, &[]),
        // Nobody knows: the order goes on waiting for it.
        (ProviderAnswer::NoAnswer, PaymentStatus::ActionRequired, &["payment_in_progress"]),
        (action(), PaymentStatus::ActionRequired, &["payment_in_progress"]),
    ] {
        let (order_id, open) = shop.paying().await;
        shop.record((order_id, open), action()).await;
        shop.provider.says_when_cancelled(open, action(), when_cancelled.clone());
        let next = new_id();
        assert_eq!(codes(shop.start(order_id, next).await), refused, "{when_cancelled:?}");
        assert_eq!(shop.provider.cancelled(open), 1, "{when_cancelled:?}");
        assert_eq!(shop.load_payment(open).await.status, status, "{when_cancelled:?}");
        let under_way = shop.load_order(order_id).await.payment_under_way;
        assert_eq!(under_way == Some(next), refused.is_empty(), "{when_cancelled:?}");
        shop.balances(order_id, &[open]).await;
    }
}

#[tokio::test]
async fn an_attempt_that_was_cut_off_goes_on_and_its_repetition_calls_nothing_off() {
    let shop = Shop::new().await;
    let (order_id, first) = shop.paying().await;
    shop.record((order_id, first), action()).await;
    // Whoever called it off died before it was recorded.
    shop.provider.says(first, ProviderAnswer::Voided);
    let second = new_id();
    shop.start(order_id, second).await.expect("the rest is done");
    shop.record((order_id, second), ProviderAnswer::Voided).await;

    let third = new_id();
    shop.start(order_id, third).await.expect("the second one has ended");
    shop.record((order_id, third), action()).await;
    shop.provider.says_when_cancelled(third, action(), ProviderAnswer::Voided);
    // The late double of the second attempt is no new attempt.
    assert!(shop.start(order_id, second).await.expect("its outcome is known").replayed);
    assert_eq!(shop.provider.cancelled(third), 0);
    assert_eq!(shop.load_order(order_id).await.payment_under_way, Some(third));
}

#[tokio::test]
async fn a_payment_whose_answer_is_on_the_way_is_not_called_off_by_the_next_attempt() {
    let shop = Shop::new().await;
    for says in [None, Some(ProviderAnswer::NoAnswer), Some(ProviderAnswer::Authorized)] {
        let (order_id, first) = shop.paying().await;
        if let Some(says) = says {
            shop.record((order_id, first), says).await;
        }
        shop.provider.says_when_cancelled(first, action(), ProviderAnswer::Voided);
        assert_eq!(codes(shop.start(order_id, new_id()).await), ["payment_in_progress"]);
        assert_eq!(shop.provider.cancelled(first), 0);
    }
}

#[tokio::test]
async fn a_payment_that_nobody_completes_is_called_off_and_a_silent_provider_has_its_end() {
    const QUARTER_OF_AN_HOUR: i32 = 15 * 60;
    const DAY: i32 = 24 * 3600;
    let shop = Shop::new().await;
    shop.settle().await;
    for (says, when_cancelled, age_seconds, status) in [
        (action(), ProviderAnswer::Voided, QUARTER_OF_AN_HOUR, PaymentStatus::Voided),
        (
            ProviderAnswer::Pending,
            ProviderAnswer::Voided,
            QUARTER_OF_AN_HOUR,
            PaymentStatus::Voided,
        ),
        (
            ProviderAnswer::Authorized,
            captured(usd(PRICE)),
            QUARTER_OF_AN_HOUR,
            PaymentStatus::Captured,
        ),
        (action(), action(), DAY, PaymentStatus::Failed),
        (ProviderAnswer::NoAnswer, ProviderAnswer::NoAnswer, DAY, PaymentStatus::Failed),
    ] {
        let (order_id, payment_id) = shop.paying().await;
        shop.provider.says_when_cancelled(payment_id, says, when_cancelled);
        // Not before its time: a look, and it is still there.
        shop.age(payment_id, 60).await;
        compose::testing::eventually("it was looked at", async || {
            let looked: i32 =
                sqlx::query_scalar("select attempts from process_timers where key = $1::text")
                    .bind(payment_id.uuid())
                    .fetch_one(&shop.database.pool)
                    .await
                    .expect("it is looked after");
            (looked > 0).then_some(())
        })
        .await;
        assert_eq!(shop.provider.cancelled(payment_id), 0);

        shop.age(payment_id, age_seconds).await;
        shop.ends(payment_id, status).await;
        assert_eq!(shop.load_order(order_id).await.payment_under_way, None);
        shop.balances(order_id, &[payment_id]).await;
        if age_seconds == DAY {
            let code = shop.load_payment(payment_id).await.failure;
            assert_eq!(code.as_deref(), Some("provider_silent"));
            // Should it speak after all, it counts.
            shop.record((order_id, payment_id), captured(usd(PRICE))).await;
            shop.balances(order_id, &[payment_id]).await;
        }
    }
}

#[tokio::test]
async fn an_open_payment_of_an_order_that_another_one_paid_is_called_off() {
    let shop = Shop::new().await;
    let (order_id, first) = shop.paying().await;
    shop.record((order_id, first), ProviderAnswer::Voided).await;
    let second = new_id();
    shop.start(order_id, second).await.expect("the first one has ended");
    shop.record((order_id, second), action()).await;
    shop.provider.says_when_cancelled(second, action(), ProviderAnswer::Voided);
    shop.record((order_id, first), captured(usd(PRICE))).await;
    shop.settle().await;
    shop.age(second, 2).await;
    shop.ends(second, PaymentStatus::Voided).await;
    assert_eq!(shop.provider.cancelled(second), 1);
    let order = shop.load_order(order_id).await;
    assert_eq!((order.paid_by, order.payment_under_way), (Some(first), None));
}

/// Older builds recorded a capture that was too small and left the order waiting for ever.
#[tokio::test]
async fn an_order_that_waits_for_a_payment_that_has_ended_is_freed_by_the_next_attempt() {
    let shop = Shop::new().await;
    let (order_id, payment_id) = shop.paying().await;
    let stream = StreamKey { aggregate_type: "payment", aggregate_id: payment_id.to_string() };
    let head: uuid::Uuid =
        sqlx::query_scalar("select event_id from events where aggregate_id = $1")
            .bind(payment_id.to_string())
            .fetch_one(&shop.database.pool)
            .await
            .expect("it was asked for");
    let event = |sequence, event: &PaymentEvent| {
        new_event(&stream, sequence, event, &context(), new_id()).expect("no tags")
    };
    let code = "captured_other_amount".to_owned();
    let events = vec![
        event(2, &PaymentEvent::PaymentCaptured { amount: usd(500) }),
        event(3, &PaymentEvent::PaymentOrphaned { code, amount: None }),
    ];
    let expectations = vec![Expectation::Head { stream: stream.clone(), head: Some(head) }];
    let append = Append { expectations, events, keyed: None };
    let appended = shop.database.journal().append(append).await.expect("the writer runs");
    assert!(matches!(appended, Appended::Done { .. }));
    assert_eq!(shop.load_order(order_id).await.payment_under_way, Some(payment_id));

    let next = new_id();
    shop.start(order_id, next).await.expect("the order is free");
    shop.record((order_id, next), captured(usd(PRICE))).await;
    shop.balances(order_id, &[payment_id, next]).await;
}
