package tag

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/bulk"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// housekeeper is the actor of what Tidy does.
const housekeeper = "housekeeping"

// Tidy removes expired assignments and adds up what is kept about the number of carriers. It works for all tenants, in chunks
// of customers; several processes may run it at once. Each chunk writes one event tags.expired of its own change set.
func (s *Service) Tidy(ctx context.Context) error {
	ctx = postgres.ForAllTenants(ctx)
	tenants, err := untidy(ctx, s.db, s.now())
	if err != nil {
		return err
	}
	for _, id := range tenants {
		for more := true; more; {
			if more, err = s.expire(ctx, id); err != nil {
				return err
			}
		}
		if err := sumUp(ctx, s.db, id); err != nil {
			return err
		}
	}
	return nil
}

// expire removes the expired assignments of a chunk of customers and reports whether it found any.
func (s *Service) expire(ctx context.Context, tenantID int32) (more bool, err error) {
	call := tenant.Call{Tenant: tenant.Tenant{ID: tenantID}, Actor: housekeeper, ChangeSet: uuid.Must(uuid.NewV7())}
	err = s.db.InTx(ctx, func(tx postgres.Tx) error {
		more = false
		ids, err := overdue(ctx, tx, tenantID, s.now(), bulk.Chunk)
		if err != nil || len(ids) == 0 {
			return err
		}
		more = true
		if ids, err = customer.HoldThese(ctx, tx, tenantID, ids); err != nil {
			return err
		}
		touched, keys, err := lapse(ctx, tx, call, ids, nil, s.now())
		if err != nil || len(touched) == 0 {
			return err
		}
		if err := event.Touched(ctx, tx, call, touched); err != nil {
			return err
		}
		for i := range keys {
			keys[i] = "tags." + keys[i]
		}
		return event.Record(ctx, tx, call, s.now(), event.Event{Type: "tags.expired", SubjectType: "change_set",
			SubjectID: call.ChangeSet.String(), Changed: keys})
	})
	return more, err
}

// removalWork removes what a deleted tag left behind: assignments beyond those that the deletion itself took off, and
// everything that tells of it.
func (s *Service) removalWork(ctx context.Context, run *jobs.Run) error {
	id, err := uuid.Parse(run.Job.SubjectID)
	if err != nil {
		return fmt.Errorf("read the id of a deleted tag: %w", err)
	}
	tenantID := run.Call.Tenant.ID
	return run.Sweep(ctx, func(tx postgres.Tx) (int64, error) {
		held, _, err := holdCarriers(ctx, tx, tenantID, id)
		if err != nil {
			return 0, err
		}
		touched, err := takeOff(ctx, tx, tenantID, id, held)
		if err != nil {
			return 0, err
		}
		if len(touched) > 0 {
			event.Within(ctx, tx, run.Call, deleted)
			return int64(len(touched)), event.Touched(ctx, tx, run.Call, touched)
		}
		return sweep(ctx, tx, tenantID, id)
	})
}
