-- Checkpoints name the event that they stand behind, not only its position: after a fail-over that
-- lost commits, or in a restored database, the same position may hold another event.
--
-- Builds of before move `position` alone. So the id counts only while `event_position` still is the
-- position; otherwise any event is believed to be the one, as before.
alter table projections
  add column event_position bigint,
  add column event_id       uuid;

alter table process_checkpoints
  add column event_position bigint,
  add column event_id       uuid;

-- What a process knows of events that it read, or answered for, and that are in the journal no more.
-- Written when that is found, never read by the shop itself: for whoever has to tell customers.
create table lost_events (
  event_id       uuid        primary key,
  position       bigint      not null,
  aggregate_type text        collate "C" not null,
  aggregate_id   text        collate "C" not null,
  event_type     text        collate "C" not null,
  recorded_at    timestamptz not null,
  found_at       timestamptz not null default now()
);

-- Commands with an idempotency key that a process answered for and whose events are gone: their
-- clients believe that they were carried out. The key is a hash of who asked, what and their own key.
create table lost_keys (
  key            uuid        primary key,
  first_position bigint      not null,
  last_position  bigint      not null,
  found_at       timestamptz not null default now()
);
