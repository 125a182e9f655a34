package demo

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/postgres"
)

// pins are the ids that services have given, each with the fixed one that is to take its place.
type pins map[uuid.UUID]uuid.UUID

// Where ids of things stand that services make. Nothing in the schema points at them but a tag at its group, so they
// can be exchanged like any other value.
var (
	pinned = []struct{ table, column string }{
		{"tags", "id"}, {"customer_tags", "tag_id"}, {"tag_suppressions", "tag_id"}, {"tag_carriers", "tag_id"}, {"customer_tag_log", "tag_id"}, {"customer_tag_log", "change_set"},
		{"jobs", "id"}, {"jobs", "change_set"}, {"score_runs", "id"}, {"score_runs", "job_id"}, {"score_runs", "calibrated_by"},
		{"imports", "id"}, {"imports", "job_id"}, {"imports", "change_set"}, {"import_chunks", "import_id"},
		{"import_errors", "import_id"}, {"import_row_counts", "import_id"},
		{"field_definitions", "id"}, {"validation_rules", "id"},
		{"contacts", "id"}, {"relations", "id"}, {"notes", "id"},
		{"transactions", "id"}, {"transaction_keys", "transaction_id"},
		{"events", "change_set"}, {"change_set_items", "change_set_id"}, {"tier_placements", "change_set"},
		{"tier_placements", "scheme_id"}, {"tier_history", "scheme_id"}, {"tier_history", "change_set"}, {"tier_scheme_versions", "scheme_id"},
		{"segments", "id"}, {"segment_conditions", "segment_id"}, {"segment_picks", "segment_id"}, {"segment_members", "segment_id"},
		{"segment_log", "segment_id"},
	}
	pinnedText = []struct{ table, column, prefix string }{
		{"jobs", "subject_id", ""}, {"events", "subject_id", ""}, {"events", "request_id", "job-"},
	}
)

// pin exchanges ids everywhere in the tenant, in one transaction. It is the only place that does so. A service can't
// be told which id to use, and the contract's examples must find what they name. Everything is done by then: no job
// that knows its old id is left. Events keep their own ids, because the sequencer may be numbering them by these.
func pin(ctx context.Context, db *postgres.DB, tenantID int32, ids pins) error {
	return db.InTx(ctx, func(tx postgres.Tx) error {
		_, err := tx.Exec(ctx, `CREATE TEMPORARY TABLE demo_pins (made uuid PRIMARY KEY, fixed uuid NOT NULL) ON COMMIT DROP`)
		if err != nil {
			return fmt.Errorf("make room for ids: %w", err)
		}
		var rows [][]any
		for made, fixed := range ids {
			rows = append(rows, []any{made, fixed})
		}
		if _, err := tx.CopyFrom(ctx, "demo_pins", []string{"made", "fixed"}, pgx.CopyFromRows(rows)); err != nil {
			return fmt.Errorf("note ids: %w", err)
		}
		// Groups and the tags that refer to them change in one statement, at whose end the foreign key is looked at.
		_, err = tx.Exec(ctx, `WITH g AS (UPDATE tag_groups g SET id = p.fixed FROM demo_pins p WHERE g.tenant_id = $1 AND g.id = p.made)
			UPDATE tags t SET group_id = p.fixed FROM demo_pins p WHERE t.tenant_id = $1 AND t.group_id = p.made`, tenantID)
		if err != nil {
			return fmt.Errorf("fix the ids of tag groups: %w", err)
		}
		_, err = tx.Exec(ctx, `WITH s AS (UPDATE tier_schemes s SET id = p.fixed FROM demo_pins p WHERE s.tenant_id = $1 AND s.id = p.made)
			UPDATE tiers t SET scheme_id = p.fixed FROM demo_pins p WHERE t.tenant_id = $1 AND t.scheme_id = p.made`, tenantID)
		if err != nil {
			return fmt.Errorf("fix the ids of tier schemes: %w", err)
		}
		for _, c := range pinned {
			_, err := tx.Exec(ctx, fmt.Sprintf(`UPDATE %s t SET %s = p.fixed FROM demo_pins p WHERE t.tenant_id = $1 AND t.%s = p.made`,
				c.table, c.column, c.column), tenantID)
			if err != nil {
				return fmt.Errorf("fix %s of %s: %w", c.column, c.table, err)
			}
		}
		for _, c := range pinnedText {
			_, err := tx.Exec(ctx, fmt.Sprintf(`UPDATE %s t SET %s = $2 || p.fixed::text FROM demo_pins p
				WHERE t.tenant_id = $1 AND t.%s = $2 || p.made::text`, c.table, c.column, c.column), tenantID, c.prefix)
			if err != nil {
				return fmt.Errorf("fix %s of %s: %w", c.column, c.table, err)
			}
		}
		// Whoever has compiled the rules of segments and tiers knows their old ids.
		if _, err := tx.Exec(ctx, `UPDATE rule_states SET version = gen_random_uuid() WHERE tenant_id = $1`, tenantID); err != nil {
			return fmt.Errorf("let rules be read anew: %w", err)
		}
		return nil
	})
}

// transactionsOf are the ids of transactions by the keys that their source gave them, in the order of the keys.
func transactionsOf(ctx context.Context, q postgres.Querier, tenantID int32, source string, keys []string) ([]uuid.UUID, error) {
	rows, err := q.Query(ctx, `SELECT t.transaction_id FROM unnest($3::text[]) WITH ORDINALITY k (key, n)
		JOIN transaction_keys t ON t.tenant_id = $1 AND t.source = $2 AND t.key = k.key ORDER BY k.n`, tenantID, source, keys)
	if err != nil {
		return nil, fmt.Errorf("look for imported transactions: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("look for imported transactions: %w", err)
	}
	return ids, nil
}
