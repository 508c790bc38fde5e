use super::{MailText, moment};
use crate::notify::{AccountMail, AccountNews, MailToken, OrderMail, OrderNews};
use domain::Name;
use domain::order::OrderLine;
use std::fmt::Write;

pub(super) fn order(news: OrderNews, order: &OrderMail) -> MailText {
    let (subject, body) = match news {
        OrderNews::Confirmation => (format!("Your order {}", order.number), confirmation(order)),
        OrderNews::PaymentReceived => {
            (format!("We received your payment for order {}", order.number), received(order))
        }
        OrderNews::PaymentDeclined => {
            (format!("Your payment for order {} was declined", order.number), declined(order))
        }
    };
    letter(order.name.as_ref(), subject, &body)
}

pub(super) fn account(news: AccountNews, account: &AccountMail) -> MailText {
    let (subject, body) = match news {
        AccountNews::EmailVerification => (
            "Please confirm your e-mail address",
            format!(
                "somebody has registered with this e-mail address at our shop. If it was you, please \
                 confirm that it is yours{}\n\n\
                 If it was not you, you need not do anything.",
                token(account.token.as_ref()),
            ),
        ),
        AccountNews::PasswordReset => (
            "Choose another password",
            format!(
                "somebody has asked to choose another password for the account with this e-mail \
                 address. If it was you, do so{}\n\n\
                 If it was not you, you need not do anything: your password stays as it is.",
                token(account.token.as_ref()),
            ),
        ),
        AccountNews::PasswordChanged => (
            "Your password was changed",
            "the password of your account was changed, and you were signed out everywhere else.\n\n\
             If it was not you, ask for another password at the sign-in now, and tell us."
                .to_owned(),
        ),
        AccountNews::SecondFactorAdded => (
            "A second factor was added to your account",
            "from now on a code of your second factor is asked for whenever you sign in.\n\n\
             If it was not you, ask for another password at the sign-in now, and tell us."
                .to_owned(),
        ),
        AccountNews::ApiKeyIssued => (
            "A program may act for your account",
            "an API key was made, with which a program acts for your account.\n\n\
             If it was not you, change your password now, which ends the key, and tell us."
                .to_owned(),
        ),
        AccountNews::SecondFactorRemoved => (
            "The second factor of your account was removed",
            "from now on your password is enough to sign in to your account.\n\n\
             If it was not you, ask for another password at the sign-in now, and tell us."
                .to_owned(),
        ),
    };
    letter(account.name.as_ref(), subject.to_owned(), &body)
}

/// How to use what the mail brings.
fn token(token: Option<&MailToken>) -> String {
    let Some(MailToken { token, link, until }) = token else { return ".".to_owned() };
    let until = moment(*until);
    match link {
        Some(link) => format!(" here:\n\n  {link}\n\nThis works once, until {until}."),
        None => format!(" with this code:\n\n  {token}\n\nIt works once, until {until}."),
    }
}

fn letter(name: Option<&Name>, subject: String, body: &str) -> MailText {
    MailText { subject, text: format!("{}\n\n{body}\n\nYour GoMall team\n", greeting(name)) }
}

fn greeting(name: Option<&Name>) -> String {
    match name {
        Some(name) => format!("Hello {name},"),
        None => "Hello,".to_owned(),
    }
}

fn confirmation(order: &OrderMail) -> String {
    let next = match order.totals.is_free() {
        true => "There is nothing to pay. We are now getting your parcel ready.".to_owned(),
        false => format!(
            "Please pay by {}; until then we keep everything for you.",
            moment(order.pay_by)
        ),
    };
    format!(
        "thank you for your order. This is what you ordered:\n\n{}\n\
         Order number: {}\n\
         {next}",
        items(order),
        order.number,
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

/// `Shirt (M)`: the product, and which of its variants.
fn thing(line: &OrderLine) -> String {
    match &line.variant {
        Some(variant) => format!("{} ({variant})", line.name),
        None => line.name.to_string(),
    }
}

/// One line an item, then the sums that are not zero.
fn items(order: &OrderMail) -> String {
    let mut text = String::new();
    for line in &order.lines {
        let _memory_never_fails =
            writeln!(text, "  {} x {}: {}", line.quantity, thing(line), line.total);
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
