-- +goose Up
-- Why a run failed: in a set of runs the job does not tell.
ALTER TABLE score_runs ADD COLUMN error_code text, ADD COLUMN error_en text, ADD COLUMN error_zh text;

-- +goose Down
SELECT 1;
