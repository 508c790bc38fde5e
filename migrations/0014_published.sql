-- Under which names of a stream this journal was published. A stream of that name with another epoch tells
-- another history of this shop; under a name that is not here it is another shop's, and that is refused
-- at the start.
create table published_streams (
  stream text        collate "C" primary key,
  since  timestamptz not null default now()
);
-- Builds of before knew one name.
insert into published_streams (stream) select 'GOMALL' where exists (select from events);
