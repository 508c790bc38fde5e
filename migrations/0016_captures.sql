-- What providers really took, beside what was asked for. Old builds write rows without these columns
-- and read none of them; `gomall rebuild orders` fills them for payments of before.

alter table payments
  -- [{"amount", "orphaned", "code"}], one a currency: what was taken, how much of it has no order,
  -- and why.
  add column captured           jsonb   not null default '[]',
  -- What the provider said where an amount should stand; somebody has to look it up there.
  add column capture_unreadable text,
  -- Something was taken, and the order took none of it: for its payer the payment has failed. It is
  -- the exception that is marked, so that the rows of old builds say the usual.
  add column pays_nothing       boolean not null default false;

-- What staff have to see to is few among many.
create index payments_orphaned on payments (requested_position) where orphaned;
