-- The append with a short way for the usual batch: nobody else has written to what its decisions
-- saw, and no key is known. Then the positions follow from the order alone, no command has to be
-- told apart from another, and one row says it all. Anything else goes the whole way of
-- `journal_append`, under the same lock, which also stays for processes of the previous build.
--
-- Measured beside it (PostgreSQL 15, without the commit): a batch of one takes 0.3 to 0.5 of the
-- time, a batch of 128 about 0.7.
--
-- keyed: whether any key is given. k_first, k_last: which events of the batch are the command's,
-- counted from 1; null without events.
--
-- A single row with cmd 0 means that every command is ok: the batch's events have the positions
-- from first_position to last_position, in order. Otherwise a row a command, as journal_append
-- answers.
create function journal_append_v2(
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
language plpgsql volatile as $$
#variable_conflict use_column
declare
  head bigint;
  last_at timestamptz;
  at timestamptz;
  short boolean := not resent;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'journal_append_v2 needs read committed' using errcode = '25000';
  end if;
  -- Orders commits across all processes; released after the commit is visible. What follows sees
  -- everything that the previous holder committed, because each statement has a fresh snapshot.
  perform pg_advisory_xact_lock(7366);

  if short and keyed then
    short := not exists (
      select from unnest(k_key) k(key)
       cross join lateral (select 1 from command_outcomes o
                            where o.key = k.key
                              -- Weeks that have not begun hold nothing and need no look.
                              and o.recorded_at < now() + interval '1 day' limit 1) o
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
    return query select * from journal_append(
      k_key, k_fingerprint, k_outcome, c_cmd, c_prev, c_type, c_id, c_head,
      e_cmd, e_type, e_id, e_sequence, e_name, e_version, e_payload, e_metadata, e_event_id, resent);
    return;
  end if;

  select e.position, e.recorded_at into head, last_at from events e order by e.position desc limit 1;
  head := coalesce(head, 0);
  if e_cmd <> '{}' then
    at := greatest(clock_timestamp(), last_at);
    insert into events (position, aggregate_type, aggregate_id, sequence, event_type,
                        event_version, payload, metadata, event_id, recorded_at)
      select head + x.o, x.typ, x.id, x.seq, x.name, x.version,
             x.payload::json, x.metadata::json, x.event_id, at
        from unnest(e_type, e_id, e_sequence, e_name, e_version, e_payload, e_metadata, e_event_id)
             with ordinality x(typ, id, seq, name, version, payload, metadata, event_id, o);
    if keyed then
      insert into command_outcomes (key, fingerprint, outcome, first_position, last_position, recorded_at)
        select k.key, k.fingerprint, k.outcome, head + k.first, head + k.last, at
          from unnest(k_key, k_fingerprint, k_outcome, k_first, k_last)
               k(key, fingerprint, outcome, first, last)
         where k.key is not null and k.first is not null;
    end if;
  end if;
  return query select 0, 'ok', head + 1, head + cardinality(e_cmd), null::bytea, null::text,
                      head + cardinality(e_cmd), at;
end $$;
