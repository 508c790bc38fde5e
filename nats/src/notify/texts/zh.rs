use super::{MailText, moment};
use crate::notify::{MailKind, OrderMail};
use std::fmt::Write;

pub(super) fn mail_text(kind: MailKind, order: &OrderMail) -> MailText {
    let (subject, body) = match kind {
        MailKind::OrderConfirmation => {
            (format!("您的订单 {} 已提交", order.number), confirmation(order))
        }
        MailKind::PaymentReceived => (format!("订单 {} 付款成功", order.number), received(order)),
        MailKind::PaymentDeclined => (format!("订单 {} 付款未成功", order.number), declined(order)),
    };
    MailText { subject, text: format!("{}\n\n{body}\n\nGoMall 商城\n", greeting(order)) }
}

fn greeting(order: &OrderMail) -> String {
    match &order.name {
        Some(name) => format!("{name}，您好："),
        None => "您好：".to_owned(),
    }
}

fn confirmation(order: &OrderMail) -> String {
    format!(
        "感谢您的订购。您订购的商品如下：\n\n{}\n\
         订单号：{}\n\
         请在 {} 之前完成付款，在此之前我们会为您保留商品。",
        items(order),
        order.number,
        moment(order.pay_by),
    )
}

fn received(order: &OrderMail) -> String {
    format!(
        "我们已收到您为订单 {} 支付的 {}，谢谢！\n\n我们正在为您准备包裹。",
        order.number, order.totals.total,
    )
}

fn declined(order: &OrderMail) -> String {
    format!(
        "您为订单 {} 支付的 {} 被拒绝，未产生任何扣款。\n\n\
         您的订单仍然保留，请在 {} 之前重试，或换一张卡付款。",
        order.number,
        order.totals.total,
        moment(order.pay_by),
    )
}

/// One line an item, then the sums that are not zero.
fn items(order: &OrderMail) -> String {
    let mut text = String::new();
    for line in &order.lines {
        let _memory_never_fails =
            writeln!(text, "  {} × {}：{}", line.name, line.quantity, line.total);
    }
    let totals = &order.totals;
    for (what, amount) in
        [("优惠：-", totals.discount), ("运费：", totals.shipping), ("税费：", totals.tax)]
    {
        if amount.amount_minor() > 0 {
            let _memory_never_fails = writeln!(text, "  {what}{amount}");
        }
    }
    let _memory_never_fails = writeln!(text, "  合计：{}", totals.total);
    text
}
