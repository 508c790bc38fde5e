-- SKUs that differ in case only are one (docs/decisions/0033-what-differs-in-case-only-is-one.md). The event that takes a SKU has a
-- tag of its folded form from now on; those that took one before get it here. SKUs are ASCII, so every locale folds
-- them alike. What a process of the build before takes while it still runs gets none: it is found in its own spelling
-- only, and a twin of it is not refused.
insert into event_tags (tag, position)
  select 'sku:' || lower(e.aggregate_id), e.position
    from events e
   where e.aggregate_type = 'stock' and e.event_type = 'StockItemOpened'
      on conflict do nothing;
