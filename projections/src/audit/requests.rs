//! Requests that were refused, and those that changed who may do what, with address and path.
//!
//! **Guarantee.** The table holds at most [`MAX_DENIALS`] and [`MAX_CHANGES`] rows, and none for longer than
//! [`KEPT_DAYS`], give or take the time between two calls of [`trim`]. A row that names a person, or the account that
//! somebody tried to sign in to, goes with that person's key.

use domain::{EmailAddress, Timestamp, UserId, tag};
use serde::Serialize;
use sqlx::PgPool;
use sqlx::types::Json;
use std::net::IpAddr;
use uuid::Uuid;

/// For how many days a request is kept: as long as a session lasts, so that who took one over is found.
pub const KEPT_DAYS: i32 = 30;

/// The most refusals that are kept, some 60 MB of them. Of more the oldest go.
pub const MAX_DENIALS: i64 = 200_000;

/// The same of the requests that changed something: whoever fills the others pushes none of these out.
pub const MAX_CHANGES: i64 = 200_000;

/// A request, or several refused ones that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeenRequest {
    /// When the first of several alike came.
    pub first_at: Timestamp,
    /// When the last came.
    pub at: Timestamp,
    /// How many are alike.
    pub times: u32,
    /// Why it was refused; absent when it was let in and has changed something.
    pub code: Option<&'static str>,
    /// From where.
    pub address: IpAddr,
    /// Who asked, as far as their token says.
    pub user_id: Option<UserId>,
    /// By which the account is found that was to be signed in to; not kept.
    pub email_tag: Option<String>,
    /// The keyed hash of its e-mail address.
    pub email_hash: Option<String>,
    /// The method.
    pub method: &'static str,
    /// The beginning of the path.
    pub path: String,
    /// The rule or the public path that decided.
    pub rule_id: Option<Uuid>,
    /// The policy's version that decided; 0 when it was refused before.
    pub policy_version: u64,
    /// The request's id: the correlation id of the events that it led to.
    pub request_id: Uuid,
    /// The request's trace.
    pub trace_id: String,
}

/// By what the account of an e-mail address is found.
#[must_use]
pub fn email_tag(email: &EmailAddress) -> String {
    format!("{}:{}", tag::EMAIL, email.folded())
}

/// Writes requests down, in one statement. Somebody who has been erased meanwhile is not named.
///
/// # Errors
/// When the database does not take them; also when somebody is being erased at this moment.
pub async fn record(pool: &PgPool, requests: &[SeenRequest]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into security_log (is_denial, first_at, at, times, code, address, user_id, email_hash, \
                                   method, path, rule_id, policy_version, request_id, trace_id) \
         select s.code is not null, s.first_at, s.at, s.times, s.code, s.address, k.person_id, \
                s.email_hash, s.method, s.path, s.rule_id, s.policy_version, s.request_id, s.trace_id \
           from jsonb_to_recordset($1) as s (first_at timestamptz, at timestamptz, times integer, \
                  code text, address inet, user_id uuid, email_tag text, email_hash text, \
                  method text, path text, rule_id uuid, policy_version bigint, request_id uuid, \
                  trace_id text) \
           left join personal_keys k on k.person_id = coalesce(s.user_id, \
                (select t.person_id from event_tags t \
                  where t.tag = s.email_tag and t.person_id is not null limit 1))",
    )
    .bind(Json(requests))
    .execute(pool)
    .await?;
    Ok(())
}

/// The most rows of each kind.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// Refusals.
    pub denials: i64,
    /// Requests that changed something.
    pub changes: i64,
}

impl Default for Most {
    fn default() -> Self {
        Self { denials: MAX_DENIALS, changes: MAX_CHANGES }
    }
}

/// Takes away what is too old, or too much.
///
/// # Errors
/// When the database cannot be reached.
pub async fn trim(pool: &PgPool, most: Most) -> Result<(), sqlx::Error> {
    for (is_denial, most) in [(true, most.denials), (false, most.changes)] {
        sqlx::query(
            "delete from security_log where is_denial = $1 and (at < now() - make_interval(days => $3) or id <= \
                   (select id from security_log where is_denial = $1 order by id desc offset $2 limit 1))",
        )
        .bind(is_denial)
        .bind(most)
        .bind(KEPT_DAYS)
        .execute(pool)
        .await?;
    }
    Ok(())
}
