package tag

import (
	"bytes"
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/bulk"
	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Merge lets everybody who carries one tag carry another one in its place, by hand and with actor, reason and expiry as they
// were, and deletes the first. Who carries the other one by hand already keeps that. Deleted customers count as well, so that
// one who is brought back has the right tag.
//
// With more than a chunk of customers a job does it, which is answered; the tag is archived until it is through. Fails with
// ErrNotFound, ErrUnknown or ErrArchived for the other tag, ErrMergeSelf, patch.ErrVersion, or ErrRead while conditions name the
// tag: they are not rewritten, because what they then mean is for their owners to say.
func (s *Service) Merge(ctx context.Context, call tenant.Call, id, into uuid.UUID) (bulk.Result, *jobs.Job, error) {
	if id == into {
		return bulk.Result{}, nil, ErrMergeSelf.At("/into", ErrMergeSelf.Code, ErrMergeSelf.Message)
	}
	var r bulk.Result
	var job *jobs.Job
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		r, job = bulk.Result{Missing: []uuid.UUID{}}, nil
		held, more, err := holdCarriers(ctx, tx, call.Tenant.ID, id)
		if err != nil {
			return err
		}
		t, l, err := s.both(ctx, tx, call, id, into)
		if err != nil {
			return err
		}
		if !more {
			if r, err = s.move(ctx, tx, call, t, into, l, held); err != nil {
				return err
			}
			// Somebody may have put it on while the lock was waited for.
			if more, err = some(ctx, tx, call.Tenant.ID, id); err != nil {
				return err
			}
		}
		if !more {
			return s.merged(ctx, tx, call, t, into)
		}
		if err := s.retire(ctx, tx, call, t); err != nil {
			return err
		}
		job, err = s.start(ctx, tx, call, into, Many{mergedFrom: id, Adding: true})
		return err
	})
	return r, job, err
}

// both locks the tag to merge and shares the one to merge it into, in the order of their ids.
func (s *Service) both(ctx context.Context, tx postgres.Tx, call tenant.Call, id, into uuid.UUID) (t Tag, l label, err error) {
	read := []func() error{
		func() (err error) { t, err = get(ctx, tx, call.Tenant.ID, id, deleting, s.now()); return err },
		func() error {
			var err error
			l, err = shareUsable(ctx, tx, call.Tenant.ID, into)
			if errors.Is(err, ErrNotFound) {
				return ErrUnknown.At("/into", ErrUnknown.Code, ErrUnknown.Message)
			}
			return err
		},
	}
	if bytes.Compare(into[:], id[:]) < 0 {
		read[0], read[1] = read[1], read[0]
	}
	for _, one := range read {
		if err := one(); err != nil {
			return Tag{}, label{}, err
		}
	}
	return t, l, unread(ctx, tx, call.Tenant.ID, t.Key)
}

// retire archives a tag and drops its condition, so that its carriers become no more while they are moved.
func (s *Service) retire(ctx context.Context, tx postgres.Tx, call tenant.Call, t Tag) error {
	before := t
	previous := Change{Automatic: new(false), Archived: new(true)}.apply(&t, s.now())
	if len(previous) == 0 {
		return nil
	}
	t.Version++
	t.UpdatedAt = s.now()
	if err := update(ctx, tx, call.Tenant.ID, t); err != nil {
		return err
	}
	if _, err := s.follow(ctx, tx, call, before, t); err != nil {
		return err
	}
	return s.record(ctx, tx, call, "tag.updated", t.ID, previous)
}

// move moves held customers from one tag to another.
func (s *Service) move(ctx context.Context, tx postgres.Tx, call tenant.Call, t Tag, into uuid.UUID, l label, held []uuid.UUID) (bulk.Result, error) {
	now := s.now()
	for _, tag := range []uuid.UUID{t.ID, into} {
		if _, _, err := lapse(ctx, tx, call, held, &tag, now); err != nil {
			return bulk.Result{}, err
		}
	}
	carried, fresh, err := moveTo(ctx, tx, call, t, into, held, now)
	if err != nil {
		return bulk.Result{}, err
	}
	names, err := s.displaced(ctx, tx, call, into, l, fresh)
	if err != nil {
		return bulk.Result{}, err
	}
	if err := event.Touched(ctx, tx, call, carried); err != nil {
		return bulk.Result{}, err
	}
	r := bulk.Result{Changed: len(fresh), Unchanged: len(carried) - len(fresh), Missing: []uuid.UUID{}}
	if len(carried) == 0 {
		return r, nil
	}
	return r, event.Record(ctx, tx, call, now, event.Event{Type: "customers.tagged", SubjectType: subject, SubjectID: into.String(),
		Changed: append(names, "tags."+t.Key)})
}

// merged deletes a tag that nobody carries any more.
func (s *Service) merged(ctx context.Context, tx postgres.Tx, call tenant.Call, t Tag, into uuid.UUID) error {
	if err := s.drop(ctx, tx, call, t, nil); err != nil {
		return err
	}
	previous := t.document()
	previous["merged_into"] = into.String()
	return s.record(ctx, tx, call, "tag.merged", t.ID, previous)
}

// mergeWork moves customers chunk by chunk and deletes the tag at the end. A second attempt goes on where the first ended.
func (s *Service) mergeWork(ctx context.Context, run *jobs.Run, id, into uuid.UUID) error {
	counts := map[string]int64{"changed": 0, "unchanged": 0}
	for name, n := range run.Counts() {
		counts[name] = n
	}
	for more := true; more; {
		var sums map[string]int64
		err := s.db.InTx(ctx, func(tx postgres.Tx) error {
			held, _, err := holdCarriers(ctx, tx, run.Call.Tenant.ID, id)
			if err != nil {
				return err
			}
			t, l, err := s.both(ctx, tx, run.Call, id, into)
			if err != nil {
				return err
			}
			r, err := s.move(ctx, tx, run.Call, t, into, l, held)
			if err != nil {
				return err
			}
			sums = map[string]int64{"changed": counts["changed"] + int64(r.Changed), "unchanged": counts["unchanged"] + int64(r.Unchanged)}
			if more, err = some(ctx, tx, run.Call.Tenant.ID, id); err != nil {
				return err
			}
			if more {
				return run.Step(ctx, tx, 0, sums)
			}
			if err := s.merged(ctx, tx, run.Call, t, into); err != nil {
				return err
			}
			return run.Step(ctx, tx, 1, sums)
		})
		if err != nil {
			return err
		}
		counts = sums
	}
	return nil
}
