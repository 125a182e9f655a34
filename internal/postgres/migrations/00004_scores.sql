-- +goose Up
CREATE TABLE score_models (
  tenant_id   integer     NOT NULL,
  id          uuid        NOT NULL,
  key         text        NOT NULL,
  version     bigint      NOT NULL,
  revision    integer     NOT NULL,
  name        text        NOT NULL,
  kind        text        NOT NULL,
  params      jsonb       NOT NULL,
  clock_day   date,
  current_run bigint,
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL,
  CONSTRAINT score_models_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT score_models_key_key UNIQUE (tenant_id, key)
);

-- status says only how a run ended by its own: queued until then. What a run in progress is doing, and that it was
-- cancelled or broke, is its job's status. dropped_at is when the run's scores gave way to newer ones.
CREATE TABLE score_runs (
  tenant_id   integer     NOT NULL,
  id          uuid        NOT NULL,
  run_no      bigint      GENERATED ALWAYS AS IDENTITY,
  model_id    uuid        NOT NULL,
  revision    integer     NOT NULL,
  kind        text        NOT NULL,
  params      jsonb       NOT NULL,
  as_of       date        NOT NULL,
  activate    boolean     NOT NULL,
  status      text        NOT NULL,
  job_id      uuid        NOT NULL,
  version     bigint      NOT NULL,
  calibration jsonb,
  customers   bigint      NOT NULL DEFAULT 0,
  scored      bigint      NOT NULL DEFAULT 0,
  created_at  timestamptz NOT NULL,
  finished_at timestamptz,
  dropped_at  timestamptz,
  CONSTRAINT score_runs_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT score_runs_no_key UNIQUE (tenant_id, run_no),
  CONSTRAINT score_runs_status_check CHECK (status IN ('queued', 'succeeded', 'failed'))
);
CREATE INDEX score_runs_model_idx ON score_runs (tenant_id, model_id, run_no);

-- One partition per run. Readers reach a run only through score_models.current_run, so a partition that is being
-- filled is invisible until one update makes it current. inputs and value are enough to derive the explanation.
CREATE TABLE scores (
  tenant_id   integer            NOT NULL,
  run_no      bigint             NOT NULL,
  customer_id uuid               NOT NULL,
  value       double precision   NOT NULL,
  band        smallint           NOT NULL,
  label       text               NOT NULL,
  inputs      double precision[] NOT NULL,
  CONSTRAINT scores_pkey PRIMARY KEY (tenant_id, run_no, customer_id)
) PARTITION BY LIST (run_no);
CREATE INDEX scores_value_idx ON scores (tenant_id, run_no, value, customer_id);

SELECT kezi_protect(t::regclass) FROM unnest(ARRAY['score_models', 'score_runs', 'scores']) t;

-- +goose StatementBegin
-- Partitions are tables of their owner: these run as the role that migrated, so that the service needs no right
-- to create or drop tables of its own.
CREATE FUNCTION kezi_score_partition(run bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
  EXECUTE format('DROP TABLE IF EXISTS scores_%s', run);
  EXECUTE format('CREATE TABLE scores_%s (LIKE scores INCLUDING DEFAULTS, CHECK (run_no = %s))', run, run);
  PERFORM kezi_protect(format('scores_%s', run)::regclass);
  EXECUTE format('GRANT SELECT, INSERT ON scores_%s TO %I', run, session_user);
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION kezi_score_attach(run bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
  EXECUTE format('ALTER TABLE scores_%s ADD PRIMARY KEY (tenant_id, run_no, customer_id)', run);
  EXECUTE format('CREATE INDEX ON scores_%s (tenant_id, run_no, value, customer_id)', run);
  EXECUTE format('ALTER TABLE scores ATTACH PARTITION scores_%s FOR VALUES IN (%s)', run, run);
  EXECUTE format('ANALYZE scores_%s', run);
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION kezi_score_drop(run bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
  EXECUTE format('DROP TABLE IF EXISTS scores_%s', run);
END $$;
-- +goose StatementEnd

-- +goose Down
SELECT 1;
