-- Where users are signed in, for themselves and for staff. What they signed in with stays sealed.
create table sessions (
  session_id uuid        primary key,
  user_id    uuid        not null,
  epoch      bigint      not null,
  started_at timestamptz not null,
  seen_at    timestamptz not null,
  expires_at timestamptz not null,
  device     jsonb,
  version    bigint      not null,
  position   bigint      not null
) with (fillfactor = 80);
create index sessions_by_user on sessions (user_id, started_at desc, session_id desc);
