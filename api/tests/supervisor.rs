//! Tasks of a running shop end, and it goes on.

mod support;

use api::auth::KeyPaths;
use api::seed;
use api::shop::{Provider, Shop, ShopConfig, Workers};
use compose::testing::{TestDatabase, TestStack, eventually};
use nats::notify::{Mailer, Sender};
use nats::{RelayState, StreamConfig};
use sqlx::Connection as _;
use sqlx::postgres::PgConnectOptions;
use std::str::FromStr;
use support::tempdir::TempDir;

/// A whole shop in this process, on a database and a stream of the test's own.
struct Running {
    shop: Shop,
    _database: TestDatabase,
    _keys: TempDir,
}

impl Running {
    async fn start() -> Self {
        let stack = TestStack::shared().await;
        let database = stack.database_from("supervisor", migrate).await;
        let keys = TempDir::new();
        let config = ShopConfig {
            database: PgConnectOptions::from_str(database.url()).expect("compose gives valid URLs"),
            nats_url: stack.nats_url(),
            stream: StreamConfig::named(&stack.unique("journal")),
            keys: KeyPaths {
                directory: keys.path().join("keys"),
                signing_key: None,
                previous_signing_key: None,
                refresh_secret: None,
                fingerprint_secret: None,
            },
            password_min_chars: 8,
            provider: Provider::Sandbox {
                shop_url: "http://127.0.0.1:1".to_owned(),
                webhook_secret: Box::new("A".repeat(32).parse().expect("long enough")),
            },
            mail_sender: Sender::parse("GoMall <shop@shop.test>").expect("an address"),
            mailer: Mailer::Folder(keys.path().join("mail")),
            workers: Workers::ALL,
        };
        let shop = Shop::start(config).await.expect("the servers are there");
        seed::default_policy(&shop.app).await.expect("the database is up");
        Self { shop, _database: database, _keys: keys }
    }
}

async fn migrate(url: String) {
    let mut connection = sqlx::PgConnection::connect(&url).await.expect("the database is up");
    commands::MIGRATOR.run(&mut connection).await.expect("the migrations are right");
    connection.close().await.expect("the database is up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_task_that_ends_is_shown_and_started_again_and_the_shop_goes_on() {
    const VITAL: [&str; 2] = ["tail", "writer"];
    let Running { shop, _database, _keys } = Running::start().await;
    let names: Vec<_> =
        shop.tasks.names().into_iter().filter(|name| !VITAL.contains(name)).collect();
    for name in &names {
        shop.tasks.end(name);
    }
    for name in &names {
        eventually(&format!("{name} runs again"), || async {
            (shop.tasks.restarts(name) >= 1 && shop.tasks.unsound().contains(name)).then_some(())
        })
        .await;
        let shown = shop.metrics.render().expect("it can be shown");
        let restarts = format!("gomall_worker_restarts_total{{worker=\"{name}\"}}");
        assert!(shown.lines().any(|line| line.starts_with(&restarts)), "{name}\n{shown}");
        let up = format!("gomall_worker_up{{worker=\"{name}\"}} 1");
        eventually(&up, || async {
            shop.metrics.render().expect("it can be shown").contains(&up).then_some(())
        })
        .await;
    }
    // Everybody does again what they are there for.
    seed::sample_catalogue(&shop.app).await.expect("the database is up");
    let head = shop.app.reader.head().await.expect("the database is up");
    for projection in projections::ALL {
        let reached = shop.app.checkpoints.wait_for(
            projection.name(),
            head,
            std::time::Duration::from_secs(30),
        );
        reached.await.expect("its worker goes on");
    }
    let mut relay = shop.relay.clone();
    let published = relay.wait_for(|status| {
        status.state == RelayState::Publishing && status.published_position >= Some(head)
    });
    drop(published.await.expect("the relay goes on"));
    assert!(!shop.tasks.lost().is_cancelled());
    shop.stop().await.expect("nothing is lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_without_its_writer_or_its_tail_stops_and_says_so() {
    for name in ["writer", "tail"] {
        let Running { shop, _database, _keys } = Running::start().await;
        let stop = shop.until_lost(tokio_util::sync::CancellationToken::new());
        assert!(!stop.is_cancelled());
        shop.tasks.end(name);
        stop.cancelled().await;
        assert!(shop.tasks.unsound().contains(&name));
        assert!(shop.stop().await.is_err(), "the process exits non-zero without its {name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_table_of_tasks_names_every_one() {
    let Running { shop, _database, _keys } = Running::start().await;
    let table = include_str!("../../docs/architecture.md");
    let (_, table) = table.split_once("## Tasks and connections").expect("the section is there");
    for name in shop.tasks.names() {
        let is_projection = projections::ALL.iter().any(|projection| projection.name() == name);
        assert!(is_projection || table.contains(&format!("`{name}`")), "{name}");
    }
    shop.stop().await.expect("nothing is lost");
}
