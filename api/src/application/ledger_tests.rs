use super::*;
use testkit::{Journal, id, reason, sku};

#[test]
fn every_event_is_a_booking_and_they_add_up_to_what_there_is() {
    let (ann, bob, cid) = (id::<OrderId>(1), id::<OrderId>(2), id::<OrderId>(3));
    let until = Timestamp::EPOCH;
    let events = [
        StockEvent::StockItemOpened { product_id: id(9) },
        StockEvent::StockReceived { quantity: 20, reason: reason("delivery") },
        StockEvent::StockAdjusted { delta: -3, reason: reason("broken") },
        StockEvent::StockReserved { order_id: ann, quantity: 4, until },
        StockEvent::StockReserved { order_id: bob, quantity: 5, until },
        StockEvent::StockReserved { order_id: cid, quantity: 1, until },
        StockEvent::StockCommitted { order_id: ann, quantity: 4 },
        StockEvent::StockReleased { order_id: bob, quantity: 5, reason: reason("unpaid") },
    ];
    let (history, mut item) = (Journal::default(), StockItem::default());
    for event in events {
        history.record(StockItem::TYPE, sku("mug"), &event);
        item.apply(event);
    }
    let booked: Vec<_> =
        history.events().iter().map(|event| booking(event).expect("it is one")).collect();
    let on_hand: i64 = booked.iter().map(|booking| booking.on_hand).sum();
    let reserved: i64 = booked.iter().map(|booking| booking.reserved).sum();
    assert_eq!((on_hand, reserved), (13, 1));
    assert_eq!((item.on_hand, item.reserved), (13, 1));
    let kinds: Vec<_> = booked.iter().map(|booking| booking.kind).collect();
    use BookingKind::{Adjusted, Committed, Opened, Received, Released, Reserved};
    assert_eq!(
        kinds,
        [Opened, Received, Adjusted, Reserved, Reserved, Reserved, Committed, Released]
    );
    let last = booked.last().expect("there are some");
    assert_eq!((last.order_id, last.reason.clone()), (Some(bob), Some(reason("unpaid"))));
    assert_eq!(last.actor.as_deref(), Some("system:test"));
}

#[test]
fn a_cursor_is_a_position() {
    assert_eq!(position("17").ok(), Some(Position::new(17)));
    for other in ["", "x", "-1", "1.5", "9223372036854775808", "18446744073709551616"] {
        assert!(position(other).is_err(), "{other}");
    }
}
