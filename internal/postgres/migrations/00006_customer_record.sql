-- +goose Up

-- What conditions and sorts reach stands in columns of its own; the rest of a person's and a company's details is one
-- document: most customers have none of it, and a read carries one value instead of ten. An absent list is NULL.
ALTER TABLE customers
  ADD COLUMN aliases             text[],
  ADD COLUMN departments         text[],
  ADD COLUMN district            text,
  ADD COLUMN industry_scheme     text,
  ADD COLUMN industry_code       text,
  ADD COLUMN gender              text,
  ADD COLUMN born_on             date,   -- solar, of a birthday whose year is known
  ADD COLUMN next_birthday_on    date,   -- solar, in the tenant's zone; rolled forward once a day
  ADD COLUMN income_band         text,
  ADD COLUMN education           text,
  ADD COLUMN occupation          text,
  ADD COLUMN interests           text[],
  ADD COLUMN legal_name          text,
  ADD COLUMN registration_scheme text,
  ADD COLUMN registration_number text,
  ADD COLUMN registered_on       date,
  ADD COLUMN employees           integer,
  ADD COLUMN annual_revenue      bigint, -- minor units of the base currency, by the rate of the day it was written; NULL without one
  ADD COLUMN details             jsonb,  -- birthday, preferences, business scope, revenue as given, values before normalisation
  ADD COLUMN attributes          jsonb NOT NULL DEFAULT '{}',
  ADD CONSTRAINT customers_industry_scheme_check CHECK (industry_scheme IN ('gbt4754', 'isic')),
  ADD CONSTRAINT customers_gender_check CHECK (gender IN ('male', 'female', 'other', 'unknown')),
  ADD CONSTRAINT customers_income_band_check CHECK (income_band IN ('low', 'lower_middle', 'middle', 'upper_middle', 'high')),
  ADD CONSTRAINT customers_education_check CHECK (education IN ('primary', 'junior_high', 'senior_high', 'vocational',
    'associate', 'bachelor', 'master', 'doctorate', 'other')),
  ADD CONSTRAINT customers_employees_check CHECK (employees >= 0),
  ADD CONSTRAINT customers_person_check CHECK (kind = 'person' OR num_nonnulls(gender, born_on, next_birthday_on, income_band,
    education, occupation, interests) = 0),
  ADD CONSTRAINT customers_company_check CHECK (kind = 'company' OR num_nonnulls(legal_name, registration_scheme,
    registration_number, registered_on, employees, annual_revenue) = 0);

-- Each index is for a sort key. Those of what only some customers have cost nothing for the others.
CREATE INDEX customers_stage_idx ON customers (tenant_id, stage, id) WHERE deleted_at IS NULL;
CREATE INDEX customers_birthday_idx ON customers (tenant_id, next_birthday_on, id)
  WHERE deleted_at IS NULL AND next_birthday_on IS NOT NULL;
CREATE INDEX customers_employees_idx ON customers (tenant_id, employees, id) WHERE deleted_at IS NULL AND employees IS NOT NULL;
CREATE INDEX customers_revenue_idx ON customers (tenant_id, annual_revenue, id)
  WHERE deleted_at IS NULL AND annual_revenue IS NOT NULL;
CREATE INDEX customers_registered_idx ON customers (tenant_id, registered_on, id)
  WHERE deleted_at IS NULL AND registered_on IS NOT NULL;
-- This one is for finding a company by its number.
CREATE INDEX customers_registration_idx ON customers (tenant_id, registration_number) WHERE registration_number IS NOT NULL;

-- Every stage that a customer was moved to, the first one included.
CREATE TABLE customer_stages (
  tenant_id   integer     NOT NULL,
  customer_id uuid        NOT NULL,
  id          uuid        NOT NULL,
  from_stage  text,
  to_stage    text        NOT NULL,
  at          timestamptz NOT NULL,
  actor       text        NOT NULL,
  cause       text        NOT NULL,
  reason      text,
  change_set  uuid,
  CONSTRAINT customer_stages_pkey PRIMARY KEY (tenant_id, customer_id, id),
  CONSTRAINT customer_stages_customer_fkey FOREIGN KEY (tenant_id, customer_id) REFERENCES customers (tenant_id, id)
);
-- A customer's own id is from its first day, so it sorts before every later move.
INSERT INTO customer_stages (tenant_id, customer_id, id, to_stage, at, actor, cause)
  SELECT tenant_id, id, id, stage, created_at, 'kezi', 'upgrade' FROM customers;

ALTER TABLE imports
  ADD COLUMN registration_check text   NOT NULL DEFAULT 'refuse',
  ADD COLUMN warned             bigint NOT NULL DEFAULT 0,
  ADD CONSTRAINT imports_registration_check_check CHECK (registration_check IN ('refuse', 'warn'));
ALTER TABLE import_errors
  ADD COLUMN severity text NOT NULL DEFAULT 'error',
  ADD CONSTRAINT import_errors_severity_check CHECK (severity IN ('error', 'warning'));

SELECT kezi_protect(t::regclass) FROM unnest(ARRAY['customer_stages']) t;

-- +goose Down
SELECT 1;
