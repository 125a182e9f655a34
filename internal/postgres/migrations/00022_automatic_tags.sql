-- +goose Up
-- A tag with a condition is automatic: the rule engine keeps who carries it. evaluated_at is when a job last put the condition
-- to everybody. Within an exclusive group position decides which of several automatic tags a customer gets.
ALTER TABLE tags ADD COLUMN position integer NOT NULL DEFAULT 0, ADD COLUMN condition jsonb, ADD COLUMN evaluated_at timestamptz,
  ADD COLUMN archived_at timestamptz;

-- Automatic tags that somebody has taken off a customer by hand: the condition does not bring them back.
CREATE TABLE tag_suppressions (
  tenant_id     integer     NOT NULL,
  customer_id   uuid        NOT NULL,
  tag_id        uuid        NOT NULL,
  actor         text        NOT NULL,
  reason        text        NOT NULL,
  suppressed_at timestamptz NOT NULL,
  CONSTRAINT tag_suppressions_pkey PRIMARY KEY (tenant_id, customer_id, tag_id),
  CONSTRAINT tag_suppressions_customer_fkey FOREIGN KEY (tenant_id, customer_id) REFERENCES customers (tenant_id, id)
);
CREATE INDEX tag_suppressions_tag_idx ON tag_suppressions (tenant_id, tag_id, customer_id);

-- Everything that happened to who carries what, written by the statements that do it.
CREATE TABLE customer_tag_log (
  tenant_id   integer     NOT NULL,
  customer_id uuid        NOT NULL,
  ord         bigint      GENERATED ALWAYS AS IDENTITY,
  tag_id      uuid        NOT NULL,
  action      text        NOT NULL,
  source      text        NOT NULL,
  cause       text        NOT NULL,
  event       text        NOT NULL,
  actor       text        NOT NULL,
  reason      text        NOT NULL,
  expires_at  timestamptz,
  change_set  uuid        NOT NULL,
  occurred_at timestamptz NOT NULL,
  CONSTRAINT customer_tag_log_pkey PRIMARY KEY (tenant_id, customer_id, ord)
);
CREATE INDEX customer_tag_log_tag_idx ON customer_tag_log (tenant_id, tag_id, ord);

-- What a job has to do that puts a tag on many customers or takes it off: to customers by id, by condition, or to those of
-- another tag, merged_from, which is deleted at the end.
CREATE TABLE tag_bulks (
  tenant_id   integer     NOT NULL,
  id          uuid        NOT NULL,
  tag_id      uuid        NOT NULL,
  adding      boolean     NOT NULL,
  customers   uuid[],
  condition   jsonb,
  merged_from uuid,
  reason      text        NOT NULL,
  created_at  timestamptz NOT NULL,
  CONSTRAINT tag_bulks_pkey PRIMARY KEY (tenant_id, id)
);

-- What deleted tags leave behind is removed by a job now, as for everything else that is deleted with many customers.
DELETE FROM customer_tags ct WHERE NOT EXISTS (SELECT FROM tags t WHERE t.tenant_id = ct.tenant_id AND t.id = ct.tag_id);
DROP TABLE deleted_tags;

SELECT kezi_protect(t::regclass) FROM unnest(ARRAY['tag_suppressions', 'customer_tag_log', 'tag_bulks']) t;

-- +goose Down
SELECT 1;
