-- +goose Up

-- When the customers of a tenant were last looked through for names that are not searchable, and by which rules: a look
-- then only asks for those who changed since, instead of reading everybody at each start of the service.
CREATE TABLE customer_search_looks (
  tenant_id integer     NOT NULL,
  version   smallint    NOT NULL,
  began_at  timestamptz NOT NULL,
  CONSTRAINT customer_search_looks_pkey PRIMARY KEY (tenant_id)
);
SELECT kezi_protect('customer_search_looks'::regclass);

-- +goose Down
SELECT 1;
