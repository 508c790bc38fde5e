-- Where somebody has signed in, by all processes: the attempts of strangers do not brake them there. A place is a keyed
-- hash of an account and a network; nobody can read either out of it. Rows go 30 days after the last sign-in.
create table sign_in_places (
  place   bytea       primary key,
  seen_at timestamptz not null
);
create index sign_in_places_by_age on sign_in_places (seen_at);
