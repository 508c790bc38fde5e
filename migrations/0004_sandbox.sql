-- The sandbox payment provider's own books. It plays somebody else's company: nothing outside this
-- schema refers to it, and it refers to nothing outside. They are in PostgreSQL so that a provider
-- that was killed has forgotten nothing, and so that two processes are one provider.

create schema sandbox;

create table sandbox.payments (
  -- The shop's id of the payment and the idempotency key: whoever inserts the row first decides
  -- what every later charge with this id is answered.
  id           uuid primary key,
  status       text collate "C" not null
               check (status in ('pending', 'action_required', 'captured', 'declined', 'voided')),
  -- All four are null in a tombstone: a payment that was called off before it was ever asked for.
  amount_minor bigint check (amount_minor >= 0),
  currency     text collate "C",
  method       text,
  reference    text,
  code         text collate "C",                -- why it was declined
  settles_at   timestamptz,                     -- when a pending payment is captured
  created_at   timestamptz not null default clock_timestamp(),
  changed_at   timestamptz not null default clock_timestamp(),
  check ((amount_minor is null) = (currency is null)),
  check (amount_minor is not null or status = 'voided'),
  check (status <> 'pending' or settles_at is not null),
  check ((status = 'declined') = (code is not null))
);

-- For finishing what a killed process had begun.
create index on sandbox.payments (settles_at) where status = 'pending';

-- Notifications that still have to be delivered, written by the statement that changes the status,
-- so that none is lost between the two. A row goes when it is delivered or given up.
create table sandbox.webhooks (
  id              uuid primary key default gen_random_uuid(),
  payment_id      uuid not null references sandbox.payments,
  -- As it was at the change; the payment may have moved on when this is delivered.
  status          text collate "C" not null,
  amount_minor    bigint,
  currency        text collate "C",
  code            text collate "C",
  attempts        integer not null default 0,
  -- Pushed ahead before each attempt: the claim of a process that dies during it runs out by itself.
  next_attempt_at timestamptz not null default clock_timestamp()
);

create index on sandbox.webhooks (next_attempt_at);
