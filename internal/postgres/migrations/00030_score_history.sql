-- +goose Up
-- The day that a score is of and when it came about: those of one run are the same until customers' own writes move
-- theirs on.
ALTER TABLE scores ADD COLUMN as_of date, ADD COLUMN scored_at timestamptz;
UPDATE scores s SET as_of = r.as_of, scored_at = coalesce(r.finished_at, r.created_at) FROM score_runs r
  WHERE r.tenant_id = s.tenant_id AND r.run_no = s.run_no;
ALTER TABLE scores ALTER COLUMN as_of SET NOT NULL, ALTER COLUMN scored_at SET NOT NULL;

-- calibrated_by is the run that learned the calibration, calibrated_on its day; recalibrate is whether this run is to learn
-- one of its own. live tells a run as of the day on which it was asked for, under a live clock, whose scores customers'
-- own writes move on. in_force_at is when it last came into force.
ALTER TABLE score_runs ADD COLUMN calibrated_by uuid, ADD COLUMN calibrated_on date, ADD COLUMN recalibrate boolean NOT NULL DEFAULT true,
  ADD COLUMN live boolean NOT NULL DEFAULT false, ADD COLUMN in_force_at timestamptz;
UPDATE score_runs r SET calibrated_by = CASE WHEN r.status = 'succeeded' THEN r.id END,
  calibrated_on = CASE WHEN r.status = 'succeeded' THEN r.as_of END,
  in_force_at = (SELECT r.finished_at FROM score_models m WHERE m.tenant_id = r.tenant_id AND m.current_run = r.run_no);

ALTER TABLE score_models ADD COLUMN retired_at timestamptz;

CREATE TABLE score_model_revisions (
  tenant_id  integer     NOT NULL,
  model_id   uuid        NOT NULL,
  revision   integer     NOT NULL,
  params     jsonb       NOT NULL,
  actor      text        NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT score_model_revisions_pkey PRIMARY KEY (tenant_id, model_id, revision)
);
INSERT INTO score_model_revisions (tenant_id, model_id, revision, params, actor, created_at)
  SELECT tenant_id, id, revision, params, 'kezi', updated_at FROM score_models
  UNION ALL
  SELECT DISTINCT ON (r.tenant_id, r.model_id, r.revision) r.tenant_id, r.model_id, r.revision, r.params, 'kezi', r.created_at
  FROM score_runs r JOIN score_models m ON m.tenant_id = r.tenant_id AND m.id = r.model_id WHERE r.revision < m.revision;

-- Scores that gave way to others: by a write of the customer's, or because their run's partition was dropped. Together with
-- the partitions there are, this is all that a customer's scores ever were; run_no leads to parameters and calibration.
CREATE TABLE score_history (
  tenant_id   integer            NOT NULL,
  customer_id uuid               NOT NULL,
  model_id    uuid               NOT NULL,
  scored_at   timestamptz        NOT NULL,
  run_no      bigint             NOT NULL,
  as_of       date               NOT NULL,
  value       double precision   NOT NULL,
  band        smallint           NOT NULL,
  label       text               NOT NULL,
  inputs      double precision[] NOT NULL,
  CONSTRAINT score_history_pkey PRIMARY KEY (tenant_id, customer_id, model_id, scored_at),
  CONSTRAINT score_history_customer_fkey FOREIGN KEY (tenant_id, customer_id) REFERENCES customers (tenant_id, id)
);

-- Whom a customer's write re-scored while a live run was in progress: the run, which saw the customers as they were
-- before, scores them again at its end.
CREATE TABLE score_touched (
  tenant_id   integer NOT NULL,
  run_no      bigint  NOT NULL,
  customer_id uuid    NOT NULL,
  CONSTRAINT score_touched_pkey PRIMARY KEY (tenant_id, run_no, customer_id)
);

SELECT kezi_protect(t::regclass) FROM unnest(ARRAY['score_model_revisions', 'score_history', 'score_touched']) t;

-- +goose StatementBegin
-- kezi_scoring keeps what scores are computed by as it is until the transaction ends, and answers a digest of all of it. It is
-- a function so that the digest is read after the lock was waited for: a statement of its own would see what was there
-- before. Whoever starts a run or puts one into force takes the lock alone.
--
-- What reads for scores is one long statement that comes again and again for customers found by their keys: planning it
-- anew each time would cost more than it, and compiling it to machine code more still.
CREATE FUNCTION kezi_scoring(tenant integer) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(1803252337, tenant);
  PERFORM set_config('plan_cache_mode', 'force_generic_plan', true), set_config('jit', 'off', true);
  RETURN (SELECT md5(concat(
    (SELECT string_agg(concat(m.id, m.version), ',' ORDER BY m.id) FROM score_models m WHERE m.tenant_id = tenant), ';',
    (SELECT string_agg(r.run_no::text, ',' ORDER BY r.run_no) FROM score_runs r WHERE r.tenant_id = tenant AND r.status = 'queued' AND r.live), ';',
    (SELECT string_agg(concat(s.id, s.version), ',' ORDER BY s.id) FROM tier_schemes s WHERE s.tenant_id = tenant), ';',
    (SELECT string_agg(concat(d.id, d.version), ',' ORDER BY d.id) FROM field_definitions d WHERE d.tenant_id = tenant))));
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION kezi_score_partition(run bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
  EXECUTE format('DROP TABLE IF EXISTS scores_%s', run);
  EXECUTE format('CREATE TABLE scores_%s (LIKE scores INCLUDING DEFAULTS, CHECK (run_no = %s))', run, run);
  PERFORM kezi_protect(format('scores_%s', run)::regclass);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON scores_%s TO %I', run, session_user);
END $$;
-- +goose StatementEnd

-- +goose Down
SELECT 1;
