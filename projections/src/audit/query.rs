use super::requests::email_tag;
use super::view::{Entry, Kind};
use crate::page::{Limit, Page, QueryError, parse_cursor};
use domain::{EmailAddress, Timestamp, UserId};
use ipnet::IpNet;
use sqlx::PgPool;
use sqlx::types::Json;
use time::OffsetDateTime;

/// Which entries; every member that is there narrows them.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of one kind only.
    pub kind: Option<Kind>,
    /// Of this type of event, or with this code of refusal.
    pub code: Option<String>,
    /// Whose account it is about, or who did it.
    pub user_id: Option<UserId>,
    /// From this address or network.
    pub address: Option<IpNet>,
    /// About the account of this e-mail address, or an attempt to sign in with it; with its keyed hash.
    pub email: Option<(EmailAddress, String)>,
    /// At this moment or later.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
}

/// Both kinds bring at most a page, each along its own index; then the newest of both are taken. All that is optional
/// stands in one statement, so that it is prepared in a test.
const SELECT: &str = "\
select row_to_json(e) from ( \
 select * from (( \
  select 'change' as kind, c.position as id, c.recorded_at as at, c.recorded_at as first_at, 1 as times, \
         c.event_type as code, c.aggregate_type, c.aggregate_id, c.role, c.entry_id, c.actor, c.user_id, \
         r.address, r.email_hash, r.method, r.path, r.rule_id, r.policy_version, c.trace_id \
    from audit_changes c \
    left join lateral (select s.address, s.email_hash, s.method, s.path, s.rule_id, s.policy_version \
                         from security_log s where s.request_id = c.correlation_id and not s.is_denial \
                        limit 1) r on true \
   where $1::text is distinct from 'denial' \
     and ($2::text is null or c.event_type = $2) \
     and ($3::uuid is null or c.user_id = $3 or c.actor = 'user:' || $3) \
     and ($4::text is null or c.correlation_id in \
           (select request_id from security_log where not is_denial and address <<= $4::inet)) \
     and ($5::text is null or c.user_id = (select person_id from event_tags \
                                             where tag = $5 and person_id is not null limit 1)) \
     and c.recorded_at >= $7 and c.recorded_at < $8 and c.recorded_at <= $9 \
     and (c.recorded_at, 0, c.position) < ($9, $10::integer, $11::bigint) \
   order by c.recorded_at desc, c.position desc limit $12) \
  union all ( \
  select 'denial', d.id, d.at, d.first_at, d.times, d.code, null, null, null, null, null, d.user_id, \
         d.address, d.email_hash, d.method, d.path, d.rule_id, d.policy_version, d.trace_id \
    from security_log d \
   where d.is_denial and $1::text is distinct from 'change' \
     and ($2::text is null or d.code = $2) \
     and ($3::uuid is null or d.user_id = $3) \
     and ($4::text is null or d.address <<= $4::inet) \
     and ($5::text is null or d.email_hash = $6 \
          or d.user_id = (select person_id from event_tags \
                           where tag = $5 and person_id is not null limit 1)) \
     and d.at >= $7 and d.at < $8 and d.at <= $9 \
     and (d.at, 1, d.id) < ($9, $10::integer, $11::bigint) \
   order by d.at desc, d.id desc limit $12)) b \
 order by at desc, kind desc, id desc limit $12) e";

/// Changes and refusals, the newest first.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    pool: &PgPool,
    filter: &Filter,
    cursor: Option<&str>,
    limit: Limit,
) -> Result<Page<Entry>, QueryError> {
    let end = || (Timestamp::from(LATEST), i32::MAX, i64::MAX);
    let (at, kind, id): (Timestamp, i32, i64) = parse_cursor(cursor)?.unwrap_or_else(end);
    let since = filter.since.unwrap_or(Timestamp::EPOCH);
    let until = filter.until.unwrap_or_else(|| LATEST.into());
    let found: Vec<Json<Entry>> = sqlx::query_scalar(SELECT)
        .bind(filter.kind.map(name))
        .bind(&filter.code)
        .bind(filter.user_id.map(UserId::uuid))
        .bind(filter.address.map(|address| address.to_string()))
        .bind(filter.email.as_ref().map(|(email, _)| email_tag(email)))
        .bind(filter.email.as_ref().map(|(_, hash)| hash))
        .bind(OffsetDateTime::from(since))
        .bind(OffsetDateTime::from(until))
        .bind(OffsetDateTime::from(at))
        .bind(kind)
        .bind(id)
        .bind(limit.look_ahead())
        .fetch_all(pool)
        .await?;
    let entries = found.into_iter().map(|Json(entry)| entry).collect();
    Ok(Page::cut(entries, limit, |last: &Entry| (last.at, last.kind as i32, last.id)))
}

/// Later than any entry.
const LATEST: OffsetDateTime = time::macros::datetime!(9999-12-31 23:59:59.999 UTC);

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Change => "change",
        Kind::Denial => "denial",
    }
}
