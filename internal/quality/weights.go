package quality

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/attribute"
	"github.com/kezi-io/kezi/internal/completeness"
	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// weighing is the job that follows a change of the weights.
const weighing = "completeness_recompute"

// Weights are what a complete person and a complete company have.
func (s *Service) Weights(ctx context.Context, t tenant.Tenant) ([2]completeness.Weights, error) {
	return completeness.Of(ctx, s.db, t.ID)
}

// PutWeights sets the weights of one kind; a job then measures all customers of that kind again, and is answered when
// there is one. Fails with patch.ErrVersion or fault.ErrInvalid.
func (s *Service) PutWeights(ctx context.Context, call tenant.Call, expected patch.Expected, kind string, fields []completeness.Weight) (completeness.Weights, *jobs.Job, error) {
	var w completeness.Weights
	var started *jobs.Job
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		started = nil
		// Two that set the weights at once come one after the other.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('kezi_completeness_weights', $1))`, call.Tenant.ID); err != nil {
			return fmt.Errorf("wait for others who set the completeness weights: %w", err)
		}
		if err := condition.Hold(ctx, tx, call.Tenant.ID); err != nil {
			return err
		}
		if err := s.checkWeights(ctx, tx, call.Tenant, kind, fields); err != nil {
			return err
		}
		both, err := completeness.Of(ctx, tx, call.Tenant.ID)
		if err != nil {
			return err
		}
		before := both[slices.IndexFunc(both[:], func(w completeness.Weights) bool { return w.Kind == kind })]
		if err := expected.Check(before.Version); err != nil {
			return err
		}
		if w = before; slices.Equal(before.Fields, fields) {
			return nil
		}
		w.Fields = fields
		w.Version++
		w.UpdatedAt = s.now()
		if w.Version == 1 {
			w.CreatedAt = w.UpdatedAt
		}
		if err := putWeights(ctx, tx, call.Tenant.ID, w); err != nil {
			return err
		}
		if err := event.Record(ctx, tx, call, s.now(), event.Event{Type: "completeness_weights.updated", SubjectType: "completeness_weights",
			SubjectID: kind, Changed: []string{"fields"}, Previous: map[string]any{"fields": before.Fields}}); err != nil {
			return err
		}
		job, err := s.jobs.Start(ctx, tx, call, jobs.Spec{Kind: weighing, SubjectType: "completeness_weights", SubjectID: kind})
		started = &job
		return err
	})
	return w, started, err
}

func (s *Service) checkWeights(ctx context.Context, q postgres.Querier, t tenant.Tenant, kind string, fields []completeness.Weight) error {
	own, err := attribute.Of(ctx, q, t.ID, attribute.Customers)
	if err != nil {
		return err
	}
	known := completeness.Names()
	for _, d := range own {
		if d.AppliesTo == attribute.Customers || string(d.AppliesTo) == kind {
			known = append(known, "attributes."+d.Key)
		}
	}
	var v fault.Validator
	seen := map[string]bool{}
	for i, x := range fields {
		at := "/fields/" + strconv.Itoa(i) + "/field"
		f, _ := completeness.Find(x.Field)
		switch {
		case !slices.Contains(known, x.Field):
			unknownField(&v, at, x.Field, known)
		case f.Kind != "" && f.Kind != kind:
			v.Check(false, at, "other_kind", fault.T("only a "+f.Kind+" has this field", "该字段仅适用于 "+f.Kind))
		default:
			v.Check(!seen[x.Field], at, "repeated", fault.T("the field stands above already", "该字段已在上方出现"))
		}
		seen[x.Field] = true
	}
	return v.Err()
}

func putWeights(ctx context.Context, tx postgres.Tx, tenantID int32, w completeness.Weights) error {
	fields, err := json.Marshal(w.Fields)
	if err != nil {
		return fmt.Errorf("store the completeness weights: %w", err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO completeness_weights (tenant_id, kind, fields, version, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT ON CONSTRAINT completeness_weights_pkey DO UPDATE
		SET fields = excluded.fields, version = excluded.version, updated_at = excluded.updated_at`,
		tenantID, w.Kind, fields, w.Version, w.CreatedAt, w.UpdatedAt)
	if err != nil {
		return fmt.Errorf("store the completeness weights: %w", err)
	}
	return nil
}

// chunk is how many customers one transaction changes.
const chunk = 10_000

// weigh measures all customers of a kind again, in the order of their ids. Weights that change on the way start a job of
// their own, which comes to everybody after this one.
func (s *Service) weigh(ctx context.Context, run *jobs.Run) error {
	tenantID := run.Call.Tenant.ID
	var total int64
	err := s.db.QueryRow(ctx, `SELECT count(*) FROM customers WHERE tenant_id = $1 AND kind = $2`, tenantID, run.Job.SubjectID).Scan(&total)
	if err != nil {
		return fmt.Errorf("count customers: %w", err)
	}
	var done int64
	for after := uuid.Nil; ; {
		var ids []uuid.UUID
		err := s.db.InTx(ctx, func(tx postgres.Tx) error {
			rows, err := tx.Query(ctx, `SELECT id FROM customers WHERE tenant_id = $1 AND kind = $2 AND id > $3 ORDER BY id LIMIT $4
				FOR NO KEY UPDATE`, tenantID, run.Job.SubjectID, after, chunk)
			if err != nil {
				return fmt.Errorf("lock customers: %w", err)
			}
			if ids, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID]); err != nil {
				return fmt.Errorf("lock customers: %w", err)
			}
			if err := completeness.Refresh(ctx, tx, tenantID, ids); err != nil {
				return err
			}
			n := done + int64(len(ids))
			return run.Step(ctx, tx, min(float64(n)/float64(max(total, 1)), 1), map[string]int64{"customers": n})
		})
		if err != nil || len(ids) == 0 {
			return err
		}
		done += int64(len(ids))
		after = ids[len(ids)-1]
	}
}
