package customer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/postgres"
)

// Everybody who writes about customers locks them first, through this file alone. Who needs several takes them in
// ascending id, and claims external ids before: so no two writers wait for each other. The lock is FOR NO KEY UPDATE, which lets
// others insert rows that refer to the customer.

// Held is a customer that is locked until the transaction ends.
type Held struct {
	ID      uuid.UUID
	Version int64
}

// Hold locks a customer until the transaction ends, as everybody who writes facts about it does, and answers its id:
// the survivor's, when it was merged away. Fails with ErrNotFound, also for a deleted one.
func Hold(ctx context.Context, tx postgres.Tx, tenantID int32, id uuid.UUID) (uuid.UUID, error) {
	h, err := HoldVersion(ctx, tx, tenantID, id)
	return h.ID, err
}

// HoldVersion is Hold that answers the version as well, for events.
func HoldVersion(ctx context.Context, tx postgres.Tx, tenantID int32, id uuid.UUID) (Held, error) {
	h, deleted, err := hold(ctx, tx, tenantID, id)
	if err == nil && deleted {
		err = ErrNotFound
	}
	if err != nil {
		return Held{}, err
	}
	return h, nil
}

// hold locks a customer, or the survivor that it was merged into, and tells whether it is deleted.
func hold(ctx context.Context, tx postgres.Tx, tenantID int32, id uuid.UUID) (h Held, deleted bool, err error) {
	for {
		var survivor *uuid.UUID
		h.ID = id
		err := tx.QueryRow(ctx, `SELECT version, deleted_at IS NOT NULL, merged_into FROM customers
			WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE`, tenantID, id).Scan(&h.Version, &deleted, &survivor)
		switch {
		case postgres.IsNone(err):
			return Held{}, false, ErrNotFound
		case err != nil:
			return Held{}, false, fmt.Errorf("lock customer %s: %w", id, err)
		case survivor == nil:
			return h, deleted, nil
		}
		id = *survivor
	}
}

// Version is the version of a customer that the caller holds.
func Version(ctx context.Context, tx postgres.Tx, tenantID int32, id uuid.UUID) (int64, error) {
	var version int64
	err := tx.QueryRow(ctx, `SELECT version FROM customers WHERE tenant_id = $1 AND id = $2`, tenantID, id).Scan(&version)
	if err != nil {
		return 0, fmt.Errorf("read the version of customer %s: %w", id, err)
	}
	return version, nil
}

// HoldAll locks those of ids that exist and are neither deleted nor merged away, and answers them in ascending order.
func HoldAll(ctx context.Context, tx postgres.Tx, tenantID int32, ids []uuid.UUID) ([]uuid.UUID, error) {
	return held(tx.Query(ctx, `SELECT id FROM customers
		WHERE tenant_id = $1 AND id = ANY($2) AND deleted_at IS NULL AND merged_into IS NULL
		ORDER BY id FOR NO KEY UPDATE`, tenantID, ids))
}

// HoldThese is HoldAll with those that are deleted or merged away.
func HoldThese(ctx context.Context, tx postgres.Tx, tenantID int32, ids []uuid.UUID) ([]uuid.UUID, error) {
	return held(tx.Query(ctx, `SELECT id FROM customers WHERE tenant_id = $1 AND id = ANY($2) ORDER BY id FOR NO KEY UPDATE`, tenantID, ids))
}

// HoldEvery locks the next customers after one in ascending order, deleted and merged ones too.
func HoldEvery(ctx context.Context, tx postgres.Tx, tenantID int32, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	return held(tx.Query(ctx, `SELECT id FROM customers
		WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3 FOR NO KEY UPDATE`, tenantID, after, limit))
}

func held(rows pgx.Rows, err error) ([]uuid.UUID, error) {
	if err != nil {
		return nil, fmt.Errorf("lock customers: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("lock customers: %w", err)
	}
	return ids, nil
}

// lock locks a customer, deleted or not, and reads it in a second statement: the first may have waited, and its
// snapshot would be from before.
func lock(ctx context.Context, tx postgres.Tx, tenantID int32, id uuid.UUID) (Customer, error) {
	h, _, err := hold(ctx, tx, tenantID, id)
	if err != nil {
		return Customer{}, err
	}
	return byID(ctx, tx, tenantID, h.ID)
}

// lockAll is lock for many: it answers whom each id stands for now. Ids that nobody has are left out.
func lockAll(ctx context.Context, tx postgres.Tx, tenantID int32, ids []uuid.UUID) (map[uuid.UUID]Customer, error) {
	ids = ascending(ids)
	found := make(map[uuid.UUID]Customer, len(ids))
	if len(ids) == 0 {
		return found, nil
	}
	if _, err := holdStates(ctx, tx, tenantID, ids); err != nil {
		return nil, err
	}
	all, err := fetch(ctx, tx, `SELECT `+columns+` FROM unnest($2::uuid[]) x (id)
		CROSS JOIN LATERAL (SELECT * FROM customers c WHERE c.tenant_id = $1 AND c.id = x.id LIMIT 1) c`, tenantID, ids)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		if c.MergedInto == nil {
			found[c.ID] = c
			continue
		}
		survivor, err := lock(ctx, tx, tenantID, *c.MergedInto)
		switch {
		case errors.Is(err, ErrNotFound):
		case err != nil:
			return nil, err
		default:
			found[c.ID] = survivor
		}
	}
	return found, nil
}

// heldState is what a lock found.
type heldState struct {
	id      uuid.UUID
	deleted bool
	merged  *uuid.UUID
}

// holdStates locks many customers in ascending order and tells of each whether it is deleted or merged away. They are looked up one by one
// (LATERAL with a lock, which the planner leaves as it is): while a table grows its statistics lag behind, and for "= ANY"
// the planner then takes to reading the whole tenant.
func holdStates(ctx context.Context, tx postgres.Tx, tenantID int32, ids []uuid.UUID) (map[uuid.UUID]heldState, error) {
	ids = ascending(ids)
	states := make(map[uuid.UUID]heldState, len(ids))
	if len(ids) == 0 {
		return states, nil
	}
	rows, err := tx.Query(ctx, `SELECT c.id, c.deleted_at IS NOT NULL, c.merged_into FROM unnest($2::uuid[]) x (id) CROSS JOIN LATERAL
		(SELECT c.id, c.deleted_at, c.merged_into FROM customers c WHERE c.tenant_id = $1 AND c.id = x.id FOR NO KEY UPDATE) c`, tenantID, ids)
	if err != nil {
		return nil, fmt.Errorf("lock %d customers: %w", len(ids), err)
	}
	defer rows.Close()
	for rows.Next() {
		var h heldState
		if err := rows.Scan(&h.id, &h.deleted, &h.merged); err != nil {
			return nil, fmt.Errorf("lock %d customers: %w", len(ids), err)
		}
		states[h.id] = h
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("lock %d customers: %w", len(ids), err)
	}
	return states, nil
}

func ascending(ids []uuid.UUID) []uuid.UUID {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, postgres.CompareIDs)
	return slices.Compact(ids)
}
