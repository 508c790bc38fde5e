//! The books. Every change is one autocommitted statement that writes the status and the
//! notification about it together: a request that is dropped, or a process that is killed, leaves
//! both or neither, and no transaction is ever open in a request's future.

use domain::{Currency, Money, PaymentId};
use provider::wire::Status;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};
use std::time::Duration;
use uuid::Uuid;

/// How many overdue payments one sweep finishes; the next sweep follows at once.
const SWEEP_BATCH: i64 = 100;

/// The books of the sandbox.
#[derive(Clone)]
pub(super) struct Store {
    pool: PgPool,
    /// Whether there is anybody to notify. Without, notifications would pile up unread.
    notify: bool,
}

/// A payment as the provider knows it.
pub(super) struct Payment {
    pub(super) id: PaymentId,
    pub(super) status: Status,
    /// Absent in a tombstone.
    pub(super) amount: Option<Money>,
    /// Why it was declined.
    pub(super) code: Option<String>,
    /// How long until a pending payment is captured; zero when it is due.
    pub(super) settles_in: Duration,
}

/// What to record for a charge.
pub(super) struct NewPayment<'a> {
    pub(super) id: PaymentId,
    pub(super) amount: Money,
    pub(super) method: &'a str,
    pub(super) reference: &'a str,
    pub(super) status: Status,
    pub(super) code: Option<&'static str>,
    /// When a pending payment is captured.
    pub(super) delay: Duration,
}

/// The columns of a [`Payment`].
macro_rules! columns {
    () => {
        "id, status, amount_minor, currency, code, \
         greatest(0, ceil(1000 * extract(epoch from settles_at - clock_timestamp())))::bigint \
         as settles_in_ms"
    };
}

/// A statement that changes payments, records the notifications ($1: whether to) and answers the
/// changed rows. Being taken is not worth a notification, only what became of it is.
macro_rules! changing {
    ($change:literal) => {
        concat!(
            "with changed as (",
            $change,
            " returning id, status, amount_minor, currency, code, settles_at),
            noted as (
              insert into sandbox.webhooks (payment_id, status, amount_minor, currency, code)
              select id, status, amount_minor, currency, code from changed
               where $1 and status <> 'pending')
            select ",
            columns!(),
            " from changed"
        )
    };
}

impl Store {
    pub(super) fn new(pool: PgPool, notify: bool) -> Self {
        Self { pool, notify }
    }

    /// The payment of that id, if it was ever heard of.
    pub(super) async fn find(&self, id: PaymentId) -> sqlx::Result<Option<Payment>> {
        let sql = concat!("select ", columns!(), " from sandbox.payments where id = $1");
        let row = sqlx::query(sql).bind(id.uuid()).fetch_optional(&self.pool).await?;
        row.as_ref().map(read).transpose()
    }

    /// Records a charge unless the id is known already; then nothing changes and `None` comes back.
    pub(super) async fn open(&self, new: NewPayment<'_>) -> sqlx::Result<Option<Payment>> {
        let sql = changing!(
            "insert into sandbox.payments
               (id, status, amount_minor, currency, method, reference, code, settles_at)
             values ($2, $3, $4, $5, $6, $7, $8,
                     case when $3 = 'pending' then clock_timestamp() + make_interval(secs => $9) end)
             on conflict (id) do nothing"
        );
        let row = sqlx::query(sql)
            .bind(self.notify)
            .bind(new.id.uuid())
            .bind(new.status.as_str())
            .bind(new.amount.amount_minor())
            .bind(new.amount.currency().as_str())
            .bind(new.method)
            .bind(new.reference)
            .bind(new.code)
            .bind(new.delay.as_secs_f64())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Captures a pending payment whose time has come. `None` when it is not pending any more.
    pub(super) async fn settle(&self, id: PaymentId) -> sqlx::Result<Option<Payment>> {
        let sql = changing!(
            "update sandbox.payments set status = 'captured', changed_at = clock_timestamp()
              where id = $2 and status = 'pending'"
        );
        self.change(sqlx::query(sql).bind(self.notify).bind(id.uuid())).await
    }

    /// Captures what is due and nobody waits for any more: the process that had begun it was killed, or its caller left. Answers whether there may be more.
    pub(super) async fn settle_due(&self) -> sqlx::Result<bool> {
        let sql = changing!(
            "update sandbox.payments set status = 'captured', changed_at = clock_timestamp()
              where status = 'pending' and id = any(array(
                    select id from sandbox.payments
                     where status = 'pending' and settles_at <= clock_timestamp()
                     order by settles_at limit $2 for update skip locked))"
        );
        let rows =
            sqlx::query(sql).bind(self.notify).bind(SWEEP_BATCH).fetch_all(&self.pool).await?;
        Ok(i64::try_from(rows.len()).is_ok_and(|count| count == SWEEP_BATCH))
    }

    /// Writes down what the customer decided. `None` when nothing waits for the customer.
    pub(super) async fn decide(
        &self,
        id: PaymentId,
        status: Status,
        code: Option<&'static str>,
    ) -> sqlx::Result<Option<Payment>> {
        let sql = changing!(
            "update sandbox.payments set status = $3, code = $4, changed_at = clock_timestamp()
              where id = $2 and status = 'action_required'"
        );
        let query = sqlx::query(sql).bind(self.notify).bind(id.uuid());
        self.change(query.bind(status.as_str()).bind(code)).await
    }

    /// Voids what is not settled, and leaves a tombstone for what was never heard of, so that a
    /// charge that is still on its way finds the payment called off. `None` when it is settled.
    pub(super) async fn void(&self, id: PaymentId) -> sqlx::Result<Option<Payment>> {
        let sql = changing!(
            "insert into sandbox.payments as p (id, status) values ($2, 'voided')
             on conflict (id) do update set status = 'voided', changed_at = clock_timestamp()
              where p.status in ('pending', 'action_required')"
        );
        self.change(sqlx::query(sql).bind(self.notify).bind(id.uuid())).await
    }

    async fn change(
        &self,
        query: sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments>,
    ) -> sqlx::Result<Option<Payment>> {
        query.fetch_optional(&self.pool).await?.as_ref().map(read).transpose()
    }
}

/// Reads the columns `status`, `amount_minor`, `currency` of a payment or of a notification.
pub(super) fn read_status(row: &PgRow) -> sqlx::Result<(Status, Option<Money>)> {
    let unreadable = |what: &str| sqlx::Error::Decode(format!("unreadable {what}").into());
    let word: &str = row.try_get("status")?;
    let status = Status::parse(word).ok_or_else(|| unreadable("status"))?;
    let minor: Option<i64> = row.try_get("amount_minor")?;
    let currency: Option<&str> = row.try_get("currency")?;
    let amount = minor.zip(currency).map(|(minor, currency)| {
        Currency::parse(currency).and_then(|currency| Money::new(minor, currency))
    });
    Ok((status, amount.transpose().map_err(|_| unreadable("amount"))?))
}

fn read(row: &PgRow) -> sqlx::Result<Payment> {
    let (status, amount) = read_status(row)?;
    let settles_in_ms: Option<i64> = row.try_get("settles_in_ms")?;
    Ok(Payment {
        id: row.try_get::<Uuid, _>("id")?.into(),
        status,
        amount,
        code: row.try_get("code")?,
        settles_in: Duration::from_millis(settles_in_ms.unwrap_or(0).unsigned_abs()),
    })
}
