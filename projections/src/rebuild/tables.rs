//! The statements on tables and schemas: clone, clean, swap, drop.

use crate::projection::Projection;
use sqlx::{Connection, PgConnection};

/// Where the live tables are: where the migrations make them.
pub(super) const LIVE: &str = "public";

/// Where events wait that cannot be applied. Shared by all projections, so a rebuild has a clone of
/// its own, whose rows it puts among the live ones.
const LETTERS: &str = "dead_letters";

/// How long readers may queue behind us while we wait for those before them, all tables together.
const LOCK_BUDGET_MS: usize = 100;

/// Where the tables of one rebuild are, before and after the swap.
pub(super) struct Schemas {
    building: String,
    retired: String,
    tables: &'static [&'static str],
}

impl Schemas {
    pub(super) fn of(projection: &dyn Projection) -> Self {
        let name = projection.name();
        Self {
            building: format!("rebuild_{name}"),
            retired: format!("retired_{name}"),
            tables: projection.tables(),
        }
    }

    /// Drops what a rebuild left behind. The retired tables without `cascade`: what somebody hung
    /// on them meanwhile is not ours to drop.
    pub(super) async fn drop_leftovers(&self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        run(conn, &format!("drop schema if exists {} cascade", quoted(&self.building))).await?;
        let exists: bool = sqlx::query_scalar("select to_regnamespace($1) is not null")
            .bind(quoted(&self.retired))
            .fetch_one(&mut *conn)
            .await?;
        if exists {
            let mut transaction = conn.begin().await?;
            let tables = self.all_in(&self.retired);
            run(&mut transaction, &format!("drop table if exists {tables}")).await?;
            run(&mut transaction, &format!("drop schema {}", quoted(&self.retired))).await?;
            transaction.commit().await?;
        }
        Ok(())
    }

    /// Makes empty clones of the live tables, and lets names without a schema mean them.
    pub(super) async fn create(&self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        let mut transaction = conn.begin().await?;
        for schema in [&self.building, &self.retired] {
            run(&mut transaction, &format!("create schema {}", quoted(schema))).await?;
        }
        for table in self.tables.iter().chain(&[LETTERS]) {
            let statements: Vec<String> = sqlx::query_scalar(CLONE)
                .bind(LIVE)
                .bind(&self.building)
                .bind(qualified(LIVE, table))
                .fetch_all(&mut *transaction)
                .await?;
            for statement in statements {
                run(&mut transaction, &statement).await?;
            }
        }
        transaction.commit().await?;
        sqlx::query("select set_config('search_path', $1, false)")
            .bind(quoted(&self.building))
            .execute(conn)
            .await?;
        Ok(())
    }

    /// Removes dead rows and gathers statistics.
    pub(super) async fn tidy(&self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        run(conn, &format!("vacuum (analyze) {}", self.all_in(&self.building))).await
    }

    /// Puts the new tables in the place of the live ones, within the caller's transaction. Fails
    /// with [`is_lock_refused`] when somebody uses them.
    pub(super) async fn swap(&self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        let lock_timeout_ms = (LOCK_BUDGET_MS / self.tables.len().max(1)).max(1);
        run(conn, &format!("set local lock_timeout = {lock_timeout_ms}")).await?;
        // All locks first, and the new tables (which only a vacuum may use) before the live ones:
        // from the first live lock on, readers wait.
        for schema in [self.building.as_str(), LIVE] {
            let tables = self.all_in(schema);
            run(conn, &format!("lock table {tables} in access exclusive mode")).await?;
        }
        for table in self.tables {
            for (from, to) in [(LIVE, self.retired.as_str()), (self.building.as_str(), LIVE)] {
                let (table, to) = (qualified(from, table), quoted(to));
                run(conn, &format!("alter table {table} set schema {to}")).await?;
            }
        }
        Ok(())
    }

    /// Lets the live letters of the projection be those of the rebuild, within the caller's
    /// transaction. A letter that stays keeps its age, and a decision that somebody made meanwhile
    /// stands: the ordering key is then looked at again.
    pub(super) async fn replace_letters(
        &self,
        conn: &mut PgConnection,
        consumer: &str,
    ) -> Result<(), sqlx::Error> {
        let (live, built) = (qualified(LIVE, LETTERS), qualified(&self.building, LETTERS));
        for statement in [
            format!(
                "insert into {live} as known select * from {built} where consumer = $1 \
                 on conflict (consumer, position) do update set \
                   lane = excluded.lane, reason = excluded.reason, \
                   status = case when known.status = 'given_up' and excluded.status = 'failed' \
                     then 'given_up' else excluded.status end, \
                   retry = known.status = 'given_up' and excluded.status = 'failed'"
            ),
            format!(
                "delete from {live} known where consumer = $1 and not exists \
                 (select from {built} b where b.consumer = $1 and b.position = known.position)"
            ),
        ] {
            sqlx::query(&statement).bind(consumer).persistent(false).execute(&mut *conn).await?;
        }
        Ok(())
    }

    fn all_in(&self, schema: &str) -> String {
        let tables: Vec<String> =
            self.tables.iter().map(|table| qualified(schema, table)).collect();
        tables.join(", ")
    }
}

/// What hangs on a live table and would stay with the old one after a swap; none usually.
pub(super) async fn entanglement(
    conn: &mut PgConnection,
    table: &str,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(ENTANGLEMENT).bind(qualified(LIVE, table)).fetch_optional(conn).await
}

/// Whether somebody else holds a lock that we did not want to wait for.
pub(super) fn is_lock_refused(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    // lock_not_available, deadlock_detected.
    matches!(code.as_deref(), Some("55P03" | "40P01"))
}

/// The statements that make a clone: $1 the live schema, $2 the new one, $3 the live table.
///
/// Indexes are made by their definitions, because `including indexes` would rename them and a
/// later migration could not find them. Storage parameters, owner and grants are not in `like`.
const CLONE: &str = "\
with live as (select * from pg_class where oid = $3::regclass) \
select statement from (\
  select 1 as step, relname as name, \
         format('create table %I.%I (like %I.%I including all excluding indexes)%s', \
                $2::text, relname, $1::text, relname, \
                ' with (' || array_to_string(reloptions, ', ') || ')') as statement \
  from live \
  union all \
  select 2, conname, format('alter table %I.%I add constraint %I %s', \
                            $2, relname, conname, pg_get_constraintdef(c.oid)) \
  from live join pg_constraint c on c.conrelid = live.oid and c.contype in ('p', 'u', 'x') \
  union all \
  select 3, i.indexrelid::regclass::text, \
         replace(pg_get_indexdef(i.indexrelid), format(' ON %I.%I USING ', $1, relname), \
                 format(' ON %I.%I USING ', $2, relname)) \
  from live join pg_index i on i.indrelid = live.oid \
  where not exists (select from pg_constraint c where c.conindid = i.indexrelid \
                    and c.conrelid = live.oid) \
  union all \
  select 4, relname, format('alter table %I.%I owner to %I', \
                            $2, relname, pg_get_userbyid(relowner)) \
  from live where pg_get_userbyid(relowner) <> current_user \
  union all \
  select 5, g.privilege_type, \
         format('grant %s on %I.%I to %s%s', g.privilege_type, $2, relname, \
                case when g.grantee = 0 then 'public' \
                     else quote_ident(pg_get_userbyid(g.grantee)) end, \
                case when g.is_grantable then ' with grant option' else '' end) \
  from live cross join lateral aclexplode(relacl) g where g.grantee <> relowner\
) statements order by step, name";

const ENTANGLEMENT: &str = "\
select 'the view ' || r.ev_class::regclass from pg_rewrite r join pg_depend d \
  on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid \
  where d.refclassid = 'pg_class'::regclass and d.refobjid = $1::regclass \
    and r.ev_class <> d.refobjid \
union all select 'the foreign key ' || conname from pg_constraint \
  where contype = 'f' and $1::regclass in (conrelid, confrelid) \
union all select 'the trigger ' || tgname from pg_trigger \
  where tgrelid = $1::regclass and not tgisinternal \
union all select 'the row policy ' || polname from pg_policy where polrelid = $1::regclass \
union all select 'the publication ' || pubname from pg_publication p \
  join pg_publication_rel r on r.prpubid = p.oid where r.prrelid = $1::regclass \
limit 1";

async fn run(conn: &mut PgConnection, statement: &str) -> Result<(), sqlx::Error> {
    sqlx::query(statement).persistent(false).execute(conn).await?;
    Ok(())
}

fn qualified(schema: &str, table: &str) -> String {
    format!("{}.{}", quoted(schema), quoted(table))
}

/// An identifier as SQL wants it, whatever is in it.
fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
