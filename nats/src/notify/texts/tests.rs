use super::*;
use crate::notify::MailToken;
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
            variant: None,
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
            let text = order_text(OrderNews::Confirmation, &order_in(currency, locale)).text;
            let amounts = text.lines().filter(|line| line.ends_with(currency)).collect::<Vec<_>>();
            assert!(amounts.iter().any(|line| line.ends_with(total)), "{text}");
        }
    }
}

#[test]
fn a_confirmation_tells_what_was_ordered_and_until_when_to_pay() {
    let text = order_text(OrderNews::Confirmation, &order("en"));
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
fn a_confirmation_names_the_variant_that_was_bought() {
    for (locale, line) in
        [("en", "2 x Notebook (A5): 19.80 USD"), ("zh", "Notebook（A5） × 2：19.80 USD")]
    {
        let mut order = order(locale);
        order.lines[0].variant = Some(Name::parse("A5").expect("a name"));
        let text = order_text(OrderNews::Confirmation, &order).text;
        assert!(text.lines().any(|said| said.trim() == line), "{text}");
    }
}

#[test]
fn a_confirmation_of_an_order_that_costs_nothing_asks_for_no_money() {
    for (locale, said, pay) in
        [("en", "There is nothing to pay.", "pay by"), ("zh", "您无需付款。", "完成付款")]
    {
        let mut order = order(locale);
        assert!(order_text(OrderNews::Confirmation, &order).text.contains(pay));
        order.totals.total = Money::zero(Currency::USD);
        let text = order_text(OrderNews::Confirmation, &order).text;
        assert!(text.contains(said) && !text.contains(pay) && !text.contains("UTC"), "{text}");
    }
}

#[test]
fn every_kind_is_written_in_the_readers_language() {
    for news in [OrderNews::Confirmation, OrderNews::PaymentReceived, OrderNews::PaymentDeclined] {
        let (english, chinese) = (order_text(news, &order("en")), order_text(news, &order("zh")));
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
    assert!(order_text(OrderNews::PaymentReceived, &anonymous).text.starts_with("Hello,\n"));
}

fn account(locale: &str, link: Option<&str>) -> AccountMail {
    AccountMail {
        email: EmailAddress::parse("ada@example.com").expect("an address"),
        recipient: "ada".to_owned(),
        locale: Locale::parse(locale).expect("a language we speak"),
        name: None,
        token: Some(MailToken {
            token: "a-token".to_owned(),
            link: link.map(str::to_owned),
            until: Timestamp::EPOCH.plus_seconds(60),
        }),
    }
}

#[test]
fn a_token_is_brought_as_a_link_where_there_is_a_page_and_else_as_it_is() {
    const LINK: &str = "https://shop.example/reset-password#token=a-token";
    for news in [AccountNews::EmailVerification, AccountNews::PasswordReset] {
        for locale in ["en", "zh"] {
            let bare = account_text(news, &account(locale, None)).text;
            assert!(bare.contains("\n\n  a-token\n\n"), "{bare}");
            let linked = account_text(news, &account(locale, Some(LINK))).text;
            assert!(linked.contains(&format!("\n\n  {LINK}\n\n")), "{linked}");
            assert!(linked.contains("1970-01-01 00:01 UTC") && bare.contains("00:01 UTC"));
        }
    }
    for news in [
        AccountNews::PasswordChanged,
        AccountNews::SecondFactorAdded,
        AccountNews::SecondFactorRemoved,
        AccountNews::ApiKeyIssued,
    ] {
        let changed = account_text(news, &account("en", Some(LINK)));
        assert!(!changed.text.contains("a-token"), "nothing secret in what needs none");
        assert!(changed.text.starts_with("Hello,\n\n") && changed.text.is_ascii());
        assert!(account_text(news, &account("zh", None)).text.starts_with("您好："));
    }
}
