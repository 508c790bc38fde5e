use super::view::{OrderView, PaymentView};
use crate::projection::{ApplyError, decode, stream_id};
use crate::rows::Rows;
use cqrs_es::Aggregate;
use domain::RecordedEvent;
use domain::order::{Order, OrderEvent, OrderStatus};
use domain::payment::{Captures, PaymentEvent, PaymentStatus};
use sqlx::PgConnection;
use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) async fn apply(
    conn: &mut PgConnection,
    events: &[Arc<RecordedEvent>],
) -> Result<(), ApplyError> {
    let (mut order_ids, mut payment_ids) = (BTreeSet::new(), BTreeSet::new());
    for event in events {
        if is_order(event) {
            order_ids.insert(stream_id(event)?);
        } else {
            payment_ids.insert(stream_id(event)?);
        }
    }
    let mut orders = Rows::load(conn, &order_ids).await?;
    let mut payments = Rows::load(conn, &payment_ids).await?;
    for event in events {
        if is_order(event) {
            fold_order(&mut orders, event)?;
        } else {
            fold_payment(&mut payments, event)?;
        }
    }
    orders.save(conn).await?;
    payments.save(conn).await?;
    Ok(())
}

fn is_order(event: &RecordedEvent) -> bool {
    event.aggregate_type == Order::TYPE
}

fn fold_order(orders: &mut Rows<OrderView>, event: &RecordedEvent) -> Result<(), ApplyError> {
    let order_id = stream_id(event)?;
    let fact: OrderEvent = decode(event)?;
    if let OrderEvent::OrderPlaced {
        number,
        customer_id,
        cart_id,
        lines,
        totals,
        contact,
        pay_by,
    } = fact
    {
        orders.put(OrderView {
            order_id,
            number,
            customer_id,
            cart_id,
            status: OrderStatus::AwaitingPayment,
            lines,
            totals,
            contact,
            pay_by,
            placed_at: event.recorded_at.into(),
            placed_position: event.position,
            payment_status: None,
            version: event.sequence,
            position: event.position,
        });
        return Ok(());
    }
    let order = orders
        .get_mut(&order_id)
        .ok_or_else(|| ApplyError::contradiction(event, "that was never placed"))?;
    order.version = event.sequence;
    order.position = event.position;
    match fact {
        OrderEvent::OrderPlaced { .. } => {}
        OrderEvent::OrderAddressChanged { contact } => order.contact = contact,
        // The payments' own events tell how they went.
        OrderEvent::OrderPaymentStarted { payment_id: _ }
        | OrderEvent::OrderPaymentEnded { payment_id: _, end: _ } => {}
        OrderEvent::OrderPaid { payment_id: _ } | OrderEvent::OrderRequiredNoPayment {} => {
            order.status = OrderStatus::Paid;
        }
        OrderEvent::OrderCancelled { reason: _ } => order.status = OrderStatus::Cancelled,
    }
    Ok(())
}

fn fold_payment(payments: &mut Rows<PaymentView>, event: &RecordedEvent) -> Result<(), ApplyError> {
    let payment_id = stream_id(event)?;
    let fact: PaymentEvent = decode(event)?;
    if let PaymentEvent::PaymentRequested { order_id, customer_id, amount, method } = fact {
        payments.put(PaymentView {
            payment_id,
            order_id,
            customer_id,
            method,
            status: PaymentStatus::Pending,
            amount,
            failure_code: None,
            action_url: None,
            orphaned: false,
            captured: Captures::default(),
            capture_unreadable: None,
            pays_nothing: false,
            requested_position: event.position,
            version: event.sequence,
            position: event.position,
        });
        return Ok(());
    }
    let payment = payments
        .get_mut(&payment_id)
        .ok_or_else(|| ApplyError::contradiction(event, "that was never requested"))?;
    payment.version = event.sequence;
    payment.position = event.position;
    match fact {
        PaymentEvent::PaymentRequested { .. } => {}
        PaymentEvent::PaymentActionRequired { url } => {
            payment.become_status(PaymentStatus::ActionRequired);
            payment.action_url = Some(url);
        }
        PaymentEvent::PaymentAuthorized {} => payment.become_status(PaymentStatus::Authorized),
        PaymentEvent::PaymentCaptured { amount } => {
            payment.become_status(PaymentStatus::Captured);
            payment.captured.apply_captured(amount);
        }
        PaymentEvent::PaymentCaptureUnreadable { said } => {
            payment.become_status(PaymentStatus::Captured);
            payment.capture_unreadable = Some(said);
        }
        PaymentEvent::PaymentDeclined { code } => {
            payment.become_status(PaymentStatus::Declined);
            payment.failure_code = Some(code);
        }
        PaymentEvent::PaymentFailed { code } => {
            payment.become_status(PaymentStatus::Failed);
            payment.failure_code = Some(code);
        }
        PaymentEvent::PaymentOutcomeUnknown {} => payment.become_status(PaymentStatus::Unknown),
        PaymentEvent::PaymentVoided {} => payment.become_status(PaymentStatus::Voided),
        PaymentEvent::PaymentOrphaned { code, amount } => {
            payment.captured.apply_orphaned(&code, amount);
        }
    }
    payment.orphaned =
        payment.capture_unreadable.is_some() || payment.captured.orphaned().next().is_some();
    payment.pays_nothing =
        payment.status == PaymentStatus::Captured && !payment.captured.pay(payment.amount);
    Ok(())
}

impl PaymentView {
    /// What was said about the status before no longer holds.
    fn become_status(&mut self, status: PaymentStatus) {
        self.status = status;
        self.failure_code = None;
        self.action_url = None;
    }
}
