-- +goose Up
-- What products are searched by: sku and name, each on a line, in the one spelling that all writings share. The service makes
-- it; it is NULL in rows from before until housekeeping comes by.
ALTER TABLE products ADD COLUMN folded text;
CREATE INDEX products_unfolded_idx ON products (tenant_id) WHERE folded IS NULL;
DROP INDEX products_sku_prefix_idx;
DROP INDEX products_name_prefix_idx;

-- Whether whoever began the import is not shown personal values: then its outcome does not tell of them either.
ALTER TABLE imports ADD COLUMN blind boolean NOT NULL DEFAULT false;

-- +goose Down
SELECT 1;
