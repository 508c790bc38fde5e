-- How many mails a recipient has had within the hour, so that nobody's orders bury a stranger in mail, whichever
-- process sends them. The recipient is a pseudonym (an HMAC with a secret that is not in the database), and the row
-- goes when the hour is over. See docs/decisions/0015-the-table-of-mails-is-their-queue.md.
create table mails_of_an_hour (
  recipient text        collate "C" primary key,
  began_at  timestamptz not null,               -- of the first of them
  mails     integer     not null check (mails >= 0)
);
-- Those whose hour is over.
create index mails_of_an_hour_oldest on mails_of_an_hour (began_at);
