-- The append, third form: a key keeps whatever became of its command, also that there was nothing
-- to do; outcomes are found whatever the clock did; and nothing is written while clocks disagree.
--
-- What stands at the head of 0001_journal.sql holds: one autocommitted call, the lock first, then
-- fresh snapshots, expectations by event id, the key before everything else. As in 0008_append.sql
-- the usual batch goes a short way, on which no command has to be told apart from another.
--
-- k_key, k_fingerprint: null where a command has no key. k_outcome: what to keep under the key;
-- null for a refusal, whose key is looked up like any other and under which nothing is kept: a
-- refused request is decided afresh when it is sent again.
-- k_first, k_last: which events of the batch are the command's, counted from 1; null without.
-- keyed: whether any key is given. resent: this batch may have been committed before.
--
-- A command that had nothing to do is kept with first_position = last_position + 1, last_position
-- being the head right after its batch: the position that its caller was told to wait for.
--
-- client_now, max_skew: refuse to write when this server's clock is farther than this from its
-- client's. max_back: refuse to write when this server's clock is farther than this behind the last
-- event; less is evened out, recorded_at never goes back. Null: do not look. A refusal is GM001 and
-- concerns only batches that write something; a key that is known is answered at any time of day.
--
-- A single row with cmd 0 means that every command is ok: the batch's events have the positions
-- from first_position to last_position, in order. Otherwise a row a command. Its status: ok,
-- conflict, or replay, where nothing was written and the first outcome comes back, with a
-- first_fingerprint of null when nobody knows any more what the body was.
create function journal_append_v3(
  k_key uuid[], k_fingerprint bytea[], k_outcome text[], k_first int[], k_last int[],
  c_cmd int[], c_prev int[], c_type text[], c_id text[], c_head uuid[],
  e_cmd int[], e_type text[], e_id text[], e_sequence bigint[], e_name text[], e_version text[],
  e_payload text[], e_metadata text[], e_event_id uuid[],
  keyed boolean, resent boolean,
  client_now timestamptz, max_skew interval, max_back interval
) returns table (
  cmd int, status text, first_position bigint, last_position bigint,
  first_fingerprint bytea, first_outcome text, head_position bigint,
  written_at timestamptz        -- when its events, or that there are none, were recorded
)
language plpgsql volatile as $$
#variable_conflict use_column
declare
  known int[] := '{}';       -- commands whose key has an outcome already
  done int[] := '{}';        -- commands of a batch sent again whose events are there already
  refused int[] := '{}';     -- these, and whatever saw what is not there any more
  size_before int;
  head bigint;               -- before this batch
  new_head bigint;           -- after it
  last_at timestamptz;
  at timestamptz;
  writes boolean;            -- whether there is anything to write
  short boolean := not resent;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'journal_append_v3 needs read committed' using errcode = '25000';
  end if;
  -- Orders commits across all processes; released after the commit is visible. What follows sees
  -- everything that the previous holder committed, because each statement has a fresh snapshot.
  perform pg_advisory_xact_lock(7366);

  -- The short way, if no key is known, and everything is as the decisions saw it. In every week,
  -- also those that have not begun: a clock that was ahead has written there.
  if short and keyed then
    short := not exists (
      select from unnest(k_key) k(key)
       cross join lateral (select 1 from command_outcomes o where o.key = k.key limit 1) o
       where k.key is not null);
  end if;
  if short then
    short := not exists (
      select from unnest(c_prev, c_type, c_id, c_head) c(prev, typ, id, head)
        left join lateral (select e.event_id from events e
                            where e.aggregate_type = c.typ and e.aggregate_id = c.id
                            order by e.sequence desc limit 1) h on true
       where c.prev = 0 and h.event_id is distinct from c.head);
  end if;

  if not short then
    if resent then
      -- The connection was lost after this batch had been sent: whatever of it was committed is
      -- recognised by our own event ids; and what had no events, by its key.
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
     where c.prev = 0 and h.event_id is distinct from c.head
       and not c.cmd = any(done) and not c.cmd = any(known);
    -- No command twice: the loop below ends when the count stays the same.
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
  end if;

  -- No row that holds the head: it would bloat under any open snapshot.
  select e.position, e.recorded_at into head, last_at from events e order by e.position desc limit 1;
  head := coalesce(head, 0);
  if short then
    new_head := head + cardinality(e_cmd);
  else
    select head + count(*) into new_head
      from unnest(e_cmd) x(cmd) where not x.cmd = any(refused) and not x.cmd = any(done);
  end if;
  writes := new_head > head;
  if keyed and not writes then
    writes := exists (
      select from unnest(k_key, k_outcome) with ordinality k(key, outcome, i)
       where k.key is not null and k.outcome is not null
         and not k.i::int = any(refused) and not k.i::int = any(done));
  end if;

  if writes then
    at := clock_timestamp();
    if at < last_at - max_back then
      raise exception 'the clock of the database, %, is behind the last event, of %', at, last_at
        using errcode = 'GM001',
              hint = 'Set the clock right. Nothing is written until it has passed that moment.';
    end if;
    if at > client_now + max_skew or at < client_now - max_skew then
      raise exception 'the clock of the database, %, is not that of its client, %', at, client_now
        using errcode = 'GM001', hint = 'Set both clocks right.';
    end if;
    at := greatest(at, last_at);
  end if;

  if short then
    if new_head > head then
      insert into events (position, aggregate_type, aggregate_id, sequence, event_type,
                          event_version, payload, metadata, event_id, recorded_at)
        select head + x.o, x.typ, x.id, x.seq, x.name, x.version,
               x.payload::json, x.metadata::json, x.event_id, at
          from unnest(e_type, e_id, e_sequence, e_name, e_version, e_payload, e_metadata, e_event_id)
               with ordinality x(typ, id, seq, name, version, payload, metadata, event_id, o);
    end if;
    if keyed and writes then
      insert into command_outcomes (key, fingerprint, outcome, first_position, last_position, recorded_at)
        select k.key, k.fingerprint, k.outcome,
               coalesce(head + k.first, new_head + 1), coalesce(head + k.last, new_head), at
          from unnest(k_key, k_fingerprint, k_outcome, k_first, k_last)
               k(key, fingerprint, outcome, first, last)
         where k.key is not null and k.outcome is not null;
    end if;
    return query select 0, 'ok', head + 1, new_head, null::bytea, null::text, new_head, at;
    return;
  end if;

  if new_head > head then
    insert into events (position, aggregate_type, aggregate_id, sequence, event_type,
                        event_version, payload, metadata, event_id, recorded_at)
      select head + row_number() over (order by x.o), x.typ, x.id, x.seq, x.name, x.version,
             x.payload::json, x.metadata::json, x.event_id, at
        from unnest(e_cmd, e_type, e_id, e_sequence, e_name, e_version, e_payload, e_metadata, e_event_id)
             with ordinality x(cmd, typ, id, seq, name, version, payload, metadata, event_id, o)
       where not x.cmd = any(refused) and not x.cmd = any(done);
  end if;
  if keyed and writes then
    insert into command_outcomes (key, fingerprint, outcome, first_position, last_position, recorded_at)
      select k.key, k.fingerprint, k.outcome,
             coalesce(p.first_position, new_head + 1), coalesce(p.last_position, new_head), at
        from unnest(k_key, k_fingerprint, k_outcome) with ordinality k(key, fingerprint, outcome, i)
        left join (select r.cmd, head + min(r.n) as first_position, head + max(r.n) as last_position
                     from (select x.cmd, row_number() over (order by x.o) as n
                             from unnest(e_cmd) with ordinality x(cmd, o)
                            where not x.cmd = any(refused) and not x.cmd = any(done)) r
                    group by r.cmd) p on p.cmd = k.i
       where k.key is not null and k.outcome is not null
         and not k.i::int = any(refused) and not k.i::int = any(done);
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
           nullif(o.fingerprint, '\x'), o.outcome, new_head,
           coalesce(w.written_at, o.recorded_at)
      from generate_series(1, cardinality(k_key)) i
      left join written w on w.cmd = i
      left join lateral (select o.first_position, o.last_position, o.fingerprint, o.outcome, o.recorded_at
                           from command_outcomes o where i = any(known) and o.key = k_key[i] limit 1) o on true;
end $$;

-- Processes of the build before go on calling the second form. It does what it did, by way of the
-- third: a command without events leaves nothing under its key, because that build cannot say
-- whether it was a refusal. Its fingerprints, digests that anybody can compute from a guessed body,
-- are not kept any more: an empty one is as good as any, see 0015_fingerprints.sql.
create or replace function journal_append_v2(
  k_key uuid[], k_fingerprint bytea[], k_outcome text[], k_first int[], k_last int[],
  c_cmd int[], c_prev int[], c_type text[], c_id text[], c_head uuid[],
  e_cmd int[], e_type text[], e_id text[], e_sequence bigint[], e_name text[], e_version text[],
  e_payload text[], e_metadata text[], e_event_id uuid[],
  keyed boolean, resent boolean
) returns table (
  cmd int, status text, first_position bigint, last_position bigint,
  first_fingerprint bytea, first_outcome text, head_position bigint,
  written_at timestamptz
)
language sql volatile as $$
  select a.cmd, a.status, a.first_position, a.last_position,
         case when a.status = 'replay' then k_fingerprint[a.cmd] end,
         a.first_outcome, a.head_position, a.written_at
    from journal_append_v3(
      k_key, array_fill('\x'::bytea, array[cardinality(k_key)]),
      array(select case when k.first is not null then k.outcome end
              from unnest(k_outcome, k_first) with ordinality k(outcome, first, i) order by k.i),
      k_first, k_last, c_cmd, c_prev, c_type, c_id, c_head,
      e_cmd, e_type, e_id, e_sequence, e_name, e_version, e_payload, e_metadata, e_event_id,
      keyed, resent, null, null, null) a
$$;
