use super::selectors::normalized;
use super::state::{MAX_BANS, MAX_PUBLIC_PATHS, MAX_RULES};
use super::{
    AddressBan, Caller, CompiledPolicy, Effect, MethodSelector, Policy, PolicyEvent, PublicPath,
    Rule, canonical_path, pattern,
};
use crate::{
    BanId, Facts, PublicPathId, Reason, Rejection, RejectionKind, RoleName, RuleId, Timestamp,
};
use cqrs_es::Aggregate;
use ipnet::IpNet;
use std::collections::BTreeSet;

/// The most roles that one rule names.
pub const MAX_ROLES: usize = 50;

/// The most methods that one rule or public path names.
pub const MAX_METHODS: usize = 10;

/// The longest note of a rule.
pub const MAX_NOTE_CHARS: usize = 500;

/// The widest network that can be banned, by its bits: a wider one would shut out whole countries,
/// and whoever could lift the ban.
const MIN_PREFIX_V4: u8 = 8;
const MIN_PREFIX_V6: u8 = 16;

/// What can be asked of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyCommand {
    /// Put a rule in force.
    AddRule {
        /// Its id.
        rule_id: RuleId,
        /// What it says.
        rule: Rule,
    },
    /// Make a rule say something else.
    ChangeRule {
        /// Its id.
        rule_id: RuleId,
        /// What it says then, whole.
        rule: Rule,
    },
    /// Take a rule out of force.
    RemoveRule {
        /// Its id.
        rule_id: RuleId,
    },
    /// Let everybody use some paths.
    AddPublicPath {
        /// Its id.
        public_path_id: PublicPathId,
        /// As in a rule.
        methods: Vec<MethodSelector>,
        /// As in a rule.
        path: String,
    },
    /// Take a public path out of force.
    RemovePublicPath {
        /// Its id.
        public_path_id: PublicPathId,
    },
    /// Keep everybody at these addresses from doing anything.
    BanAddress {
        /// The ban's id.
        ban_id: BanId,
        /// The network; see [`super::parse_network`].
        cidr: IpNet,
        /// Why.
        reason: Reason,
        /// Until when; for ever if absent.
        until: Option<Timestamp>,
    },
    /// Lift a ban.
    UnbanAddress {
        /// The ban's id.
        ban_id: BanId,
    },
}

/// Why the policy refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyRejection {
    /// There is nothing under this id.
    #[error("there is no such entry in the policy")]
    NotFound,
    /// There is something else under this id.
    #[error("the policy has another entry of this id")]
    AlreadyExists,
    /// The pattern is none that can be matched.
    #[error("the path pattern is not accepted: {reason}")]
    BadPattern {
        /// What is wrong with it.
        reason: String,
    },
    /// A rule names none, or too many roles or methods.
    #[error("1 to {MAX_ROLES} roles and 1 to {MAX_METHODS} methods are named")]
    SelectorsOutOfRange,
    /// The note is too long or holds control characters.
    #[error("a note has at most {MAX_NOTE_CHARS} characters, none of them a control character")]
    BadNote,
    /// There is no room for another rule.
    #[error("there are at most {MAX_RULES} rules")]
    TooManyRules,
    /// There is no room for another public path.
    #[error("there are at most {MAX_PUBLIC_PATHS} public paths")]
    TooManyPublicPaths,
    /// There is no room for another ban.
    #[error("at most {MAX_BANS} networks are banned")]
    TooManyBans,
    /// The network holds too much of the world.
    #[error("a banned network has at least {MIN_PREFIX_V4} bits, in IPv6 {MIN_PREFIX_V6}")]
    NetworkTooWide,
    /// Afterwards no administrator could undo it.
    #[error("no administrator could sign in and change the rules any more")]
    LastAdministrator,
}

impl Rejection for PolicyRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::AlreadyExists => "policy_entry_exists",
            Self::BadPattern { .. } => "bad_pattern",
            Self::SelectorsOutOfRange => "selectors_out_of_range",
            Self::BadNote => "bad_note",
            Self::TooManyRules => "too_many_rules",
            Self::TooManyPublicPaths => "too_many_public_paths",
            Self::TooManyBans => "too_many_bans",
            Self::NetworkTooWide => "network_too_wide",
            Self::LastAdministrator => "last_administrator",
        }
    }

    fn kind(&self) -> RejectionKind {
        match self {
            Self::NotFound => RejectionKind::Absent,
            Self::AlreadyExists | Self::LastAdministrator => RejectionKind::Conflict,
            Self::BadPattern { .. }
            | Self::SelectorsOutOfRange
            | Self::BadNote
            | Self::TooManyRules
            | Self::TooManyPublicPaths
            | Self::TooManyBans
            | Self::NetworkTooWide => RejectionKind::Invalid,
        }
    }
}

impl Policy {
    /// Decides; see the module's rules. An empty list means "already so".
    ///
    /// # Errors
    /// [`PolicyRejection`] when a rule forbids it.
    pub fn decide(
        &self,
        command: PolicyCommand,
        _facts: &Facts,
    ) -> Result<Vec<PolicyEvent>, PolicyRejection> {
        let Some(event) = self.decide_one(command)? else { return Ok(vec![]) };
        self.check_administrators(&event)?;
        Ok(vec![event])
    }

    fn decide_one(&self, command: PolicyCommand) -> Result<Option<PolicyEvent>, PolicyRejection> {
        match command {
            PolicyCommand::AddRule { rule_id, rule } => {
                if is_new(self.rules.get(&rule_id).map(|held| &held.rule), &rule)? {
                    check_rule(&rule)?;
                    check_room(self.rules.len(), MAX_RULES, PolicyRejection::TooManyRules)?;
                    return Ok(Some(PolicyEvent::RuleAdded { rule_id, rule }));
                }
                Ok(None)
            }
            PolicyCommand::ChangeRule { rule_id, rule } => {
                let held = self.rules.get(&rule_id).ok_or(PolicyRejection::NotFound)?;
                check_rule(&rule)?;
                let same = held.rule == rule;
                Ok((!same).then_some(PolicyEvent::RuleChanged { rule_id, rule }))
            }
            PolicyCommand::RemoveRule { rule_id } => {
                self.rules.get(&rule_id).ok_or(PolicyRejection::NotFound)?;
                Ok(Some(PolicyEvent::RuleRemoved { rule_id }))
            }
            PolicyCommand::AddPublicPath { public_path_id, methods, path } => {
                let entry = PublicPath { methods, path };
                if is_new(self.public_paths.get(&public_path_id), &entry)? {
                    check_methods(&entry.methods)?;
                    check_pattern(&entry.path)?;
                    let full = PolicyRejection::TooManyPublicPaths;
                    check_room(self.public_paths.len(), MAX_PUBLIC_PATHS, full)?;
                    let PublicPath { methods, path } = entry;
                    return Ok(Some(PolicyEvent::PublicPathAdded {
                        public_path_id,
                        methods,
                        path,
                    }));
                }
                Ok(None)
            }
            PolicyCommand::RemovePublicPath { public_path_id } => {
                self.public_paths.get(&public_path_id).ok_or(PolicyRejection::NotFound)?;
                Ok(Some(PolicyEvent::PublicPathRemoved { public_path_id }))
            }
            PolicyCommand::BanAddress { ban_id, cidr, reason, until } => {
                let ban = AddressBan { cidr: normalized(cidr), reason, until };
                if is_new(self.bans.get(&ban_id), &ban)? {
                    check_network(&ban.cidr)?;
                    check_room(self.bans.len(), MAX_BANS, PolicyRejection::TooManyBans)?;
                    let AddressBan { cidr, reason, until } = ban;
                    return Ok(Some(PolicyEvent::AddressBanned { ban_id, cidr, reason, until }));
                }
                Ok(None)
            }
            PolicyCommand::UnbanAddress { ban_id } => {
                self.bans.get(&ban_id).ok_or(PolicyRejection::NotFound)?;
                Ok(Some(PolicyEvent::AddressUnbanned { ban_id }))
            }
        }
    }

    /// Refuses what would take a lifeline away that is there now. One that is not there yet, as
    /// while a shop is set up, binds nobody.
    fn check_administrators(&self, event: &PolicyEvent) -> Result<(), PolicyRejection> {
        let old_rule = |rule_id| self.rules.get(rule_id).map(|held| held.rule.path.as_str());
        // The patterns whose coming or going could take something away.
        let patterns = match event {
            PolicyEvent::RuleAdded { rule_id: _, rule } => match rule.effect {
                Effect::Deny => [Some(rule.path.as_str()), None],
                Effect::Allow => [None, None],
            },
            PolicyEvent::RuleChanged { rule_id, rule } => {
                [Some(rule.path.as_str()), old_rule(rule_id)]
            }
            PolicyEvent::RuleRemoved { rule_id } => [old_rule(rule_id), None],
            PolicyEvent::PublicPathRemoved { public_path_id } => {
                [self.public_paths.get(public_path_id).map(|entry| entry.path.as_str()), None]
            }
            PolicyEvent::PublicPathAdded { .. }
            | PolicyEvent::AddressBanned { .. }
            | PolicyEvent::AddressUnbanned { .. } => [None, None],
        };
        // Compiling all rules twice costs milliseconds; most changes are about other paths.
        let mut concerns_lifelines = false;
        for pattern in patterns.into_iter().flatten() {
            let regex = compile_pattern(pattern)?;
            concerns_lifelines |=
                LIFELINES.iter().any(|lifeline| regex.is_match(lifeline.path.as_bytes()));
        }
        if !concerns_lifelines {
            return Ok(());
        }
        let mut afterwards = self.clone();
        afterwards.apply(event.clone());
        let lost = open_lifelines(self)?
            .into_iter()
            .zip(open_lifelines(&afterwards)?)
            .any(|(before, after)| before && !after);
        if lost { Err(PolicyRejection::LastAdministrator) } else { Ok(()) }
    }
}

/// A request without which no administrator can repair the rules.
struct Lifeline {
    signed_in: bool,
    method: &'static str,
    path: &'static str,
}

const fn lifeline(signed_in: bool, method: &'static str, path: &'static str) -> Lifeline {
    Lifeline { signed_in, method, path }
}

const RULES: &str = "/api/v1/admin/permission-rules";
/// Any id will do: a rule that tells apart which permission rule is changed is a lock, too.
const ONE_RULE: &str = "/api/v1/admin/permission-rules/01890a5d-ac96-774b-bcce-b302099a8057";

const LIFELINES: [Lifeline; 6] = [
    lifeline(false, "POST", "/api/v1/auth/login"),
    lifeline(true, "GET", RULES),
    lifeline(true, "POST", RULES),
    lifeline(true, "GET", ONE_RULE),
    lifeline(true, "PUT", ONE_RULE),
    lifeline(true, "DELETE", ONE_RULE),
];

fn open_lifelines(policy: &Policy) -> Result<[bool; LIFELINES.len()], PolicyRejection> {
    let compiled = CompiledPolicy::compile(policy, 0)
        .map_err(|error| PolicyRejection::BadPattern { reason: error.to_string() })?;
    let admin = BTreeSet::from([RoleName::known("admin")]);
    Ok(LIFELINES.map(|lifeline| {
        let caller = if lifeline.signed_in { Caller::SignedIn(&admin) } else { Caller::Anonymous };
        let path = canonical_path(lifeline.path).expect("the paths above are canonical");
        compiled.decide(caller, lifeline.method, path).is_allowed()
    }))
}

/// Whether `wanted` is not there yet; something else in its place is refused.
fn is_new<T: PartialEq>(held: Option<&T>, wanted: &T) -> Result<bool, PolicyRejection> {
    match held {
        None => Ok(true),
        Some(held) if held == wanted => Ok(false),
        Some(_) => Err(PolicyRejection::AlreadyExists),
    }
}

fn check_rule(rule: &Rule) -> Result<(), PolicyRejection> {
    if !(1..=MAX_ROLES).contains(&rule.roles.len()) {
        return Err(PolicyRejection::SelectorsOutOfRange);
    }
    check_methods(&rule.methods)?;
    if rule.note.chars().count() > MAX_NOTE_CHARS || rule.note.chars().any(char::is_control) {
        return Err(PolicyRejection::BadNote);
    }
    check_pattern(&rule.path)
}

fn check_methods(methods: &[MethodSelector]) -> Result<(), PolicyRejection> {
    if (1..=MAX_METHODS).contains(&methods.len()) {
        Ok(())
    } else {
        Err(PolicyRejection::SelectorsOutOfRange)
    }
}

fn check_pattern(path: &str) -> Result<(), PolicyRejection> {
    compile_pattern(path).map(|_| ())
}

fn compile_pattern(path: &str) -> Result<regex::bytes::Regex, PolicyRejection> {
    pattern::compile(path).map_err(|reason| PolicyRejection::BadPattern { reason })
}

fn check_room(held: usize, most: usize, full: PolicyRejection) -> Result<(), PolicyRejection> {
    if held < most { Ok(()) } else { Err(full) }
}

fn check_network(network: &IpNet) -> Result<(), PolicyRejection> {
    let least = match network {
        IpNet::V4(_) => MIN_PREFIX_V4,
        IpNet::V6(_) => MIN_PREFIX_V6,
    };
    if network.prefix_len() >= least { Ok(()) } else { Err(PolicyRejection::NetworkTooWide) }
}
