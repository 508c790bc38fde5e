//! Whose account an e-mail address is.

use domain::tag::EMAIL;
use domain::{EmailAddress, UserId};
use sqlx::PgPool;
use uuid::Uuid;

/// The most accounts that are found by one address. There is one for each address that was registered since twins by
/// composition and by the ASCII form of a domain are one; before, each of those could have its own.
pub const MAX_TWINS: i64 = 4;

/// Claims that are looked at with one statement.
const CLAIMS_AT_ONCE: i64 = 1000;

/// The user whom an e-mail address belongs to; of twins of before, who registered first.
///
/// # Errors
/// When the tags cannot be read.
pub async fn find_by_email(
    pool: &PgPool,
    email: &EmailAddress,
) -> Result<Option<UserId>, sqlx::Error> {
    Ok(find_twins(pool, email).await?.into_iter().next())
}

/// All users whom an e-mail address belongs to, at most [`MAX_TWINS`], in the order in which they registered.
///
/// # Errors
/// When the tags cannot be read.
pub async fn find_twins(pool: &PgPool, email: &EmailAddress) -> Result<Vec<UserId>, sqlx::Error> {
    // Claims are what processes of the build before make, see `migrations/0019_tags.sql`. One without an
    // account counts as long as such a process waits for it.
    let owners: Vec<Uuid> = sqlx::query_scalar(
        "select person_id from \
           (select person_id, position from event_tags where tag = $1 and person_id is not null \
            union all \
            select c.person_id, 9223372036854775807 from email_claims c where c.email = $2 \
              and (c.claimed_at > now() - interval '1 minute' or exists \
                (select from events e where e.aggregate_type = 'user' \
                  and e.aggregate_id = c.person_id::text and e.event_type = 'UserRegistered'))) o \
         group by person_id order by min(position) limit $3",
    )
    .bind(format!("{EMAIL}:{}", email.folded()))
    .bind(email.folded())
    .bind(MAX_TWINS)
    .fetch_all(pool)
    .await?;
    Ok(owners.into_iter().map(UserId::from).collect())
}

/// Lets accounts that were registered under another form of their address be found by the form of today, so that they
/// still sign in and nobody registers a twin. Done already, it changes nothing. Returns how many were given a tag.
///
/// Whoever is registered by a process of the build before after this has run waits for the next time.
///
/// # Errors
/// When the tags cannot be read or written.
pub async fn fold_claims(pool: &PgPool) -> Result<u64, sqlx::Error> {
    let (mut last_tag, mut last_position, mut folded) = (String::new(), 0_i64, 0);
    loop {
        let claims: Vec<(String, i64)> = sqlx::query_as(
            "select tag, position from event_tags \
              where octet_length(tag) > length(tag) and (tag, position) > ($1, $2) \
              order by tag, position limit $3",
        )
        .bind(&last_tag)
        .bind(last_position)
        .bind(CLAIMS_AT_ONCE)
        .fetch_all(pool)
        .await?;
        let Some((tag, position)) = claims.last() else { return Ok(folded) };
        (last_tag, last_position) = (tag.clone(), *position);
        let (mut tags, mut positions, mut today) = (vec![], vec![], vec![]);
        for (tag, position) in claims {
            let claimed = tag.strip_prefix(EMAIL).and_then(|claimed| claimed.strip_prefix(':'));
            let Some(Ok(email)) = claimed.map(EmailAddress::of_account) else { continue };
            today.push(format!("{EMAIL}:{}", email.folded()));
            tags.push(tag);
            positions.push(position);
        }
        // Of a person whose key has gone meanwhile there is no claim to copy any more.
        let done = sqlx::query(
            "insert into event_tags (tag, position, person_id) \
             select x.today, g.position, g.person_id \
               from unnest($1::text[], $2::bigint[], $3::text[]) x(tag, position, today) \
               join event_tags g on g.tag = x.tag and g.position = x.position \
             on conflict do nothing",
        )
        .bind(tags)
        .bind(positions)
        .bind(today)
        .execute(pool)
        .await?;
        folded += done.rows_affected();
    }
}
