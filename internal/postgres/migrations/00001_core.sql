-- +goose Up

-- +goose StatementBegin
-- kezi_protect turns on row-level security for one table with a tenant_id. The owner of the tables is not bound by
-- it; a service that connects as another role sees only the tenant that its connection was told about.
CREATE FUNCTION kezi_protect(t regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t);
  EXECUTE format($p$CREATE POLICY tenant_isolation ON %s USING (
    (SELECT current_setting('kezi.tenant', true)) = '*'
    OR tenant_id = (SELECT nullif(nullif(current_setting('kezi.tenant', true), ''), '*')::integer))$p$, t);
END $$;
-- +goose StatementEnd

CREATE TABLE tenants (
  id         integer GENERATED ALWAYS AS IDENTITY,
  name       text        NOT NULL,
  title      text        NOT NULL,
  currency   text        NOT NULL,
  time_zone  text        NOT NULL,
  version    bigint      NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT tenants_pkey PRIMARY KEY (id),
  CONSTRAINT tenants_name_key UNIQUE (name),
  CONSTRAINT tenants_currency_check CHECK (currency ~ '^[A-Z]{3}$')
);

-- One unit of currency is worth rate units of the tenant's base currency from day on.
CREATE TABLE exchange_rates (
  tenant_id  integer        NOT NULL,
  currency   text           NOT NULL,
  day        date           NOT NULL,
  rate       numeric(30,12) NOT NULL,
  version    bigint         NOT NULL,
  created_at timestamptz    NOT NULL,
  updated_at timestamptz    NOT NULL,
  CONSTRAINT exchange_rates_pkey PRIMARY KEY (tenant_id, currency, day),
  CONSTRAINT exchange_rates_rate_check CHECK (rate > 0)
);

CREATE TABLE customers (
  tenant_id       integer     NOT NULL,
  id              uuid        NOT NULL,
  version         bigint      NOT NULL,
  kind            text        NOT NULL,
  name            text        NOT NULL,
  stage           text        NOT NULL,
  source_channel  text,
  source_detail   text,
  source_campaign text,
  owner           text,
  country         text,
  province        text,
  city            text,
  industry        text,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL,
  deleted_at      timestamptz,
  merged_into     uuid,
  CONSTRAINT customers_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT customers_kind_check CHECK (kind IN ('person', 'company')),
  CONSTRAINT customers_stage_check CHECK (stage IN ('lead', 'prospect', 'active', 'dormant', 'lost'))
);
CREATE INDEX customers_created_idx ON customers (tenant_id, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX customers_deleted_idx ON customers (tenant_id, created_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX customers_updated_idx ON customers (tenant_id, updated_at, id) WHERE deleted_at IS NULL;
CREATE INDEX customers_name_idx ON customers (tenant_id, name, id) WHERE deleted_at IS NULL;
CREATE INDEX customers_city_idx ON customers (tenant_id, city, id) WHERE deleted_at IS NULL AND city IS NOT NULL;
CREATE INDEX customers_owner_idx ON customers (tenant_id, owner, id) WHERE deleted_at IS NULL AND owner IS NOT NULL;

-- Uniqueness that spans customers: keyed by what is unique, without a foreign key, because customers are meant to
-- be spread over machines by id one day.
CREATE TABLE external_ids (
  tenant_id   integer     NOT NULL,
  source      text        NOT NULL,
  external_id text        NOT NULL,
  customer_id uuid        NOT NULL,
  created_at  timestamptz NOT NULL,
  CONSTRAINT external_ids_pkey PRIMARY KEY (tenant_id, source, external_id)
);
CREATE INDEX external_ids_customer_idx ON external_ids (tenant_id, customer_id);

-- Everything derived from a customer's facts that lists filter and sort by; amounts in minor units of the tenant's
-- base currency, days in the tenant's zone.
CREATE TABLE customer_metrics (
  tenant_id         integer NOT NULL,
  customer_id       uuid    NOT NULL,
  purchase_count    integer NOT NULL DEFAULT 0,
  purchase_days     integer NOT NULL DEFAULT 0,
  spend_total       bigint  NOT NULL DEFAULT 0,
  first_day_spend   bigint  NOT NULL DEFAULT 0,
  units_total       bigint  NOT NULL DEFAULT 0,
  first_purchase_on date,
  last_purchase_on  date,
  CONSTRAINT customer_metrics_pkey PRIMARY KEY (tenant_id, customer_id),
  CONSTRAINT customer_metrics_customer_fkey FOREIGN KEY (tenant_id, customer_id) REFERENCES customers (tenant_id, id)
);
CREATE INDEX customer_metrics_spend_idx ON customer_metrics (tenant_id, spend_total, customer_id);
CREATE INDEX customer_metrics_count_idx ON customer_metrics (tenant_id, purchase_count, customer_id);
CREATE INDEX customer_metrics_days_idx ON customer_metrics (tenant_id, purchase_days, customer_id);
CREATE INDEX customer_metrics_units_idx ON customer_metrics (tenant_id, units_total, customer_id);
CREATE INDEX customer_metrics_first_idx ON customer_metrics (tenant_id, first_purchase_on, customer_id);
CREATE INDEX customer_metrics_last_idx ON customer_metrics (tenant_id, last_purchase_on, customer_id);

CREATE TABLE transactions (
  tenant_id   integer     NOT NULL,
  customer_id uuid        NOT NULL,
  id          uuid        NOT NULL,
  version     bigint      NOT NULL,
  source      text        NOT NULL,
  external_id text,
  status      text        NOT NULL,
  occurred_at timestamptz NOT NULL,
  date_only   boolean     NOT NULL,
  day         date        NOT NULL,
  amount      bigint      NOT NULL,
  currency    text        NOT NULL,
  base_amount bigint      NOT NULL,
  units       integer,
  channel     text,
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL,
  CONSTRAINT transactions_pkey PRIMARY KEY (tenant_id, customer_id, id),
  CONSTRAINT transactions_customer_fkey FOREIGN KEY (tenant_id, customer_id) REFERENCES customers (tenant_id, id),
  CONSTRAINT transactions_status_check CHECK (status IN
    ('pending', 'paid', 'to_ship', 'shipped', 'completed', 'cancelled', 'refunded')),
  CONSTRAINT transactions_amount_check CHECK (amount >= 0 AND base_amount >= 0),
  CONSTRAINT transactions_units_check CHECK (units >= 0)
);
CREATE INDEX transactions_id_idx ON transactions (tenant_id, id);
CREATE INDEX transactions_occurred_idx ON transactions (tenant_id, occurred_at, id);
CREATE INDEX transactions_customer_occurred_idx ON transactions (tenant_id, customer_id, occurred_at, id);

-- What makes a transaction the same one when it is sent again: the external id its source gave it, or what an
-- import derives from a row that has none.
CREATE TABLE transaction_keys (
  tenant_id      integer NOT NULL,
  source         text    NOT NULL,
  key            text    NOT NULL,
  customer_id    uuid    NOT NULL,
  transaction_id uuid    NOT NULL,
  CONSTRAINT transaction_keys_pkey PRIMARY KEY (tenant_id, source, key)
);

-- One row per change, written in the change's transaction. seq is given by the sequencer after the commit: per
-- tenant 1, 2, 3, ... without a gap and never below one that a reader has seen.
CREATE TABLE events (
  tenant_id        integer     NOT NULL,
  id               uuid        NOT NULL,
  ord              bigint      GENERATED ALWAYS AS IDENTITY,
  seq              bigint,
  type             text        NOT NULL,
  subject_type     text        NOT NULL,
  subject_id       text        NOT NULL,
  customer_id      uuid,
  customer_version bigint,
  changed          text[]      NOT NULL DEFAULT '{}',
  previous         jsonb       NOT NULL DEFAULT '{}',
  actor            text        NOT NULL,
  request_id       text        NOT NULL DEFAULT '',
  change_set       uuid        NOT NULL,
  occurred_at      timestamptz NOT NULL,
  CONSTRAINT events_pkey PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX events_seq_key ON events (tenant_id, seq) WHERE seq IS NOT NULL;
CREATE INDEX events_unnumbered_idx ON events (ord) WHERE seq IS NULL;
CREATE INDEX events_customer_idx ON events (tenant_id, customer_id, seq) WHERE customer_id IS NOT NULL;

CREATE TABLE event_sequences (
  tenant_id integer NOT NULL,
  last_seq  bigint  NOT NULL,
  CONSTRAINT event_sequences_pkey PRIMARY KEY (tenant_id)
);

CREATE TABLE change_set_items (
  tenant_id     integer NOT NULL,
  change_set_id uuid    NOT NULL,
  customer_id   uuid    NOT NULL,
  CONSTRAINT change_set_items_pkey PRIMARY KEY (tenant_id, change_set_id, customer_id)
);

CREATE TABLE idempotency_keys (
  tenant_id   integer     NOT NULL,
  principal   text        NOT NULL,
  operation   text        NOT NULL,
  key         text        NOT NULL,
  fingerprint bytea       NOT NULL,
  status      integer,
  header      jsonb,
  body        bytea,
  created_at  timestamptz NOT NULL,
  CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant_id, principal, operation, key)
);
CREATE INDEX idempotency_keys_created_idx ON idempotency_keys (created_at);

CREATE TABLE jobs (
  tenant_id    integer     NOT NULL,
  id           uuid        NOT NULL,
  kind         text        NOT NULL,
  status       text        NOT NULL,
  progress     real        NOT NULL,
  subject_type text        NOT NULL,
  subject_id   text        NOT NULL,
  counts       jsonb       NOT NULL DEFAULT '{}',
  error_code   text,
  error_detail text,
  actor        text        NOT NULL,
  change_set   uuid        NOT NULL,
  attempt      integer     NOT NULL DEFAULT 0,
  heartbeat_at timestamptz,
  cancelling   boolean     NOT NULL DEFAULT false,
  version      bigint      NOT NULL,
  created_at   timestamptz NOT NULL,
  started_at   timestamptz,
  finished_at  timestamptz,
  CONSTRAINT jobs_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT jobs_status_check CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled'))
);
CREATE INDEX jobs_subject_idx ON jobs (tenant_id, subject_type, subject_id);
CREATE INDEX jobs_running_idx ON jobs (heartbeat_at) WHERE status = 'running';

SELECT kezi_protect(t::regclass) FROM unnest(ARRAY['exchange_rates', 'customers', 'external_ids', 'customer_metrics',
  'transactions', 'transaction_keys', 'events', 'event_sequences', 'change_set_items', 'idempotency_keys', 'jobs']) t;

-- +goose Down
SELECT 1;
