-- Which types of events each block of 4,096 positions holds, so that whoever wants the events of some types
-- passes over the blocks without any. The journal is only ever added to, so what is written here of a block
-- that is full stays true. Derived: rows may be missing or deleted, then the events themselves are read. An
-- index by type would tell the same at the cost of every append, see docs/decisions/0014-blocks-and-no-index-by-type.md.
create table event_blocks (
  block bigint primary key check (block >= 0),  -- positions from block * 4096 + 1 on
  -- Every aggregate type, and every event type behind that of its aggregate: {order,order/OrderPaid}.
  kinds text[] collate "C" not null
);
