-- +goose Up

-- Everything that tells whether a customer is found, in the order of names: lists of what very many are found by are read
-- from these alone, until a page is full. Names of Latin letters only lie apart, since no Chinese needle is in them and
-- they come first. What is too long for an index lies in another one, which is as good as empty.
CREATE INDEX customer_search_name_idx ON customer_search
  (tenant_id, least(octet_length(name_text) - char_length(name_text), 1), name, customer_id) INCLUDE (name_text, pinyin_text)
  WHERE octet_length(name) + octet_length(name_text) + octet_length(pinyin_text) <= 2000;
CREATE INDEX customer_search_long_idx ON customer_search (tenant_id, name, customer_id)
  WHERE octet_length(name) + octet_length(name_text) + octet_length(pinyin_text) > 2000;

-- +goose Down
SELECT 1;
