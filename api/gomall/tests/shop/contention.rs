//! Many who want the same thing at once, and what an operator sees of it.

use crate::support::{Gomall, Shop, key, new_id};
use commands::bus::{Bus, Context, FingerprintKey, Plan};
use commands::journal::{Journal, WriterSettings};
use domain::stock::{StockCommand, StockItem};
use domain::{Reason, Sku};
use reqwest::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::task::JoinSet;

/// Clients of the rival: enough that the next batch is always waiting while one commits.
const RIVALS: usize = 32;

/// Another process, in the midst of as much work on the one item as it can do.
struct Rival {
    over: Arc<AtomicBool>,
    clients: JoinSet<u64>,
}

impl Rival {
    async fn start(shop: &Shop) -> Self {
        let url = shop.stack.postgres.url("gomall");
        let options = PgConnectOptions::from_str(&url).expect("compose gives valid URLs");
        let pool = PgPool::connect_with(options.clone()).await.expect("the database is up");
        let journal =
            Journal::start(pool, options, WriterSettings::default(), api::shop::world().now).0;
        let bus = Arc::new(Bus::new(journal, api::shop::world(), FingerprintKey::new(&[7; 32])));
        let (over, mut clients) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        for _ in 0..RIVALS {
            let (bus, over) = (Arc::clone(&bus), Arc::clone(&over));
            clients.spawn(async move {
                let mut booked = 0;
                while !over.load(Relaxed) {
                    booked += u64::from(bus.execute(receipt()).await.is_ok());
                }
                booked
            });
        }
        Self { over, clients }
    }

    /// How many pieces it has booked until then.
    async fn stop(self) -> u64 {
        self.over.store(true, Relaxed);
        self.clients.join_all().await.into_iter().sum()
    }
}

fn receipt() -> Plan {
    let context = Context {
        actor: "system:test".to_owned(),
        correlation_id: new_id(),
        causation_id: None,
        traceparent: None,
    };
    let reason = Reason::parse("delivery").expect("valid");
    let sku = Sku::parse("notebook").expect("valid");
    Plan::new(&context).step::<StockItem>(&sku, StockCommand::Receive { quantity: 1, reason })
}

/// How often the clerk comes while the rival works; often enough to be overtaken many times.
const VISITS: u64 = 60;

#[tokio::test]
async fn nobody_loses_a_hot_item_to_another_process() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let clerk = shop.admin(&gomall).await;
    let body = json!({"quantity": 1, "reason": "delivery"});
    let path = "/api/v1/admin/stock/notebook/receive";
    let rival = Rival::start(&shop).await;
    for _ in 0..VISITS {
        clerk.post_keyed(path, &key(), &body).await.expect(StatusCode::OK);
    }
    let conflicts = "gomall_decision_conflicts_total";
    assert!(metric(&shop, &gomall, &format!("{conflicts}{{outcome=\"retried\"}}")).await > 0);
    assert_eq!(metric(&shop, &gomall, &format!("{conflicts}{{outcome=\"given_up\"}}")).await, 0);
    let booked = rival.stop().await + VISITS;
    let answer = clerk.post_keyed(path, &key(), &body).await;
    assert_eq!(answer.expect(StatusCode::OK)["on_hand"], 1_000 + booked + 1);
}

#[tokio::test]
async fn a_cart_command_shows_in_the_metrics_of_the_write_side() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let customer = shop.customer(&gomall).await;
    let names = [
        "gomall_aggregate_cache_requests_total{outcome=\"hit\"}",
        "gomall_aggregate_cache_requests_total{outcome=\"miss\"}",
        "gomall_aggregate_loads_total",
        "gomall_journal_commands_total{outcome=\"done\"}",
        "gomall_journal_batches_total",
    ];
    let mut before = vec![];
    for name in names {
        before.push(metric(&shop, &gomall, name).await);
    }
    // The first command opens the cart, which nobody has in memory; the second one finds it there.
    customer.add("notebook", 1).await.expect(StatusCode::OK);
    customer.add("notebook", 1).await.expect(StatusCode::OK);
    for (name, before) in names.into_iter().zip(before) {
        assert!(metric(&shop, &gomall, name).await > before, "{name}");
    }
    for name in [
        "gomall_journal_commands_total{outcome=\"conflict\"}",
        "gomall_journal_commands_total{outcome=\"replayed\"}",
        "gomall_decision_conflicts_total{outcome=\"retried\"}",
        "gomall_aggregate_snapshots_total",
    ] {
        assert_eq!(metric(&shop, &gomall, name).await, 0, "{name}");
    }
    let text = shop.visitor(&gomall).get("/metrics").await.text;
    assert!(text.contains("gomall_journal_append_seconds_total "), "{text}");
}

/// A counter as the process shows it.
async fn metric(shop: &Shop, gomall: &Gomall, name: &str) -> u64 {
    let text = shop.visitor(gomall).get("/metrics").await.text;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let count = line.unwrap_or_else(|| panic!("no {name} in {text}"));
    count.parse().expect("a counter counts")
}
