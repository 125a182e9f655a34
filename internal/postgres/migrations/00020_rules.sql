-- +goose Up
-- Which rules of a tenant are in force: version is drawn anew with every change of what they are or mean. day is the
-- local day for which conditions relative to today were last evaluated for everybody, evaluated_at when that ended.
-- zone and currency are those under which all rules were last evaluated for everybody.
CREATE TABLE rule_states (
  tenant_id    integer     NOT NULL,
  version      uuid        NOT NULL,
  day          date        NOT NULL,
  evaluated_at timestamptz NOT NULL,
  zone         text        NOT NULL,
  currency     text        NOT NULL,
  CONSTRAINT rule_states_pkey PRIMARY KEY (tenant_id)
);
SELECT kezi_protect('rule_states');

-- +goose StatementBegin
-- kezi_rules keeps the customers from others and the rules as they are until the transaction ends, and answers the rules'
-- version; NULL when there are none. It is a function so that the version is read after the locks were waited for: a
-- statement of its own would see what was there before.
--
-- What evaluates rules is one long statement that comes again and again for customers found by their keys: planning it
-- anew each time would cost more than it, and compiling it to machine code more still.
CREATE FUNCTION kezi_rules(tenant integer, customers uuid[]) RETURNS uuid LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  answer uuid;
BEGIN
  IF NOT EXISTS (SELECT FROM rule_states s WHERE s.tenant_id = tenant) THEN
    PERFORM pg_advisory_xact_lock_shared(1803252336, tenant);
    IF NOT EXISTS (SELECT FROM rule_states s WHERE s.tenant_id = tenant) THEN
      RETURN NULL;
    END IF;
  END IF;
  PERFORM FROM customers c WHERE c.tenant_id = tenant AND c.id = ANY(customers) ORDER BY c.id FOR NO KEY UPDATE;
  PERFORM pg_advisory_xact_lock_shared(1803252336, tenant);
  PERFORM set_config('plan_cache_mode', 'force_generic_plan', true), set_config('jit', 'off', true);
  SELECT s.version INTO answer FROM rule_states s WHERE s.tenant_id = tenant;
  RETURN answer;
END $$;
-- +goose StatementEnd

-- +goose Down
SELECT 1;
