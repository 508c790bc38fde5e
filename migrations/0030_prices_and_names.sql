-- Products in the order of their names, and of their prices in one currency.

-- The name as languages sort it (projections/src/catalogue/collate.rs). A build before this one goes on with sort_name
-- and sort_price, which this one still writes; they go when no such build runs any more.
-- Until this build has made all rows anew, names sort as before.
alter table products add column name_key bytea not null default '';
update products set name_key = convert_to(sort_name, 'UTF8');
create index products_by_collation on products (status, name_key, number, product_id);

-- The currencies that a product has prices in, sorted, such as EUR,USD; there are few such sets, which are counted, so
-- that what has no price in a currency is found without looking for it.
alter table products add column currencies text collate "C" not null default '';
update products p set currencies = coalesce(
  (select string_agg(distinct v.currency collate "C", ',' order by v.currency collate "C")
     from product_variants v where v.product_id = p.product_id and v.sold), '');
create index products_by_currencies on products (status, currencies, number, product_id);
create table catalogue_currencies (
  currencies text   collate "C" primary key,
  products   bigint not null
);
insert into catalogue_currencies select currencies, count(*) from products group by currencies;

-- What a product costs in each currency that it has a price in: its cheapest variant on sale. Status and number are
-- the product's, so that a page of the cheapest is read off the index.
create table product_prices (
  product_id  uuid    not null,
  currency    text    collate "C" not null,
  status      text    not null,
  price_minor bigint  not null,
  number      integer not null,
  primary key (product_id, currency)
);
insert into product_prices
select p.product_id, v.currency, p.status, min(v.price_minor), p.number
  from product_variants v join products p on p.product_id = v.product_id
 where v.sold and v.price_minor is not null group by p.product_id, v.currency;
create index product_prices_by_price on product_prices (status, currency, price_minor, number, product_id);
