-- Read models: everything here is derived from `events` and can be rebuilt from it.
--
-- No foreign key leads from one read model to another: each is written by a projection of its own,
-- at its own pace, and can be replaced as a whole (a rebuild fills tables of the same shape in
-- another schema and swaps them in). Within a row, `version` is the aggregate's sequence and
-- `position` the journal position of the last event that was applied to the row.

-- One row a projection: how far it has read. The row is the fence between workers: rows and
-- position change in one transaction, and only from the position that the worker started from.
create table projections (
  name            text        primary key,
  version         integer     not null check (version > 0),
  position        bigint      not null default 0 check (position >= 0),
  -- 'parked': the event at parked_position could not be applied; nothing after it is, until
  -- somebody retries. An event is never skipped.
  status          text        not null default 'running' check (status in ('running', 'parked')),
  parked_position bigint,
  parked_reason   text,
  updated_at      timestamptz not null default now(),
  check ((status = 'parked') = (parked_position is not null and parked_reason is not null))
) with (fillfactor = 50); -- updated with every batch: leaves room for updates within the page

-- ── catalogue ────────────────────────────────────────────────────────────────────────────────

create table products (
  product_id       uuid     primary key,
  number           integer  not null,  -- its first variant's
  name             text     not null,
  description      text     not null,
  picture          text,
  categories       text[]   not null,
  status           text     not null check (status in ('draft', 'published', 'retired')),
  sort_name        text     collate "C" not null,  -- folded by us: one order on every server
  sort_price       bigint   not null,  -- minor units, its cheapest variant on sale; -1 without a price
  price_currency   text,
  created_position bigint   not null,  -- newest first is highest first
  -- What the full-text search reads, cut into words by us so that every language and every
  -- server's locale give the same words; the distinct words, which the vocabulary counts.
  search_name      text     not null,
  search_text      text     not null,
  words            text[]   not null,
  document         tsvector not null generated always as (
    setweight(to_tsvector('english', search_name), 'A')
    || setweight(to_tsvector('simple', search_name), 'A')
    || setweight(to_tsvector('english', search_text), 'C')
  ) stored,
  version          bigint   not null,
  position         bigint   not null
);
create index products_by_number on products (status, number, product_id);
create index products_by_name on products (status, sort_name, number, product_id);
create index products_by_price on products (status, sort_price, number, product_id);
create index products_by_age on products (status, created_position);
create index products_by_document on products using gin (document);

create table product_variants (
  sku         text    collate "C" primary key,
  product_id  uuid    not null,
  ordinal     integer not null,  -- its place in the product's list
  number      integer not null,
  name        text,
  price_minor bigint,
  currency    text,
  sold        boolean not null   -- false: a revision left it out; old orders and numbers still name it
);
create index product_variants_by_product on product_variants (product_id, ordinal);
create index product_variants_by_number on product_variants (number);

create table categories (
  slug          text    collate "C" primary key,
  name          text    not null,
  product_count bigint  not null  -- published products
);

-- The words of published products. Typo tolerance looks a mistyped word up here: two words are
-- within two edits of each other only if they share one of these deletion variants.
create table catalogue_words (
  word      text   collate "C" primary key,
  uses      bigint not null,  -- published products that have it
  deletions text[] not null
);
create index catalogue_words_by_deletion on catalogue_words using gin (deletions);

create table stock_items (
  sku        text   collate "C" primary key,
  product_id uuid   not null,
  on_hand    bigint not null,
  reserved   bigint not null,
  version    bigint not null,
  position   bigint not null
) with (fillfactor = 70);

-- ── carts ────────────────────────────────────────────────────────────────────────────────────

create table carts (
  cart_id  uuid   primary key,
  owner_id uuid   not null,
  lines    jsonb  not null,  -- in the order in which they were added
  version  bigint not null,
  position bigint not null
) with (fillfactor = 70);
create index carts_by_owner on carts (owner_id);

-- ── orders ───────────────────────────────────────────────────────────────────────────────────

create table orders (
  order_id        uuid        primary key,
  number          integer     not null,
  customer_id     uuid        not null,
  cart_id         uuid        not null,
  status          text        not null,
  lines           jsonb       not null,
  totals          jsonb       not null,
  contact         jsonb       not null,  -- sealed with the customer's key; never opened here
  pay_by          timestamptz not null,
  placed_at       timestamptz not null,
  placed_position bigint      not null,  -- newest first is highest first
  version         bigint      not null,
  position        bigint      not null
) with (fillfactor = 80);
create index orders_by_customer on orders (customer_id, placed_position);
create index orders_by_age on orders (placed_position);
create index orders_by_status on orders (status, placed_position);
create index orders_by_number on orders (number);

create table payments (
  payment_id         uuid    primary key,
  order_id           uuid    not null,
  customer_id        uuid    not null,
  method             text    not null,
  status             text    not null,
  amount             jsonb   not null,  -- {"amount": minor units, "currency": ISO 4217}
  failure_code       text,
  action_url         text,
  orphaned           boolean not null,  -- money that no order waits for
  requested_position bigint  not null,
  version            bigint  not null,
  position           bigint  not null
) with (fillfactor = 80);
create index payments_by_order on payments (order_id, requested_position);

-- ── users ────────────────────────────────────────────────────────────────────────────────────

create table users (
  user_id    uuid        primary key,
  number     integer     not null,
  profile    jsonb       not null,  -- sealed with the user's key; never opened here
  locale     text        not null,
  roles      text[]      not null,
  ban        jsonb,                 -- {"reason", "until"}
  created_at timestamptz not null,
  version    bigint      not null,
  position   bigint      not null
) with (fillfactor = 80);
create index users_by_number on users (number, user_id);
create index users_banned on users (user_id) where ban is not null;

-- ── permissions ──────────────────────────────────────────────────────────────────────────────

-- One row: the policy as a whole, so that whoever reads the rules knows which version they read.
create table policies (
  policy_id text   collate "C" primary key,
  version   bigint not null,
  position  bigint not null
);

create table permission_rules (
  rule_id  uuid   primary key,
  effect   text   not null check (effect in ('allow', 'deny')),
  roles    text[] not null,
  methods  text[] not null,
  path     text   not null,
  note     text   not null,
  added_position bigint not null,  -- the order in which rules are listed
  version  bigint not null,
  position bigint not null
);

create table public_paths (
  public_path_id uuid   primary key,
  methods        text[] not null,
  path           text   not null,
  added_position bigint not null,
  version        bigint not null,
  position       bigint not null
);

create table address_bans (
  ban_id         uuid   primary key,
  cidr           text   not null,
  reason         text   not null,
  until          timestamptz,
  added_position bigint not null,
  version        bigint not null,
  position       bigint not null
);
