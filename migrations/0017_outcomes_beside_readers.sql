-- Makes the partitions of this week and the next three, and drops those that ended more than `keep` ago.
-- As in 0001_journal.sql, but nobody is kept waiting:
--
-- * Only one process is at it; others leave it to that one instead of queueing.
-- * Making and dropping a partition need a lock that no reader may hold, and while it is waited for every
--   append waits behind it. A dump reads for hours. So it is waited for 50 ms, and then the round fails with
--   55P03 and is done at another hour: partitions are made three weeks ahead.
-- * A partition is dropped by the time of the last event, where that is the earlier one: a clock that is ahead
--   must not make keys forgotten. The journal refuses to write while this clock is wrong.
create or replace function command_outcomes_maintain(moment timestamptz, keep interval) returns void
language plpgsql as $$
declare
  week timestamptz;
  partition text;
  last_at timestamptz;
begin
  if not pg_try_advisory_xact_lock(7368) then
    return;
  end if;
  perform set_config('lock_timeout', '50ms', true);
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
  select recorded_at into last_at from events order by position desc limit 1;
  for partition in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = 'command_outcomes'::regclass and c.relname ~ '_[0-9]{8}$'
       and to_timestamp(right(c.relname, 8), 'YYYYMMDD') + interval '7 days' < least(moment, last_at) - keep
  loop
    execute format('drop table %I', partition);
  end loop;
  delete from command_outcomes_default where recorded_at < least(moment, last_at) - keep;
end $$;
