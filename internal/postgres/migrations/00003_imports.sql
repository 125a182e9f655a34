-- +goose Up
CREATE TABLE imports (
  tenant_id   integer     NOT NULL,
  id          uuid        NOT NULL,
  version     bigint      NOT NULL,
  type        text        NOT NULL,
  source      text        NOT NULL,
  format      text        NOT NULL,
  encoding    text        NOT NULL,
  mapping     jsonb       NOT NULL,
  currency    text,
  -- From queued on the job's status is the import's, until the import's own end is written here.
  status      text        NOT NULL,
  job_id      uuid,
  change_set  uuid        NOT NULL,
  actor       text        NOT NULL,
  upload_id   uuid,       -- of the chunks that count; those of any other upload are leftovers
  gzipped     boolean     NOT NULL DEFAULT false,
  bytes_total bigint      NOT NULL DEFAULT 0,
  rows_read   bigint      NOT NULL DEFAULT 0,
  created     bigint      NOT NULL DEFAULT 0,
  updated     bigint      NOT NULL DEFAULT 0,
  unchanged   bigint      NOT NULL DEFAULT 0,
  failed      bigint      NOT NULL DEFAULT 0,
  customers_created bigint NOT NULL DEFAULT 0,
  error_code  text,       -- what is wrong with the file as a whole
  error_en    text,
  error_zh    text,
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL,
  CONSTRAINT imports_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT imports_status_check CHECK (status IN
    ('created', 'uploading', 'queued', 'succeeded', 'failed', 'cancelled'))
);
CREATE INDEX imports_open_idx ON imports (tenant_id) WHERE status IN ('uploading', 'queued');

-- The uploaded file as it came, in pieces: any replica's worker reads it from here.
CREATE TABLE import_chunks (
  tenant_id integer NOT NULL,
  import_id uuid    NOT NULL,
  upload_id uuid    NOT NULL,
  seq       integer NOT NULL,
  data      bytea   NOT NULL,
  CONSTRAINT import_chunks_pkey PRIMARY KEY (tenant_id, import_id, upload_id, seq)
);
ALTER TABLE import_chunks ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE import_errors (
  tenant_id integer NOT NULL,
  import_id uuid    NOT NULL,
  line      bigint  NOT NULL,
  col       text    NOT NULL,
  code      text    NOT NULL,
  detail_en text    NOT NULL,
  detail_zh text    NOT NULL,
  CONSTRAINT import_errors_pkey PRIMARY KEY (tenant_id, import_id, line, col, code)
);

-- Rows that the file may have more than once, and how many of each were seen so far: the ordinal that tells twins
-- apart survives a restart.
CREATE TABLE import_row_counts (
  tenant_id integer NOT NULL,
  import_id uuid    NOT NULL,
  row_hash  bytea   NOT NULL,
  seen      integer NOT NULL,
  CONSTRAINT import_row_counts_pkey PRIMARY KEY (tenant_id, import_id, row_hash)
);

SELECT kezi_protect(t::regclass) FROM unnest(ARRAY['imports', 'import_chunks', 'import_errors', 'import_row_counts']) t;

-- +goose Down
SELECT 1;
