-- +goose Up
-- The triggers that count carriers run with every write that rules are put to, mostly for no row; and a plan from when ten
-- thousand were tagged at once joined all customers for each later write of its session. Customers are looked up one by one
-- (LIMIT), whatever the first execution was about.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION kezi_count_put_tags() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM changed) THEN
    RETURN NULL;
  END IF;
  INSERT INTO tag_carriers (tenant_id, tag_id, change)
    SELECT r.tenant_id, r.tag_id, count(*) FILTER (WHERE c.deleted_at IS NULL AND c.merged_into IS NULL)
    FROM changed r CROSS JOIN LATERAL (SELECT c.deleted_at, c.merged_into FROM customers c
      WHERE c.tenant_id = r.tenant_id AND c.id = r.customer_id LIMIT 1) c
    GROUP BY r.tenant_id, r.tag_id;
  RETURN NULL;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION kezi_count_removed_tags() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM changed) THEN
    RETURN NULL;
  END IF;
  -- Expired assignments are removed by somebody who does not hold the customer: whoever deletes it at the same time
  -- must not take the same one off as well. Assignments of a deleted tag are nobody's.
  INSERT INTO tag_carriers (tenant_id, tag_id, change)
    SELECT r.tenant_id, r.tag_id, -count(*) FILTER (WHERE c.deleted_at IS NULL AND c.merged_into IS NULL)
    FROM (SELECT d.tenant_id, d.tag_id, d.customer_id FROM changed d
        WHERE EXISTS (SELECT FROM tags t WHERE t.tenant_id = d.tenant_id AND t.id = d.tag_id) ORDER BY d.customer_id) r
      CROSS JOIN LATERAL (SELECT c.deleted_at, c.merged_into FROM customers c
        WHERE c.tenant_id = r.tenant_id AND c.id = r.customer_id LIMIT 1 FOR SHARE) c
    GROUP BY r.tenant_id, r.tag_id;
  RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose Down
SELECT 1;
