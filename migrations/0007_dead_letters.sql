-- Events that a consumer of the journal could not take in, and those that wait behind them. Only
-- references: the events themselves are in the journal, and nothing here is read by a decision.
--
-- A letter goes when its event has had its effect, in the same transaction. One that an operator
-- gave up stays, as the record of that decision: a rebuild of the read model leaves the event out
-- as well if it still cannot be applied.

create table dead_letters (
  consumer       text        collate "C" not null,  -- a projection or another follower of the journal
  position       bigint      not null check (position > 0),
  -- What the event belongs to for this consumer: later events of the same lane wait behind it, all
  -- others go on. Null: the consumer as a whole stands before this event.
  lane           text        collate "C",
  -- failed: could not be applied; waiting: behind a failed one of its lane; given_up: by somebody.
  status         text        not null check (status in ('failed', 'waiting', 'given_up')),
  reason         text,                               -- holds no personal data
  event_id       uuid        not null,
  event_type     text        not null,
  aggregate_type text        not null,
  aggregate_id   text        not null,
  attempts       integer     not null default 1 check (attempts >= 0),
  -- Somebody asked for another try; the consumer's worker takes it from here.
  retry          boolean     not null default false,
  first_at       timestamptz not null default now(),
  last_at        timestamptz not null default now(),
  primary key (consumer, position),
  check ((status = 'waiting') = (reason is null))
);
-- The lanes that are parked; the letters to try again.
create index dead_letters_by_lane on dead_letters (consumer, lane, position);
create index dead_letters_to_retry on dead_letters (consumer) where retry;

-- 'partly_parked': the projection goes on, and events of some lanes go to its dead letters. A status
-- of its own, so that a build which does not know of lanes reads it as trouble and touches nothing.
alter table projections drop constraint projections_status_check;
alter table projections add constraint projections_status_check
  check (status in ('running', 'partly_parked', 'parked'));
-- What stands before an event without a letter meets it again, and then has one.
update projections set status = 'running', parked_position = null, parked_reason = null
 where status = 'parked';
