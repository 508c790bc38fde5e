//! `gomall dev`: the whole shop in one command, on a private PostgreSQL and NATS.

use super::serve;
use crate::cli::DevArgs;
use anyhow::Context as _;
use api::invention;
use api::seed;
use api::server::Listener;
use api::settings::ShopArgs;
use api::shop::{Shop, Workers};
use api::stop::told_to_stop;
use compose::{NatsUsers, Stack, StackError, StackOptions};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use sqlx::postgres::PgConnectOptions;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::str::FromStr;
use std::time::Instant;

const DATABASE: &str = "gomall";

pub(super) async fn run(args: DevArgs) -> anyhow::Result<()> {
    let begun = Instant::now();
    let stop = told_to_stop()?;
    compose::make_data_dir(&args.data_dir)
        .with_context(|| format!("{} cannot be made", args.data_dir.display()))?;
    let data_dir = fs::canonicalize(&args.data_dir)?;
    // First of all: a port that is taken or a directory in use must be said at once.
    let listener = Listener::bind(&args.http).await;
    if let Err(error) = listener {
        return Err(match compose::living_owner(&data_dir) {
            Some(owner) => StackError::AlreadyRunning { data_dir, owner }.into(),
            None => error,
        });
    }
    let listener = listener?;

    println!("GoMall {} in {}", env!("CARGO_PKG_VERSION"), data_dir.display());
    if let (Some(database_url), Some(nats_url)) = (&args.database_url, &args.nats_url) {
        println!("  PostgreSQL from DATABASE_URL, NATS from NATS_URL");
        let servers = Servers {
            database_url: database_url.reveal().to_owned(),
            nats_url: nats_url.reveal().to_owned(),
            nats_read_url: None,
        };
        return shop_on(&servers, listener, &args, &data_dir, begun, stop).await;
    }
    let progress = |line: &str| println!("  {line}");
    let options = StackOptions {
        nats_users: Some(nats_users(&data_dir)?),
        postgres_password: Some(postgres_password(&data_dir)?),
        ..StackOptions::durable(&data_dir)
    };
    let stack = tokio::select! {
        stack = Stack::start(options, &progress) => stack?,
        () = stop.cancelled() => return Ok(()),
    };
    let result = async {
        let fresh = stack.postgres.create_database(DATABASE).await?;
        println!("  database {}", if fresh { "made" } else { "found" });
        let servers = Servers {
            database_url: stack.postgres.url(DATABASE),
            nats_url: stack.nats.url(),
            nats_read_url: Some(stack.nats.read_url()),
        };
        // Cancelled by its own end: a server that dies meanwhile is started again.
        tokio::select! {
            done = shop_on(&servers, listener, &args, &data_dir, begun, stop) => done,
            never = stack.keep_running(|what| tracing::error!("{what}")) => match never {},
        }
    }
    .await;
    stack.stop().await;
    println!("stopped; the data stays in {}", data_dir.display());
    result
}

/// Where the shop's servers are, private or the operator's own.
struct Servers {
    database_url: String,
    nats_url: String,
    /// For those who only read the stream; none where the broker is the operator's own.
    nats_read_url: Option<String>,
}

async fn shop_on(
    servers: &Servers,
    listener: Listener,
    args: &DevArgs,
    data_dir: &Path,
    begun: Instant,
    stop: tokio_util::sync::CancellationToken,
) -> anyhow::Result<()> {
    let Servers { database_url, nats_url, nats_read_url } = servers;
    let database = PgConnectOptions::from_str(database_url)?;
    let pool = api::pools::connect(&database).await?;
    commands::MIGRATOR.run(&pool).await?;
    pool.close().await;

    let shop_url = Some(listener.url());
    let payment = args.shop.payment.clone().or_sandbox();
    let settings = ShopArgs { payment, ..args.shop.clone() };
    let config = settings.config(database, nats_url, data_dir, Workers::ALL, shop_url)?;
    let shop = Shop::start(config).await?;
    seed::default_policy(&shop.app).await?;
    seed::sample_catalogue(&shop.app).await?;
    println!("  sample catalogue and default permission rules in place");
    let password = administrator(&shop, args).await?;

    let url = listener.url();
    let mail_dir = data_dir.join("mail");
    let about = json!({
        "http": url,
        "database_url": database_url,
        "nats_url": nats_url,
        "nats_read_url": nats_read_url,
        "mail_dir": mail_dir,
        "pid": std::process::id(),
    });
    write_private(&data_dir.join("dev.json"), &format!("{about:#}\n"))?;
    serve::serve(shop, listener, &args.http, stop, |url| {
        println!("ready {url}");
        let seconds = begun.elapsed().as_secs_f32();
        let nats = (nats_url.as_str(), nats_read_url.as_deref().unwrap_or(nats_url));
        println!("{}", hints(url, database_url, nats, &mail_dir, args, password, seconds));
    })
    .await
}

/// The passwords of the broker's users, made at the first start: only the shop publishes to its stream.
fn nats_users(data_dir: &Path) -> anyhow::Result<NatsUsers> {
    // A letter first: nats-server would take what begins like a number for one.
    let invent = || Ok::<_, anyhow::Error>(format!("p{}", invention::invent_password()?));
    kept(&data_dir.join("nats-users.json"), || {
        Ok(NatsUsers { shop: invent()?, analyst: invent()? })
    })
}

/// The database's password, made at the first start: whoever is superuser there runs programs as we do.
fn postgres_password(data_dir: &Path) -> anyhow::Result<String> {
    kept(&data_dir.join("postgres-password.json"), invention::invent_password)
}

/// What an earlier start kept in a file, or what is made now and kept.
fn kept<T: Serialize + DeserializeOwned>(
    path: &Path,
    make: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    if let Ok(text) = fs::read_to_string(path)
        && let Ok(found) = serde_json::from_str(&text)
    {
        return Ok(found);
    }
    let made = make()?;
    write_private(path, &serde_json::to_string(&made)?)?;
    Ok(made)
}

/// Makes the administrator at the first start; the password that was invented for it, if one was.
async fn administrator(shop: &Shop, args: &DevArgs) -> anyhow::Result<Option<String>> {
    let given = args.admin_password.as_ref().map(|password| password.reveal().to_owned());
    let invented = given.is_none();
    let password = given.map_or_else(invention::invent_password, Ok)?;
    let created = seed::administrator(&shop.app, &args.admin_email, &password, seed::ACTOR).await?;
    Ok((created && invented).then_some(password))
}

/// A file that only we can read: it holds a password.
fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    // The mode above counts only for a new file.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    Ok(())
}

/// What to do now, ready to paste.
fn hints(
    url: &str,
    database_url: &str,
    (nats_url, nats_read_url): (&str, &str),
    mail_dir: &Path,
    args: &DevArgs,
    password: Option<String>,
    seconds: f32,
) -> String {
    let email = &args.admin_email;
    let sign_in = match password {
        Some(password) => format!("{email}  password {password}  (said only this once)"),
        None => format!("{email}  with the password of the first start"),
    };
    format!(
        r#"
The shop is open after {seconds:.1} s. Ctrl-C stops everything; the data stays.

  administrator  {sign_in}
  API docs       {url}/docs
  PostgreSQL     {database_url}
  NATS           {nats_url}
  to read only   {nats_read_url}
  mails          {}

Try:

  curl -s {url}/api/v1/products
  TOKEN=$(curl -s {url}/api/v1/auth/register -H 'Content-Type: application/json' \
    -d '{{"email":"ada@example.com","password":"correct horse battery"}}' | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  curl -s {url}/api/v1/me/cart/lines -H "Authorization: Bearer $TOKEN" \
    -H 'Content-Type: application/json' -d '{{"sku":"notebook","quantity":2}}'
  curl -s {url}/api/v1/checkouts -H "Authorization: Bearer $TOKEN" -H "Idempotency-Key: try-1" \
    -H 'Content-Type: application/json' -d '{{"email":"ada@example.com","payment":{{"method":"card","token":"tok_ok"}},
    "shipping_address":{{"name":"Ada","street":"12 St James Square","city":"London","zip":"SW1Y 4JH","country":"GB"}}}}'
  curl -s {url}/api/v1/orders -H "Authorization: Bearer $TOKEN""#,
        mail_dir.display(),
    )
}
