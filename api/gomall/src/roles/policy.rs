//! `gomall policy`, and the ban of an address: the way in for whoever is locked out. What is done here is
//! in force in the running processes as soon as they have read it in the journal.

use super::admin::context;
use crate::cli::PolicyAction;
use api::access::POLICY_ID;
use api::application::{App, policy};
use api::routes::default_policy;
use api::settings::ServerArgs;
use api::shop::{Shop, Workers};
use domain::policy::{AddressBan, Effect, Policy, PolicyChange, PublicPath, Rule};
use ipnet::IpNet;
use std::fmt::Display;
use uuid::Uuid;

pub(super) async fn run(action: PolicyAction) -> anyhow::Result<()> {
    match action {
        PolicyAction::List(servers) => list(servers).await,
        PolicyAction::Remove { id, servers } => remove(id, servers).await,
        PolicyAction::Reset(servers) => reset(servers).await,
    }
}

async fn list(servers: ServerArgs) -> anyhow::Result<()> {
    let shop = start(servers).await?;
    let policy = load(&shop.app).await?;
    shop.stop().await?;
    policy.rules.iter().for_each(|(id, held)| println!("{id}  {}", describe_rule(&held.rule)));
    for (id, PublicPath { methods, path }) in &policy.public_paths {
        println!("{id}  public  *  {}  {path}", list_of(methods));
    }
    for (id, AddressBan { cidr, reason, until }) in &policy.bans {
        let until = until.map_or_else(|| "lifted".to_owned(), |until| until.to_string());
        println!("{id}  ban  {cidr}  until {until}  {}", reason.as_str());
    }
    Ok(())
}

fn describe_rule(rule: &Rule) -> String {
    let effect = match rule.effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    };
    let Rule { roles, methods, path, note, .. } = rule;
    format!("{effect}  {}  {}  {path}  {note}", list_of(roles), list_of(methods))
}

fn list_of(parts: &[impl Display]) -> String {
    parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

async fn remove(id: Uuid, servers: ServerArgs) -> anyhow::Result<()> {
    let shop = start(servers).await?;
    let held = load(&shop.app).await?;
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
    let held = load(&shop.app).await?;
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
    let bans = load(&shop.app).await?.bans;
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

async fn load(app: &App) -> anyhow::Result<Policy> {
    Ok(app.bus.load::<Policy>(POLICY_ID).await?.state)
}
