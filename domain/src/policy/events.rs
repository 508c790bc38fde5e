use super::selectors::{ANY, METHODS};
use crate::{BanId, PublicPathId, Reason, RoleName, RuleId, Timestamp, event_types};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a rule does when it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Lets the request through, unless a deny rule matches too.
    Allow,
    /// Refuses the request, whatever else matches.
    Deny,
}

/// A permission rule as it was written. The constructor of the command parsed every part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rule {
    /// What it does.
    pub effect: Effect,
    /// The roles it is about; `anonymous`, `authenticated` and `*` are understood. At least one.
    pub roles: Vec<RoleSelector>,
    /// HTTP methods in capitals, or `*`. At least one.
    pub methods: Vec<MethodSelector>,
    /// A regular expression over the whole canonical path, anchored by us.
    pub path: String,
    /// What it is for, for whoever reads the list.
    #[serde(default)]
    pub note: String,
}

/// A role that a rule names, or `*` for every caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(into = "String", try_from = "String")]
#[schemars(extend("pattern" = r"^(\*|[A-Za-z0-9_-]{1,64})$"))]
pub enum RoleSelector {
    /// Every caller, signed in or not.
    Any,
    /// Callers with this role; `anonymous` and `authenticated` are roles that we give out.
    Role(RoleName),
}

/// An HTTP method that a rule names, or `*` for every method.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(into = "String", try_from = "String")]
#[schemars(extend("enum" = [&[ANY], &METHODS[..]].concat()))]
pub enum MethodSelector {
    /// Every method.
    Any,
    /// One method, in capitals.
    Method(String),
}

/// Facts about who may do what. There is one policy; the stream's id is `shop`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PolicyEvent {
    /// A rule is in force.
    RuleAdded {
        /// The rule's id.
        rule_id: RuleId,
        /// The rule.
        rule: Rule,
    },
    /// A rule says something else now.
    RuleChanged {
        /// The rule's id.
        rule_id: RuleId,
        /// The rule, whole.
        rule: Rule,
    },
    /// A rule is no longer in force.
    RuleRemoved {
        /// The rule's id.
        rule_id: RuleId,
    },
    /// Paths that match need no permission.
    PublicPathAdded {
        /// The entry's id.
        public_path_id: PublicPathId,
        /// As in a rule.
        methods: Vec<MethodSelector>,
        /// As in a rule.
        path: String,
    },
    /// An entry is no longer in force.
    PublicPathRemoved {
        /// The entry's id.
        public_path_id: PublicPathId,
    },
    /// Nobody may do anything from these addresses.
    AddressBanned {
        /// The ban's id.
        ban_id: BanId,
        /// An address or a network.
        #[schemars(with = "String")]
        cidr: ipnet::IpNet,
        /// Why.
        reason: Reason,
        /// Until when; for ever if absent.
        until: Option<Timestamp>,
    },
    /// A ban is lifted.
    AddressUnbanned {
        /// The ban's id.
        ban_id: BanId,
    },
    /// A role only counts for whoever has proved themselves with a second factor.
    SecondFactorRequired {
        /// The role.
        role: RoleName,
    },
    /// A role counts without a second factor again.
    SecondFactorWaived {
        /// The role.
        role: RoleName,
    },
}

event_types!(PolicyEvent {
    RuleAdded: 1,
    RuleChanged: 1,
    RuleRemoved: 1,
    PublicPathAdded: 1,
    PublicPathRemoved: 1,
    AddressBanned: 1,
    AddressUnbanned: 1,
    SecondFactorRequired: 1,
    SecondFactorWaived: 1,
});
