package customer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/postgres"
)

// Find is the id of the customer that a system knows as id, or ErrNotFound.
func Find(ctx context.Context, q postgres.Querier, tenantID int32, id ExternalID) (uuid.UUID, error) {
	var found uuid.UUID
	err := q.QueryRow(ctx, `SELECT customer_id FROM external_ids WHERE tenant_id = $1 AND source = $2 AND external_id = $3`,
		tenantID, id.Source, id.ID).Scan(&found)
	switch {
	case postgres.IsNone(err):
		return uuid.Nil, ErrNotFound
	case err != nil:
		return uuid.Nil, fmt.Errorf("look up an external id: %w", err)
	}
	return found, nil
}

// claim gives the external id to customer want, or answers who has it. A concurrent claim is waited for, so one wins.
func claim(ctx context.Context, q postgres.Querier, tenantID int32, id ExternalID, want uuid.UUID, now time.Time) (holder uuid.UUID, fresh bool, err error) {
	for {
		tag, err := q.Exec(ctx, `INSERT INTO external_ids (tenant_id, source, external_id, customer_id, created_at)
			VALUES ($1, $2, $3, $4, $5) ON CONFLICT ON CONSTRAINT external_ids_pkey DO NOTHING`,
			tenantID, id.Source, id.ID, want, now)
		if err != nil {
			return uuid.Nil, false, fmt.Errorf("claim an external id: %w", err)
		}
		if tag.RowsAffected() == 1 {
			return want, true, nil
		}
		holder, err = Find(ctx, q, tenantID, id)
		if !errors.Is(err, ErrNotFound) {
			return holder, false, err
		}
		// Released between the two statements: it is free again.
	}
}

// claimAll gives each external id, in ascending order, the customer wanted for it unless it has one, and answers whom
// each has. Two callers with the same ids wait for each other here, and make each customer once.
func claimAll(ctx context.Context, q postgres.Querier, tenantID int32, ids []ExternalID, want []uuid.UUID, now time.Time) (map[ExternalID]uuid.UUID, error) {
	sources, names := make([]string, len(ids)), make([]string, len(ids))
	for i, id := range ids {
		sources[i], names[i] = id.Source, id.ID
	}
	holders := make(map[ExternalID]uuid.UUID, len(ids))
	for len(holders) < len(ids) {
		_, err := q.Exec(ctx, `INSERT INTO external_ids (tenant_id, source, external_id, customer_id, created_at)
			SELECT $1, x.*, $5 FROM unnest($2::text[], $3::text[], $4::uuid[]) x (source, id, customer)
			ON CONFLICT ON CONSTRAINT external_ids_pkey DO NOTHING`, tenantID, sources, names, want, now)
		if err != nil {
			return nil, fmt.Errorf("claim %d external ids: %w", len(ids), err)
		}
		rows, err := q.Query(ctx, `SELECT x.source, x.id, e.customer_id FROM unnest($2::text[], $3::text[]) x (source, id)
			CROSS JOIN LATERAL (SELECT e.customer_id FROM external_ids e
				WHERE e.tenant_id = $1 AND e.source = x.source AND e.external_id = x.id LIMIT 1) e`, tenantID, sources, names)
		if err != nil {
			return nil, fmt.Errorf("look up %d external ids: %w", len(ids), err)
		}
		for rows.Next() {
			var id ExternalID
			var holder uuid.UUID
			if err := rows.Scan(&id.Source, &id.ID, &holder); err != nil {
				rows.Close()
				return nil, fmt.Errorf("look up %d external ids: %w", len(ids), err)
			}
			holders[id] = holder
		}
		if err := rows.Err(); err != nil {
			return nil, fmt.Errorf("look up %d external ids: %w", len(ids), err)
		}
		// One that is missing was released between the two statements: it is free again.
	}
	return holders, nil
}

func release(ctx context.Context, tx postgres.Tx, tenantID int32, ids ...ExternalID) error {
	if len(ids) == 0 {
		return nil
	}
	sources, names := make([]string, len(ids)), make([]string, len(ids))
	for i, id := range ids {
		sources[i], names[i] = id.Source, id.ID
	}
	_, err := tx.Exec(ctx, `DELETE FROM external_ids e USING unnest($2::text[], $3::text[]) x (source, id)
		WHERE e.tenant_id = $1 AND e.source = x.source AND e.external_id = x.id`, tenantID, sources, names)
	if err != nil {
		return fmt.Errorf("release %d external ids: %w", len(ids), err)
	}
	return nil
}

func compare(a, b ExternalID) int {
	if c := strings.Compare(a.Source, b.Source); c != 0 {
		return c
	}
	return strings.Compare(a.ID, b.ID)
}

func sorted(ids []ExternalID) []ExternalID {
	s := slices.Clone(ids)
	if s == nil {
		s = []ExternalID{}
	}
	slices.SortFunc(s, compare)
	return s
}

func documents(ids []ExternalID) []map[string]string {
	d := make([]map[string]string, len(ids))
	for i, id := range ids {
		d[i] = map[string]string{"source": id.Source, "external_id": id.ID}
	}
	return d
}
