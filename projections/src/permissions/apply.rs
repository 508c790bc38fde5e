use super::view::{AddressBanView, PolicyRow, PublicPathView, RuleView};
use crate::projection::{ApplyError, decode};
use crate::rows::Rows;
use domain::RecordedEvent;
use domain::policy::PolicyEvent;
use sqlx::PgConnection;
use std::collections::BTreeSet;
use std::sync::Arc;

struct Tables {
    policies: Rows<PolicyRow>,
    rules: Rows<RuleView>,
    public_paths: Rows<PublicPathView>,
    address_bans: Rows<AddressBanView>,
}

pub(super) async fn apply(
    conn: &mut PgConnection,
    events: &[Arc<RecordedEvent>],
) -> Result<(), ApplyError> {
    let facts = events
        .iter()
        .map(|event| Ok((event.as_ref(), decode::<PolicyEvent>(event)?)))
        .collect::<Result<Vec<_>, ApplyError>>()?;
    // Only a changed rule keeps something of its row; everything else is written whole or removed.
    let changed: BTreeSet<_> = facts
        .iter()
        .filter_map(|(_, fact)| match fact {
            PolicyEvent::RuleChanged { rule_id, .. } => Some(*rule_id),
            PolicyEvent::RuleAdded { .. }
            | PolicyEvent::RuleRemoved { .. }
            | PolicyEvent::PublicPathAdded { .. }
            | PolicyEvent::PublicPathRemoved { .. }
            | PolicyEvent::AddressBanned { .. }
            | PolicyEvent::AddressUnbanned { .. }
            | PolicyEvent::SecondFactorRequired { .. }
            | PolicyEvent::SecondFactorWaived { .. } => None,
        })
        .collect();
    let mut tables = Tables {
        policies: Rows::new(),
        rules: Rows::load(conn, &changed).await?,
        public_paths: Rows::new(),
        address_bans: Rows::new(),
    };
    for (event, fact) in facts {
        fold(&mut tables, event, fact)?;
    }
    tables.policies.save(conn).await?;
    tables.rules.save(conn).await?;
    tables.public_paths.save(conn).await?;
    tables.address_bans.save(conn).await?;
    Ok(())
}

fn fold(tables: &mut Tables, event: &RecordedEvent, fact: PolicyEvent) -> Result<(), ApplyError> {
    let (version, position) = (event.sequence, event.position);
    let added_position = position;
    let policy_id = event.aggregate_id.clone();
    tables.policies.put(PolicyRow { policy_id, version, position });
    match fact {
        PolicyEvent::RuleAdded { rule_id, rule } => {
            tables.rules.put(RuleView { rule_id, rule, added_position, version, position });
        }
        PolicyEvent::RuleChanged { rule_id, rule } => {
            let row = tables
                .rules
                .get_mut(&rule_id)
                .ok_or_else(|| ApplyError::contradiction(event, "whose rule is not in force"))?;
            row.rule = rule;
            row.version = version;
            row.position = position;
        }
        PolicyEvent::RuleRemoved { rule_id } => tables.rules.remove(&rule_id),
        PolicyEvent::PublicPathAdded { public_path_id, methods, path } => {
            tables.public_paths.put(PublicPathView {
                public_path_id,
                methods,
                path,
                added_position,
                version,
                position,
            });
        }
        PolicyEvent::PublicPathRemoved { public_path_id } => {
            tables.public_paths.remove(&public_path_id);
        }
        PolicyEvent::AddressBanned { ban_id, cidr, reason, until } => {
            tables.address_bans.put(AddressBanView {
                ban_id,
                cidr,
                reason,
                until,
                added_position,
                version,
                position,
            });
        }
        PolicyEvent::AddressUnbanned { ban_id } => tables.address_bans.remove(&ban_id),
        // Few, and asked for where the journal is read.
        PolicyEvent::SecondFactorRequired { .. } | PolicyEvent::SecondFactorWaived { .. } => {}
    }
    Ok(())
}
