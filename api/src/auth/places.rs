//! Where somebody has signed in, known to all processes: what one of them remembers is gone when it ends.

use super::keys::Keys;
use crate::limits::network;
use aws_lc_rs::hmac;
use sqlx::PgPool;
use std::net::IpAddr;

/// Keeps these codes apart from others that the same secret may authenticate.
const PURPOSE: &[u8] = b"gomall sign-in place 1";

/// For how many days a place is known: as long as a session lasts that is not refreshed.
const KNOWN_DAYS: i32 = 30;

/// How many places that are forgotten go with each that comes: more than one, so that they become fewer.
const FORGOTTEN_AT_ONCE: i64 = 10;

/// The places of all accounts.
pub struct SignInPlaces {
    key: hmac::Key,
    pool: PgPool,
}

impl SignInPlaces {
    /// Those in the database of `pool`, under the keys' refresh secret.
    #[must_use]
    pub fn new(keys: &Keys, pool: PgPool) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &keys.refresh_secret), pool }
    }

    /// Somebody has signed in to `account` from `address`.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn note(&self, account: &str, address: IpAddr) -> Result<(), sqlx::Error> {
        let noted = sqlx::query(
            "with forgotten as (
               delete from sign_in_places where place in (
                 select place from sign_in_places where seen_at < now() - make_interval(days => $2)
                  order by seen_at limit $3 for update skip locked))
             insert into sign_in_places (place, seen_at) values ($1, now())
             on conflict (place) do update set seen_at = now()",
        );
        let noted = noted.bind(self.place(account, address)).bind(KNOWN_DAYS);
        noted.bind(FORGOTTEN_AT_ONCE).execute(&self.pool).await.map(drop)
    }

    /// Whether somebody has, lately.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn knows(&self, account: &str, address: IpAddr) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar(
            "select exists (select 1 from sign_in_places
                             where place = $1 and seen_at > now() - make_interval(days => $2))",
        )
        .bind(self.place(account, address))
        .bind(KNOWN_DAYS)
        .fetch_one(&self.pool)
        .await
    }

    /// The network's text cannot hold what divides the two.
    fn place(&self, account: &str, address: IpAddr) -> Vec<u8> {
        let place = format!("{}\n{account}", network(address));
        hmac::sign(&self.key, &[PURPOSE, place.as_bytes()].concat()).as_ref().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[tokio::test]
    async fn a_place_is_known_for_a_month_and_nobody_reads_whose_it_is() {
        let pool = testkit::pool().await;
        let places = SignInPlaces::new(&Keys::for_tests(), pool.clone());
        let other_process = SignInPlaces::new(&Keys::for_tests(), pool.clone());
        let knows = async |account: &str, last| {
            other_process.knows(account, address(last)).await.expect("the database is up")
        };
        assert!(!knows("ada@example.com", 1).await);
        places.note("ada@example.com", address(1)).await.expect("the database is up");
        places.note("ada@example.com", address(1)).await.expect("the database is up");
        assert!(knows("ada@example.com", 1).await);
        assert!(!knows("ada@example.com", 2).await && !knows("bob@example.com", 1).await);
        let text: String =
            sqlx::query_scalar("select string_agg(p::text, ',') from sign_in_places p")
                .fetch_one(&pool)
                .await
                .expect("one row");
        assert!(!text.contains("ada") && !text.contains("192.0.2"), "{text}");
        assert_eq!(text.matches('(').count(), 1, "the same place is one row: {text}");
        let age = "update sign_in_places set seen_at = now() - interval '31 days'";
        sqlx::query(age).execute(&pool).await.expect("a statement");
        assert!(!knows("ada@example.com", 1).await);
        places.note("bob@example.com", address(1)).await.expect("the database is up");
        let left: i64 = sqlx::query_scalar("select count(*) from sign_in_places")
            .fetch_one(&pool)
            .await
            .expect("one row");
        assert_eq!(left, 1, "what is forgotten goes");
    }
}
