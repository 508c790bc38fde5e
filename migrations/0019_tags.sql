-- What events can be found by besides their stream, and what a decision may expect of it: "no event has
-- this tag behind position p", checked under the lock of the append like the last event of a stream. See
-- docs/decisions/0022-expectations-over-a-tag.md.

create table event_tags (
  tag       text   collate "C" not null,        -- name:value, such as email:ann@example.com
  position  bigint not null check (position > 0),
  -- Whose value that is, if it is anybody's: it goes with the person's key. A tag is how events are found,
  -- not part of them, so it can go.
  person_id uuid   references personal_keys (person_id) on delete cascade,
  primary key (tag, position)
);
create index event_tags_of_people on event_tags (person_id) where person_id is not null;

-- The append, fourth form. What stands at the heads of 0001_journal.sql and 0013_append_v3.sql holds.
--
-- t_cmd, t_tag, t_after: the command was decided in the belief that no event has the tag behind that
-- position. g_event, g_tag, g_person: an event of the batch, counted from 1, has the tag. All of them are
-- empty where nobody uses tags, and then nothing is looked up or written.
create function journal_append_v4(
  k_key uuid[], k_fingerprint bytea[], k_outcome text[], k_first int[], k_last int[],
  c_cmd int[], c_prev int[], c_type text[], c_id text[], c_head uuid[],
  t_cmd int[], t_tag text[], t_after bigint[],
  e_cmd int[], e_type text[], e_id text[], e_sequence bigint[], e_name text[], e_version text[],
  e_payload text[], e_metadata text[], e_event_id uuid[],
  g_event int[], g_tag text[], g_person uuid[],
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
    raise exception 'journal_append_v4 needs read committed' using errcode = '25000';
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
  if short and cardinality(t_tag) > 0 then
    short := not exists (
      select from unnest(t_tag, t_after) t(tag, after)
        join event_tags g on g.tag = t.tag and g.position > t.after);
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
    if cardinality(t_tag) > 0 then
      select refused || coalesce(array_agg(distinct t.cmd), '{}') into refused
        from unnest(t_cmd, t_tag, t_after) t(cmd, tag, after)
        join event_tags g on g.tag = t.tag and g.position > t.after
       where not t.cmd = any(done) and not t.cmd = any(known) and not t.cmd = any(refused);
    end if;
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
    if cardinality(g_tag) > 0 then
      insert into event_tags (tag, position, person_id)
        select g.tag, head + g.event, g.person
          from unnest(g_event, g_tag, g_person) g(event, tag, person);
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
    if cardinality(g_tag) > 0 then
      insert into event_tags (tag, position, person_id)
        select g.tag, head + x.n, g.person
          from unnest(g_event, g_tag, g_person) g(event, tag, person)
          join (select x.o, row_number() over (order by x.o) as n
                  from unnest(e_cmd) with ordinality x(cmd, o)
                 where not x.cmd = any(refused) and not x.cmd = any(done)) x on x.o = g.event;
    end if;
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

-- Processes of the build before go on calling the third form.
create or replace function journal_append_v3(
  k_key uuid[], k_fingerprint bytea[], k_outcome text[], k_first int[], k_last int[],
  c_cmd int[], c_prev int[], c_type text[], c_id text[], c_head uuid[],
  e_cmd int[], e_type text[], e_id text[], e_sequence bigint[], e_name text[], e_version text[],
  e_payload text[], e_metadata text[], e_event_id uuid[],
  keyed boolean, resent boolean,
  client_now timestamptz, max_skew interval, max_back interval
) returns table (
  cmd int, status text, first_position bigint, last_position bigint,
  first_fingerprint bytea, first_outcome text, head_position bigint,
  written_at timestamptz
)
language sql volatile as $$
  select a.* from journal_append_v4(
      k_key, k_fingerprint, k_outcome, k_first, k_last, c_cmd, c_prev, c_type, c_id, c_head,
      '{}', '{}', '{}',
      e_cmd, e_type, e_id, e_sequence, e_name, e_version, e_payload, e_metadata, e_event_id,
      '{}', '{}', '{}',
      keyed, resent, client_now, max_skew, max_back) a
$$;

-- E-mail addresses were claimed in a table of their own, before the account was recorded. Those of accounts
-- become tags of the events that made them.
insert into event_tags (tag, position, person_id)
  select 'email:' || c.email, e.position, c.person_id
    from email_claims c
    join events e on e.aggregate_type = 'user' and e.aggregate_id = c.person_id::text and e.sequence = 1
   where e.event_type = 'UserRegistered';

-- Processes of the build before look for addresses there, so they find new ones there too. When none of
-- them runs any more, table and trigger can go.
create function email_claims_follow() returns trigger language plpgsql as $$
begin
  insert into email_claims (email, person_id)
  values (substr(new.tag, length('email:') + 1), new.person_id) on conflict do nothing;
  return null;
end $$;
create trigger email_claims_follow after insert on event_tags
  for each row when (new.tag like 'email:%' and new.person_id is not null)
  execute function email_claims_follow();
