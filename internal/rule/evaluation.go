package rule

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Evaluation is how true what a rule decides is for everybody: writes keep it true at once, jobs follow the rule's own
// changes and the passing of days.
type Evaluation struct {
	AsOf        tenant.Day // the local day that a rule relative to today was last evaluated for, for everybody
	EvaluatedAt *time.Time // when that ended; nil before the first time
	Job         *uuid.UUID // what is still evaluating it; nil when all is done
}

// Evaluated is what a subject knows of one of its rules.
type Evaluated struct {
	ID       uuid.UUID
	Reads    string // a field that only this rule reads, by which ChangedFields names it; empty for none
	Relative bool
	At       *time.Time // when a job of its own last ended
}

// Evaluations are how true the rules of a subject are, by id.
func (e *Engine) Evaluations(ctx context.Context, q postgres.Querier, t tenant.Tenant, subject string, rules []Evaluated) (map[uuid.UUID]Evaluation, error) {
	if len(rules) == 0 {
		return map[uuid.UUID]Evaluation{}, nil
	}
	at, err := pending(ctx, q, t.ID, subject, rules)
	if err != nil {
		return nil, err
	}
	day, moved, ok, err := e.State(ctx, q, t)
	if err != nil {
		return nil, err
	}
	all := make(map[uuid.UUID]Evaluation, len(rules))
	for _, r := range rules {
		now := Evaluation{AsOf: t.Today(e.now()), EvaluatedAt: r.At}
		if job, ok := at[r.ID]; ok {
			now.Job = &job
		}
		if ok && r.Relative {
			now.AsOf = day
			if now.EvaluatedAt != nil && moved.After(*now.EvaluatedAt) {
				now.EvaluatedAt = &moved
			}
		}
		all[r.ID] = now
	}
	return all, nil
}

// pending are the jobs that still evaluate rules as they are now.
func pending(ctx context.Context, q postgres.Querier, tenantID int32, subject string, rules []Evaluated) (map[uuid.UUID]uuid.UUID, error) {
	ids, fields := make([]uuid.UUID, len(rules)), make([]string, len(rules))
	for i, r := range rules {
		ids[i], fields[i] = r.ID, r.Reads
	}
	rows, err := q.Query(ctx, `SELECT DISTINCT ON (id) id, job FROM (
			SELECT subject_id::uuid AS id, id AS job FROM jobs
				WHERE tenant_id = $1 AND subject_type = $2 AND subject_id = ANY($3::uuid[]::text[]) AND status IN ('queued', 'running')
			UNION ALL
			SELECT r.id, j.id FROM jobs j JOIN unnest($3::uuid[], $4::text[]) r (id, reads) ON r.reads = ANY(string_to_array(j.subject_id, ','))
				WHERE j.tenant_id = $1 AND j.subject_type = '`+meaning+`' AND j.status IN ('queued', 'running')) x
		ORDER BY id, job DESC`, tenantID, subject, ids, fields)
	if err != nil {
		return nil, fmt.Errorf("look for jobs of rules: %w", err)
	}
	defer rows.Close()
	found := map[uuid.UUID]uuid.UUID{}
	for rows.Next() {
		var id, job uuid.UUID
		if err := rows.Scan(&id, &job); err != nil {
			return nil, fmt.Errorf("look for jobs of rules: %w", err)
		}
		found[id] = job
	}
	return found, rows.Err()
}
