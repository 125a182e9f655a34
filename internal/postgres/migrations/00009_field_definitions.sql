-- +goose Up

-- What a tenant keeps beside the fields that everybody has. Keys of customers are unique whatever kind they apply to,
-- because conditions name them without saying a kind. A definition that was deleted keeps its key until its values are
-- removed from all rows.
CREATE TABLE field_definitions (
  tenant_id     integer     NOT NULL,
  id            uuid        NOT NULL,
  version       bigint      NOT NULL,
  applies_to    text        NOT NULL,
  subject       text        NOT NULL GENERATED ALWAYS AS (CASE applies_to WHEN 'transaction' THEN 'transaction' ELSE 'customer' END) STORED,
  key           text        NOT NULL,
  label         text        NOT NULL,
  type          text        NOT NULL,
  required      boolean     NOT NULL,
  default_value jsonb,
  unit          text        NOT NULL,
  validation    jsonb       NOT NULL,
  choices       jsonb       NOT NULL,
  purpose       text        NOT NULL,
  sensitivity   text        NOT NULL,
  description   text        NOT NULL,
  position      integer     NOT NULL,
  archived      boolean     NOT NULL,
  created_at    timestamptz NOT NULL,
  updated_at    timestamptz NOT NULL,
  removed_at    timestamptz,
  CONSTRAINT field_definitions_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT field_definitions_key_key UNIQUE (tenant_id, subject, key),
  CONSTRAINT field_definitions_applies_check CHECK (applies_to IN ('customer', 'person', 'company', 'transaction')),
  CONSTRAINT field_definitions_type_check CHECK (type IN
    ('text', 'number', 'money', 'date', 'boolean', 'choice', 'multi_choice', 'reference')),
  CONSTRAINT field_definitions_sensitivity_check CHECK (sensitivity IN ('public', 'internal', 'personal', 'secret'))
);

-- +goose StatementBegin
-- kezi_day is the day that a JSON value says, or NULL: a value may be from before its field became a date, and a cast
-- of such a text would fail the whole statement.
CREATE FUNCTION kezi_day(v jsonb) RETURNS date LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  s text := v #>> '{}';
  y int; m int; d int;
BEGIN
  IF jsonb_typeof(v) IS DISTINCT FROM 'string' OR s !~ '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$' THEN
    RETURN NULL;
  END IF;
  y := substr(s, 1, 4)::int; m := substr(s, 6, 2)::int; d := substr(s, 9, 2)::int;
  IF y = 0 OR d > extract(day FROM make_date(y, m, 1) + interval '1 month' - interval '1 day') THEN
    RETURN NULL;
  END IF;
  RETURN make_date(y, m, d);
END $$;
-- +goose StatementEnd

-- What a customer must fulfil when it is written. Field names the field of a required or pattern rule; a condition is
-- the JSON form of a filter.
CREATE TABLE validation_rules (
  tenant_id  integer     NOT NULL,
  id         uuid        NOT NULL,
  version    bigint      NOT NULL,
  applies_to text        NOT NULL,
  name       text        NOT NULL,
  kind       text        NOT NULL,
  field      text,
  pattern    text,
  condition  jsonb,
  severity   text        NOT NULL,
  message_en text        NOT NULL,
  message_zh text        NOT NULL,
  active     boolean     NOT NULL,
  position   integer     NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT validation_rules_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT validation_rules_name_key UNIQUE (tenant_id, name),
  CONSTRAINT validation_rules_applies_check CHECK (applies_to IN ('customer', 'person', 'company')),
  CONSTRAINT validation_rules_kind_check CHECK (kind IN ('required', 'pattern', 'condition')),
  CONSTRAINT validation_rules_severity_check CHECK (severity IN ('block', 'warn'))
);

-- The weighted fields that a complete record has, where a tenant chose its own.
CREATE TABLE completeness_weights (
  tenant_id  integer     NOT NULL,
  kind       text        NOT NULL,
  fields     jsonb       NOT NULL,
  version    bigint      NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT completeness_weights_pkey PRIMARY KEY (tenant_id, kind),
  CONSTRAINT completeness_weights_kind_check CHECK (kind IN ('person', 'company'))
);

-- The share of the weights, in percent, whose fields have a value; NULL until it is computed.
ALTER TABLE customer_metrics ADD COLUMN completeness smallint;
ALTER TABLE customer_metrics ADD CONSTRAINT customer_metrics_completeness_check CHECK (completeness BETWEEN 0 AND 100);
CREATE INDEX customer_metrics_completeness_idx ON customer_metrics (tenant_id, completeness, customer_id);
CREATE INDEX customer_metrics_unmeasured_idx ON customer_metrics (tenant_id, customer_id) WHERE completeness IS NULL;

SELECT kezi_protect(t::regclass) FROM unnest(ARRAY['field_definitions', 'validation_rules', 'completeness_weights']) t;

-- +goose Down
SELECT 1;
