-- Who changed who may do what, and who was refused. See docs/decisions/0030-the-security-log.md.

-- The changes: a read model, a row an event. Nothing of it is derived from what a person's key seals, and no free
-- text is copied, so that an erasure has nothing to do here.
create table audit_changes (
  position       bigint      primary key check (position > 0),
  recorded_at    timestamptz not null,
  event_type     text        collate "C" not null,
  aggregate_type text        collate "C" not null,
  aggregate_id   text        collate "C" not null,
  user_id        uuid,                              -- whose account or session it is about
  role           text        collate "C",           -- what was granted or taken
  entry_id       uuid,                              -- the rule, the public path or the ban of addresses
  actor          text        collate "C" not null,
  correlation_id uuid        not null,              -- the request, see security_log
  trace_id       text        collate "C"
);
create index audit_changes_newest on audit_changes (recorded_at, position);
create index audit_changes_of_users on audit_changes (user_id, recorded_at) where user_id is not null;
-- The beginning of a session that ends.
create index audit_changes_of_aggregates on audit_changes (aggregate_id);

-- Requests that were refused, and those that changed something about who may do what: no events, because whoever is
-- refused must not be able to grow the journal. Rows are capped in number and age (projections/src/audit/requests.rs)
-- and are the one place outside of personal_keys that has addresses of clients; a person's go with their key.
create table security_log (
  id             bigint      generated always as identity primary key,
  is_denial      boolean     not null,
  first_at       timestamptz not null,              -- of several alike
  at             timestamptz not null,              -- of the last of them
  times          integer     not null check (times > 0),
  code           text        collate "C",           -- of the refusal
  address        inet        not null,
  user_id        uuid        references personal_keys (person_id) on delete cascade,
  email_hash     text        collate "C",           -- who was signed in as; keyed, see api/src/security/email_hash.rs
  method         text        collate "C" not null,
  path           text        collate "C" not null,  -- its beginning
  rule_id        uuid,                              -- what decided
  policy_version bigint      not null,
  request_id     uuid        not null,              -- of the last
  trace_id       text        collate "C" not null
);
create index security_log_newest on security_log (is_denial, at, id);
create index security_log_oldest on security_log (is_denial, id);
create index security_log_of_users on security_log (user_id) where user_id is not null;
create index security_log_of_requests on security_log (request_id) where not is_denial;
