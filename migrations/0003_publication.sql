-- What publishing the journal leaves behind in the database. JetStream is only a copy of the
-- journal, so whatever must survive the loss of JetStream is kept here.

-- Names this history. The stream carries the same id, so that a relay that finds the stream of
-- another history (of a restored or failed-over database) stops instead of writing into it.
create table journal_epoch (
  only_row boolean primary key default true check (only_row),
  epoch    uuid not null default gen_random_uuid(),
  since    timestamptz not null default now()
);
insert into journal_epoch default values;

-- How far each durable consumer of the stream has got: every event up to this position had its
-- effect. JetStream's own durable is lost with the stream and is made again from here.
create table consumer_positions (
  name     text collate "C" primary key,
  position bigint not null check (position >= 0)
);

-- Every mail that an event caused or still has to cause. No addresses and no texts: those are asked
-- for at the time of sending, so that erasing a person leaves nothing here.
create table mails (
  -- One event, one mail: whatever delivers the event again finds this row.
  event_id    uuid primary key,
  position    bigint not null,
  order_id    uuid not null,
  kind        text not null,
  -- waiting: to be sent again; sending: a worker holds the lease; sent; skipped: the person was
  -- erased; failed: refused for good, somebody has to look at it.
  state       text not null check (state in ('waiting', 'sending', 'sent', 'skipped', 'failed')),
  -- Until when the worker that took it may send. Bounded, so that a dead worker's mail is sent by
  -- another one.
  lease_until timestamptz not null,
  attempts    integer not null default 1 check (attempts > 0),
  -- How many of the attempts were refused for good; a mail server that is away counts as none.
  refusals    integer not null default 0 check (refusals >= 0),
  -- Derived from the event id, so that a duplicate is recognised by whoever receives it.
  message_id  text not null,
  -- What the mail server answered last: a status code or a kind of failure, never an address.
  problem     text,
  sent_at     timestamptz,
  check ((state = 'sent') = (sent_at is not null))
);
create index on mails (order_id);
