package rule

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

const (
	jobKind = "rule_evaluation"

	// What a job is about, beside one rule of a subject: what depends on the day, whose id is the day; what reads fields
	// that mean something else now, whose id is their names; and everything, under another zone or currency.
	newDay   = "day"
	meaning  = "fields"
	settings = "tenant"
)

// Ended is a subject that wants to know when a job has put its rule to everybody.
type Ended interface {
	Ended(ctx context.Context, tx postgres.Tx, call tenant.Call, rule uuid.UUID) error
}

// Work evaluates the rules that a job is about for everybody. A second attempt reads everybody again, and finds nothing to
// change where the first one has been.
func (e *Engine) Work(ctx context.Context, run *jobs.Run) error {
	if run.Job.Progress >= 1 {
		return nil
	}
	want, cause, err := wanted(run.Job)
	if err != nil {
		return err
	}
	s, err := e.begin(ctx, run, func(r judged) bool { return want(e.subjects[r.subject], r) }, cause)
	if err != nil {
		return err
	}
	if s.program != nil {
		s.resume()
	}
	for i, level := range s.levels {
		if len(level) == 0 {
			continue
		}
		if err := s.level(ctx, i, func(part float64) float64 { return min((float64(i)+part)/float64(len(s.levels)), 0.99) }); err != nil {
			return errors.Join(err, s.abandon(ctx))
		}
	}
	return s.end(ctx)
}

// resume takes over what earlier attempts changed: how much, and, since they died before they told, everything that it may have
// been, from the rules that are wanted to all that read what those decide.
func (s *sweep) resume() {
	if s.changed = s.run.Counts()["changed"]; s.changed == 0 {
		return
	}
	for _, level := range s.program.levels {
		for _, r := range level {
			if s.want(r) || s.fields.any(r.Reads) {
				for _, part := range r.parts() {
					s.fields.add(part.Field)
				}
			}
		}
	}
}

// wanted says which rules a job is about.
func wanted(job jobs.Job) (func(Subject, judged) bool, Cause, error) {
	switch job.SubjectType {
	case newDay:
		return func(_ Subject, r judged) bool { return r.Relative }, NewDay, nil
	case settings:
		return func(_ Subject, r judged) bool { return len(r.Reads) > 0 }, RuleChange, nil
	case meaning:
		fields := named(job)
		return func(_ Subject, r judged) bool { return fields.any(r.Reads) }, RuleChange, nil
	}
	id, err := uuid.Parse(job.SubjectID)
	if err != nil {
		return nil, "", fmt.Errorf("read the rule of job %s: %w", job.ID, err)
	}
	return func(s Subject, r judged) bool { return s.Name() == job.SubjectType && r.decides(id) }, RuleChange, nil
}

// named are the fields that mean something else since a job was started.
func named(job jobs.Job) set {
	fields := set{}
	fields.add(strings.Split(job.SubjectID, ",")...)
	return fields
}

// ended tells of what the job has changed, and remembers what it was about.
func (e *Engine) ended(ctx context.Context, tx postgres.Tx, run *jobs.Run, fields set) error {
	if len(fields) > 0 {
		err := event.Record(ctx, tx, run.Call, e.now(), event.Event{Type: "customers.classified", SubjectType: "job",
			SubjectID: run.Job.ID.String(), Changed: strings.Split(fields.String(), ",")})
		if err != nil {
			return err
		}
	}
	t := run.Call.Tenant
	var err error
	switch run.Job.SubjectType {
	case meaning:
		return nil
	case newDay:
		_, err = tx.Exec(ctx, `UPDATE rule_states SET day = greatest(day, $2::date), evaluated_at = $3 WHERE tenant_id = $1`,
			t.ID, run.Job.SubjectID, e.now())
	case settings:
		_, err = tx.Exec(ctx, `UPDATE rule_states SET zone = $2, currency = $3 WHERE tenant_id = $1`, t.ID, t.Zone.String(), t.Currency)
	default:
		for _, s := range e.subjects {
			if told, ok := s.(Ended); ok && s.Name() == run.Job.SubjectType {
				id, err := uuid.Parse(run.Job.SubjectID)
				if err != nil {
					return fmt.Errorf("read the rule of job %s: %w", run.Job.ID, err)
				}
				return told.Ended(ctx, tx, run.Call, id)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("remember that the rules were evaluated: %w", err)
	}
	return nil
}

// State is for which day a tenant's rules were evaluated for everybody, and when that ended; false when it has none.
func (e *Engine) State(ctx context.Context, q postgres.Querier, t tenant.Tenant) (day tenant.Day, at time.Time, ok bool, err error) {
	err = q.QueryRow(ctx, `SELECT day, evaluated_at FROM rule_states WHERE tenant_id = $1`, t.ID).Scan(&day.Time, &at)
	switch {
	case postgres.IsNone(err):
		return t.Today(e.now()), e.now(), false, nil
	case err != nil:
		return tenant.Day{}, time.Time{}, false, fmt.Errorf("read the rules' day: %w", err)
	}
	return day, at.UTC(), true, nil
}

// NextDay starts, for every tenant with rules whose day has passed or whose zone or currency has changed, the job that
// evaluates what depends on it. It is called often; what it finds done it leaves.
func (e *Engine) NextDay(ctx context.Context) error {
	rows, err := e.db.Query(ctx, `SELECT s.tenant_id FROM rule_states s JOIN tenants t ON t.id = s.tenant_id
		WHERE s.day < ($1::timestamptz AT TIME ZONE t.time_zone)::date OR s.zone <> t.time_zone OR s.currency <> t.currency`, e.now())
	if err != nil {
		return fmt.Errorf("look for rules of another day: %w", err)
	}
	var ids []int32
	for rows.Next() {
		var id int32
		if err := rows.Scan(&id); err != nil {
			rows.Close()
			return fmt.Errorf("look for rules of another day: %w", err)
		}
		ids = append(ids, id)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return fmt.Errorf("look for rules of another day: %w", err)
	}
	var all error
	for _, id := range ids {
		own := postgres.WithTenant(ctx, id)
		t, err := e.tenants.ByID(own, id)
		if err == nil {
			err = e.nextDay(own, t)
		}
		all = errors.Join(all, err)
	}
	return all
}

func (e *Engine) nextDay(ctx context.Context, t tenant.Tenant) error {
	return e.db.InTx(ctx, func(tx postgres.Tx) error {
		// Whoever judged by yesterday's day has committed, and one replica at a time starts jobs.
		if err := e.Alone(ctx, tx, t); err != nil {
			return err
		}
		var day tenant.Day
		var zone, currency string
		if err := tx.QueryRow(ctx, `SELECT day, zone, currency FROM rule_states WHERE tenant_id = $1`, t.ID).Scan(&day.Time, &zone, &currency); err != nil {
			return fmt.Errorf("read the rules' day: %w", err)
		}
		if today := t.Today(e.now()); day.Before(today.Time) {
			if err := e.once(ctx, tx, t, newDay, today.String()); err != nil {
				return err
			}
		}
		if zone != t.Zone.String() || currency != t.Currency {
			if err := e.flip(ctx, tx, t); err != nil {
				return err
			}
			return e.once(ctx, tx, t, settings, fmt.Sprint(t.Version))
		}
		return nil
	})
}

// once starts a job unless it is in progress, done, or was cancelled by somebody.
func (e *Engine) once(ctx context.Context, tx postgres.Tx, t tenant.Tenant, about, id string) error {
	last, err := jobs.Of(ctx, tx, t, about, id)
	if !errors.Is(err, jobs.ErrNotFound) && (err != nil || last.Status != jobs.Failed) {
		return err
	}
	_, err = e.jobs.Start(ctx, tx, tenant.Call{Tenant: t, Actor: "kezi", RequestID: about, ChangeSet: uuid.Must(uuid.NewV7())},
		jobs.Spec{Kind: jobKind, SubjectType: about, SubjectID: id})
	return err
}
