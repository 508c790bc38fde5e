-- A command whose key was known and whose expectation failed as well counted twice among the
-- refused, so that the refusal of what was decided on it stopped one step short: what was decided on
-- *that* was appended although its state never was.
--
-- Replaced under its own name: arguments and answers are as they were, and processes of the build
-- before need the correction as much as those of this one.
create or replace function journal_append(
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
   where c.prev = 0 and not c.cmd = any(done) and not c.cmd = any(known)
     and h.event_id is distinct from c.head;

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
