-- Folded states, so that a long stream is not read from its first event on. Nothing but a cache:
-- every row may be deleted at any time, and is made again when it is missed.
--
-- A row is believed only if `state_version` is that of the reading build and the stream's event at
-- `sequence` is still `event_id`: a restored journal may have another one there.
create table aggregate_snapshots (
  aggregate_type text collate "C" not null,
  aggregate_id   text collate "C" not null,
  sequence       bigint not null check (sequence > 0),  -- of the last event in the state
  event_id       uuid not null,                         -- that event
  state_version  text collate "C" not null,             -- digest of the code that folds
  state          json not null,                         -- what is sealed in events is sealed in here
  taken_at       timestamptz not null default now(),
  primary key (aggregate_type, aggregate_id)
);
