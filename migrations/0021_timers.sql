-- What processes have to do later, on the database's clock: one table for all of them.
create table process_timers (
  process  text        collate "C" not null,
  key      text        collate "C" not null,     -- names it within its process
  set_at   timestamptz not null,                 -- when the event that set it was recorded
  due_at   timestamptz not null,
  attempts integer     not null default 0,
  data     jsonb       not null,                 -- ids and facts, no personal data
  primary key (process, key)
);
create index process_timers_due on process_timers (process, due_at);

-- Settlement of payments had a table and a checkpoint of its own. Processes of the build before go on with theirs
-- while a deploy is rolled out; asking a provider twice does no harm. When none of them runs any more,
-- payment_settlements and the checkpoint 'payment_settlement' can go.
insert into process_timers (process, key, set_at, due_at, attempts, data)
  select 'settlement', payment_id::text, requested_at, due_at, attempts,
         jsonb_build_object('order_id', order_id)
    from payment_settlements;
insert into process_checkpoints (name, position, event_position, event_id)
  select 'settlement', position, event_position, event_id
    from process_checkpoints where name = 'payment_settlement';
