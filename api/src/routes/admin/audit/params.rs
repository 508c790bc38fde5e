use crate::http::{Cursor, Id, Limit};
use crate::routes::admin::network::Network;
use crate::security::SecurityLog;
use domain::{EmailAddress, Timestamp, UserId};
use projections::audit::{Filter, Kind};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

/// Which entries; each parameter narrows them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditParams {
    /// How many items at most.
    #[serde(default)]
    pub(super) limit: Limit,
    /// The last page's `next_cursor`.
    pub(super) cursor: Option<Cursor>,
    /// `change` or `denial`.
    kind: Option<Kind>,
    /// An event's type, such as `RoleGranted`, or a refusal's code, such as `forbidden`.
    code: Option<String>,
    /// Whose account it is about, or who did it.
    user_id: Option<Id<UserId>>,
    /// From this IP address or network.
    address: Option<Network>,
    /// About the account of this e-mail address, or an attempt to sign in with it.
    #[serde(default, deserialize_with = "of_account")]
    email: Option<EmailAddress>,
    /// At this moment or later.
    since: Option<Timestamp>,
    /// Before this moment.
    until: Option<Timestamp>,
}

impl AuditParams {
    pub(super) fn filter(self, log: &SecurityLog) -> Filter {
        Filter {
            kind: self.kind,
            code: self.code,
            user_id: self.user_id.map(|Id(id)| id),
            address: self.address.map(|Network(network)| network),
            email: self.email.map(|email| {
                let hash = log.hash(&email);
                (email, hash)
            }),
            since: self.since,
            until: self.until,
        }
    }
}

fn of_account<'de, D: Deserializer<'de>>(format: D) -> Result<Option<EmailAddress>, D::Error> {
    EmailAddress::read_of_account(format).map(Some)
}
