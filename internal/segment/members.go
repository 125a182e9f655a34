package segment

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

const (
	bulkJob    = "segment_bulk"
	removalJob = "segment_removal"

	// chunk is how many customers one transaction changes, and one request at once.
	chunk = 10_000

	// MaxIDs is how many customers a bulk may name by id.
	MaxIDs = 100_000
)

// Bulk is a change of a static segment's list: of customers by id, or of all that fit a condition.
type Bulk struct {
	Adding    bool
	Customers []uuid.UUID
	Condition filter.Node
	Reason    string
}

// BulkResult is what a bulk did.
type BulkResult struct {
	Changed, Unchanged int
	Missing            []uuid.UUID // ids that no customer has
}

// Pick changes the list of a static segment: at once for up to 10,000 customers, all or none, and otherwise by the job that
// it answers. Fails with ErrNotFound, ErrDynamic, ErrArchived, a fault of the condition or fault.ErrInvalid.
func (s *Service) Pick(ctx context.Context, call tenant.Call, key string, b Bulk) (BulkResult, *jobs.Job, error) {
	var v fault.Validator
	v.Check(len(b.Customers) <= MaxIDs, "/customer_ids", "too_many", fault.T("at most 100,000 customers by id", "按编号一次最多 100,000 位客户"))
	v.Check((b.Condition == nil) != (len(b.Customers) == 0), "/customer_ids", "one_of",
		fault.T("give customer_ids or a condition, exactly one", "customer_ids 与条件必须且只能给出一个"))
	if err := v.Err(); err != nil {
		return BulkResult{}, nil, err
	}
	var result BulkResult
	var job *jobs.Job
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		result, job = BulkResult{Missing: []uuid.UUID{}}, nil
		ids := b.Customers
		var err error
		if b.Condition != nil {
			if ids, err = s.fitting(ctx, tx, call.Tenant, b.Condition, uuid.Nil, chunk+1); err != nil {
				return err
			}
		}
		if len(ids) <= chunk {
			result, err = s.pick(ctx, tx, call, key, b, ids)
			return err
		}
		x, err := s.listed(ctx, tx, call.Tenant, key)
		if err != nil {
			return err
		}
		id := uuid.Must(uuid.NewV7())
		if err := insertBulk(ctx, tx, call.Tenant.ID, id, x.ID, b, s.now()); err != nil {
			return err
		}
		j, err := s.jobs.Start(ctx, tx, call, jobs.Spec{Kind: bulkJob, SubjectType: "segment_bulk", SubjectID: id.String()})
		job = &j
		return err
	})
	return result, job, err
}

// listed is a static segment in force, which nobody changes until the transaction ends.
func (s *Service) listed(ctx context.Context, tx postgres.Tx, t tenant.Tenant, key string) (Segment, error) {
	x, err := get(ctx, tx, t.ID, key, sharing)
	switch {
	case err != nil:
		return Segment{}, err
	case !x.Static():
		return Segment{}, ErrDynamic
	case x.ArchivedAt != nil:
		return Segment{}, ErrArchived
	}
	return x, nil
}

// fitting are the next customers after one that fit a condition, by id.
func (s *Service) fitting(ctx context.Context, q postgres.Querier, t tenant.Tenant, n filter.Node, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	l, err := condition.For(ctx, q, t, s.now())
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

// pick changes the list for up to chunk customers. Who is in follows before the commit.
func (s *Service) pick(ctx context.Context, tx postgres.Tx, call tenant.Call, key string, b Bulk, ids []uuid.UUID) (BulkResult, error) {
	found, err := lock(ctx, tx, call.Tenant.ID, ids)
	if err != nil {
		return BulkResult{}, err
	}
	x, err := s.listed(ctx, tx, call.Tenant, key)
	if err != nil {
		return BulkResult{}, err
	}
	changed, err := setPicks(ctx, tx, call, x.ID, b, found, s.now())
	if err != nil {
		return BulkResult{}, err
	}
	r := BulkResult{Changed: len(changed), Unchanged: len(found) - len(changed), Missing: without(ids, found)}
	if len(changed) == 0 {
		return r, nil
	}
	if err := event.Touched(ctx, tx, call, changed); err != nil {
		return BulkResult{}, err
	}
	what := "segment.unlisted"
	if b.Adding {
		what = "segment.listed"
	}
	return r, event.Record(ctx, tx, call, s.now(), event.Event{Type: what, SubjectType: subject, SubjectID: key, Changed: []string{"list"}})
}

// without are the ids that are not found, each once, in their order.
func without(ids, found []uuid.UUID) []uuid.UUID {
	seen := make(map[uuid.UUID]bool, len(ids))
	for _, id := range found {
		seen[id] = true
	}
	missing := []uuid.UUID{}
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			missing = append(missing, id)
		}
	}
	return missing
}

// bulkWork changes a list for more customers than one transaction may change. A second attempt finds done what the first
// one did.
func (s *Service) bulkWork(ctx context.Context, run *jobs.Run) error {
	if run.Job.Progress >= 1 {
		return nil
	}
	id, err := uuid.Parse(run.Job.SubjectID)
	if err != nil {
		return fmt.Errorf("read the bulk of job %s: %w", run.Job.ID, err)
	}
	t := run.Call.Tenant
	b, key, err := getBulk(ctx, s.db, t.ID, id)
	if err != nil {
		return err
	}
	ids := slices.SortedFunc(slices.Values(b.Customers), func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	counts := map[string]int64{"changed": 0, "unchanged": 0, "missing": 0}
	after, total := uuid.Nil, len(ids)
	for n := 0; ; {
		var part []uuid.UUID
		if b.Condition != nil {
			// The condition may read the very list that grows, so each chunk looks behind the one before.
			if part, err = s.fitting(ctx, s.db, t, b.Condition, after, chunk); err != nil {
				return err
			}
		} else {
			part = ids[n:min(n+chunk, total)]
		}
		if len(part) == 0 {
			return s.db.InTx(ctx, func(tx postgres.Tx) error { return run.Step(ctx, tx, 1, counts) })
		}
		var sums map[string]int64
		err := s.db.InTx(ctx, func(tx postgres.Tx) error {
			r, err := s.pick(ctx, tx, run.Call, key, b, part)
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

// removalWork removes what a deleted segment left behind. Its customers left it by the deletion; the log that told of them
// goes as well.
func (s *Service) removalWork(ctx context.Context, run *jobs.Run) error {
	id, err := uuid.Parse(run.Job.SubjectID)
	if err != nil {
		return fmt.Errorf("read the id of a deleted segment: %w", err)
	}
	removed := run.Counts()["removed"]
	for more := true; more; {
		var n int64
		err := s.db.InTx(ctx, func(tx postgres.Tx) error {
			var err error
			if n, err = sweep(ctx, tx, run.Call.Tenant.ID, id); err != nil {
				return err
			}
			return run.Step(ctx, tx, 0, map[string]int64{"removed": removed + n})
		})
		if err != nil {
			return err
		}
		more, removed = n > 0, removed+n
	}
	return nil
}

// conditionOf reads a stored condition; nil has none.
func conditionOf(raw json.RawMessage) (filter.Node, error) {
	if raw == nil {
		return nil, nil
	}
	return filter.ParseJSON(raw)
}
