-- +goose Up
-- An attempt at a job that puts rules to everybody at once: it reads all customers as they are at one moment, and then
-- writes, part after part, what differs. While it is under way the rules' writers tell it whom they touched.
CREATE TABLE rule_runs (
  tenant_id integer NOT NULL,
  id        uuid    NOT NULL,
  job_id    uuid    NOT NULL,
  CONSTRAINT rule_runs_pkey PRIMARY KEY (tenant_id, id)
);

-- Whom a write touched since the run began: of them it does not know what its reading said.
CREATE TABLE rule_touched (
  tenant_id   integer NOT NULL,
  run_id      uuid    NOT NULL,
  customer_id uuid    NOT NULL,
  CONSTRAINT rule_touched_pkey PRIMARY KEY (tenant_id, run_id, customer_id)
);

SELECT kezi_protect(t::regclass) FROM unnest(ARRAY['rule_runs', 'rule_touched']) t;

-- +goose StatementBegin
-- As before, and tells the runs that are under way of the customers.
CREATE OR REPLACE FUNCTION kezi_rules(tenant integer, customers uuid[]) RETURNS uuid LANGUAGE plpgsql VOLATILE AS $$
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
  PERFORM set_config('plan_cache_mode', 'force_generic_plan', true), set_config('jit', 'off', true), set_config('enable_seqscan', 'off', true);
  IF EXISTS (SELECT FROM rule_runs r WHERE r.tenant_id = tenant) THEN
    INSERT INTO rule_touched (tenant_id, run_id, customer_id)
      SELECT r.tenant_id, r.id, c.id FROM rule_runs r CROSS JOIN unnest(customers) c (id) WHERE r.tenant_id = tenant
      ON CONFLICT DO NOTHING;
  END IF;
  SELECT s.version INTO answer FROM rule_states s WHERE s.tenant_id = tenant;
  RETURN answer;
END $$;
-- +goose StatementEnd

-- +goose Down
SELECT 1;
