-- +goose Up

-- The country whose phone numbers and postal codes are meant where none is named (ISO 3166-1 alpha-2).
ALTER TABLE tenants ADD COLUMN region text NOT NULL DEFAULT 'CN',
  ADD CONSTRAINT tenants_region_check CHECK (region ~ '^[A-Z]{2}$');

-- +goose StatementBegin
-- kezi_sealed reports whether a value is ciphertext as Tink makes it: a first byte of 1, the id of a key, nonce and tag
-- around at least one byte. No text that people write begins with that byte, so a plain value never gets in.
CREATE FUNCTION kezi_sealed(v bytea) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN octet_length(v) > 33 AND get_byte(v, 0) = 1;
-- +goose StatementEnd

-- How customers are reached. value and given are sealed, bound to row and column; value_index and lookup are blind
-- indexes, keyed hashes of 64 bits with the tenant in their input: of the whole value, and of the last 4 and more digits
-- of a phone.
CREATE TABLE contact_points (
  tenant_id   integer     NOT NULL,
  customer_id uuid        NOT NULL,
  id          uuid        NOT NULL,
  version     bigint      NOT NULL,
  contact_id  uuid,
  kind        text        NOT NULL,
  platform    text,
  number_type text,
  value       bytea       NOT NULL,
  given       bytea,
  value_index bigint      NOT NULL,
  lookup      bigint[]    NOT NULL,
  label       text,
  is_primary  boolean     NOT NULL,
  valid       boolean     NOT NULL,
  verified_at timestamptz,
  consent     text        NOT NULL,
  source      text,
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL,
  CONSTRAINT contact_points_pkey PRIMARY KEY (tenant_id, customer_id, id),
  CONSTRAINT contact_points_customer_fkey FOREIGN KEY (tenant_id, customer_id) REFERENCES customers (tenant_id, id),
  CONSTRAINT contact_points_value_key UNIQUE NULLS NOT DISTINCT (tenant_id, customer_id, contact_id, kind, value_index),
  CONSTRAINT contact_points_value_sealed CHECK (kezi_sealed(value)),
  CONSTRAINT contact_points_given_sealed CHECK (kezi_sealed(given)),
  CONSTRAINT contact_points_kind_check CHECK (kind IN ('phone', 'fax', 'email', 'wechat', 'qq', 'weibo', 'social')),
  CONSTRAINT contact_points_platform_check CHECK ((kind = 'social') = (platform IS NOT NULL)),
  CONSTRAINT contact_points_consent_check CHECK (consent IN ('granted', 'denied', 'unknown'))
);
CREATE UNIQUE INDEX contact_points_primary_key ON contact_points (tenant_id, customer_id, contact_id, kind) NULLS NOT DISTINCT
  WHERE is_primary;
-- Without the tenant, which is in the hashes: GIN can't lead by it, and equal values of two tenants differ here.
CREATE INDEX contact_points_lookup_idx ON contact_points USING gin (lookup) WITH (fastupdate = on);

-- Where customers are. The street line is sealed; what is coarser than a street stays readable for lists and reports.
-- value_index is a blind index of the whole address: the same one is not kept twice. given is what a caller wrote for
-- province, city and district where the standard names differ.
CREATE TABLE addresses (
  tenant_id   integer     NOT NULL,
  customer_id uuid        NOT NULL,
  id          uuid        NOT NULL,
  version     bigint      NOT NULL,
  label       text,
  recipient   text,
  country     text        NOT NULL,
  province    text,
  city        text,
  district    text,
  street      bytea,
  value_index bigint      NOT NULL,
  postal_code text,
  area_type   text,
  given       jsonb,
  is_primary  boolean     NOT NULL,
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL,
  CONSTRAINT addresses_pkey PRIMARY KEY (tenant_id, customer_id, id),
  CONSTRAINT addresses_customer_fkey FOREIGN KEY (tenant_id, customer_id) REFERENCES customers (tenant_id, id),
  CONSTRAINT addresses_value_key UNIQUE (tenant_id, customer_id, value_index),
  CONSTRAINT addresses_street_sealed CHECK (kezi_sealed(street)),
  CONSTRAINT addresses_country_check CHECK (country ~ '^[A-Z]{2}$'),
  CONSTRAINT addresses_area_type_check CHECK (area_type IN
    ('business', 'residential', 'tourist', 'industrial', 'rural', 'education', 'other'))
);
CREATE UNIQUE INDEX addresses_primary_key ON addresses (tenant_id, customer_id) WHERE is_primary;
CREATE INDEX addresses_area_idx ON addresses (tenant_id, area_type, customer_id) WHERE area_type IS NOT NULL;

-- What was uploaded holds contact values too, and what was answered repeats them: both are sealed from now on.
ALTER TABLE import_chunks ADD COLUMN sealed boolean NOT NULL DEFAULT false;
ALTER TABLE idempotency_keys ADD COLUMN sealed boolean NOT NULL DEFAULT false;

SELECT kezi_protect(t::regclass) FROM unnest(ARRAY['contact_points', 'addresses']) t;

-- +goose Down
SELECT 1;
