-- When keys of programs were last used. Not an event: it happens with every request, and nothing follows from it.
create table api_key_uses (
  key_id       uuid        primary key,
  last_used_at timestamptz not null
);
