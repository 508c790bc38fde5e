use crate::support::{given, record_foreign};
use domain::order::{CancelReason, OrderEvent, OrderLine, OrderStatus, PaymentEnd, Totals};
use domain::payment::{PaymentEvent, PaymentStatus};
use domain::{OrderId, PaymentId, Position, Sealed, Timestamp};
use projections::Limit;
use projections::orders::{self, OrderFilter, PaymentFilter};
use testkit::{Journal, id, name, recorded_at, sku, usd};

fn placed(number: i32, customer: u128) -> OrderEvent {
    OrderEvent::OrderPlaced {
        number,
        customer_id: id(customer),
        cart_id: id(customer),
        lines: vec![OrderLine {
            sku: sku("MOUSE"),
            product_id: id(7),
            name: name("Mouse-Pad"),
            variant: None,
            picture: None,
            quantity: 2,
            unit_price: usd(880),
            total: usd(1_760),
        }],
        totals: Totals {
            items: usd(1_760),
            discount: usd(0),
            shipping: usd(0),
            tax: usd(0),
            total: usd(1_760),
        },
        contact: Sealed::from_ciphertext("contact".to_owned()),
        pay_by: Timestamp::from(recorded_at(Position::new(900))),
    }
}

fn requested(order: u128) -> PaymentEvent {
    PaymentEvent::PaymentRequested {
        order_id: id(order),
        customer_id: id(1),
        amount: usd(1_760),
        method: "card".to_owned(),
    }
}

#[tokio::test]
async fn an_order_shows_what_was_frozen_when_it_was_placed() {
    let history = Journal::default();
    record_foreign(&history);
    history.record("order", id::<OrderId>(10), &placed(1, 1));
    let changed = Sealed::from_ciphertext("contact, changed".to_owned());
    history.record(
        "order",
        id::<OrderId>(10),
        &OrderEvent::OrderAddressChanged { contact: changed },
    );
    let pool = given(&history).await;

    let order = orders::by_id(&pool, id(10)).await.expect("a query").expect("an order");
    assert_eq!((order.number, order.customer_id, order.cart_id), (1, id(1), id(1)));
    assert_eq!(order.status, OrderStatus::AwaitingPayment);
    assert_eq!((order.lines.len(), order.lines[0].total), (1, usd(1_760)));
    assert_eq!(order.totals.total, usd(1_760));
    assert_eq!(order.contact.ciphertext(), "contact, changed");
    assert_eq!(order.pay_by, recorded_at(Position::new(900)).into());
    assert_eq!(order.placed_at, recorded_at(Position::new(2)).into());
    assert_eq!(order.payment_status, None);
    assert_eq!(
        (order.version, order.position, order.placed_position),
        (2, Position::new(3), Position::new(2))
    );
    assert_eq!(orders::by_id(&pool, id(11)).await.expect("a query"), None);
}

#[tokio::test]
async fn an_order_shows_the_status_of_its_last_payment() {
    let history = Journal::default();
    history.record("order", id::<OrderId>(10), &placed(1, 1));
    let (first, second) = (id(21), id(20));
    history.record(
        "order",
        id::<OrderId>(10),
        &OrderEvent::OrderPaymentStarted { payment_id: first },
    );
    history.record("payment", first, &requested(10));
    let declined = PaymentEvent::PaymentDeclined { code: "insufficient_funds".to_owned() };
    history.record("payment", first, &declined);
    let ended = OrderEvent::OrderPaymentEnded { payment_id: first, end: PaymentEnd::Declined };
    history.record("order", id::<OrderId>(10), &ended);
    history.record("payment", second, &requested(10));
    let captured = PaymentEvent::PaymentCaptured { amount: usd(1_760) };
    history.record("payment", second, &captured);
    let paid =
        history.record("order", id::<OrderId>(10), &OrderEvent::OrderPaid { payment_id: second });
    history.record("order", id::<OrderId>(11), &placed(2, 1));
    let cancelled = OrderEvent::OrderCancelled { reason: CancelReason::Unpaid };
    history.record("order", id::<OrderId>(11), &cancelled);
    let pool = given(&history).await;

    let cancelled = orders::by_id(&pool, id(11)).await.expect("a query").expect("an order");
    assert_eq!((cancelled.status, cancelled.version), (OrderStatus::Cancelled, 2));
    let order = orders::by_id(&pool, id(10)).await.expect("a query").expect("an order");
    assert_eq!(order.status, OrderStatus::Paid);
    assert_eq!(order.payment_status, Some(PaymentStatus::Captured));
    assert_eq!((order.version, order.position), (4, paid));

    let payments = orders::payments_of(&pool, id(10)).await.expect("a query");
    let listed: Vec<_> = payments
        .iter()
        .map(|payment| (payment.payment_id, payment.status, payment.failure_code.as_deref()))
        .collect();
    assert_eq!(
        listed,
        [
            (second, PaymentStatus::Captured, None),
            (first, PaymentStatus::Declined, Some("insufficient_funds")),
        ]
    );
}

#[tokio::test]
async fn a_payments_news_change_the_position_of_its_order() {
    let history = Journal::default();
    history.record("order", id::<OrderId>(10), &placed(1, 1));
    history.record("payment", id::<PaymentId>(20), &requested(10));
    let last = history.record("payment", id::<PaymentId>(20), &PaymentEvent::PaymentAuthorized {});
    let pool = given(&history).await;
    let order = orders::by_id(&pool, id(10)).await.expect("a query").expect("an order");
    assert_eq!((order.version, order.position), (1, last));
}

#[tokio::test]
async fn a_payment_goes_through_its_statuses() {
    let steps = [
        (PaymentEvent::PaymentOutcomeUnknown {}, PaymentStatus::Unknown),
        (
            PaymentEvent::PaymentActionRequired { url: "https://bank.example".to_owned() },
            PaymentStatus::ActionRequired,
        ),
        (PaymentEvent::PaymentAuthorized {}, PaymentStatus::Authorized),
        (
            PaymentEvent::PaymentFailed { code: "provider_unavailable".to_owned() },
            PaymentStatus::Failed,
        ),
        (PaymentEvent::PaymentVoided {}, PaymentStatus::Voided),
        (PaymentEvent::PaymentCaptured { amount: usd(1_760) }, PaymentStatus::Captured),
        (
            PaymentEvent::PaymentOrphaned { code: "order_already_paid".to_owned(), amount: None },
            PaymentStatus::Captured,
        ),
    ];
    // One payment a prefix of the steps, so that every status is seen.
    let history = Journal::default();
    for last in 0..steps.len() {
        let payment_id: PaymentId = id(100 + last as u128);
        history.record("payment", payment_id, &requested(10));
        for (event, _) in &steps[..=last] {
            history.record("payment", payment_id, event);
        }
    }
    let pool = given(&history).await;
    for (last, (_, status)) in steps.iter().enumerate() {
        let payment = orders::payment_by_id(&pool, id(100 + last as u128))
            .await
            .expect("a query")
            .expect("a payment");
        assert_eq!(payment.status, *status);
        assert_eq!(payment.action_url.is_some(), *status == PaymentStatus::ActionRequired);
        assert_eq!(payment.failure_code.is_some(), *status == PaymentStatus::Failed);
        assert_eq!(payment.orphaned, last == steps.len() - 1);
        assert_eq!((payment.order_id, payment.amount), (id(10), usd(1_760)));
        assert_eq!(payment.version, last as u64 + 2);
    }
}

#[tokio::test]
async fn what_was_taken_and_what_has_to_go_back_are_shown_and_pay_an_order_or_fail() {
    let captured = |cents| PaymentEvent::PaymentCaptured { amount: usd(cents) };
    let orphaned = |cents: i64| PaymentEvent::PaymentOrphaned {
        code: "why".to_owned(),
        amount: Some(usd(cents)),
    };
    let unreadable = || PaymentEvent::PaymentCaptureUnreadable { said: "-1 USD".to_owned() };
    let less = || vec![captured(500), orphaned(500)];
    let cases = [
        (vec![captured(1_760)], PaymentStatus::Captured, false),
        (vec![captured(2_000), orphaned(240)], PaymentStatus::Captured, true),
        (less(), PaymentStatus::Failed, true),
        (vec![captured(0)], PaymentStatus::Failed, false),
        (vec![unreadable()], PaymentStatus::Failed, true),
        ([less(), vec![captured(1_760)]].concat(), PaymentStatus::Captured, false),
        (vec![captured(1_760), unreadable()], PaymentStatus::Captured, true),
    ];
    let history = Journal::default();
    for (number, (events, _, _)) in cases.iter().enumerate() {
        let (order, payment_id) = (200 + number as u128, id::<PaymentId>(100 + number as u128));
        history.record(
            "order",
            id::<OrderId>(order),
            &placed(1 + i32::try_from(number).expect("few"), 1),
        );
        history.record("payment", payment_id, &requested(order));
        events.iter().for_each(|event| _ = history.record("payment", payment_id, event));
    }
    let pool = given(&history).await;
    for (number, (events, outcome, is_orphan)) in cases.iter().enumerate() {
        let order = orders::by_id(&pool, id(200 + number as u128)).await.expect("a query");
        let order = order.expect("an order");
        assert_eq!(order.payment_status, Some(*outcome), "{events:?}");
        let filter = PaymentFilter { order_id: Some(order.order_id), orphaned: Some(*is_orphan) };
        let one = Limit::new(1).expect("1 is a limit");
        let page = orders::list_payments(&pool, filter, None, one).await.expect("a query");
        let [payment] = &page.items[..] else { panic!("{events:?}: it is listed once") };
        assert_eq!(payment.status, PaymentStatus::Captured, "what the provider said");
        assert_eq!(payment.orphaned, *is_orphan, "{events:?}");
        let other = PaymentFilter { orphaned: Some(!is_orphan), ..filter };
        let page = orders::list_payments(&pool, other, None, one).await.expect("a query");
        assert!(page.items.is_empty(), "{events:?}");
    }
    let (mut listed, mut cursor) = (0, None);
    loop {
        let two = Limit::new(2).expect("2 is a limit");
        let filter = PaymentFilter { order_id: None, orphaned: Some(true) };
        let page = orders::list_payments(&pool, filter, cursor.as_deref(), two).await;
        let page = page.expect("a query");
        listed += page.items.len();
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(listed, cases.iter().filter(|(_, _, is_orphan)| *is_orphan).count());
}

#[tokio::test]
async fn a_customer_sees_their_own_orders_newest_first_page_by_page() {
    let history = Journal::default();
    for number in 1..=5 {
        history.record("order", id::<OrderId>(10 + number as u128), &placed(number, 1));
        history.record("order", id::<OrderId>(20 + number as u128), &placed(100 + number, 2));
    }
    let paid = OrderEvent::OrderPaid { payment_id: id(50) };
    history.record("order", id::<OrderId>(12), &paid);
    let pool = given(&history).await;

    let limit = Limit::new(2).expect("2 is a limit");
    let (mut numbers, mut cursor) = (Vec::new(), None);
    loop {
        let page =
            orders::by_customer(&pool, id(1), cursor.as_deref(), limit).await.expect("a query");
        numbers.push(page.items.iter().map(|order| order.number).collect::<Vec<_>>());
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(numbers, [vec![5, 4], vec![3, 2], vec![1]]);

    let all = orders::list(&pool, OrderFilter::default(), None, Limit::DEFAULT).await;
    assert_eq!(all.expect("a query").items.len(), 10);
    let filter = OrderFilter { customer_id: None, status: Some(OrderStatus::Paid) };
    let paid = orders::list(&pool, filter, None, Limit::DEFAULT).await.expect("a query");
    assert_eq!(paid.items.iter().map(|order| order.number).collect::<Vec<_>>(), [2]);
}
