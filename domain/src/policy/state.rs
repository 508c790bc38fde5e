use super::{MethodSelector, PolicyCommand, PolicyEvent, PolicyRejection, Rule};
use crate::{BanId, Facts, Identified, PublicPathId, Reason, RoleName, RuleId, Timestamp};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The most rules.
pub const MAX_RULES: usize = 2_000;

/// The most public paths.
pub const MAX_PUBLIC_PATHS: usize = 500;

/// The most banned networks, lapsed ones that were not lifted included.
pub const MAX_BANS: usize = 10_000;

/// The most roles that want a second factor: as many as anybody can have.
pub const MAX_SECOND_FACTOR_ROLES: usize = 50;

/// The policy's state. `Default` is a policy without any rule, which refuses everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The rules in force, by id.
    pub rules: BTreeMap<RuleId, VersionedRule>,
    /// The paths that need no permission, by id.
    pub public_paths: BTreeMap<PublicPathId, PublicPath>,
    /// The banned networks, by id.
    pub bans: BTreeMap<BanId, AddressBan>,
    /// The roles that only count for whoever has proved themselves with a second factor; at most
    /// [`MAX_SECOND_FACTOR_ROLES`].
    #[serde(default)]
    pub second_factor_roles: BTreeSet<RoleName>,
}

/// A rule, and how often it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionedRule {
    /// What it says now.
    pub rule: Rule,
    /// 1 when it was added, one more with every change.
    pub version: u64,
}

/// Paths that need no permission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicPath {
    /// As in a rule.
    pub methods: Vec<MethodSelector>,
    /// As in a rule.
    pub path: String,
}

/// A network from which nobody may do anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressBan {
    /// The network.
    pub cidr: ipnet::IpNet,
    /// Why.
    pub reason: Reason,
    /// Until when; for ever if absent.
    pub until: Option<Timestamp>,
}

impl Identified for Policy {
    type Id = str;
}

impl Aggregate for Policy {
    const TYPE: &'static str = "policy";
    type Command = PolicyCommand;
    type Event = PolicyEvent;
    type Error = PolicyRejection;
    type Services = Facts;

    async fn handle(
        &mut self,
        command: PolicyCommand,
        facts: &Facts,
        sink: &EventSink<Self>,
    ) -> Result<(), PolicyRejection> {
        for event in self.decide(command, facts)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: PolicyEvent) {
        match event {
            PolicyEvent::RuleAdded { rule_id, rule } => {
                self.rules.insert(rule_id, VersionedRule { rule, version: 1 });
            }
            PolicyEvent::RuleChanged { rule_id, rule } => {
                if let Some(held) = self.rules.get_mut(&rule_id) {
                    held.rule = rule;
                    held.version += 1;
                }
            }
            PolicyEvent::RuleRemoved { rule_id } => {
                self.rules.remove(&rule_id);
            }
            PolicyEvent::PublicPathAdded { public_path_id, methods, path } => {
                self.public_paths.insert(public_path_id, PublicPath { methods, path });
            }
            PolicyEvent::PublicPathRemoved { public_path_id } => {
                self.public_paths.remove(&public_path_id);
            }
            PolicyEvent::AddressBanned { ban_id, cidr, reason, until } => {
                self.bans.insert(ban_id, AddressBan { cidr, reason, until });
            }
            PolicyEvent::AddressUnbanned { ban_id } => {
                self.bans.remove(&ban_id);
            }
            PolicyEvent::SecondFactorRequired { role } => {
                self.second_factor_roles.insert(role);
            }
            PolicyEvent::SecondFactorWaived { role } => {
                self.second_factor_roles.remove(&role);
            }
        }
    }
}
