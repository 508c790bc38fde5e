use super::*;
use domain::order::{OrderLine, Totals};
use domain::{Currency, EmailAddress, Locale, Money, Name, Sku};
use uuid::Uuid;

fn order(locale: &str) -> OrderMail {
    order_in("USD", locale)
}

fn order_in(currency: &str, locale: &str) -> OrderMail {
    let currency = Currency::parse(currency).expect("an active code");
    let money = |minor| Money::new(minor, currency).expect("a small amount");
    OrderMail {
        recipient: "pseudonym".to_owned(),
        email: EmailAddress::parse("ada@example.com").expect("an address"),
        locale: Locale::parse(locale).expect("a language we speak"),
        name: Some(Name::parse("Ada").expect("a name")),
        number: 42,
        lines: vec![OrderLine {
            sku: Sku::parse("notebook").expect("a SKU"),
            product_id: Uuid::nil().into(),
            name: Name::parse("Notebook").expect("a name"),
            picture: None,
            quantity: 2,
            unit_price: money(990),
            total: money(1980),
        }],
        totals: Totals {
            items: money(1980),
            discount: money(0),
            shipping: money(500),
            tax: money(0),
            total: money(2480),
        },
        pay_by: Timestamp::EPOCH.plus_seconds(60),
    }
}

#[test]
fn amounts_have_the_decimals_of_their_currency() {
    for locale in ["en", "zh"] {
        for (currency, total) in [("JPY", "2480 JPY"), ("KWD", "2.480 KWD"), ("USD", "24.80 USD")] {
            let text = mail_text(MailKind::OrderConfirmation, &order_in(currency, locale)).text;
            let amounts = text.lines().filter(|line| line.ends_with(currency)).collect::<Vec<_>>();
            assert!(amounts.iter().any(|line| line.ends_with(total)), "{text}");
        }
    }
}

#[test]
fn a_confirmation_tells_what_was_ordered_and_until_when_to_pay() {
    let text = mail_text(MailKind::OrderConfirmation, &order("en"));
    assert_eq!(text.subject, "Your order 42");
    assert_eq!(
        text.text,
        "Hello Ada,\n\n\
         thank you for your order. This is what you ordered:\n\n\
         \x20 2 x Notebook: 19.80 USD\n\
         \x20 Shipping: 5.00 USD\n\
         \x20 Total: 24.80 USD\n\n\
         Order number: 42\n\
         Please pay by 1970-01-01 00:01 UTC; until then we keep everything for you.\n\n\
         Your GoMall team\n"
    );
}

#[test]
fn every_kind_is_written_in_the_readers_language() {
    for kind in [MailKind::OrderConfirmation, MailKind::PaymentReceived, MailKind::PaymentDeclined]
    {
        let (english, chinese) = (mail_text(kind, &order("en")), mail_text(kind, &order("zh")));
        assert!(english.text.is_ascii() && english.text.starts_with("Hello Ada,"));
        assert!(chinese.text.starts_with("Ada，您好：") && chinese.subject.contains("42"));
        for text in [&english.text, &chinese.text] {
            assert!(text.contains("24.80 USD") && text.contains("42"), "{text}");
        }
    }
}

#[test]
fn a_customer_without_a_name_is_greeted_all_the_same() {
    let anonymous = OrderMail { name: None, ..order("en") };
    assert!(mail_text(MailKind::PaymentReceived, &anonymous).text.starts_with("Hello,\n"));
}
