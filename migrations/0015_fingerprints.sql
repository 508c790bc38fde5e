-- Forgets the fingerprints that were kept so far. They were SHA-256 of the body, so whoever read this
-- table could try passwords against the rows of sign-up and sign-in. New ones are computed with a key
-- that is not in the database.
--
-- The rows stay: a client that repeats its request within the thirty days must still get the first
-- outcome. An empty fingerprint says that nobody knows any more what the body was: for those keys
-- another body is answered like the first one, and the body of a sign-up is compared by its password.
--
-- Since 0013_append_v3.sql the build before leaves no fingerprints either. An append of that build
-- that had begun by then is waited for here, or its row would come after the update.
select pg_advisory_lock(7366);
select pg_advisory_unlock(7366);

update command_outcomes set fingerprint = '\x' where fingerprint <> '\x';

comment on column command_outcomes.fingerprint is
  'HMAC-SHA-256 of the request''s key and body, without passwords; empty when it is not known';
