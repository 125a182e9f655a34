-- +goose Up
-- The partitions of several runs are indexed at the same time: workers of one would take the processors of the others.
ALTER FUNCTION kezi_score_index(bigint) SET max_parallel_maintenance_workers = 0;

-- +goose Down
SELECT 1;
