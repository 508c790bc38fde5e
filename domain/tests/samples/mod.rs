//! At least one event of every type: what the tests over all events run on. An event type that is
//! missing here fails `every_event_type_has_a_sample`.

use cqrs_es::{Aggregate, DomainEvent};
use domain::cart::{Cart, CartEvent};
use domain::order::{CancelReason, Order, OrderEvent, OrderLine, PaymentEnd, Totals};
use domain::payment::{Payment, PaymentEvent};
use domain::policy::{Effect, MethodSelector, Policy, PolicyEvent, RoleSelector, Rule};
use domain::product::{Product, ProductEvent, Variant};
use domain::session::{Session, SessionEnd, SessionEvent};
use domain::stock::{StockEvent, StockItem};
use domain::user::{BanReason, SessionsEnd, User, UserEvent};
use domain::{
    ApiKeyHash, Currency, DecodeError, EventTypes, Locale, Money, Name, Quantity, Reason, RoleName,
    Sealed, Sku, Slug, Text, Timestamp, decode_event, encode_event,
};
use uuid::Uuid;

/// A ciphertext that nothing else in the samples resembles.
pub(crate) const CIPHERTEXT: &str = "AAECAwQFBgcICQoLDA0ODw==";

/// Decodes a payload of a type and version, and encodes what was understood.
pub(crate) type Reread = fn(&str, &str, &str) -> Result<String, DecodeError>;

/// An event in its stored form.
pub(crate) struct Sample {
    pub(crate) aggregate_type: &'static str,
    pub(crate) event_type: String,
    pub(crate) event_version: String,
    pub(crate) payload: String,
    pub(crate) reread: Reread,
}

/// Every sample of every aggregate.
pub(crate) fn all() -> Vec<Sample> {
    [
        of::<Product>(product()),
        of::<StockItem>(stock()),
        of::<Cart>(cart()),
        of::<Order>(order()),
        of::<Payment>(payment()),
        of::<User>(user()),
        of::<Session>(session()),
        of::<Policy>(policy()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn of<A: Aggregate<Event: EventTypes>>(events: Vec<A::Event>) -> Vec<Sample> {
    let sample = |event: A::Event| Sample {
        aggregate_type: A::TYPE,
        event_type: event.event_type(),
        event_version: event.event_version(),
        payload: encode_event(&event).expect("events encode"),
        reread: reread::<A::Event>,
    };
    events.into_iter().map(sample).collect()
}

fn reread<E: EventTypes>(
    event_type: &str,
    event_version: &str,
    payload: &str,
) -> Result<String, DecodeError> {
    let event: E = decode_event(event_type, event_version, payload)?;
    Ok(encode_event(&event).expect("events encode"))
}

pub(crate) fn product() -> Vec<ProductEvent> {
    let variants = vec![
        Variant { sku: sku("MUG-RED"), number: 1, name: Some(name("red")) },
        Variant { sku: sku("MUG"), number: 2, name: None },
    ];
    vec![
        ProductEvent::ProductCreated {
            name: name("Mug"),
            description: "Holds tea.\nAnd coffee.".to_owned(),
            picture: Some(text("/static/image/mug.jpeg")),
            categories: vec![slug("kitchen"), slug("tea")],
            variants: variants.clone(),
        },
        ProductEvent::ProductRevised {
            name: name("Tasse \"茶\""),
            description: String::new(),
            picture: None,
            categories: vec![],
            variants,
        },
        ProductEvent::ProductPriced { sku: sku("MUG"), price: usd(990) },
        ProductEvent::ProductPublished {},
        ProductEvent::ProductRetired {},
    ]
}

pub(crate) fn stock() -> Vec<StockEvent> {
    vec![
        StockEvent::StockItemOpened { product_id: id(1) },
        StockEvent::StockReceived { quantity: 1000, reason: reason("delivery") },
        StockEvent::StockAdjusted { delta: -3, reason: reason("breakage") },
        StockEvent::StockReserved { order_id: id(2), quantity: 2, until: moment() },
        StockEvent::StockCommitted { order_id: id(2), quantity: 2 },
        StockEvent::StockReleased {
            order_id: id(3),
            quantity: 1,
            reason: reason("the order was not paid"),
        },
    ]
}

pub(crate) fn cart() -> Vec<CartEvent> {
    vec![
        CartEvent::CartOpened { owner_id: id(4) },
        CartEvent::ItemAdded {
            sku: sku("MUG"),
            product_id: id(1),
            name: name("Mug"),
            variant: None,
            picture: Some(text("/static/image/mug.jpeg")),
            quantity: quantity(2),
            unit_price: usd(990),
        },
        CartEvent::ItemAdded {
            sku: sku("CAP"),
            product_id: id(5),
            name: name("Cap"),
            variant: None,
            picture: None,
            quantity: quantity(1),
            unit_price: usd(0),
        },
        CartEvent::QuantityChanged { sku: sku("MUG"), quantity: quantity(3), unit_price: usd(980) },
        CartEvent::ItemRemoved { sku: sku("CAP") },
        CartEvent::CartCheckedOut { order_id: id(2) },
    ]
}

pub(crate) fn order() -> Vec<OrderEvent> {
    let line = |of: &str, picture: Option<Text>| OrderLine {
        sku: sku(of),
        product_id: id(1),
        name: name("Mug"),
        variant: None,
        picture,
        quantity: 2,
        unit_price: usd(990),
        total: usd(1980),
    };
    vec![
        OrderEvent::OrderPlaced {
            number: 17,
            customer_id: id(4),
            cart_id: id(4),
            lines: vec![line("MUG", None), line("MUG-RED", Some(text("/static/image/mug.jpeg")))],
            totals: Totals {
                items: usd(3960),
                discount: usd(60),
                shipping: usd(500),
                tax: usd(100),
                total: usd(4500),
            },
            contact: sealed(),
            pay_by: moment(),
        },
        OrderEvent::OrderAddressChanged { contact: sealed() },
        OrderEvent::OrderPaymentStarted { payment_id: id(6) },
        OrderEvent::OrderPaymentEnded { payment_id: id(6), end: PaymentEnd::Declined },
        OrderEvent::OrderPaymentEnded { payment_id: id(6), end: PaymentEnd::Failed },
        OrderEvent::OrderPaymentEnded { payment_id: id(6), end: PaymentEnd::Voided },
        OrderEvent::OrderPaid { payment_id: id(7) },
        OrderEvent::OrderRequiredNoPayment {},
        OrderEvent::OrderCancelled { reason: CancelReason::Unpaid },
    ]
}

pub(crate) fn payment() -> Vec<PaymentEvent> {
    vec![
        PaymentEvent::PaymentRequested {
            order_id: id(2),
            customer_id: id(4),
            amount: usd(4500),
            method: "card".to_owned(),
        },
        PaymentEvent::PaymentActionRequired { url: "https://bank.example/?a=1&b=2".to_owned() },
        PaymentEvent::PaymentAuthorized {},
        PaymentEvent::PaymentCaptured { amount: usd(4500) },
        PaymentEvent::PaymentDeclined { code: "insufficient_funds".to_owned() },
        PaymentEvent::PaymentFailed { code: "provider_unavailable".to_owned() },
        PaymentEvent::PaymentOutcomeUnknown {},
        PaymentEvent::PaymentVoided {},
        PaymentEvent::PaymentCaptureUnreadable { said: "1e30 \"USD\"".to_owned() },
        PaymentEvent::PaymentOrphaned { code: "order_already_paid".to_owned(), amount: None },
        PaymentEvent::PaymentOrphaned { code: "captured_more".to_owned(), amount: Some(usd(10)) },
    ]
}

pub(crate) fn user() -> Vec<UserEvent> {
    let locale = |tag: &str| Locale::parse(tag).expect("a locale");
    vec![
        UserEvent::UserRegistered {
            number: 5,
            profile: sealed(),
            password: sealed(),
            locale: locale("en"),
        },
        UserEvent::UserRegistrationAbandoned {},
        UserEvent::ProfileChanged { profile: sealed(), locale: locale("zh") },
        UserEvent::PasswordChanged { password: sealed() },
        UserEvent::RoleGranted { role: role("customer") },
        UserEvent::RoleRevoked { role: role("customer") },
        UserEvent::UserBanned { reason: BanReason::Sealed(sealed()), until: Some(moment()) },
        UserEvent::UserBanned { reason: BanReason::Sealed(sealed()), until: None },
        UserEvent::UserUnbanned {},
        UserEvent::SessionsEnded { reason: SessionsEnd::PasswordChanged },
        UserEvent::SessionsEnded { reason: SessionsEnd::Banned },
        UserEvent::SessionsEnded { reason: SessionsEnd::RoleRevoked },
        UserEvent::SessionsEnded { reason: SessionsEnd::Staff },
        UserEvent::EmailVerificationAsked { number: 1, until: moment() },
        UserEvent::EmailVerified {},
        UserEvent::PasswordResetAsked { number: 2, until: moment() },
        UserEvent::SecondFactorOffered { secret: sealed() },
        UserEvent::SecondFactorConfirmed { step: 59_000_000 },
        UserEvent::SecondFactorUsed { step: 59_000_001 },
        UserEvent::RecoveryCodeUsed { index: 3 },
        UserEvent::SecondFactorRemoved {},
        UserEvent::ApiKeyIssued {
            key_id: id(9),
            name: sealed(),
            scopes: [role("analyst")].into(),
            expires_at: moment(),
            second_factor: true,
            hash: hash(),
        },
        UserEvent::ApiKeyRotated { key_id: id(9), hash: hash(), previous_until: moment() },
        UserEvent::ApiKeyRevoked { key_id: id(9) },
        UserEvent::UserErased {},
    ]
}

fn hash() -> ApiKeyHash {
    ApiKeyHash::parse("0123456789abcdef".repeat(4)).expect("64 digits")
}

pub(crate) fn session() -> Vec<SessionEvent> {
    vec![
        SessionEvent::SessionStarted {
            user_id: id(4),
            expires_at: moment(),
            ends_at: None,
            epoch: 0,
            proved_at: None,
            second_factor: false,
            device: None,
        },
        SessionEvent::SessionStarted {
            user_id: id(4),
            expires_at: moment(),
            ends_at: Some(moment()),
            epoch: 2,
            proved_at: Some(moment()),
            second_factor: true,
            device: Some(sealed()),
        },
        SessionEvent::SessionProved { proved_at: moment(), second_factor: true },
        SessionEvent::SessionKept { epoch: 3 },
        SessionEvent::SessionRefreshed {
            presented: 1,
            generation: 2,
            refreshed_at: moment(),
            expires_at: moment().plus_seconds(3600),
        },
        SessionEvent::SessionRevoked { reason: SessionEnd::SignedOut },
        SessionEvent::SessionRevoked { reason: SessionEnd::RefreshReused },
        SessionEvent::SessionRevoked { reason: SessionEnd::Revoked },
    ]
}

pub(crate) fn policy() -> Vec<PolicyEvent> {
    let rule = |effect, note: &str| Rule {
        effect,
        roles: vec![RoleSelector::Role(role("staff")), RoleSelector::Any],
        methods: vec![MethodSelector::Method("GET".to_owned()), MethodSelector::Any],
        path: r"/api/v1/admin/stock/[^/]+\.csv".to_owned(),
        note: note.to_owned(),
    };
    let cidr = |text: &str| text.parse().expect("a network");
    vec![
        PolicyEvent::RuleAdded { rule_id: id(8), rule: rule(Effect::Allow, "Lists of stock.") },
        PolicyEvent::RuleChanged { rule_id: id(8), rule: rule(Effect::Deny, "") },
        PolicyEvent::RuleRemoved { rule_id: id(8) },
        PolicyEvent::PublicPathAdded {
            public_path_id: id(9),
            methods: vec![MethodSelector::Any],
            path: "/docs(/.*)?".to_owned(),
        },
        PolicyEvent::PublicPathRemoved { public_path_id: id(9) },
        PolicyEvent::AddressBanned {
            ban_id: id(10),
            cidr: cidr("192.0.2.0/24"),
            reason: reason("scraping"),
            until: Some(moment()),
        },
        PolicyEvent::AddressBanned {
            ban_id: id(11),
            cidr: cidr("2001:db8::/32"),
            reason: reason("scraping"),
            until: None,
        },
        PolicyEvent::AddressUnbanned { ban_id: id(10) },
        PolicyEvent::SecondFactorRequired { role: role("admin") },
        PolicyEvent::SecondFactorWaived { role: role("admin") },
    ]
}

fn id<Id: From<Uuid>>(number: u128) -> Id {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + number).into()
}

fn moment() -> Timestamp {
    serde_json::from_str(r#""2026-11-23T06:34:20.123Z""#).expect("a moment")
}

fn usd(cents: i64) -> Money {
    Money::new(cents, Currency::USD).expect("an amount")
}

fn sku(value: &str) -> Sku {
    Sku::parse(value).expect("a SKU")
}

fn slug(value: &str) -> Slug {
    Slug::parse(value).expect("a slug")
}

fn name(value: &str) -> Name {
    Name::parse(value).expect("a name")
}

fn text(value: &str) -> Text {
    Text::parse(value).expect("a text")
}

fn reason(value: &str) -> Reason {
    Reason::parse(value).expect("a reason")
}

fn role(value: &str) -> RoleName {
    RoleName::parse(value).expect("a role")
}

fn quantity(pieces: u32) -> Quantity {
    Quantity::new(pieces).expect("a quantity")
}

fn sealed<T>() -> Sealed<T> {
    Sealed::from_ciphertext(CIPHERTEXT.to_owned())
}
