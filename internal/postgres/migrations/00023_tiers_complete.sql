-- +goose Up
-- How a scheme judges: over which window facts qualify (the last window_months or window_days, the calendar year, or the
-- year since an anniversary of the first purchase), and what becomes of who no longer fulfils a tier's condition. revision
-- counts the definitions that were in force, 0 when none was yet; draft is the one that is not in force.
ALTER TABLE tier_schemes
  ADD COLUMN revision      integer NOT NULL DEFAULT 1,
  ADD COLUMN preset        text    NOT NULL DEFAULT '',
  ADD COLUMN qualification text    NOT NULL DEFAULT 'rolling',
  ADD COLUMN window_months integer NOT NULL DEFAULT 12,
  ADD COLUMN window_days   integer NOT NULL DEFAULT 0,
  ADD COLUMN downgrade     text    NOT NULL DEFAULT 'direct',
  ADD COLUMN downgrade_at  text    NOT NULL DEFAULT 'at_once',
  ADD COLUMN grace_days    integer NOT NULL DEFAULT 0,
  ADD COLUMN draft         jsonb,
  ADD CONSTRAINT tier_schemes_qualification_check CHECK (qualification IN ('rolling', 'calendar_year', 'anniversary')),
  ADD CONSTRAINT tier_schemes_window_check CHECK ((window_months = 0) <> (window_days = 0) AND window_months >= 0 AND window_days >= 0),
  ADD CONSTRAINT tier_schemes_downgrade_check CHECK (downgrade IN ('none', 'one_step', 'direct') AND downgrade_at IN ('at_once', 'period_end'));

-- condition is for entering the tier, keep for staying in it; NULL is the same as for entering.
ALTER TABLE tiers
  ADD COLUMN keep     jsonb,
  ADD COLUMN strategy text  NOT NULL DEFAULT '',
  ADD COLUMN benefits jsonb NOT NULL DEFAULT '[]';

-- Every definition that was in force.
CREATE TABLE tier_scheme_versions (
  tenant_id    integer     NOT NULL,
  scheme_id    uuid        NOT NULL,
  revision     integer     NOT NULL,
  definition   jsonb       NOT NULL,
  actor        text        NOT NULL,
  activated_at timestamptz NOT NULL,
  CONSTRAINT tier_scheme_versions_pkey PRIMARY KEY (tenant_id, scheme_id, revision)
);

-- tier_id is where the customer is. earned_tier_id is what the rules say, from earned_on on; the two differ while somebody
-- has placed the customer by hand. Before this version there were no hands: NULL is the same as tier_id.
-- downgrade_on is the day on which a customer who no longer fulfils the tier's condition leaves it; period_ends_on the
-- last day of the period after which the condition is judged; stepped_on the day of the last step down of one tier.
ALTER TABLE tier_placements
  ADD COLUMN earned_tier_id uuid,
  ADD COLUMN earned_on      date,
  ADD COLUMN downgrade_on   date,
  ADD COLUMN period_ends_on date,
  ADD COLUMN stepped_on     date,
  ADD COLUMN manual_tier_id uuid,
  ADD COLUMN manual_until   date,
  ADD COLUMN manual_reason  text,
  ADD COLUMN manual_actor   text,
  ADD COLUMN manual_at      timestamptz,
  ALTER COLUMN tier_id DROP NOT NULL;
CREATE INDEX tier_placements_downgrade_idx ON tier_placements (tenant_id, scheme_id, downgrade_on, customer_id) WHERE downgrade_on IS NOT NULL;
CREATE INDEX tier_placements_period_idx ON tier_placements (tenant_id, scheme_id, period_ends_on, customer_id) WHERE period_ends_on IS NOT NULL;
CREATE INDEX tier_placements_manual_idx ON tier_placements (tenant_id, scheme_id) WHERE manual_until IS NOT NULL;
-- Last, because of indexes that seem equally good, as all do while the planner thinks the table empty, it takes the newest.
ALTER TABLE tier_placements DROP CONSTRAINT tier_placements_pkey,
  ADD CONSTRAINT tier_placements_pkey PRIMARY KEY (tenant_id, customer_id, scheme_id);

-- What happened to a customer's tier. Tiers stand by key: they may be gone.
CREATE TABLE tier_history (
  tenant_id    integer     NOT NULL,
  customer_id  uuid        NOT NULL,
  ord          bigint      GENERATED ALWAYS AS IDENTITY,
  scheme_id    uuid        NOT NULL,
  change       text        NOT NULL,
  from_tier    text,
  to_tier      text,
  cause        text        NOT NULL,
  event        text        NOT NULL,
  reason       text        NOT NULL,
  downgrade_on date,
  actor        text        NOT NULL,
  change_set   uuid        NOT NULL,
  occurred_at  timestamptz NOT NULL,
  CONSTRAINT tier_history_pkey PRIMARY KEY (tenant_id, customer_id, ord)
);
CREATE INDEX tier_history_scheme_idx ON tier_history (tenant_id, scheme_id, ord);

SELECT kezi_protect(t::regclass) FROM unnest(ARRAY['tier_scheme_versions', 'tier_history']) t;

-- +goose StatementBegin
-- kezi_period_start is the first day of the period that contains day, or of the next one after so many: periods of so many
-- months, or days, follow one another from anchor on. A day that a month lacks is its last one.
CREATE FUNCTION kezi_period_start(anchor date, months integer, days integer, day date, after integer) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN months > 0 THEN
      (anchor + make_interval(months => months * (after + k - CASE WHEN anchor + make_interval(months => months * k) > day THEN 1 ELSE 0 END)))::date
    ELSE anchor + days * (after + floor((day - anchor)::numeric / greatest(days, 1))::integer) END
  FROM (SELECT floor(((extract(year FROM day) - extract(year FROM anchor)) * 12 + extract(month FROM day) - extract(month FROM anchor))
    / greatest(months, 1))::integer AS k) of
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- As before, but what evaluates rules finds all rows by their keys, also in tables that were empty when it was planned: a plan
-- that reads such a table as a whole is kept while the table fills, and takes the square of the time.
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
  SELECT s.version INTO answer FROM rule_states s WHERE s.tenant_id = tenant;
  RETURN answer;
END $$;
-- +goose StatementEnd

-- +goose Down
SELECT 1;
