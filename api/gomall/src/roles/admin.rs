//! Short commands on the database: the sample catalogue, administrators.

use crate::cli::AdminArgs;
use api::application::{App, credentials};
use api::invention::invent_password;
use api::seed;
use api::settings::ServerArgs;
use api::shop::{Shop, Workers};
use commands::bus::{Context, Plan};
use commands::registration;
use domain::EmailAddress;

/// Who does what the command line asks for: whoever has the database's address.
const ACTOR: &str = "cli";

/// The context of what is done now.
pub(super) fn context(app: &App) -> Context {
    Context {
        actor: ACTOR.to_owned(),
        correlation_id: (app.world.new_id)(),
        causation_id: None,
        traceparent: None,
    }
}

pub(super) async fn seed(args: ServerArgs) -> anyhow::Result<()> {
    let shop = Shop::start(args.config(Workers::NONE, None)?).await?;
    seed::default_policy(&shop.app).await?;
    seed::sample_catalogue(&shop.app).await?;
    shop.stop().await?;
    println!("the sample catalogue is there");
    Ok(())
}

pub(super) async fn create(args: AdminArgs) -> anyhow::Result<()> {
    let email = EmailAddress::parse(args.email.as_str())?;
    let shop = Shop::start(args.servers.config(Workers::NONE, None)?).await?;
    seed::default_policy(&shop.app).await?;
    let password = invent_password()?;
    let created = seed::administrator(&shop.app, &email, &password, ACTOR).await?;
    shop.stop().await?;
    anyhow::ensure!(created, "there is an account with this address; see `gomall admin reset`");
    println!("administrator {email} with the password {password}");
    Ok(())
}

pub(super) async fn reset(args: AdminArgs) -> anyhow::Result<()> {
    let shop = Shop::start(args.servers.config(Workers::NONE, None)?).await?;
    let app = &shop.app;
    let user_id = registration::find_by_email(&app.pool, &args.email).await?;
    let Some(user_id) = user_id else { anyhow::bail!("there is no account with this address") };
    let password = invent_password()?;
    let plan = Plan::new(&context(app));
    let set = credentials::set_password(app, plan, user_id, password.clone()).await;
    set.map_err(|failure| anyhow::anyhow!("{failure}"))?;
    shop.stop().await?;
    println!("administrator {} with the password {password}", args.email);
    Ok(())
}
