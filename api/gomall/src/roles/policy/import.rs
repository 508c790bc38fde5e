//! Making a shop's policy what a file says.

use super::file::{Placed, PolicyFile};
use super::{cases, describe_public_path, describe_rule, load, start};
use crate::roles::admin::context;
use api::application::policy::{change_together, changes_to};
use api::settings::ServerArgs;
use commands::journal::MAX_EVENTS_PER_COMMAND;
use domain::policy::{Policy, PolicyChange, PublicPath, Rule};
use domain::{PublicPathId, RuleId};
use uuid::Uuid;

/// Whether what is in force and not in the file stays.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    Stay,
    Go,
}

/// Makes the file's rules and public paths those of the shop, in one append; a rehearsal only says what
/// that would change, and whether it would be refused.
pub(super) async fn run(
    file: PolicyFile,
    others: Others,
    rehearsal: bool,
    servers: ServerArgs,
) -> anyhow::Result<()> {
    let failures = cases::failures(&file.policy(), &file.cases)?;
    failures.iter().for_each(|failure| println!("{failure}"));
    anyhow::ensure!(failures.is_empty(), "the file does not hold its own cases");
    let shop = start(servers).await?;
    let held = load(&shop.app).await?;
    let new_id = shop.app.world.new_id;
    let rules = rules(&held.state, file.rules, others, new_id);
    let public_paths = public_paths(&held.state, file.public_paths, others, new_id);
    let changes = changes_to(&held.state, rules, public_paths);
    changes.iter().for_each(|change| println!("{}", describe(&held.state, change)));
    let count = changes.len();
    anyhow::ensure!(
        count <= MAX_EVENTS_PER_COMMAND,
        "{count} changes; at most {MAX_EVENTS_PER_COMMAND} can be made at once: import it in parts"
    );
    if count > 0 {
        change_together(&shop.app, &context(&shop.app), held.sequence, changes, rehearsal).await?;
    }
    shop.stop().await?;
    match (count, rehearsal) {
        (0, _) => println!("the policy says so already"),
        (_, true) => println!("{count} changes, which would be accepted; none was made"),
        (_, false) => println!("{count} changes are in force"),
    }
    Ok(())
}

/// The rules that there shall be. One that is there keeps its id: first one that says the same, then one with
/// the same effect and path, which is changed.
fn rules(
    held: &Policy,
    wanted: Vec<Placed<Rule>>,
    others: Others,
    new_id: fn() -> Uuid,
) -> Vec<(RuleId, Rule)> {
    let is_same = |held: &Rule, rule: &Rule| held == rule;
    let is_like = |held: &Rule, rule: &Rule| held.effect == rule.effect && held.path == rule.path;
    let likes: &[fn(&Rule, &Rule) -> bool] = match others {
        Others::Go => &[is_same, is_like],
        Others::Stay => &[is_same],
    };
    let held = held.rules.iter().map(|(id, held)| (*id, &held.rule)).collect();
    identified(held, values(wanted), likes, others, new_id)
}

/// The public paths that there shall be, likewise; another one is another entry.
fn public_paths(
    held: &Policy,
    wanted: Vec<Placed<PublicPath>>,
    others: Others,
    new_id: fn() -> Uuid,
) -> Vec<(PublicPathId, PublicPath)> {
    let held = held.public_paths.iter().map(|(id, entry)| (*id, entry)).collect();
    identified(held, values(wanted), &[|held, entry| held == entry], others, new_id)
}

fn values<T>(placed: Vec<Placed<T>>) -> Vec<T> {
    placed.into_iter().map(|placed| placed.value).collect()
}

fn identified<Id: Copy + From<Uuid>, T: Clone>(
    mut held: Vec<(Id, &T)>,
    wanted: Vec<T>,
    likes: &[fn(&T, &T) -> bool],
    others: Others,
    new_id: fn() -> Uuid,
) -> Vec<(Id, T)> {
    let mut ids: Vec<Option<Id>> = wanted.iter().map(|_| None).collect();
    for is_like in likes {
        for (id, wanted) in ids.iter_mut().zip(&wanted).filter(|(id, _)| id.is_none()) {
            let found = held.iter().position(|(_, held)| is_like(held, wanted));
            *id = found.map(|place| held.remove(place).0);
        }
    }
    let ids = ids.into_iter().map(|id| id.unwrap_or_else(|| new_id().into()));
    let staying = held.into_iter().filter(|_| others == Others::Stay);
    let staying = staying.map(|(id, entry)| (id, entry.clone()));
    ids.zip(wanted).chain(staying).collect()
}

fn describe(held: &Policy, change: &PolicyChange) -> String {
    let held_rule =
        |id| held.rules.get(id).map_or_else(String::new, |held| describe_rule(&held.rule));
    match change {
        PolicyChange::AddRule { rule, .. } => format!("+ {}", describe_rule(rule)),
        PolicyChange::ChangeRule { rule_id, rule } => {
            format!("- {}\n+ {}", held_rule(rule_id), describe_rule(rule))
        }
        PolicyChange::RemoveRule { rule_id } => format!("- {}", held_rule(rule_id)),
        PolicyChange::AddPublicPath { methods, path, .. } => {
            format!("+ {}", describe_public_path(methods, path))
        }
        PolicyChange::RemovePublicPath { public_path_id } => {
            let entry = held.public_paths.get(public_path_id);
            let text = entry.map(|entry| describe_public_path(&entry.methods, &entry.path));
            format!("- {}", text.unwrap_or_default())
        }
        PolicyChange::BanAddress { cidr, .. } => format!("+ ban  {cidr}"),
        PolicyChange::UnbanAddress { ban_id } => format!("- ban  {ban_id}"),
        PolicyChange::RequireSecondFactor { role } => format!("+ second factor  {role}"),
        PolicyChange::WaiveSecondFactor { role } => format!("- second factor  {role}"),
    }
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
