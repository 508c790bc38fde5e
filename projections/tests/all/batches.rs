//! The rows depend on the events, not on how they were cut into batches.

use crate::catalogue::{created, variant};
use crate::support::{all_rows, apply_all};
use domain::cart::CartEvent;
use domain::order::{OrderEvent, OrderLine, Totals};
use domain::payment::PaymentEvent;
use domain::policy::{Effect, MethodSelector, PolicyEvent, RoleSelector, Rule};
use domain::product::ProductEvent;
use domain::session::{SessionEnd, SessionEvent};
use domain::stock::StockEvent;
use domain::user::{BanReason, UserEvent};
use domain::{
    CartId, Locale, OrderId, PaymentId, Position, ProductId, RoleName, Sealed, SessionId,
    Timestamp, UserId,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use std::collections::BTreeSet;
use testkit::{Journal, id, name, pool, quantity, reason, sku, usd};

/// Random histories; each costs four databases, so there are few, but long ones.
const HISTORIES: usize = 6;

/// Steps in one history; a step is one or more events.
const STEPS: usize = 150;

/// One thing that happens; `who` is one of few, so that streams meet in batches.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    what: u8,
    who: u8,
    amount: u8,
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..26_u8, 0..5_u8, 1..20_u8);
    let step = step.prop_map(|(what, who, amount)| Step { what, who, amount });
    prop::collection::vec(step, STEPS)
}

/// Records what the step means, opening every stream before its first use.
pub(crate) fn happen(history: &Journal, step: &Step) {
    let Step { what, who, amount } = *step;
    let number = i32::from(who) + 1;
    let (code, pieces, cents) = (format!("SKU-{who}"), u32::from(amount), i64::from(amount) * 10);
    let product: ProductId = id(100 + u128::from(who));
    let cart: CartId = id(200 + u128::from(who));
    let order: OrderId = id(300 + u128::from(who));
    let payment: PaymentId = id(400 + u128::from(amount));
    let user: UserId = id(500 + u128::from(who));
    let first = |history: &Journal, stream: &str| {
        history.after(Position::START).all(|event| event.aggregate_id != stream)
    };
    let until = Timestamp::EPOCH;
    match what {
        0..=3 => {
            if first(history, &product.to_string()) {
                history.record(
                    "product",
                    product,
                    &created(&format!("Thing {who}"), "Things", vec![variant(&code, number)]),
                );
            }
            let event = match what {
                0 => ProductEvent::ProductPriced { sku: sku(&code), price: usd(cents) },
                1 => ProductEvent::ProductPublished {},
                2 => ProductEvent::ProductRetired {},
                _ => ProductEvent::ProductRevised {
                    name: name(&format!("Revised thing {amount}")),
                    description: "Word ".repeat(amount.into()),
                    picture: None,
                    categories: vec![testkit::slug(&format!("category-{}", amount % 3))],
                    variants: vec![
                        variant(&code, number),
                        variant(&format!("SKU-{who}-{amount}"), 100 * number + i32::from(amount)),
                    ],
                },
            };
            history.record("product", product, &event);
        }
        4..=8 => {
            if first(history, &code) {
                history.record(
                    "stock",
                    &code,
                    &StockEvent::StockItemOpened { product_id: product },
                );
            }
            let quantity = pieces;
            let event = match what {
                4 => StockEvent::StockReceived { quantity, reason: reason("delivery") },
                5 => {
                    StockEvent::StockAdjusted { delta: -i64::from(amount), reason: reason("loss") }
                }
                6 => StockEvent::StockReserved { order_id: order, quantity, until },
                7 => StockEvent::StockCommitted { order_id: order, quantity },
                _ => {
                    StockEvent::StockReleased { order_id: order, quantity, reason: reason("late") }
                }
            };
            history.record("stock", &code, &event);
        }
        9..=13 => {
            if first(history, &cart.to_string()) {
                history.record("cart", cart, &CartEvent::CartOpened { owner_id: user });
            }
            let item = sku(&format!("SKU-{}", amount % 4));
            let event = match what {
                9 | 10 => CartEvent::ItemAdded {
                    sku: item,
                    product_id: product,
                    name: name("Thing"),
                    variant: None,
                    picture: None,
                    quantity: quantity(pieces),
                    unit_price: usd(cents),
                },
                11 => CartEvent::QuantityChanged {
                    sku: item,
                    quantity: quantity(pieces),
                    unit_price: usd(cents),
                },
                12 => CartEvent::ItemRemoved { sku: item },
                _ => CartEvent::CartCheckedOut { order_id: order },
            };
            history.record("cart", cart, &event);
        }
        14..=15 => {
            if first(history, &order.to_string()) {
                history.record("order", order, &placed(number, user, cart, product));
            }
            let event = match what {
                14 => OrderEvent::OrderAddressChanged {
                    contact: Sealed::from_ciphertext(format!("contact {amount}")),
                },
                _ => OrderEvent::OrderPaid { payment_id: payment },
            };
            history.record("order", order, &event);
        }
        16..=18 => {
            if first(history, &payment.to_string()) {
                let requested = PaymentEvent::PaymentRequested {
                    order_id: order,
                    customer_id: user,
                    amount: usd(cents),
                    method: "card".to_owned(),
                };
                history.record("payment", payment, &requested);
            }
            let event = match what {
                16 => PaymentEvent::PaymentActionRequired {
                    url: format!("https://bank.example/{amount}"),
                },
                17 => PaymentEvent::PaymentDeclined { code: "insufficient_funds".to_owned() },
                _ => PaymentEvent::PaymentCaptured { amount: usd(cents) },
            };
            history.record("payment", payment, &event);
        }
        19..=21 => {
            if first(history, &user.to_string()) {
                let registered = UserEvent::UserRegistered {
                    number,
                    profile: Sealed::from_ciphertext("profile".to_owned()),
                    password: Sealed::from_ciphertext("password".to_owned()),
                    locale: Locale::parse("en").expect("a language of ours"),
                };
                history.record("user", user, &registered);
            }
            let event = match (what, amount) {
                (19, _) => UserEvent::RoleGranted {
                    role: RoleName::parse(format!("role-{}", amount % 3)).expect("a role"),
                },
                (20, _) => UserEvent::UserBanned {
                    reason: BanReason::Sealed(Sealed::from_ciphertext("spam".to_owned())),
                    until: (amount > 10).then_some(until),
                },
                (_, 19) => UserEvent::UserErased {},
                _ => UserEvent::UserUnbanned {},
            };
            history.record("user", user, &event);
        }
        22..=23 => {
            let session: SessionId = id(700 + u128::from(who));
            let ended = history.after(Position::START).any(|event| {
                event.aggregate_id == session.to_string() && event.event_type == "SessionRevoked"
            });
            let event = if first(history, &session.to_string()) {
                SessionEvent::SessionStarted {
                    user_id: user,
                    expires_at: until,
                    ends_at: None,
                    epoch: u32::from(amount),
                    proved_at: None,
                    second_factor: false,
                    device: None,
                }
            } else if ended {
                return;
            } else if what == 22 {
                SessionEvent::SessionKept { epoch: u32::from(amount) }
            } else if amount == 1 {
                SessionEvent::SessionRevoked { reason: SessionEnd::SignedOut }
            } else {
                SessionEvent::SessionRefreshed {
                    presented: 1,
                    generation: u32::from(amount),
                    refreshed_at: until,
                    expires_at: until.plus_seconds(amount.into()),
                }
            };
            history.record("session", session, &event);
        }
        _ => {
            let rule_id = id(600 + u128::from(who));
            let rule = Rule {
                effect: Effect::Allow,
                roles: vec![RoleSelector::Any],
                methods: vec![MethodSelector::Any],
                path: format!("/{amount}"),
                note: String::new(),
            };
            let event = if what == 24 {
                PolicyEvent::RuleAdded { rule_id, rule }
            } else {
                PolicyEvent::RuleRemoved { rule_id }
            };
            history.record("policy", "shop", &event);
        }
    }
}

fn placed(number: i32, customer_id: UserId, cart_id: CartId, product_id: ProductId) -> OrderEvent {
    let line = OrderLine {
        sku: sku("SKU-1"),
        product_id,
        name: name("Thing"),
        variant: None,
        picture: None,
        quantity: 1,
        unit_price: usd(10),
        total: usd(10),
    };
    let totals =
        Totals { items: usd(10), discount: usd(0), shipping: usd(0), tax: usd(0), total: usd(10) };
    OrderEvent::OrderPlaced {
        number,
        customer_id,
        cart_id,
        lines: vec![line],
        totals,
        contact: Sealed::from_ciphertext("contact".to_owned()),
        pay_by: Timestamp::EPOCH,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_of_any_size_give_the_same_rows() {
    let mut runner = TestRunner::new(Config::default());
    let mut filled = BTreeSet::new();
    for _ in 0..HISTORIES {
        let steps = steps().new_tree(&mut runner).expect("nothing is filtered").current();
        let history = Journal::default();
        steps.iter().for_each(|step| happen(&history, step));

        let mut first = None;
        for batch_events in [1, 2, 7, 1_000] {
            let pool = pool().await;
            apply_all(&pool, &history, batch_events).await;
            let rows = all_rows(&pool).await;
            pool.close().await;
            match &first {
                None => {
                    let has_rows = |rows: &Value| rows.as_array().is_some_and(|it| !it.is_empty());
                    filled.extend(rows.iter().filter(|it| has_rows(it.1)).map(|it| *it.0));
                    first = Some(rows);
                }
                Some(expected) => {
                    assert_eq!(&rows, expected, "batches of {batch_events}: {steps:?}")
                }
            }
        }
    }
    assert!(filled.len() > 8, "histories that fill hardly any table show nothing: {filled:?}");
}
