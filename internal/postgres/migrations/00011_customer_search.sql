-- +goose Up

-- By what customers are found: a row of its own, so that other changes of a customer do not touch the index. Terms are
-- hashes of 64 bits with the tenant in their input; they nominate rows, and the folded texts decide. Rows made by older
-- rules (version) are made again in the background, as are those that are missing.
CREATE TABLE customer_search (
  tenant_id   integer  NOT NULL,
  customer_id uuid     NOT NULL,
  version     smallint NOT NULL,
  terms       bigint[] NOT NULL,
  name_text   text     NOT NULL,
  pinyin_text text     NOT NULL,
  CONSTRAINT customer_search_pkey PRIMARY KEY (tenant_id, customer_id),
  CONSTRAINT customer_search_customer_fkey FOREIGN KEY (tenant_id, customer_id) REFERENCES customers (tenant_id, id)
);
-- fastupdate gathers new entries and merges them in bulk: without it a write costs eight times as much. Every search
-- reads what is gathered, so the gathering stays small.
CREATE INDEX customer_search_terms_idx ON customer_search USING gin (terms) WITH (fastupdate = on, gin_pending_list_limit = 1024);
ALTER TABLE customer_search ALTER COLUMN terms SET STATISTICS 1000;

-- An id is looked for without saying which system it is from.
CREATE INDEX external_ids_id_idx ON external_ids (tenant_id, external_id);

SELECT kezi_protect(t::regclass) FROM unnest(ARRAY['customer_search']) t;

-- +goose Down
SELECT 1;
