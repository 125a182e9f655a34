-- +goose Up
CREATE TABLE products (
  tenant_id   integer     NOT NULL,
  id          uuid        NOT NULL,
  version     bigint      NOT NULL,
  sku         text        NOT NULL,
  name        text        NOT NULL,
  category    text,       -- a path: 咖啡/挂耳
  brand       text,
  unit        text,
  description text,
  price       bigint,     -- list price in minor units of currency
  currency    text,
  status      text        NOT NULL,
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL,
  CONSTRAINT products_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT products_sku_key UNIQUE (tenant_id, sku),
  CONSTRAINT products_status_check CHECK (status IN ('active', 'retired')),
  CONSTRAINT products_price_check CHECK (price >= 0 AND (price IS NULL) = (currency IS NULL))
);
-- Prefixes are searched in lower case; LIKE uses an index of another collation than C only by text_pattern_ops.
CREATE INDEX products_sku_prefix_idx ON products (tenant_id, lower(sku) text_pattern_ops);
CREATE INDEX products_name_prefix_idx ON products (tenant_id, lower(name) text_pattern_ops);
CREATE INDEX products_category_idx ON products (tenant_id, category text_pattern_ops) WHERE category IS NOT NULL;

-- product_id is an upgrade of, an accessory of, or similar to related_id. What is similar both ways stands once, the
-- smaller id first.
CREATE TABLE product_relations (
  tenant_id  integer     NOT NULL,
  product_id uuid        NOT NULL,
  kind       text        NOT NULL,
  related_id uuid        NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT product_relations_pkey PRIMARY KEY (tenant_id, product_id, kind, related_id),
  CONSTRAINT product_relations_product_fkey FOREIGN KEY (tenant_id, product_id) REFERENCES products (tenant_id, id),
  CONSTRAINT product_relations_related_fkey FOREIGN KEY (tenant_id, related_id) REFERENCES products (tenant_id, id),
  CONSTRAINT product_relations_kind_check CHECK (kind IN ('upgrade_of', 'accessory_of', 'similar')),
  CONSTRAINT product_relations_self_check CHECK (product_id <> related_id)
);
CREATE INDEX product_relations_related_idx ON product_relations (tenant_id, related_id);

-- returned, base_returned and returns are what the order's returns add up to, kept with it so that metrics read one
-- table and the constraint holds whatever writes.
ALTER TABLE transactions
  ADD COLUMN payment_method  text,
  ADD COLUMN store           text,
  ADD COLUMN discount        bigint  NOT NULL DEFAULT 0, -- on the order as a whole
  ADD COLUMN shipping        bigint  NOT NULL DEFAULT 0,
  ADD COLUMN carrier         text,
  ADD COLUMN tracking_number text,
  ADD COLUMN shipped_at      timestamptz,
  ADD COLUMN delivered_at    timestamptz,
  ADD COLUMN attributes      jsonb   NOT NULL DEFAULT '{}',
  ADD COLUMN items           integer NOT NULL DEFAULT 0, -- how many lines
  ADD COLUMN returns         integer NOT NULL DEFAULT 0, -- how many returns
  ADD COLUMN returned        bigint  NOT NULL DEFAULT 0,
  ADD COLUMN base_returned   bigint  NOT NULL DEFAULT 0,
  ADD COLUMN created_by      text,
  ADD CONSTRAINT transactions_payment_method_check CHECK (payment_method IN
    ('card', 'cash', 'wechat_pay', 'alipay', 'bank_transfer', 'credit', 'other')),
  ADD CONSTRAINT transactions_extras_check CHECK (discount >= 0 AND shipping >= 0),
  ADD CONSTRAINT transactions_returned_check CHECK (returned BETWEEN 0 AND amount AND base_returned >= 0 AND returns >= 0);

-- The lines of an order. quantity is in thousandths of the product's unit.
CREATE TABLE transaction_items (
  tenant_id      integer NOT NULL,
  customer_id    uuid    NOT NULL,
  transaction_id uuid    NOT NULL,
  line           integer NOT NULL,
  product_id     uuid,
  sku            text,
  name           text    NOT NULL,
  category       text,
  quantity       bigint  NOT NULL,
  unit_price     bigint,
  discount       bigint  NOT NULL,
  amount         bigint  NOT NULL,
  CONSTRAINT transaction_items_pkey PRIMARY KEY (tenant_id, customer_id, transaction_id, line),
  CONSTRAINT transaction_items_transaction_fkey FOREIGN KEY (tenant_id, customer_id, transaction_id)
    REFERENCES transactions (tenant_id, customer_id, id),
  CONSTRAINT transaction_items_product_fkey FOREIGN KEY (tenant_id, product_id) REFERENCES products (tenant_id, id),
  CONSTRAINT transaction_items_line_check CHECK (line BETWEEN 1 AND 500),
  CONSTRAINT transaction_items_amount_check CHECK (quantity > 0 AND unit_price >= 0 AND discount >= 0 AND amount >= 0)
);
CREATE INDEX transaction_items_product_idx ON transaction_items (tenant_id, product_id, transaction_id) WHERE product_id IS NOT NULL;
CREATE INDEX transaction_items_sku_idx ON transaction_items (tenant_id, sku, transaction_id) WHERE sku IS NOT NULL;

-- Every change of an order's status. What it began with is the first change's from_status.
CREATE TABLE transaction_statuses (
  tenant_id      integer     NOT NULL,
  customer_id    uuid        NOT NULL,
  transaction_id uuid        NOT NULL,
  id             uuid        NOT NULL,
  from_status    text        NOT NULL,
  to_status      text        NOT NULL,
  actor          text        NOT NULL,
  reason         text,
  changed_at     timestamptz NOT NULL,
  CONSTRAINT transaction_statuses_pkey PRIMARY KEY (tenant_id, customer_id, transaction_id, id),
  CONSTRAINT transaction_statuses_transaction_fkey FOREIGN KEY (tenant_id, customer_id, transaction_id)
    REFERENCES transactions (tenant_id, customer_id, id)
);

-- What is to be paid for an order, when, and what was. Amounts are in the order's currency; base_open is what is not
-- paid yet, in the base currency at the rate of the due day.
CREATE TABLE transaction_payments (
  tenant_id      integer     NOT NULL,
  customer_id    uuid        NOT NULL,
  id             uuid        NOT NULL,
  transaction_id uuid        NOT NULL,
  version        bigint      NOT NULL,
  due_on         date        NOT NULL,
  due            bigint      NOT NULL,
  paid_on        date,
  paid           bigint      NOT NULL,
  currency       text        NOT NULL,
  base_open      bigint      NOT NULL,
  method         text,
  reference      text,
  created_at     timestamptz NOT NULL,
  updated_at     timestamptz NOT NULL,
  CONSTRAINT transaction_payments_pkey PRIMARY KEY (tenant_id, customer_id, id),
  CONSTRAINT transaction_payments_transaction_fkey FOREIGN KEY (tenant_id, customer_id, transaction_id)
    REFERENCES transactions (tenant_id, customer_id, id),
  CONSTRAINT transaction_payments_method_check CHECK (method IN
    ('card', 'cash', 'wechat_pay', 'alipay', 'bank_transfer', 'credit', 'other')),
  CONSTRAINT transaction_payments_amount_check CHECK (due > 0 AND paid BETWEEN 0 AND due AND base_open >= 0
    AND (paid > 0) = (paid_on IS NOT NULL))
);
CREATE INDEX transaction_payments_id_idx ON transaction_payments (tenant_id, id);
CREATE INDEX transaction_payments_due_idx ON transaction_payments (tenant_id, customer_id, due_on, id);
CREATE INDEX transaction_payments_transaction_idx ON transaction_payments (tenant_id, customer_id, transaction_id);

-- What came back of an order, on its own day and at that day's rate.
CREATE TABLE transaction_returns (
  tenant_id      integer     NOT NULL,
  customer_id    uuid        NOT NULL,
  id             uuid        NOT NULL,
  transaction_id uuid        NOT NULL,
  day            date        NOT NULL,
  amount         bigint      NOT NULL,
  currency       text        NOT NULL,
  base_amount    bigint      NOT NULL,
  reason         text,
  actor          text        NOT NULL,
  created_at     timestamptz NOT NULL,
  CONSTRAINT transaction_returns_pkey PRIMARY KEY (tenant_id, customer_id, id),
  CONSTRAINT transaction_returns_transaction_fkey FOREIGN KEY (tenant_id, customer_id, transaction_id)
    REFERENCES transactions (tenant_id, customer_id, id),
  CONSTRAINT transaction_returns_amount_check CHECK (amount >= 0 AND base_amount >= 0)
);
CREATE INDEX transaction_returns_id_idx ON transaction_returns (tenant_id, id);
CREATE INDEX transaction_returns_transaction_idx ON transaction_returns (tenant_id, customer_id, transaction_id);
CREATE INDEX transaction_returns_day_idx ON transaction_returns (tenant_id, day);

-- Which lines came back, and how much of each; quantity as in transaction_items.
CREATE TABLE transaction_return_items (
  tenant_id   integer NOT NULL,
  customer_id uuid    NOT NULL,
  return_id   uuid    NOT NULL,
  line        integer NOT NULL,
  quantity    bigint  NOT NULL,
  amount      bigint  NOT NULL, -- its part of what was given back
  CONSTRAINT transaction_return_items_pkey PRIMARY KEY (tenant_id, customer_id, return_id, line),
  CONSTRAINT transaction_return_items_return_fkey FOREIGN KEY (tenant_id, customer_id, return_id)
    REFERENCES transaction_returns (tenant_id, customer_id, id),
  CONSTRAINT transaction_return_items_quantity_check CHECK (quantity > 0 AND amount >= 0)
);

-- None of these changes by the mere passing of days: what is overdue is what is open and was due before today.
ALTER TABLE customer_metrics
  ADD COLUMN return_count     integer NOT NULL DEFAULT 0,
  ADD COLUMN returns_total    bigint  NOT NULL DEFAULT 0,
  ADD COLUMN on_time_payments integer NOT NULL DEFAULT 0,
  ADD COLUMN late_payments    integer NOT NULL DEFAULT 0, -- paid after the due day
  ADD COLUMN days_late_max    integer NOT NULL DEFAULT 0, -- of those paid
  ADD COLUMN days_late_total  integer NOT NULL DEFAULT 0, -- of those paid
  ADD COLUMN open_payments    integer NOT NULL DEFAULT 0,
  ADD COLUMN open_amount      bigint  NOT NULL DEFAULT 0,
  ADD COLUMN open_due_on      date,                       -- the earliest due day of those open
  ADD COLUMN last_payment_on  date;
-- Only for customers who have any, so that all others cost nothing.
CREATE INDEX customer_metrics_returns_idx ON customer_metrics (tenant_id, nullif(returns_total, 0), customer_id)
  WHERE nullif(returns_total, 0) IS NOT NULL;
CREATE INDEX customer_metrics_open_due_idx ON customer_metrics (tenant_id, open_due_on, customer_id) WHERE open_due_on IS NOT NULL;
CREATE INDEX customer_metrics_last_payment_idx ON customer_metrics (tenant_id, last_payment_on, customer_id)
  WHERE last_payment_on IS NOT NULL;

SELECT kezi_protect(t::regclass) FROM unnest(ARRAY['products', 'product_relations', 'transaction_items', 'transaction_statuses',
  'transaction_payments', 'transaction_returns', 'transaction_return_items']) t;

-- +goose Down
SELECT 1;
