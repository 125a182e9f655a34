-- +goose Up

-- Who to talk to at a customer. How to reach them is kept in a table of its own.
CREATE TABLE contacts (
  tenant_id     integer     NOT NULL,
  customer_id   uuid        NOT NULL,
  id            uuid        NOT NULL,
  version       bigint      NOT NULL,
  name          text        NOT NULL,
  title         text        NOT NULL,
  department    text        NOT NULL,
  gender        text        NOT NULL,
  decision_role text        NOT NULL,
  is_primary    boolean     NOT NULL,
  remark        text        NOT NULL,
  person_id     uuid,
  created_at    timestamptz NOT NULL,
  updated_at    timestamptz NOT NULL,
  CONSTRAINT contacts_pkey PRIMARY KEY (tenant_id, customer_id, id),
  CONSTRAINT contacts_customer_fkey FOREIGN KEY (tenant_id, customer_id) REFERENCES customers (tenant_id, id)
);
CREATE UNIQUE INDEX contacts_primary_key ON contacts (tenant_id, customer_id) WHERE is_primary;
CREATE UNIQUE INDEX contacts_person_key ON contacts (tenant_id, customer_id, person_id) WHERE person_id IS NOT NULL;
CREATE INDEX contacts_of_person_idx ON contacts (tenant_id, person_id) WHERE person_id IS NOT NULL;

CREATE TABLE notes (
  tenant_id   integer     NOT NULL,
  customer_id uuid        NOT NULL,
  id          uuid        NOT NULL,
  version     bigint      NOT NULL,
  kind        text        NOT NULL,
  body        text        NOT NULL,
  pinned      boolean     NOT NULL,
  author      text        NOT NULL,
  occurred_on date,
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL,
  CONSTRAINT notes_pkey PRIMARY KEY (tenant_id, customer_id, id),
  CONSTRAINT notes_customer_fkey FOREIGN KEY (tenant_id, customer_id) REFERENCES customers (tenant_id, id)
);

-- One row per relation, read from both ends: type is what other_id is to customer_id, inverse the reverse. customer_id is
-- the end that has the other as its parent, referrer, supplier or employer; where both ends are alike, the lower id.
-- other_id has no foreign key, because customers are meant to be spread over machines by id one day: who writes holds
-- both ends.
CREATE TABLE relations (
  tenant_id   integer     NOT NULL,
  customer_id uuid        NOT NULL,
  id          uuid        NOT NULL,
  version     bigint      NOT NULL,
  other_id    uuid        NOT NULL,
  type        text        NOT NULL,
  inverse     text        NOT NULL,
  note        text        NOT NULL,
  since       date,
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL,
  CONSTRAINT relations_pkey PRIMARY KEY (tenant_id, customer_id, id),
  CONSTRAINT relations_customer_fkey FOREIGN KEY (tenant_id, customer_id) REFERENCES customers (tenant_id, id),
  CONSTRAINT relations_pair_key UNIQUE (tenant_id, customer_id, other_id, type),
  CONSTRAINT relations_self_check CHECK (customer_id <> other_id)
);
CREATE UNIQUE INDEX relations_parent_key ON relations (tenant_id, customer_id) WHERE type = 'parent';
CREATE INDEX relations_other_idx ON relations (tenant_id, other_id, type, customer_id);

SELECT kezi_protect(t::regclass) FROM unnest(ARRAY['contacts', 'notes', 'relations']) t;

-- +goose Down
SELECT 1;
