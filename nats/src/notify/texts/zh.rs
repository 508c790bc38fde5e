use super::{MailText, moment};
use crate::notify::{AccountMail, AccountNews, MailToken, OrderMail, OrderNews};
use domain::Name;
use domain::order::OrderLine;
use std::fmt::Write;

pub(super) fn order(news: OrderNews, order: &OrderMail) -> MailText {
    let (subject, body) = match news {
        OrderNews::Confirmation => {
            (format!("您的订单 {} 已提交", order.number), confirmation(order))
        }
        OrderNews::PaymentReceived => (format!("订单 {} 付款成功", order.number), received(order)),
        OrderNews::PaymentDeclined => {
            (format!("订单 {} 付款未成功", order.number), declined(order))
        }
    };
    letter(order.name.as_ref(), subject, &body)
}

pub(super) fn account(news: AccountNews, account: &AccountMail) -> MailText {
    let (subject, body) = match news {
        AccountNews::EmailVerification => (
            "请确认您的邮箱地址",
            format!(
                "有人使用此邮箱地址在本商城注册。如果是您本人，请{}\n\n如果不是您本人，无需任何操作。",
                token("确认此邮箱属于您", account.token.as_ref()),
            ),
        ),
        AccountNews::PasswordReset => (
            "重设密码",
            format!(
                "有人申请为此邮箱地址的账户重设密码。如果是您本人，请{}\n\n\
                 如果不是您本人，无需任何操作，您的密码保持不变。",
                token("设置新密码", account.token.as_ref()),
            ),
        ),
        AccountNews::PasswordChanged => (
            "您的密码已更改",
            "您账户的密码已更改，其他设备上的登录均已退出。\n\n\
             如果不是您本人操作，请立即在登录页面申请重设密码，并联系我们。"
                .to_owned(),
        ),
        AccountNews::SecondFactorAdded => (
            "您的账户已启用两步验证",
            "今后登录时需要输入两步验证码。\n\n\
             如果不是您本人操作，请立即在登录页面申请重设密码，并联系我们。"
                .to_owned(),
        ),
        AccountNews::ApiKeyIssued => (
            "有程序可以代表您的账户操作",
            "您的账户新建了一个 API 密钥，程序可凭此代表您操作。\n\n\
             如果不是您本人操作，请立即更改密码（密钥随之失效），并联系我们。"
                .to_owned(),
        ),
        AccountNews::SecondFactorRemoved => (
            "您的账户已停用两步验证",
            "今后仅凭密码即可登录您的账户。\n\n\
             如果不是您本人操作，请立即在登录页面申请重设密码，并联系我们。"
                .to_owned(),
        ),
    };
    letter(account.name.as_ref(), subject.to_owned(), &body)
}

/// How to use what the mail brings.
fn token(what: &str, token: Option<&MailToken>) -> String {
    let Some(MailToken { token, link, until }) = token else { return format!("{what}。") };
    let until = moment(*until);
    match link {
        Some(link) => {
            format!("打开以下链接{what}：\n\n  {link}\n\n链接仅可使用一次，{until} 前有效。")
        }
        None => {
            format!("使用以下验证码{what}：\n\n  {token}\n\n验证码仅可使用一次，{until} 前有效。")
        }
    }
}

fn letter(name: Option<&Name>, subject: String, body: &str) -> MailText {
    MailText { subject, text: format!("{}\n\n{body}\n\nGoMall 商城\n", greeting(name)) }
}

fn greeting(name: Option<&Name>) -> String {
    match name {
        Some(name) => format!("{name}，您好："),
        None => "您好：".to_owned(),
    }
}

fn confirmation(order: &OrderMail) -> String {
    let next = match order.totals.is_free() {
        true => "您无需付款。我们正在为您准备包裹。".to_owned(),
        false => {
            format!("请在 {} 之前完成付款，在此之前我们会为您保留商品。", moment(order.pay_by))
        }
    };
    format!(
        "感谢您的订购。您订购的商品如下：\n\n{}\n\
         订单号：{}\n\
         {next}",
        items(order),
        order.number,
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

/// 商品名（款式）: the product, and which of its variants.
fn thing(line: &OrderLine) -> String {
    match &line.variant {
        Some(variant) => format!("{}（{variant}）", line.name),
        None => line.name.to_string(),
    }
}

/// One line an item, then the sums that are not zero.
fn items(order: &OrderMail) -> String {
    let mut text = String::new();
    for line in &order.lines {
        let _memory_never_fails =
            writeln!(text, "  {} × {}：{}", thing(line), line.quantity, line.total);
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
