//! Anything in any order, from several sides at once.

use crate::shop::{PRICE, Shop, action, captured, eur, unreadable};
use crate::support::context;
use commands::bus::ExecuteError;
use commands::payments::{self, ProviderAnswer};
use domain::{OrderId, PaymentId};
use futures::future::join_all;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
use testkit::{new_id, usd};
use uuid::Uuid;

/// Orders that are paid at random.
const CASES: u64 = 40;

/// Payments of each, and what is said of each of them.
const PAYMENTS: usize = 3;
const SAID: usize = 6;

/// What is said of one order at once is overtaken by at most as much.
const MAX_TRIES: usize = PAYMENTS * SAID;

fn anything(rng: &mut SmallRng) -> ProviderAnswer {
    let amount = *[0, PRICE - 1, PRICE, PRICE, PRICE + 1, 5_000].choose(rng).expect("not empty");
    match rng.random_range(0..10) {
        0 => ProviderAnswer::Declined { code: "insufficient_funds".to_owned() },
        1 => ProviderAnswer::Voided,
        2 => ProviderAnswer::NoAnswer,
        3 => action(),
        4 => ProviderAnswer::Authorized,
        5 => unreadable(),
        6 => captured(eur(amount)),
        _ => captured(usd(amount)),
    }
}

/// Says it until it is recorded: whoever is overtaken too often is told to come back.
async fn say(
    bus: &commands::bus::Bus,
    order_id: OrderId,
    payment_id: PaymentId,
    says: ProviderAnswer,
) {
    for _ in 0..MAX_TRIES {
        match payments::record(bus, payment_id, order_id, says.clone(), &context()).await {
            Err(ExecuteError::Contended) => {}
            recorded => return recorded.expect("whatever the provider says can be recorded"),
        }
    }
    panic!("{says:?} is overtaken for ever");
}

/// A failure names its seed.
#[tokio::test]
async fn an_order_is_paid_once_and_its_books_balance_whatever_is_said_in_any_order_at_once() {
    let shop = Shop::new().await;
    let buses = [Arc::clone(&shop.bus), Arc::new(shop.database.bus())];
    let seed = new_id::<Uuid>().as_u64_pair().1 >> 32;
    println!("seed {seed}");
    let mut rng = SmallRng::seed_from_u64(seed);
    for _ in 0..CASES {
        let order_id = shop.order().await;
        let payment_ids: Vec<PaymentId> = (0..PAYMENTS).map(|_| new_id()).collect();
        // Each is started when the one before was given up, whose news come late.
        for payment_id in &payment_ids {
            shop.start(order_id, *payment_id).await.expect("the one before has ended");
            if Some(payment_id) != payment_ids.last() {
                shop.record((order_id, *payment_id), ProviderAnswer::Voided).await;
            }
        }
        let news: Vec<_> = (0..PAYMENTS * SAID)
            .map(|number| {
                let payment_id = *payment_ids.choose(&mut rng).expect("not empty");
                (&buses[number % buses.len()], payment_id, anything(&mut rng))
            })
            .collect();
        join_all(
            news.iter()
                .map(|(bus, payment_id, says)| say(bus, order_id, *payment_id, says.clone())),
        )
        .await;
        for payment_id in &payment_ids {
            let payment = shop.load_payment(*payment_id).await;
            for currency in [usd(0), eur(0)] {
                let largest = news
                    .iter()
                    .filter(|(_, of, _)| of == payment_id)
                    .filter_map(|(_, _, says)| match says {
                        ProviderAnswer::Captured { amount } => Some(*amount),
                        _ => None,
                    })
                    .filter(|amount| amount.currency() == currency.currency())
                    .max_by_key(domain::Money::amount_minor);
                let mut known = payment.captured.iter().map(|known| known.amount);
                let known = known.find(|known| known.currency() == currency.currency());
                assert_eq!(known, largest, "seed {seed}");
            }
        }
        shop.balances(order_id, &payment_ids).await;
    }
    shop.database.assert_gap_free().await;
}
