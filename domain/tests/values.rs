//! The values that the aggregates are made of keep their invariants, however they are made.

use domain::{
    Address, CountryCode, Currency, Description, EmailAddress, GivenAddress, InvalidMoney, Locale,
    Money, Name, Quantity, Reason, RoleName, Sealed, Sku, Slug, Text, Timestamp,
};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::json;
use time::OffsetDateTime;

/// What no single amount exceeds; see `Money`.
const MAX_MINOR: i64 = 1_000_000_000_000;

fn usd(cents: i64) -> Money {
    Money::new(cents, Currency::USD).expect("a valid amount")
}

fn reads<T: DeserializeOwned>(json: serde_json::Value) -> bool {
    serde_json::from_value::<T>(json).is_ok()
}

#[test]
fn amounts_read_as_people_of_each_currency_write_them() {
    let written = |amount, code| {
        let currency = Currency::parse(code).expect("an active code");
        Money::new(amount, currency).expect("a small amount").to_string()
    };
    assert_eq!(written(990, "JPY"), "990 JPY");
    assert_eq!(written(15_000, "KRW"), "15000 KRW");
    assert_eq!(written(250_000, "VND"), "250000 VND");
    assert_eq!(written(1_500, "KWD"), "1.500 KWD");
    assert_eq!(written(5, "BHD"), "0.005 BHD");
    assert_eq!(written(12_345, "TND"), "12.345 TND");
    assert_eq!(written(12_345, "CLF"), "1.2345 CLF");
    assert_eq!(written(0, "USD"), "0.00 USD");
}

proptest! {
    #[test]
    fn a_sum_of_money_is_exact_or_refused(a in 0..=MAX_MINOR, b in 0..=MAX_MINOR) {
        let exact = i128::from(a) + i128::from(b);
        match usd(a).plus(usd(b)) {
            Ok(sum) => {
                prop_assert_eq!(i128::from(sum.amount_minor()), exact);
                prop_assert_eq!(usd(b).plus(usd(a)), Ok(sum));
            }
            Err(reason) => {
                prop_assert_eq!(reason, InvalidMoney::OutOfRange);
                prop_assert!(exact > i128::from(MAX_MINOR));
            }
        }
    }

    #[test]
    fn a_multiple_of_money_is_exact_or_refused(a in 0..=MAX_MINOR, times in any::<u32>()) {
        let exact = i128::from(a) * i128::from(times);
        match usd(a).times(times) {
            Ok(product) => prop_assert_eq!(i128::from(product.amount_minor()), exact),
            Err(reason) => {
                prop_assert_eq!(reason, InvalidMoney::OutOfRange);
                prop_assert!(exact > i128::from(MAX_MINOR));
            }
        }
    }

    #[test]
    fn an_amount_in_text_has_the_decimals_of_its_currency(amount in 0..=MAX_MINOR) {
        for (code, decimals) in [("JPY", 0), ("USD", 2), ("KWD", 3), ("CLF", 4)] {
            let currency = Currency::parse(code).expect("an active code");
            prop_assert_eq!(currency.decimals(), decimals);
            let text = Money::new(amount, currency).expect("within bounds").to_string();
            let (number, unit) = text.split_once(' ').expect("amount and currency");
            prop_assert_eq!(unit, code);
            let fraction = number.split_once('.').map_or("", |(_, fraction)| fraction);
            prop_assert_eq!(fraction.len(), decimals);
            prop_assert_eq!(number.replace('.', "").parse(), Ok(amount));
        }
    }

    #[test]
    fn money_is_never_negative_nor_beyond_its_bound(amount in any::<i64>()) {
        let valid = (0..=MAX_MINOR).contains(&amount);
        prop_assert_eq!(Money::new(amount, Currency::USD).is_ok(), valid);
        prop_assert_eq!(reads::<Money>(json!({ "amount": amount, "currency": "USD" })), valid);
    }

    #[test]
    fn money_reads_back_as_it_was_written(amount in 0..=MAX_MINOR) {
        let json = serde_json::to_value(usd(amount)).expect("it encodes");
        prop_assert_eq!(&json, &json!({ "amount": amount, "currency": "USD" }));
        prop_assert_eq!(serde_json::from_value::<Money>(json).ok(), Some(usd(amount)));
    }

    #[test]
    fn a_moment_reads_back_as_it_was_written(nanoseconds in 0..253_402_300_799_999_999_999_i128) {
        let moment = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).expect("before 10000");
        let moment = Timestamp::from(moment);
        let text = moment.to_string();
        prop_assert_eq!(text.len(), "2026-11-23T06:34:20.123Z".len());
        let json = serde_json::to_value(moment).expect("it encodes");
        prop_assert_eq!(&json, &json!(text));
        prop_assert_eq!(serde_json::from_value::<Timestamp>(json).ok(), Some(moment));
        prop_assert_eq!(i128::from(moment.unix_seconds()), nanoseconds / 1_000_000_000);
    }
}

#[test]
fn amounts_of_two_currencies_are_never_combined() {
    let eur = Money::zero(Currency::parse("EUR").expect("a currency"));
    assert_eq!(usd(1).plus(eur), Err(InvalidMoney::MixedCurrencies));
}

#[test]
fn money_is_read_only_in_its_one_form() {
    for json in [
        json!({ "amount": 9.9, "currency": "USD" }),
        json!({ "amount": "990", "currency": "USD" }),
        json!({ "amount": 990, "currency": "usd" }),
        json!({ "amount": 990, "currency": "XXX" }),
        json!({ "amount": 990, "currency": "USD", "scale": 2 }),
        json!({ "amount": 990 }),
        json!(990),
    ] {
        assert!(!reads::<Money>(json.clone()), "{json}");
    }
}

#[test]
fn a_currency_is_an_active_code() {
    for code in ["USD", "EUR", "CNY"] {
        assert_eq!(Currency::parse(code).map(|currency| currency.to_string()), Ok(code.to_owned()));
    }
    for code in ["", "US", "USDT", "usd", "ZZZ", "D E", "US "] {
        assert_eq!(Currency::parse(code), Err(InvalidMoney::UnknownCurrency), "{code:?}");
    }
}

#[test]
fn a_moment_is_in_utc_and_cut_to_milliseconds() {
    let read = |text: &str| serde_json::from_value::<Timestamp>(json!(text));
    let moment = read("2026-11-23T08:34:20.1239999+02:00").expect("RFC 3339");
    assert_eq!(moment.to_string(), "2026-11-23T06:34:20.123Z");
    for text in ["", "2026-11-23", "2026-11-23T06:34:20", "2026-13-23T06:34:20Z", "now"] {
        assert!(read(text).is_err(), "{text:?}");
    }
}

#[test]
fn moments_move_by_seconds_up_to_the_end_of_time() {
    let moment = Timestamp::EPOCH.plus_seconds(90);
    assert_eq!(moment.to_string(), "1970-01-01T00:01:30.000Z");
    assert_eq!(moment.seconds_since(Timestamp::EPOCH), 90);
    assert_eq!(Timestamp::EPOCH.seconds_since(moment), -90);
    assert_eq!(moment.plus_seconds(-90), Timestamp::EPOCH);
    assert!(moment.plus_seconds(i64::MAX) > moment);
}

#[test]
fn tokens_are_safe_in_paths_and_subjects() {
    let longest = "a".repeat(64);
    let too_long = "a".repeat(65);
    for good in ["a", "T-Shirt_1", "-", longest.as_str()] {
        assert!(Sku::parse(good).is_ok() && Slug::parse(good).is_ok(), "{good:?}");
        assert!(RoleName::parse(good).is_ok(), "{good:?}");
    }
    for bad in ["", "a b", "a.b", "a/b", "a*", ">", "é", "a\n", too_long.as_str()] {
        assert!(Sku::parse(bad).is_err() && Slug::parse(bad).is_err(), "{bad:?}");
        assert!(!reads::<RoleName>(json!(bad)), "{bad:?}");
    }
}

#[test]
fn lines_of_text_hold_something_and_no_control_characters() {
    let decomposed = "e\u{301}".repeat(200);
    assert!(Name::parse(format!("  {decomposed}\n")).is_ok(), "counted in the one form");
    assert!(Name::parse(decomposed + "e").is_err());
    let (long_name, long_text) = ("茶".repeat(200), "茶".repeat(500));
    assert!(Name::parse(long_name.as_str()).is_ok() && Text::parse(long_text.as_str()).is_ok());
    assert!(Name::parse(format!("{long_name}x")).is_err());
    assert!(Text::parse(format!("{long_text}x")).is_err());
    for bad in ["", " ", "a\0b", "a\nb", "\u{7f}"] {
        assert!(Name::parse(bad).is_err() && Text::parse(bad).is_err(), "{bad:?}");
        assert!(!reads::<Reason>(json!(bad)), "{bad:?}");
    }
}

#[test]
fn a_description_may_be_empty_and_have_lines_but_no_control_characters() {
    assert!(Description::parse("").is_ok());
    assert!(Description::parse("one\r\ntwo\tthree").is_ok());
    assert!(Description::parse("茶".repeat(10_000)).is_ok());
    assert!(Description::parse("x".repeat(10_001)).is_err());
    assert!(!reads::<Description>(json!("a\0b")));
}

#[test]
fn a_quantity_is_one_to_999() {
    for (pieces, valid) in [(0, false), (1, true), (999, true), (1000, false), (u32::MAX, false)] {
        assert_eq!(Quantity::new(pieces).is_ok(), valid);
        assert_eq!(reads::<Quantity>(json!(pieces)), valid);
    }
    for json in [json!(-1), json!(1.5), json!("1"), json!(4_294_967_297_u64)] {
        assert!(!reads::<Quantity>(json.clone()), "{json}");
    }
}

#[test]
fn an_email_address_is_one_that_can_be_written_to() {
    for (typed, kept) in [
        ("ann@example.com", "ann@example.com"),
        ("Ann.B+shop@Mail.Example", "Ann.B+shop@mail.example"),
        ("\u{a0} ann@example.com\r\n", "ann@example.com"),
        ("anna@bücher.example", "anna@xn--bcher-kva.example"),
        ("anna@Bu\u{308}cher.example", "anna@xn--bcher-kva.example"),
        ("anna@XN--BCHER-KVA.example", "anna@xn--bcher-kva.example"),
        ("anna@ｅｘａｍｐｌｅ。com", "anna@example.com"),
        ("anna@straße.example", "anna@xn--strae-oqa.example"),
        ("a@x", "a@x"),
    ] {
        let email = EmailAddress::parse(typed);
        assert_eq!(email.as_ref().map(EmailAddress::as_str), Ok(kept), "{typed:?}");
    }
    let long_label = format!("ann@{}.com", "a".repeat(64));
    let long_local = format!("{}@example.com", "a".repeat(65));
    let long = format!("ann@{}com", "aaaaaaa.".repeat(32));
    for bad in [
        "",
        "ann",
        "@example.com",
        "ann@",
        "ann@.com",
        "ann@example..com",
        "a b@example.com",
        "ann@exa mple.com",
        "<ann@example.com>",
        "ann@bob@example.com",
        "ann@-example.com",
        "ann@sub-.example",
        "ann@example.com.",
        "ann@[192.0.2.1]",
        "ann@xn--zzzzzzzzzzzz.example",
        "a..b@example.com",
        "a.@example.com",
        ".a@example.com",
        "\"a b\"@example.com",
        "\"ann\"@example.com",
        "a\0@example.com",
        "安@例子.测试",
        "jörg@example.com",
        "an\u{200b}n@example.com",
        "ann@exam\u{ad}ple.com",
        "ann@exam\u{200b}ple.com",
        "\u{202e}ann@example.com",
        "ann\u{3164}@example.com",
        long_label.as_str(),
        long_local.as_str(),
        long.as_str(),
    ] {
        assert!(EmailAddress::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn twins_of_an_email_address_are_one() {
    let folded = |text: &str| EmailAddress::of_account(text).expect("an address").folded();
    for (one, other) in [
        ("ann@example.com", "Ann@Example.COM"),
        ("anna@bücher.example", "anna@xn--bcher-kva.example"),
        ("anna@bücher.example", "anna@bu\u{308}cher.example"),
        ("jörg@bücher.example", "JO\u{308}RG@XN--bcher-kva.example"),
        (" ann@example.com", "ann@example.com\n"),
    ] {
        assert_eq!(folded(one), folded(other));
        assert_eq!(folded(&folded(one)), folded(one));
    }
    assert_ne!(folded("ann@strasse.example"), folded("ann@straße.example"));
}

#[test]
fn an_address_of_before_is_read_as_it_was_recorded_and_still_found() {
    let read = |text: &str| serde_json::from_value::<EmailAddress>(json!(text)).expect("it was");
    assert_eq!(read("a..b@shop.example").as_str(), "a..b@shop.example");
    assert_eq!(read("jo\u{308}rg@example.com").as_str(), "jo\u{308}rg@example.com");
    assert_eq!(read("anna@bücher.example").as_str(), "anna@xn--bcher-kva.example");
    for of_account in ["a..b@shop.example", "ada\u{200b}@example.com", "jörg@example.com"] {
        assert!(EmailAddress::of_account(of_account).is_ok(), "{of_account}");
    }
    for never in ["", "ann", "@example.com", "ann@", "a\0b@example.com"] {
        assert!(EmailAddress::of_account(never).is_err(), "{never:?}");
    }
}

#[test]
fn text_of_before_is_read_as_it_was_recorded() {
    for text in ["Cafe\u{301}", " Lamp ", "a\u{200b}b", "\u{202e}cba"] {
        let read = serde_json::from_value::<Name>(json!(text));
        assert_eq!(read.as_ref().map(Name::as_str).ok(), Some(text));
        let read = serde_json::from_value::<Description>(json!(text));
        assert_eq!(read.as_ref().map(Description::as_str).ok(), Some(text));
    }
    assert_eq!(Name::parse("Cafe\u{301} ").as_ref().map(Name::as_str), Ok("Café"));
    assert!(Name::parse("a\u{200b}b").is_err());
}

proptest! {
    #[test]
    fn an_email_address_has_one_form_that_any_mail_server_takes(
        local in r"[a-zA-Z0-9.!#$+_'@-]{1,8}|\PC{1,4}",
        domain in r"[a-z0-9äüßé例मن.-]{1,12}|\PC{1,6}|xn--[a-z0-9-]{1,8}",
    ) {
        let Ok(email) = EmailAddress::parse(format!("{local}@{domain}")) else { return Ok(()) };
        prop_assert!(email.as_str().is_ascii());
        prop_assert!(email_address::EmailAddress::is_valid(email.as_str()));
        prop_assert_eq!(EmailAddress::parse(email.as_str()), Ok(email.clone()));
        prop_assert_eq!(EmailAddress::parse(email.in_words()), Ok(email.clone()));
        let folded = EmailAddress::parse(email.folded()).expect("it is one");
        prop_assert_eq!(folded.folded(), email.folded());
    }
}

#[test]
fn a_locale_is_one_that_we_speak_and_a_country_one_that_exists() {
    assert!(Locale::parse("en").is_ok() && Locale::parse("zh").is_ok());
    assert!(Locale::parse("EN").is_err() && Locale::parse("de").is_err());
    assert!(CountryCode::parse("CN").is_some());
    assert!(CountryCode::parse("cn").is_none() && CountryCode::parse("ZZ").is_none());
    assert!(CountryCode::parse("A ").is_none() && CountryCode::parse("D A").is_none());
}

fn address(country: &str, more: serde_json::Value) -> serde_json::Value {
    let mut address =
        json!({"name": "Ann", "street": "Street 1", "city": "Town", "country": country});
    for (member, value) in more.as_object().expect("members") {
        address[member] = value.clone();
    }
    address
}

#[test]
fn a_country_says_whether_an_address_has_a_postal_code_and_a_state() {
    let given = |address| serde_json::from_value::<GivenAddress>(address);
    let nothing = [json!({}), json!({"zip": null}), json!({"zip": ""})];
    for zip in &nothing {
        for country in ["HK", "AE", "QA", "IE", "ZW"] {
            let GivenAddress(address) = given(address(country, zip.clone())).expect("complete");
            assert_eq!(address.zip, None);
            let kept = serde_json::to_value(&address).expect("it encodes");
            assert_eq!(kept.get("zip"), None, "{kept}");
        }
        for country in ["DE", "GB", "CN", "JP", "US"] {
            let refused = given(address(country, zip.clone())).expect_err("it lacks a code");
            assert!(refused.to_string().contains("missing field `zip`"), "{refused}");
        }
    }
    assert!(given(address("HK", json!({"zip": "999077"}))).is_ok(), "who has one may give it");
    for country in ["AU", "BR", "CA", "IN", "MX", "US"] {
        let code = json!({"zip": "12345", "state": ""});
        let refused = given(address(country, code.clone())).expect_err("it lacks a state");
        assert!(refused.to_string().contains("missing field `state`"), "{refused}");
        assert!(reads::<Address>(address(country, code)), "as those of before may");
        assert!(given(address(country, json!({"zip": "12345", "state": "NY"}))).is_ok());
    }
    assert!(given(address("DE", json!({"zip": "01067", "state": ""}))).is_ok());
    let of_before = address("DE", json!({"zip": "0\u{200b}1067", "state": "Thu\u{308}ringen"}));
    let read = serde_json::from_value::<Address>(of_before.clone()).expect("it was recorded so");
    assert_eq!(serde_json::to_value(read).ok(), Some(of_before));
    assert!(given(address("DE", json!({"zip": 1067}))).is_err());
}

#[test]
fn what_is_personal_does_not_show_in_debug_output() {
    let address: Address = serde_json::from_value(json!({
        "name": "Ann", "street": "Secret Street 1", "city": "Town", "zip": "01067", "country": "DE",
    }))
    .expect("an address");
    let email = EmailAddress::parse("ann@example.com").expect("an address");
    let sealed: Sealed<String> = Sealed::from_ciphertext("c2VjcmV0".to_owned());
    let name = Name::parse("Ann").expect("a name");
    let shown = format!("{address:?} {email:?} {sealed:?} {name:?}");
    assert_eq!(shown, "Address(…) EmailAddress(…) Sealed(…) Name(…)");
}
