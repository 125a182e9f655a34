-- +goose Up

-- The name by which lists are sorted stands beside the terms, so that the first of a hundred thousand found names are
-- known without a look at each customer. The rows are derived, and made again in the background.
TRUNCATE customer_search;
ALTER TABLE customer_search ADD COLUMN name text NOT NULL;

-- +goose Down
SELECT 1;
