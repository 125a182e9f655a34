package rule

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/postgres"
)

// Runs knows the runs of scores, whose values all move every night, and their bands and labels for few.
type Runs interface {
	// InForce are the numbers of the runs in force by field: scores.clv.
	InForce(ctx context.Context, q postgres.Querier, tenantID int32) (map[string]int64, error)

	// Moved are all customers whose band or label may differ between two runs of a model, some perhaps twice: as these were loaded,
	// or for what customers' own writes have made of them since; false when nobody knows, or there are more than most.
	Moved(ctx context.Context, q postgres.Querier, tenantID int32, from, to int64, most int) ([]uuid.UUID, bool, error)
}

// Follow makes the engine put rules that read nothing of scores but bands and labels only to those whom a new run moves. It is for
// the wiring of the program, before the first job.
func (e *Engine) Follow(runs Runs) { e.runs = runs }

// stand is by which run of a score all rules of a tenant were decided for everybody; a sweep that follows another run forgets it
// until it has come to its end. What happens meanwhile is right by itself: a rule that changes has a sweep of its own, writers are
// settled by the runs in force, and whom their writes score anew is among the moved.
type stand struct {
	Run        int64     `json:"run"`
	Since      time.Time `json:"since"`                // when the sweep began
	Superseded bool      `json:"superseded,omitempty"` // another run has come into force, which the rules have yet to follow
}

// stands are those of rule_states.runs, by field.
func stands(ctx context.Context, tx postgres.Tx, tenantID int32) (map[string]stand, error) {
	var all map[string]stand
	err := tx.QueryRow(ctx, `SELECT runs FROM rule_states WHERE tenant_id = $1`, tenantID).Scan(&all)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("read by which runs rules were decided: %w", err)
	}
	return all, nil
}

func keepStands(ctx context.Context, tx postgres.Tx, tenantID int32, all map[string]stand) error {
	if _, err := tx.Exec(ctx, `UPDATE rule_states SET runs = $2 WHERE tenant_id = $1`, tenantID, all); err != nil {
		return fmt.Errorf("remember by which runs rules were decided: %w", err)
	}
	return nil
}

// supersede remembers that other runs of these fields have come into force. Where rules had yet to follow the one before, it forgets
// by which they were decided: of some they may have been by that.
func supersede(all map[string]stand, fields set) {
	for name := range fields {
		if s, known := all[name]; known && !s.Superseded {
			s.Superseded = true
			all[name] = s
		} else {
			delete(all, name)
		}
	}
}

// leave begins to follow the runs that fields mean now. The caller is alone.
func (s *sweep) leave(ctx context.Context, tx postgres.Tx, tenantID int32, fields set) error {
	if s.engine.runs == nil {
		return nil
	}
	all, err := stands(ctx, tx, tenantID)
	if err != nil {
		return err
	}
	if s.follows, err = s.engine.runs.InForce(ctx, tx, tenantID); err != nil {
		return err
	}
	maps.DeleteFunc(s.follows, func(name string, _ int64) bool { return !fields[name] })
	s.from = map[string]int64{}
	var since time.Time
	for name := range fields {
		if stood := all[name]; stood.Superseded {
			s.from[name] = stood.Run
			if since.IsZero() || stood.Since.Before(since) {
				since = stood.Since
			}
		}
		delete(all, name)
	}
	if err := keepStands(ctx, tx, tenantID, all); err != nil || len(s.from) == 0 {
		return err
	}
	// Rules that were not decided by those runs after all: their own sweeps are under way, or came to no end. A new day's is under way
	// without harm, because it looks at everybody.
	var undecided bool
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM jobs WHERE tenant_id = $1 AND kind = $2 AND id <> $3
		AND (subject_type <> $4 AND status IN ('queued', 'running') OR status IN ('failed', 'cancelled') AND created_at >= $5))`,
		tenantID, jobKind, s.run.Job.ID, newDay, since).Scan(&undecided)
	if err != nil {
		return fmt.Errorf("look for rules that are not decided: %w", err)
	}
	if undecided {
		s.from = nil
	}
	return nil
}

// narrow finds to whom alone a sweep that is known has to put its rules: those whom other runs have moved by what its rules read.
func (s *sweep) narrow(ctx context.Context, fields set) error {
	db, tenantID := s.engine.db, s.run.Call.Tenant.ID
	graded, read := true, set{}
	for _, level := range s.levels {
		for _, r := range level {
			graded = graded && r.Graded
			for _, name := range r.Reads {
				if fields[name] || fields[familyOf(name)] {
					read.add(name)
				}
			}
		}
	}
	if !graded || len(read) == 0 {
		return nil
	}
	var moved []uuid.UUID
	for name := range read {
		if condition.Family(name) != condition.Scores || s.from[name] == 0 || s.follows[name] == 0 {
			return nil
		}
		some, known, err := s.engine.runs.Moved(ctx, db, tenantID, s.from[name], s.follows[name], remembered)
		if err != nil || !known {
			return err
		}
		moved = append(moved, some...)
	}
	slices.SortFunc(moved, postgres.CompareIDs)
	moved = slices.Compact(moved)
	if len(moved) > chunk {
		total, err := s.customers(ctx)
		if err != nil || int64(len(moved)) > total/worthwhile {
			return err
		}
	}
	s.moved, s.narrowed = moved, true
	return nil
}

// worthwhile is how many times as long it takes to look at a customer alone than as one of everybody.
const worthwhile = 10

// remembered is how many moved customers a sweep keeps in memory for each score that its rules read, of 16 bytes.
const remembered = 1_000_000

// followed remembers that all rules were decided by the runs that a sweep found in force, unless rules have changed since, or what
// they read means something else. The caller is alone.
func (s *sweep) followed(ctx context.Context, tx postgres.Tx) error {
	if len(s.follows) == 0 {
		return nil
	}
	p, _, err := s.engine.inForce(ctx, tx, s.run.Call, []uuid.UUID{})
	if err != nil || p == nil || p.version != s.program.version {
		return err
	}
	all, err := stands(ctx, tx, s.run.Call.Tenant.ID)
	if err != nil {
		return err
	}
	for name, no := range s.follows {
		all[name] = stand{Run: no, Since: s.began}
	}
	return keepStands(ctx, tx, s.run.Call.Tenant.ID, all)
}
