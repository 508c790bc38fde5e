use crate::rows::Row;
use domain::policy::{MethodSelector, Rule};
use domain::{BanId, Position, PublicPathId, Reason, RuleId, Timestamp};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// A permission rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleView {
    /// Its id.
    pub rule_id: RuleId,
    /// What it says.
    #[serde(flatten)]
    pub rule: Rule,
    /// The journal position of the event that added it: the order of lists.
    pub added_position: Position,
    /// The policy's sequence when the rule was last written.
    pub version: u64,
    /// The journal position of that event.
    pub position: Position,
}

impl Row for RuleView {
    type Key = RuleId;
    const TABLE: &'static str = "permission_rules";
    const KEY: (&'static str, &'static str) = ("rule_id", "uuid");
    const COLUMNS: &'static str =
        "rule_id, effect, roles, methods, path, note, added_position, version, position";

    fn key(&self) -> RuleId {
        self.rule_id
    }
}

/// Paths that need no permission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicPathView {
    /// Its id.
    pub public_path_id: PublicPathId,
    /// The methods that it is about; at least one.
    pub methods: Vec<MethodSelector>,
    /// A regular expression over the whole canonical path, anchored by us.
    pub path: String,
    /// The journal position of the event that added it: the order of lists.
    pub added_position: Position,
    /// The policy's sequence when the entry was written.
    pub version: u64,
    /// The journal position of that event.
    pub position: Position,
}

impl Row for PublicPathView {
    type Key = PublicPathId;
    const TABLE: &'static str = "public_paths";
    const KEY: (&'static str, &'static str) = ("public_path_id", "uuid");
    const COLUMNS: &'static str =
        "public_path_id, methods, path, added_position, version, position";

    fn key(&self) -> PublicPathId {
        self.public_path_id
    }
}

/// Addresses from which nobody may do anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressBanView {
    /// Its id.
    pub ban_id: BanId,
    /// An address or a network.
    pub cidr: IpNet,
    /// Why.
    pub reason: Reason,
    /// Until when; for ever if absent. A lapsed ban keeps its row until it is lifted.
    pub until: Option<Timestamp>,
    /// The journal position of the event that added it: the order of lists.
    pub added_position: Position,
    /// The policy's sequence when the ban was written.
    pub version: u64,
    /// The journal position of that event.
    pub position: Position,
}

impl Row for AddressBanView {
    type Key = BanId;
    const TABLE: &'static str = "address_bans";
    const KEY: (&'static str, &'static str) = ("ban_id", "uuid");
    const COLUMNS: &'static str = "ban_id, cidr, reason, until, added_position, version, position";

    fn key(&self) -> BanId {
        self.ban_id
    }
}

/// The policy as a whole, all of one snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct PolicyView {
    /// The aggregate's sequence; 0 before the first rule.
    pub version: u64,
    /// The journal position of the last event applied; 0 before the first rule.
    pub position: Position,
    /// In the order in which they were added.
    pub rules: Vec<RuleView>,
    /// In the order in which they were added.
    pub public_paths: Vec<PublicPathView>,
    /// In the order in which they were added, lapsed ones included.
    pub address_bans: Vec<AddressBanView>,
}

/// The one row that says which version of the policy the other tables show.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PolicyRow {
    pub(super) policy_id: String,
    pub(super) version: u64,
    pub(super) position: Position,
}

impl Row for PolicyRow {
    type Key = String;
    const TABLE: &'static str = "policies";
    const KEY: (&'static str, &'static str) = ("policy_id", "text");
    const COLUMNS: &'static str = "policy_id, version, position";

    fn key(&self) -> String {
        self.policy_id.clone()
    }
}
