//! `gomall policy`, and the ban of an address: the way in for whoever is locked out, and the policy as a file
//! for whoever reviews it. What is done here is in force in the running processes as soon as they have read
//! it in the journal.

pub mod casbin;
mod cases;
mod file;
mod import;
mod write;

use super::admin::context;
use crate::cli::PolicyAction;
use api::access::POLICY_ID;
use api::application::{App, policy};
use api::routes::default_policy;
use api::settings::{DatabaseUrl, ServerArgs};
use api::shop::{self, Shop, Workers};
use casbin::Paths;
use commands::bus::Loaded;
use cqrs_es::Aggregate as _;
use domain::policy::{
    AddressBan, Effect, MethodSelector, Policy, PolicyChange, PolicyEvent, PublicPath, Rule,
};
use import::Others;
use ipnet::IpNet;
use projections::permissions;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use uuid::Uuid;

pub(super) async fn run(action: PolicyAction) -> anyhow::Result<()> {
    match action {
        PolicyAction::List(servers) => list(servers).await,
        PolicyAction::Remove { id, servers } => remove(id, servers).await,
        PolicyAction::Reset(servers) => reset(servers).await,
        PolicyAction::Export { file, servers } => export(file, servers).await,
        PolicyAction::Import { file, casbin: None, dry_run, servers } => {
            import::run(file::read(&file)?, Others::Go, dry_run, servers).await
        }
        PolicyAction::Import { file, casbin: Some(paths), dry_run, servers } => {
            import::run(from_casbin(&file, paths)?, Others::Stay, dry_run, servers).await
        }
        PolicyAction::Test { file, policy, shop, database_url } => {
            let cases = file::read(&file)?;
            let policy = match (policy, database_url.filter(|_| shop)) {
                (Some(other), _) => file::read(&other)?.policy(),
                (None, Some(database)) => of_shop(&database).await?,
                (None, None) => cases.policy(),
            };
            cases::run(&cases, &policy)
        }
    }
}

async fn export(file: Option<PathBuf>, servers: ServerArgs) -> anyhow::Result<()> {
    let shop = start(servers).await?;
    let text = write::text(&load(&shop.app).await?.state);
    shop.stop().await?;
    match file {
        None => print!("{text}"),
        Some(file) => std::fs::write(&file, text)
            .map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?,
    }
    Ok(())
}

/// The rules of a Casbin policy; whom it grants roles is only said.
fn from_casbin(path: &Path, paths: Paths) -> anyhow::Result<file::PolicyFile> {
    let parsed = casbin::parse(&file::text_of(path)?, paths);
    let (file, grants) =
        parsed.map_err(|wrong| anyhow::anyhow!("{}: {}", path.display(), wrong.join("\n")))?;
    // Whom, stands in the file: an address is not repeated where it may be logged.
    for casbin::Grant { line, role } in grants {
        println!("line {line}: the role `{role}` is not granted here; an administrator grants it");
    }
    Ok(file)
}

/// The rules and public paths that the shop's read model has.
async fn of_shop(database: &DatabaseUrl) -> anyhow::Result<Policy> {
    let pool = api::pools::connect(database.options()).await?;
    shop::check_schema(&pool).await?;
    let view = permissions::load(&pool).await?;
    let mut policy = Policy::default();
    for permissions::RuleView { rule_id, rule, .. } in view.rules {
        policy.apply(PolicyEvent::RuleAdded { rule_id, rule });
    }
    for permissions::PublicPathView { public_path_id, methods, path, .. } in view.public_paths {
        policy.apply(PolicyEvent::PublicPathAdded { public_path_id, methods, path });
    }
    Ok(policy)
}

async fn list(servers: ServerArgs) -> anyhow::Result<()> {
    let shop = start(servers).await?;
    let policy = load(&shop.app).await?.state;
    shop.stop().await?;
    policy.rules.iter().for_each(|(id, held)| println!("{id}  {}", describe_rule(&held.rule)));
    for (id, PublicPath { methods, path }) in &policy.public_paths {
        println!("{id}  {}", describe_public_path(methods, path));
    }
    for role in &policy.second_factor_roles {
        println!("second factor  {role}");
    }
    for (id, AddressBan { cidr, reason, until }) in &policy.bans {
        let until = until.map_or_else(|| "lifted".to_owned(), |until| until.to_string());
        println!("{id}  ban  {cidr}  until {until}  {}", reason.as_str());
    }
    Ok(())
}

fn describe_effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    }
}

fn describe_public_path(methods: &[MethodSelector], path: &str) -> String {
    format!("public  *  {}  {path}", list_of(methods))
}

fn describe_rule(rule: &Rule) -> String {
    let effect = describe_effect(rule.effect);
    let Rule { roles, methods, path, note, .. } = rule;
    format!("{effect}  {}  {}  {path}  {note}", list_of(roles), list_of(methods))
}

fn list_of(parts: &[impl Display]) -> String {
    parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

async fn remove(id: Uuid, servers: ServerArgs) -> anyhow::Result<()> {
    let shop = start(servers).await?;
    let held = load(&shop.app).await?.state;
    let change = if held.rules.contains_key(&id.into()) {
        PolicyChange::RemoveRule { rule_id: id.into() }
    } else if held.public_paths.contains_key(&id.into()) {
        PolicyChange::RemovePublicPath { public_path_id: id.into() }
    } else if held.bans.contains_key(&id.into()) {
        PolicyChange::UnbanAddress { ban_id: id.into() }
    } else {
        anyhow::bail!("there is no such entry; see `gomall policy list`")
    };
    policy::change_by_operator(&shop.app, &context(&shop.app), vec![change]).await?;
    shop.stop().await?;
    println!("{id} is out of force");
    Ok(())
}

async fn reset(servers: ServerArgs) -> anyhow::Result<()> {
    let shop = start(servers).await?;
    let held = load(&shop.app).await?.state;
    let changes =
        policy::changes_to(&held, default_policy::rules(), default_policy::public_paths());
    policy::change_by_operator(&shop.app, &context(&shop.app), changes).await?;
    shop.stop().await?;
    println!("the rules and public paths are those of a new shop");
    Ok(())
}

/// Lifts every ban that holds the whole network.
pub(super) async fn unban(network: IpNet, servers: ServerArgs) -> anyhow::Result<()> {
    let shop = start(servers).await?;
    let bans = load(&shop.app).await?.state.bans;
    let holding: Vec<_> = bans.iter().filter(|(_, ban)| ban.cidr.contains(&network)).collect();
    let lift = holding.iter().map(|(id, _)| PolicyChange::UnbanAddress { ban_id: **id });
    policy::change_by_operator(&shop.app, &context(&shop.app), lift.collect()).await?;
    shop.stop().await?;
    holding.iter().for_each(|(id, ban)| println!("the ban {id} of {} is lifted", ban.cidr));
    if holding.is_empty() {
        println!("no ban holds {network}");
    }
    Ok(())
}

async fn start(servers: ServerArgs) -> anyhow::Result<Shop> {
    Shop::start(servers.config(Workers::NONE, None)?).await
}

async fn load(app: &App) -> anyhow::Result<Loaded<Policy>> {
    Ok(app.bus.load::<Policy>(POLICY_ID).await?)
}
