-- Process managers: where each is in the journal, and what it is waiting for.

create table process_checkpoints (
  name     text primary key,
  position bigint not null
);

-- Payments that were asked for and are not settled. A row goes when its outcome is durable.
create table payment_settlements (
  payment_id   uuid primary key,
  order_id     uuid not null,
  requested_at timestamptz not null,
  due_at       timestamptz not null,            -- on the database's clock, like every timer
  attempts     integer not null default 0
);
create index on payment_settlements (due_at);

-- What payment providers told us on their own accord: the trace of every notification that was
-- signed, also of payments that nobody here asked for.
create table payment_notifications (
  provider    text not null,
  event_id    text not null,
  payment_id  uuid not null,
  known       boolean not null,                 -- whether the payment was known when it came
  received_at timestamptz not null default now(),
  primary key (provider, event_id)
);
