// Package bulk is work on many customers at once, whom a caller names by id or by a condition: at once for up to a chunk of
// them, by a job for more.
package bulk

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

const (
	// Chunk is how many customers one transaction changes.
	Chunk = 10_000

	// MaxIDs is how many customers may be named by id.
	MaxIDs = 100_000
)

// Target is who is meant: customers by id, or all who fit a condition when work comes to them.
type Target struct {
	Customers []uuid.UUID
	Condition filter.Node
}

// Check fails with fault.ErrInvalid unless the target is one of the two, and not too large.
func (t Target) Check() error {
	var v fault.Validator
	v.Check(len(t.Customers) <= MaxIDs, "/customer_ids", "too_many", fault.T("at most 100,000 customers by id", "按编号一次最多 100,000 位客户"))
	v.Check((t.Condition == nil) != (len(t.Customers) == 0), "/customer_ids", "one_of",
		fault.T("give customer_ids or a condition, exactly one", "customer_ids 与条件必须且只能给出一个"))
	return v.Err()
}

// First is whom a target means, as far as one transaction may change them; more tells that there are others, so that it
// takes a job.
func (t Target) First(ctx context.Context, q postgres.Querier, of tenant.Tenant, now time.Time) (ids []uuid.UUID, more bool, err error) {
	ids = t.Customers
	if t.Condition != nil {
		if ids, err = fitting(ctx, q, of, t.Condition, now, uuid.Nil, Chunk+1); err != nil {
			return nil, false, err
		}
	}
	return ids, len(ids) > Chunk, nil
}

// fitting are the next customers after one that fit a condition, by id.
func fitting(ctx context.Context, q postgres.Querier, t tenant.Tenant, n filter.Node, now time.Time, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	l, err := condition.For(ctx, q, t, now)
	if err != nil {
		return nil, err
	}
	where, err := l.Catalogue.Compile(n, l.Env)
	if err != nil {
		return nil, err
	}
	sql, args := where.Numbered(4)
	var ids []uuid.UUID
	err = q.QueryRow(ctx, `SELECT coalesce(array_agg(id ORDER BY id), '{}') FROM (SELECT c.id FROM customers c
			JOIN customer_metrics m ON m.tenant_id = c.tenant_id AND m.customer_id = c.id
		WHERE c.tenant_id = $1 AND c.id > $2 AND c.deleted_at IS NULL AND c.merged_into IS NULL AND (`+sql+`)
		ORDER BY c.id LIMIT $3) c`, append([]any{t.ID, after, limit}, args...)...).Scan(&ids)
	if err != nil {
		return nil, fmt.Errorf("look for customers that fit: %w", err)
	}
	return ids, nil
}

// Result is what was done.
type Result struct {
	Changed, Unchanged int
	Missing            []uuid.UUID // no such customer, or deleted; in the order asked for, never nil
}

// Outcome is the result for customers asked for, of whom found exist and changed were changed.
func Outcome(asked, found, changed []uuid.UUID) Result {
	seen := make(map[uuid.UUID]bool, len(asked))
	for _, id := range found {
		seen[id] = true
	}
	r := Result{Changed: len(changed), Unchanged: len(found) - len(changed), Missing: []uuid.UUID{}}
	for _, id := range asked {
		if !seen[id] {
			seen[id] = true
			r.Missing = append(r.Missing, id)
		}
	}
	return r
}

// Work does a job's work on a target, a chunk of customers in each transaction. A second attempt finds done what the first
// one did.
func Work(ctx context.Context, db *postgres.DB, run *jobs.Run, t Target, now func() time.Time,
	do func(ctx context.Context, tx postgres.Tx, ids []uuid.UUID) (Result, error),
) error {
	ids := slices.SortedFunc(slices.Values(t.Customers), postgres.CompareIDs)
	counts := map[string]int64{"changed": 0, "unchanged": 0, "missing": 0}
	after, total := uuid.Nil, len(ids)
	for n := 0; ; {
		var part []uuid.UUID
		var err error
		if t.Condition != nil {
			// What is done may change who fits, so each chunk looks behind the one before.
			if part, err = fitting(ctx, db, run.Call.Tenant, t.Condition, now(), after, Chunk); err != nil {
				return err
			}
		} else {
			part = ids[n:min(n+Chunk, total)]
		}
		if len(part) == 0 {
			return db.InTx(ctx, func(tx postgres.Tx) error { return run.Step(ctx, tx, 1, counts) })
		}
		var sums map[string]int64
		err = db.InTx(ctx, func(tx postgres.Tx) error {
			r, err := do(ctx, tx, part)
			if err != nil {
				return err
			}
			sums = map[string]int64{"changed": counts["changed"] + int64(r.Changed), "unchanged": counts["unchanged"] + int64(r.Unchanged),
				"missing": counts["missing"] + int64(len(r.Missing))}
			progress := 0.0
			if total > 0 {
				progress = min(float64(n+len(part))/float64(total), 0.99)
			}
			return run.Step(ctx, tx, progress, sums)
		})
		if err != nil {
			return err
		}
		counts, after, n = sums, part[len(part)-1], n+len(part)
	}
}

// Encode is a condition as it is stored for a job; nil for none.
func Encode(n filter.Node) (json.RawMessage, error) {
	if n == nil {
		return nil, nil
	}
	raw, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("write a condition: %w", err)
	}
	return raw, nil
}

// Decode reads a stored condition; nil is none.
func Decode(raw json.RawMessage) (filter.Node, error) {
	if raw == nil {
		return nil, nil
	}
	return filter.ParseJSON(raw)
}
