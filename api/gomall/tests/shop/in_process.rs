//! A whole shop in this process, without any edge: its use cases, and its tasks, which end while it goes on.

use crate::support::new_id;
use crate::support::tempdir::TempDir;
use api::application::accounts::{self, Credentials, SignUp};
use api::application::carts::{self, Change};
use api::application::checkouts::{self, CheckOut};
use api::application::payments::Instrument;
use api::application::{Call, CommandKey, Failure};
use api::auth::KeyPaths;
use api::seed;
use api::server::{Operations, OperationsListener};
use api::settings::OperationsArgs;
use api::shop::{Provider, Shop, ShopConfig, Workers};
use commands::bus::Context;
use compose::testing::{TestDatabase, TestStack, eventually};
use domain::cart::Cart;
use domain::payment::PaymentStatus;
use domain::{Device, EmailAddress, Locale, OrderContact, Sku, UserId};
use nats::notify::{Mailer, Sender};
use nats::{RelayState, StreamConfig};
use sqlx::postgres::PgConnectOptions;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// A whole shop in this process, on a database and a stream of the test's own.
struct Running {
    shop: Shop,
    _database: TestDatabase,
    _keys: TempDir,
}

impl Running {
    async fn start() -> Self {
        let stack = TestStack::shared().await;
        let database = testkit::database().await;
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
            currency: domain::Currency::USD,
            provider: Provider::Sandbox {
                shop_url: "http://127.0.0.1:1".to_owned(),
                webhook_secret: Box::new("A".repeat(32).parse().expect("long enough")),
            },
            mail_sender: Sender::parse("GoMall <shop@shop.test>").expect("an address"),
            mailer: Mailer::Folder(keys.path().join("mail")),
            mail_links: None,
            workers: Workers::ALL,
        };
        let shop = Shop::start(config).await.expect("the servers are there");
        seed::default_policy(&shop.app).await.expect("the database is up");
        Self { shop, _database: database, _keys: keys }
    }
}

/// What its operator sees of a shop in this process.
struct Operator {
    ready: String,
    _serving: AbortOnDropHandle<()>,
}

impl Operator {
    async fn of(shop: &Shop) -> Self {
        let any_port = OperationsArgs { metrics: Some((Ipv4Addr::LOCALHOST, 0).into()) };
        let listener = OperationsListener::bind(&any_port).await.expect("a free port");
        let url = listener.as_ref().expect("it was asked for").url();
        let operations = Operations::of(shop);
        operations.ready();
        let serving = async move { operations.serve(listener, CancellationToken::new()).await };
        Self {
            ready: format!("{url}/readyz"),
            _serving: AbortOnDropHandle::new(tokio::spawn(serving)),
        }
    }

    /// What `/readyz` names.
    async fn degraded(&self) -> Vec<String> {
        let answer = reqwest::get(&self.ready).await.expect("it listens");
        let ready: serde_json::Value = answer.json().await.expect("it is JSON");
        serde_json::from_value(ready["degraded"].clone()).expect("a list of words")
    }
}

/// Where the tests sign in from.
fn here() -> Device {
    Device { address: Ipv4Addr::LOCALHOST.into(), agent: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_task_that_ends_is_shown_and_started_again_and_the_shop_goes_on() {
    const VITAL: [&str; 2] = ["tail", "writer"];
    let Running { shop, _database, _keys } = Running::start().await;
    everybody_works(&shop).await;
    let restarts = |name: &&str| shop.tasks.restarts(name);
    assert_eq!(shop.tasks.names().iter().map(restarts).sum::<u64>(), 0, "none ends by itself");
    let operator = Operator::of(&shop).await;
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
        assert!(operator.degraded().await.contains(&(*name).to_owned()), "{name}");
        let shown = shop.metrics.render().expect("it can be shown");
        let restarts = format!("gomall_worker_restarts_total{{worker=\"{name}\"}}");
        assert!(shown.lines().any(|line| line.starts_with(&restarts)), "{name}\n{shown}");
        let up = format!("gomall_worker_up{{worker=\"{name}\"}} 1");
        eventually(&up, || async {
            shop.metrics.render().expect("it can be shown").contains(&up).then_some(())
        })
        .await;
    }
    seed::sample_catalogue(&shop.app).await.expect("the database is up");
    everybody_works(&shop).await;
    assert!(!shop.tasks.lost().is_cancelled());
    shop.stop().await.expect("nothing is lost");
}

/// Returns once whoever follows the journal has followed it to its end.
async fn everybody_works(shop: &Shop) {
    let head = shop.app.reader.head().await.expect("the database is up");
    for projection in projections::ALL {
        let reached =
            shop.app.checkpoints.wait_for(projection.name(), head, Duration::from_secs(30));
        reached.await.expect("its worker goes on");
    }
    let mut relay = shop.relay.clone();
    let published = relay.wait_for(|status| {
        status.state == RelayState::Publishing && status.published_position >= Some(head)
    });
    drop(published.await.expect("the relay goes on"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_without_its_writer_or_its_tail_stops_and_says_so() {
    for name in ["writer", "tail"] {
        let Running { shop, _database, _keys } = Running::start().await;
        let stop = shop.until_lost(CancellationToken::new());
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
    let table = include_str!("../../../../docs/architecture.md");
    let (_, table) = table.split_once("## Tasks and connections").expect("the section is there");
    for name in shop.tasks.names() {
        let is_projection = projections::ALL.iter().any(|projection| projection.name() == name);
        assert!(is_projection || table.contains(&format!("`{name}`")), "{name}");
    }
    shop.stop().await.expect("nothing is lost");
}

fn call(user_id: Option<UserId>, key: Option<&str>) -> Call {
    let actor = user_id.map_or_else(|| "anonymous".to_owned(), |id| format!("user:{id}"));
    let key = key.map(|key| CommandKey::new(&actor, "test", "use-case", key));
    let context =
        Context { actor, correlation_id: new_id(), causation_id: None, traceparent: None };
    Call { context, key, fingerprint: [7; 32] }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_signs_up_fills_a_cart_and_orders_without_any_edge() {
    let Running { shop, _database, _keys } = Running::start().await;
    let app = &shop.app;
    seed::sample_catalogue(app).await.expect("the database is up");
    let head = app.reader.head().await.expect("the database is up");
    app.caught_up(projections::catalogue::NAME, head).await.expect("its worker runs");

    let email = EmailAddress::parse("ada@example.com").expect("an address");
    let sign_up = || SignUp {
        email: email.clone(),
        password: "a quite long password".to_owned(),
        name: None,
        locale: Locale::parse("en").expect("a language"),
    };
    let signed_up = accounts::register(app, &call(None, Some("1")), sign_up(), here()).await;
    let signed_up = signed_up.expect("a fresh address");
    let again = accounts::register(app, &call(None, Some("1")), sign_up(), here()).await;
    let again = again.expect("a repetition");
    assert_eq!((again.replayed, again.user_id), (true, signed_up.user_id));
    let taken = accounts::register(app, &call(None, None), sign_up(), here()).await.map(drop);
    assert!(
        matches!(&taken, Err(Failure::Execute(_) | Failure::Refused(_))),
        "somebody has it: {taken:?}"
    );
    let password = "another one".to_owned();
    let wrong = Credentials { email: email.clone(), password, code: None };
    let wrong = accounts::sign_in(app, &call(None, None), wrong, here()).await;
    assert!(matches!(wrong.map(drop), Err(Failure::BadCredentials)));

    let user_id = signed_up.user_id;
    let sku = |text: &str| Sku::parse(text).expect("a SKU");
    let add = |text: &str, quantity| Change::Add { sku: sku(text), quantity };
    let member = |key: &str| call(Some(user_id), Some(key));
    let unknown = carts::change(app, &member("2"), user_id, add("nothing", 1)).await.map(drop);
    assert!(matches!(&unknown, Err(Failure::Refused(why)) if why.code() == "unknown_sku"));
    let filled = carts::change(app, &member("3"), user_id, add("notebook", 2)).await;
    assert_eq!(filled.expect("it is sold").state::<Cart>(0).lines.len(), 1);

    let order = || CheckOut {
        cart_version: None,
        expected_total: None,
        contact: contact(email.clone()),
        payment: Some(Instrument { method: "card", token: "tok_ok".to_owned() }),
        from: None,
    };
    let ordered = checkouts::check_out(shop.app.clone(), member("4"), user_id, order()).await;
    let ordered = ordered.expect("it is in stock");
    let payment = ordered.payment.expect("it was paid");
    assert_eq!(payment.payment.state.outcome(), PaymentStatus::Captured);
    let again = checkouts::check_out(shop.app.clone(), member("4"), user_id, order()).await;
    let again = again.expect("a repetition");
    assert_eq!((again.replayed, again.order_id), (true, ordered.order_id));
    drop(again);
    shop.stop().await.expect("nothing is lost");
}

fn contact(email: EmailAddress) -> OrderContact {
    let address =
        r#"{"name":"Ada","street":"12 Square","city":"London","zip":"01234","country":"GB"}"#;
    OrderContact { email, shipping_address: serde_json::from_str(address).expect("an address") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_hears_no_answer_is_said_to_stand_still() {
    let Running { shop, _database, _keys } = Running::start().await;
    let operator = Operator::of(&shop).await;
    let is_named = async || operator.degraded().await.contains(&"writer".to_owned());
    let mut lock = shop.app.pool.begin().await.expect("the database is up");
    let take = sqlx::query("select pg_advisory_xact_lock($1)").bind(domain::locks::APPEND);
    take.execute(&mut *lock).await.expect("nobody has it for long");
    let app = shop.app.clone();
    let held_up = tokio::spawn(async move {
        let sign_up = SignUp {
            email: EmailAddress::parse("ada@example.com").expect("an address"),
            password: "a quite long password".to_owned(),
            name: None,
            locale: Locale::parse("en").expect("a language"),
        };
        accounts::register(&app, &call(None, None), sign_up, here()).await.map(drop)
    });
    eventually("it is said", &is_named).await;
    lock.rollback().await.expect("the database is up");
    held_up.await.expect("it does not panic").expect("it is there in the end");
    eventually("it is over", async || !is_named().await).await;
    shop.stop().await.expect("nothing is lost");
}
