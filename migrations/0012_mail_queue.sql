-- The table of mails is the queue of those that are to be sent. `lease_until` is when a row may be taken:
-- by whom it is sent until then, or until when it rests.
--
-- Builds of before send what the stream delivers to them, under the same leases; a row that is queued by
-- this build is sent by this build.
alter table mails drop constraint mails_attempts_check;
alter table mails
  -- 0: nobody has tried yet.
  add constraint mails_attempts_check check (attempts >= 0),
  -- Since when it waits.
  add column queued_at  timestamptz not null default now(),
  -- Since when its recipient's server says "later" about this recipient; none while it does not.
  add column soft_since timestamptz;

-- What is due, the oldest first; what waits is few among many that were sent.
create index mails_due on mails (lease_until) where state in ('waiting', 'sending');
