-- +goose Up
-- Nobody gathers statistics of a partitioned table by itself. Without any, the planner takes a customer for one of two hundred in each
-- run, and avoids to join scores in memory and by several processes. They are gathered with the first run, of a few rows; what they
-- say of customers, that each has one score in a run, stays as it is.
ALTER TABLE scores ALTER COLUMN customer_id SET (n_distinct_inherited = -1);
-- +goose StatementBegin
CREATE FUNCTION kezi_score_statistics() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT SET default_statistics_target = 1 AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_stats WHERE schemaname = current_schema AND tablename = 'scores' AND attname = 'customer_id' AND inherited) THEN
    ANALYZE scores (customer_id);
  END IF;
END $$;
-- +goose StatementEnd
SELECT kezi_score_statistics();
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION kezi_score_attach(run bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
  PERFORM kezi_protect(format('scores_%s', run)::regclass);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON scores_%s TO %I', run, session_user);
  EXECUTE format('ALTER TABLE scores ATTACH PARTITION scores_%s FOR VALUES IN (%s)', run, run);
  PERFORM kezi_score_statistics();
END $$;
-- +goose StatementEnd
-- A table to load names its columns instead of being made like scores, which would lock these until all is loaded: who drops a
-- partition meanwhile would wait, and everybody behind.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION kezi_score_partition(run bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
  PERFORM kezi_score_drop(run); -- with what an attempt left that was killed
  EXECUTE format('CREATE TABLE scores_%s (tenant_id integer NOT NULL, run_no bigint NOT NULL, customer_id uuid NOT NULL,
    value double precision NOT NULL, band smallint NOT NULL, label text NOT NULL, inputs double precision[] NOT NULL,
    as_of date NOT NULL, scored_at timestamptz NOT NULL, CHECK (run_no = %s))', run, run);
  EXECUTE format('GRANT INSERT ON scores_%s TO %I', run, session_user);
END $$;
-- +goose StatementEnd
-- archived_at is when what is worth keeping of a run's scores was copied into the history, since the run was last in force.
ALTER TABLE score_runs ADD COLUMN archived_at timestamptz;

-- The bands and labels of a run as it was loaded, for as long as its scores are kept: by thousands of customers, in ascending order
-- of ids, 16 bytes of id and one that says which of names ("band label", from 1 on). It tells two runs apart without joining them.
CREATE TABLE score_grades (
  tenant_id integer NOT NULL,
  run_no    bigint  NOT NULL,
  part      integer NOT NULL,
  loaded_at timestamptz NOT NULL,
  names     text[]  NOT NULL,
  grades    bytea   NOT NULL,
  CONSTRAINT score_grades_pkey PRIMARY KEY (run_no, part)
);
ALTER TABLE score_grades ALTER COLUMN grades SET STORAGE EXTERNAL; -- ids hardly compress
SELECT kezi_protect('score_grades');

-- Whose score of a run their own writes have taken away since it was loaded.
CREATE TABLE score_gone (
  tenant_id   integer NOT NULL,
  run_no      bigint  NOT NULL,
  customer_id uuid    NOT NULL,
  CONSTRAINT score_gone_pkey PRIMARY KEY (run_no, customer_id)
);
SELECT kezi_protect('score_gone');
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION kezi_score_drop(run bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
  EXECUTE format('DROP TABLE IF EXISTS scores_%s', run);
  DELETE FROM score_grades WHERE run_no = run;
  DELETE FROM score_gone WHERE run_no = run;
END $$;
-- +goose StatementEnd

-- By field of a score, the run by which all rules were decided for everybody, since when, and whether another one has come into force.
ALTER TABLE rule_states ADD COLUMN runs jsonb NOT NULL DEFAULT '{}';

-- +goose Down
SELECT 1;
