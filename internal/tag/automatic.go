package tag

import (
	"context"
	"reflect"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/rule"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Evaluations are how true automatic tags are, by id; others have no entry.
func (s *Service) Evaluations(ctx context.Context, t tenant.Tenant, tags ...Tag) (map[uuid.UUID]rule.Evaluation, error) {
	var rules []rule.Evaluated
	for _, x := range tags {
		if x.Automatic() {
			rules = append(rules, rule.Evaluated{ID: x.ID, Reads: byHand(x.Key), Relative: x.Relative(), At: x.EvaluatedAt})
		}
	}
	return s.engine.Evaluations(ctx, s.db, t, subject, rules)
}

// follow makes the rules follow a tag that was written, and answers the job that puts them to everybody where they may decide
// otherwise than before. A tag that is archived or loses its condition keeps who carries it.
func (s *Service) follow(ctx context.Context, tx postgres.Tx, call tenant.Call, before, t Tag) (*jobs.Job, error) {
	moved := !reflect.DeepEqual(before.GroupID, t.GroupID)
	if !moved && !before.deciding() && !t.deciding() {
		return nil, nil
	}
	if !moved && before.deciding() == t.deciding() && before.Key == t.Key && before.Position == t.Position &&
		reflect.DeepEqual(before.Condition, t.Condition) {
		return nil, nil
	}
	if err := s.engine.Alone(ctx, tx, call.Tenant); err != nil {
		return nil, err
	}
	if t.deciding() && (!before.deciding() || !reflect.DeepEqual(before.Condition, t.Condition)) {
		l, err := condition.Strict(ctx, tx, call.Tenant, s.now())
		if err != nil {
			return nil, err
		}
		if _, err := l.Catalogue.Compile(t.Condition, l.Env); err != nil {
			if f := fault.Of(err); f != nil {
				return nil, f.Below("/filter")
			}
			return nil, err
		}
	}
	// Others of an exclusive group give way to the tag, or come in its place.
	var others []string
	if moved {
		var err error
		if others, err = rivals(ctx, tx, call.Tenant.ID, t.ID, before.GroupID, t.GroupID); err != nil {
			return nil, err
		}
	}
	switch {
	case len(others) > 0:
		fields := []string{byHand(t.Key)}
		for _, key := range others {
			fields = append(fields, byHand(key))
		}
		return s.engine.ChangedFields(ctx, tx, call, fields...)
	case before.deciding() || t.deciding():
		return s.engine.Changed(ctx, tx, call, subject, t.ID, !t.deciding())
	}
	return nil, nil
}

// again lets a job decide anew about all automatic tags of a group.
func (s *Service) again(ctx context.Context, tx postgres.Tx, call tenant.Call, group uuid.UUID) error {
	keys, err := automatic(ctx, tx, call.Tenant.ID, group)
	if err != nil || len(keys) == 0 {
		return err
	}
	fields := make([]string, len(keys))
	for i, key := range keys {
		fields[i] = byHand(key)
	}
	_, err = s.engine.ChangedFields(ctx, tx, call, fields...)
	return err
}
