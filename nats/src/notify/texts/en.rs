use super::{MailText, moment};
use crate::notify::{MailKind, OrderMail};
use std::fmt::Write;

pub(super) fn mail_text(kind: MailKind, order: &OrderMail) -> MailText {
    let (subject, body) = match kind {
        MailKind::OrderConfirmation => {
            (format!("Your order {}", order.number), confirmation(order))
        }
        MailKind::PaymentReceived => {
            (format!("We received your payment for order {}", order.number), received(order))
        }
        MailKind::PaymentDeclined => {
            (format!("Your payment for order {} was declined", order.number), declined(order))
        }
    };
    MailText { subject, text: format!("{}\n\n{body}\n\nYour GoMall team\n", greeting(order)) }
}

fn greeting(order: &OrderMail) -> String {
    match &order.name {
        Some(name) => format!("Hello {name},"),
        None => "Hello,".to_owned(),
    }
}

fn confirmation(order: &OrderMail) -> String {
    format!(
        "thank you for your order. This is what you ordered:\n\n{}\n\
         Order number: {}\n\
         Please pay by {}; until then we keep everything for you.",
        items(order),
        order.number,
        moment(order.pay_by),
    )
}

fn received(order: &OrderMail) -> String {
    format!(
        "we received your payment of {} for order {}. Thank you!\n\n\
         We are now getting your parcel ready.",
        order.totals.total, order.number,
    )
}

fn declined(order: &OrderMail) -> String {
    format!(
        "your payment of {} for order {} was declined, and nothing was charged.\n\n\
         Your order is still there: please try again, or use another card, by {}.",
        order.totals.total,
        order.number,
        moment(order.pay_by),
    )
}

/// One line an item, then the sums that are not zero.
fn items(order: &OrderMail) -> String {
    let mut text = String::new();
    for line in &order.lines {
        let _memory_never_fails =
            writeln!(text, "  {} x {}: {}", line.quantity, line.name, line.total);
    }
    let totals = &order.totals;
    for (what, amount) in
        [("Discount: -", totals.discount), ("Shipping: ", totals.shipping), ("Tax: ", totals.tax)]
    {
        if amount.amount_minor() > 0 {
            let _memory_never_fails = writeln!(text, "  {what}{amount}");
        }
    }
    let _memory_never_fails = writeln!(text, "  Total: {}", totals.total);
    text
}
