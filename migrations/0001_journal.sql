-- The journal: the only truth. Everything else in this database and on JetStream can be rebuilt
-- from these rows (and from personal_keys, which is kept apart so that it can be forgotten).

create table events (
  -- Commit order: 1, 2, 3, … without a gap. The primary key is the fence: whoever would write a
  -- position twice fails, whatever went wrong with the lock.
  position       bigint primary key,
  aggregate_type text collate "C" not null,
  aggregate_id   text collate "C" not null,
  sequence       bigint not null check (sequence > 0),
  event_type     text collate "C" not null,
  event_version  text collate "C" not null,
  payload        json not null,                 -- json keeps the bytes as they were written, jsonb does not
  metadata       json not null,
  event_id       uuid not null,
  recorded_at    timestamptz not null,          -- taken under the lock: never goes back with position
  unique (aggregate_type, aggregate_id, sequence),
  check (octet_length(payload::text) + octet_length(metadata::text) <= 524288)
) with (
  -- Rows are only ever added, so vacuum has nothing to do but keep the visibility map fresh.
  autovacuum_vacuum_insert_scale_factor = 0.05
);

-- What became of commands that carried an idempotency key. Written with the events, so a key is
-- known exactly when its events are. Ids and versions only: bodies hold personal data and are
-- rendered again.
--
-- Kept for 30 days and forgotten a week at a time, by dropping a partition: deleting row by row
-- would cost as much as writing. That a key is known once is seen to by the lock in journal_append,
-- not by an index: an index over all partitions does not exist.
create table command_outcomes (
  key            uuid not null,
  fingerprint    bytea not null,                -- SHA-256 of the canonical body
  outcome        text not null,                 -- JSON: ids and versions, as the route recorded them
  first_position bigint not null,
  last_position  bigint not null,
  recorded_at    timestamptz not null,
  primary key (key, recorded_at)
) partition by range (recorded_at);

-- Takes what no week was made for, so that a command never fails for want of a partition.
create table command_outcomes_default partition of command_outcomes default;

-- Makes the partitions of this week and the next three, and drops those that ended more than
-- `keep` ago. Run at every migration and every hour by any process; harmless when repeated.
create function command_outcomes_maintain(moment timestamptz, keep interval) returns void
language plpgsql as $$
declare
  week timestamptz;
  partition text;
begin
  -- One process at a time; whoever comes second finds nothing to do.
  perform pg_advisory_xact_lock(7368);
  for week in select generate_series(date_trunc('week', moment, 'UTC'),
                                     date_trunc('week', moment, 'UTC') + interval '3 weeks', interval '1 week')
  loop
    partition := 'command_outcomes_' || to_char(week at time zone 'UTC', 'YYYYMMDD');
    if to_regclass(partition) is null
       and not exists (select from command_outcomes_default o
                        where o.recorded_at >= week and o.recorded_at < week + interval '1 week') then
      execute format('create table %I partition of command_outcomes for values from (%L) to (%L)',
                     partition, week, week + interval '1 week');
    end if;
  end loop;
  for partition in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = 'command_outcomes'::regclass and c.relname ~ '_[0-9]{8}$'
       and to_timestamp(right(c.relname, 8), 'YYYYMMDD') + interval '7 days' < moment - keep
  loop
    execute format('drop table %I', partition);
  end loop;
  delete from command_outcomes_default where recorded_at < moment - keep;
end $$;

select command_outcomes_maintain(now(), interval '30 days');

-- Appends a batch of commands, each all or nothing, and says what became of each.
--
-- One autocommitted SELECT on the wire. READ COMMITTED gives every statement in here a fresh
-- snapshot, so what comes after the lock sees everything that the previous holder committed; one
-- statement with several CTEs could not do this, its snapshot is older than the lock it waits for.
--
-- An expectation names the *event id* of the last event that a decision saw, not the version:
-- a refused speculative event leaves a version that another process may fill with another event.
-- c_prev names the command of this batch that the decision was made on; 0 means the database.
--
-- status: ok, conflict (an expectation failed, or what it was decided on was refused),
-- replay (the key is known; its first outcome comes back and nothing is written).
create function journal_append(
  k_key uuid[], k_fingerprint bytea[], k_outcome text[],
  c_cmd int[], c_prev int[], c_type text[], c_id text[], c_head uuid[],
  e_cmd int[], e_type text[], e_id text[], e_sequence bigint[], e_name text[], e_version text[],
  e_payload text[], e_metadata text[], e_event_id uuid[],
  resent boolean
) returns table (
  cmd int, status text, first_position bigint, last_position bigint,
  first_fingerprint bytea, first_outcome text, head_position bigint,
  written_at timestamptz        -- when its events were recorded
)
language plpgsql volatile as $$
#variable_conflict use_column
declare
  known int[] := '{}';       -- commands whose key has an outcome already
  done int[] := '{}';        -- commands of a batch sent again whose events are there already
  refused int[] := '{}';
  size_before int;
  head bigint;
  last_at timestamptz;
  at timestamptz;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'journal_append needs read committed' using errcode = '25000';
  end if;
  -- Orders commits across all processes; released after the commit is visible.
  perform pg_advisory_xact_lock(7366);

  if resent then
    -- The connection was lost after this batch had been sent: whatever of it was committed is
    -- recognised by our own event ids.
    select coalesce(array_agg(distinct x.cmd), '{}') into done
      from unnest(e_cmd, e_type, e_id, e_sequence, e_event_id) x(cmd, typ, id, seq, event_id)
      join events e on e.aggregate_type = x.typ and e.aggregate_id = x.id
                   and e.sequence = x.seq and e.event_id = x.event_id;
  end if;

  select coalesce(array_agg(k.i::int), '{}') into known
    from unnest(k_key) with ordinality k(key, i)
    cross join lateral (select 1 from command_outcomes o where o.key = k.key limit 1) o
   where k.key is not null and not k.i::int = any(done);

  select coalesce(array_agg(distinct c.cmd), '{}') into refused
    from unnest(c_cmd, c_prev, c_type, c_id, c_head) c(cmd, prev, typ, id, head)
    left join lateral (select e.event_id from events e
                        where e.aggregate_type = c.typ and e.aggregate_id = c.id
                        order by e.sequence desc limit 1) h on true
   where c.prev = 0 and not c.cmd = any(done) and h.event_id is distinct from c.head;

  refused := refused || known;
  if cardinality(refused) > 0 then
    -- Refuse what was decided on what is refused, and so on.
    loop
      size_before := cardinality(refused);
      select array_agg(distinct x) into refused from (
        select unnest(refused) x
        union all
        select c.cmd from unnest(c_cmd, c_prev) c(cmd, prev) where c.prev = any(refused)
      ) q;
      exit when cardinality(refused) = size_before;
    end loop;
  end if;

  -- No row that holds the head: it would bloat under any open snapshot.
  select position, recorded_at into head, last_at from events order by position desc limit 1;
  head := coalesce(head, 0);

  if exists (select 1 from unnest(e_cmd) u where not u = any(refused) and not u = any(done)) then
    at := greatest(clock_timestamp(), last_at);
    insert into events (position, aggregate_type, aggregate_id, sequence, event_type,
                        event_version, payload, metadata, event_id, recorded_at)
      select head + row_number() over (order by x.o), x.typ, x.id, x.seq, x.name, x.version,
             x.payload::json, x.metadata::json, x.event_id, at
        from unnest(e_cmd, e_type, e_id, e_sequence, e_name, e_version, e_payload, e_metadata, e_event_id)
             with ordinality x(cmd, typ, id, seq, name, version, payload, metadata, event_id, o)
       where not x.cmd = any(refused) and not x.cmd = any(done);
    insert into command_outcomes (key, fingerprint, outcome, first_position, last_position, recorded_at)
      select k_key[p.cmd], k_fingerprint[p.cmd], k_outcome[p.cmd], p.first_position, p.last_position, at
        from (select r.cmd, head + min(r.n) as first_position, head + max(r.n) as last_position
                from (select x.cmd, row_number() over (order by x.o) as n
                        from unnest(e_cmd) with ordinality x(cmd, o)
                       where not x.cmd = any(refused) and not x.cmd = any(done)) r
               group by r.cmd) p
       where k_key[p.cmd] is not null;
  end if;

  return query
    with written as (
      select r.cmd, head + min(r.n) as first_position, head + max(r.n) as last_position, at as written_at
        from (select x.cmd, row_number() over (order by x.o) as n
                from unnest(e_cmd) with ordinality x(cmd, o)
               where not x.cmd = any(refused) and not x.cmd = any(done)) r
       group by r.cmd
      union all
      select x.cmd, min(e.position), max(e.position), max(e.recorded_at)
        from unnest(e_cmd, e_type, e_id, e_sequence, e_event_id) x(cmd, typ, id, seq, event_id)
        join events e on e.aggregate_type = x.typ and e.aggregate_id = x.id
                     and e.sequence = x.seq and e.event_id = x.event_id
       where x.cmd = any(done)
       group by x.cmd
    )
    select i,
           case when i = any(known) then 'replay' when i = any(refused) then 'conflict' else 'ok' end,
           coalesce(w.first_position, o.first_position),
           coalesce(w.last_position, o.last_position),
           o.fingerprint, o.outcome,
           head + (select count(*) from unnest(e_cmd) u where not u = any(refused) and not u = any(done)),
           coalesce(w.written_at, o.recorded_at)
      from generate_series(1, cardinality(k_key)) i
      left join written w on w.cmd = i
      left join lateral (select o.first_position, o.last_position, o.fingerprint, o.outcome, o.recorded_at
                           from command_outcomes o where i = any(known) and o.key = k_key[i]) o on true;
end $$;

-- One key a person. Deleting the row is what erasure means: every sealed value of that person, in
-- every copy of every event, can never be read again. Written before its first use.
create table personal_keys (
  person_id  uuid primary key,
  key        bytea not null check (octet_length(key) = 32),
  created_at timestamptz not null default now()
);

-- Which user an e-mail address belongs to: uniqueness and sign-in. Outside the journal, because
-- nothing in there may be derived from personal data.
create table email_claims (
  email      text primary key,                  -- case-folded
  person_id  uuid not null unique references personal_keys on delete cascade,
  claimed_at timestamptz not null default now()
);

-- Small numbers for people and old clients. 1 to 7 belong to the sample catalogue.
create sequence variant_numbers as integer start 8;
create sequence user_numbers as integer;
create sequence order_numbers as integer;
