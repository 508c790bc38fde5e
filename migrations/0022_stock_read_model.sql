-- The stock of SKUs is a read model of its own: every sale touches it, and a catalogue that is built anew need not
-- read all of them.
--
-- Rows, checkpoint and dead letters begin where the catalogue stands, in one statement, which sees one moment. A
-- build before this one goes on with stock_items for what it shows; nothing of this build reads it. It goes when no
-- such build runs any more.
create table stock (
  sku        text   collate "C" primary key,
  product_id uuid   not null,
  on_hand    bigint not null,
  reserved   bigint not null,
  version    bigint not null,
  position   bigint not null
) with (fillfactor = 70);

with items as (
  insert into stock select sku, product_id, on_hand, reserved, version, position from stock_items
), letters as (
  insert into dead_letters (consumer, position, lane, status, reason, attempts, retry, event_id, event_type,
                            aggregate_type, aggregate_id, first_at, last_at)
  select 'stock', position, lane, status, reason, attempts, retry, event_id, event_type,
         aggregate_type, aggregate_id, first_at, last_at
    from dead_letters where consumer = 'catalogue' and aggregate_type = 'stock'
), theirs as (
  delete from dead_letters where consumer = 'catalogue' and aggregate_type = 'stock'
)
insert into projections (name, version, position, status, parked_position, parked_reason, event_position, event_id)
select 'stock', 1, position, status, parked_position, parked_reason, event_position, event_id
  from projections where name = 'catalogue';
