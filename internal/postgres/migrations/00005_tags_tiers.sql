-- +goose Up
CREATE TABLE tag_groups (
  tenant_id  integer     NOT NULL,
  id         uuid        NOT NULL,
  version    bigint      NOT NULL,
  key        text        NOT NULL,
  name       text        NOT NULL,
  color      text        NOT NULL,
  exclusive  boolean     NOT NULL,
  position   integer     NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT tag_groups_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT tag_groups_key_key UNIQUE (tenant_id, key)
);

CREATE TABLE tags (
  tenant_id   integer     NOT NULL,
  id          uuid        NOT NULL,
  version     bigint      NOT NULL,
  group_id    uuid,
  key         text        NOT NULL,
  name        text        NOT NULL,
  description text        NOT NULL,
  color       text,
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL,
  CONSTRAINT tags_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT tags_key_key UNIQUE (tenant_id, key),
  CONSTRAINT tags_group_fkey FOREIGN KEY (tenant_id, group_id) REFERENCES tag_groups (tenant_id, id)
);
CREATE INDEX tags_group_idx ON tags (tenant_id, group_id);

CREATE TABLE customer_tags (
  tenant_id   integer     NOT NULL,
  customer_id uuid        NOT NULL,
  tag_id      uuid        NOT NULL,
  source      text        NOT NULL,
  actor       text        NOT NULL,
  reason      text        NOT NULL,
  expires_at  timestamptz,
  assigned_at timestamptz NOT NULL,
  CONSTRAINT customer_tags_pkey PRIMARY KEY (tenant_id, customer_id, tag_id),
  CONSTRAINT customer_tags_customer_fkey FOREIGN KEY (tenant_id, customer_id) REFERENCES customers (tenant_id, id)
);
CREATE INDEX customer_tags_tag_idx ON customer_tags (tenant_id, tag_id, customer_id);
CREATE INDEX customer_tags_expiry_idx ON customer_tags (tenant_id, expires_at) WHERE expires_at IS NOT NULL;

-- Tags that were deleted while more customers carried them than one transaction may change. Without its tag an
-- assignment is invisible; housekeeping removes what is left, in chunks, under the deletion's change set.
CREATE TABLE deleted_tags (
  tenant_id  integer     NOT NULL,
  tag_id     uuid        NOT NULL,
  change_set uuid        NOT NULL,
  deleted_at timestamptz NOT NULL,
  CONSTRAINT deleted_tags_pkey PRIMARY KEY (tenant_id, tag_id)
);

CREATE TABLE tier_schemes (
  tenant_id    integer     NOT NULL,
  id           uuid        NOT NULL,
  version      bigint      NOT NULL,
  key          text        NOT NULL,
  name         text        NOT NULL,
  evaluated_at timestamptz,
  created_at   timestamptz NOT NULL,
  updated_at   timestamptz NOT NULL,
  CONSTRAINT tier_schemes_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT tier_schemes_key_key UNIQUE (tenant_id, key)
);

-- rank 1 is the highest tier; the lowest has no condition and takes everyone whom no other takes.
CREATE TABLE tiers (
  tenant_id integer NOT NULL,
  scheme_id uuid    NOT NULL,
  id        uuid    NOT NULL,
  rank      integer NOT NULL,
  key       text    NOT NULL,
  name      text    NOT NULL,
  condition jsonb,
  CONSTRAINT tiers_pkey PRIMARY KEY (tenant_id, scheme_id, id),
  CONSTRAINT tiers_key_key UNIQUE (tenant_id, scheme_id, key),
  CONSTRAINT tiers_scheme_fkey FOREIGN KEY (tenant_id, scheme_id) REFERENCES tier_schemes (tenant_id, id)
);

-- A placement whose scheme or tier is gone counts for nothing: readers come to it through tiers.
CREATE TABLE tier_placements (
  tenant_id   integer     NOT NULL,
  customer_id uuid        NOT NULL,
  scheme_id   uuid        NOT NULL,
  tier_id     uuid        NOT NULL,
  change_set  uuid        NOT NULL,
  placed_at   timestamptz NOT NULL,
  CONSTRAINT tier_placements_pkey PRIMARY KEY (tenant_id, customer_id, scheme_id),
  CONSTRAINT tier_placements_customer_fkey FOREIGN KEY (tenant_id, customer_id) REFERENCES customers (tenant_id, id)
);
CREATE INDEX tier_placements_tier_idx ON tier_placements (tenant_id, scheme_id, tier_id, customer_id);

SELECT kezi_protect(t::regclass) FROM unnest(ARRAY['tag_groups', 'tags', 'customer_tags', 'deleted_tags', 'tier_schemes',
  'tiers', 'tier_placements']) t;

-- +goose Down
SELECT 1;
