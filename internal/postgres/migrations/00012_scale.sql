-- +goose Up

-- How many living customers carry a tag, expired assignments included: the sum of its changes. Counting them live takes
-- seconds at millions of assignments, and one row per tag would make everybody who puts a popular tag wait for each
-- other. Housekeeping adds old changes up.
CREATE TABLE tag_carriers (
  tenant_id integer NOT NULL,
  tag_id    uuid    NOT NULL,
  id        bigint  GENERATED ALWAYS AS IDENTITY,
  change    bigint  NOT NULL,
  CONSTRAINT tag_carriers_pkey PRIMARY KEY (tenant_id, tag_id, id) INCLUDE (change)
);
SELECT kezi_protect('tag_carriers'::regclass);

INSERT INTO tag_carriers (tenant_id, tag_id, change)
  SELECT ct.tenant_id, ct.tag_id, count(*) FROM customer_tags ct
  JOIN customers c ON c.tenant_id = ct.tenant_id AND c.id = ct.customer_id
  JOIN tags t ON t.tenant_id = ct.tenant_id AND t.id = ct.tag_id
  WHERE c.deleted_at IS NULL AND c.merged_into IS NULL GROUP BY ct.tenant_id, ct.tag_id;

-- Expired assignments that are not removed yet are taken off the sum.
CREATE INDEX customer_tags_tag_expiry_idx ON customer_tags (tenant_id, tag_id, expires_at) WHERE expires_at IS NOT NULL;

-- Triggers, because a carrier comes and goes in many ways (one by one, in bulk, by expiry, with the customer's deletion,
-- import, merge) and each that forgot to count would leave the number wrong for ever. Whether a customer lives is asked
-- by FILTER, not WHERE: before the tables are analyzed, the condition would lead the planner to a partial index.
-- +goose StatementBegin
CREATE FUNCTION kezi_count_put_tags() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO tag_carriers (tenant_id, tag_id, change)
    SELECT r.tenant_id, r.tag_id, count(*) FILTER (WHERE c.deleted_at IS NULL AND c.merged_into IS NULL)
    FROM changed r JOIN customers c ON c.tenant_id = r.tenant_id AND c.id = r.customer_id
    GROUP BY r.tenant_id, r.tag_id;
  RETURN NULL;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION kezi_count_removed_tags() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- Expired assignments are removed by somebody who does not hold the customer: whoever deletes it at the same time
  -- must not take the same one off as well. Assignments of a deleted tag are nobody's.
  INSERT INTO tag_carriers (tenant_id, tag_id, change)
    SELECT r.tenant_id, r.tag_id, -count(*) FILTER (WHERE r.deleted_at IS NULL AND r.merged_into IS NULL)
    FROM (SELECT d.tenant_id, d.tag_id, c.deleted_at, c.merged_into FROM changed d
      JOIN tags t ON t.tenant_id = d.tenant_id AND t.id = d.tag_id
      JOIN customers c ON c.tenant_id = d.tenant_id AND c.id = d.customer_id ORDER BY c.id FOR SHARE OF c) r
    GROUP BY r.tenant_id, r.tag_id;
  RETURN NULL;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION kezi_count_tags_of() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO tag_carriers (tenant_id, tag_id, change)
    SELECT ct.tenant_id, ct.tag_id, CASE WHEN NEW.deleted_at IS NULL AND NEW.merged_into IS NULL THEN 1 ELSE -1 END
    FROM customer_tags ct JOIN tags t ON t.tenant_id = ct.tenant_id AND t.id = ct.tag_id
    WHERE ct.tenant_id = NEW.tenant_id AND ct.customer_id = NEW.id;
  RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER customer_tags_put AFTER INSERT ON customer_tags
  REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION kezi_count_put_tags();
CREATE TRIGGER customer_tags_removed AFTER DELETE ON customer_tags
  REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION kezi_count_removed_tags();
CREATE TRIGGER customers_living AFTER UPDATE OF deleted_at, merged_into ON customers FOR EACH ROW
  WHEN ((OLD.deleted_at IS NULL AND OLD.merged_into IS NULL) IS DISTINCT FROM (NEW.deleted_at IS NULL AND NEW.merged_into IS NULL))
  EXECUTE FUNCTION kezi_count_tags_of();

-- +goose StatementBegin
-- kezi_tag_ids looks up tags by their keys. Being STABLE it is evaluated by the planner for its estimates when the keys
-- are known, as they are in a statement that is planned for each call (postgres.Replanned): so it learns how many
-- customers carry those very tags, which decides whether to begin with the tag or with the order of the list. A join
-- would leave it with the average of all tags.
CREATE FUNCTION kezi_tag_ids(tenant integer, keys text[]) RETURNS uuid[] LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
  RETURN ARRAY(SELECT t.id FROM tags t WHERE t.tenant_id = tenant AND t.key = ANY(keys));
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION kezi_tier_ids(tenant integer, scheme uuid, keys text[]) RETURNS uuid[] LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
  RETURN ARRAY(SELECT t.id FROM tiers t WHERE t.tenant_id = tenant AND t.scheme_id = scheme AND t.key = ANY(keys));
END $$;
-- +goose StatementEnd

-- +goose Down
SELECT 1;
