-- +goose Up
-- A segment is static when it has no condition: its customers are those on its list, segment_picks. revision counts the
-- conditions that it has had, which stand in segment_conditions for its log. evaluated_at is when a job last put the
-- condition in force to everybody.
CREATE TABLE segments (
  tenant_id    integer     NOT NULL,
  id           uuid        NOT NULL,
  version      bigint      NOT NULL,
  key          text        NOT NULL,
  name         text        NOT NULL,
  description  text        NOT NULL,
  basis        text        NOT NULL,
  strategy     text        NOT NULL,
  benefits     jsonb       NOT NULL,
  preset       text        NOT NULL,
  condition    jsonb,
  revision     integer     NOT NULL,
  evaluated_at timestamptz,
  archived_at  timestamptz,
  created_at   timestamptz NOT NULL,
  updated_at   timestamptz NOT NULL,
  CONSTRAINT segments_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT segments_key_key UNIQUE (tenant_id, key),
  CONSTRAINT segments_basis_check CHECK (basis IN ('geographic', 'demographic', 'behavioural', 'psychographic', 'value'))
);

CREATE TABLE segment_conditions (
  tenant_id  integer NOT NULL,
  segment_id uuid    NOT NULL,
  revision   integer NOT NULL,
  condition  jsonb   NOT NULL,
  CONSTRAINT segment_conditions_pkey PRIMARY KEY (tenant_id, segment_id, revision)
);

CREATE TABLE segment_picks (
  tenant_id   integer     NOT NULL,
  customer_id uuid        NOT NULL,
  segment_id  uuid        NOT NULL,
  actor       text        NOT NULL,
  reason      text        NOT NULL,
  picked_at   timestamptz NOT NULL,
  CONSTRAINT segment_picks_pkey PRIMARY KEY (tenant_id, customer_id, segment_id),
  CONSTRAINT segment_picks_customer_fkey FOREIGN KEY (tenant_id, customer_id) REFERENCES customers (tenant_id, id)
);
CREATE INDEX segment_picks_segment_idx ON segment_picks (tenant_id, segment_id, customer_id);

-- Who is in a segment. A membership whose segment is gone or archived counts for nothing: readers come to it through
-- segments.
CREATE TABLE segment_members (
  tenant_id   integer     NOT NULL,
  customer_id uuid        NOT NULL,
  segment_id  uuid        NOT NULL,
  since       timestamptz NOT NULL,
  CONSTRAINT segment_members_pkey PRIMARY KEY (tenant_id, customer_id, segment_id),
  CONSTRAINT segment_members_customer_fkey FOREIGN KEY (tenant_id, customer_id) REFERENCES customers (tenant_id, id)
);
CREATE INDEX segment_members_segment_idx ON segment_members (tenant_id, segment_id, customer_id);

-- Every entering and leaving. leaf is the place of the leaf that decided, of the condition with that revision, 1 for the
-- first; NULL where none did.
CREATE TABLE segment_log (
  tenant_id   integer     NOT NULL,
  customer_id uuid        NOT NULL,
  ord         bigint      GENERATED ALWAYS AS IDENTITY,
  segment_id  uuid        NOT NULL,
  entered     boolean     NOT NULL,
  cause       text        NOT NULL,
  event       text        NOT NULL,
  revision    integer     NOT NULL,
  leaf        smallint,
  actor       text        NOT NULL,
  change_set  uuid        NOT NULL,
  occurred_at timestamptz NOT NULL,
  CONSTRAINT segment_log_pkey PRIMARY KEY (tenant_id, customer_id, ord)
);
CREATE INDEX segment_log_segment_idx ON segment_log (tenant_id, segment_id, ord);

-- What a job that changes a static segment's list has to do: to customers by id, or by condition.
CREATE TABLE segment_bulks (
  tenant_id  integer     NOT NULL,
  id         uuid        NOT NULL,
  segment_id uuid        NOT NULL,
  adding     boolean     NOT NULL,
  customers  uuid[],
  condition  jsonb,
  reason     text        NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT segment_bulks_pkey PRIMARY KEY (tenant_id, id)
);

SELECT kezi_protect(t::regclass) FROM unnest(ARRAY['segments', 'segment_conditions', 'segment_picks', 'segment_members',
  'segment_log', 'segment_bulks']) t;

-- +goose Down
SELECT 1;
