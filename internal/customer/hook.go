package customer

import (
	"context"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Hook is how another subject takes part in every write of customers: by POST, PATCH, PUT, batch, undelete, import, or
// by a subject that changes customers itself. It works on sets, so that an import of thousands asks the database once;
// a single write is a set of one. Hooks run in the order given to NewService, inside the write's transaction, on
// customers that are locked.
type Hook interface {
	// Before may refuse a write by setting its Err, warn through After.Warnings, or complete After; what is stored and what counts as
	// changed is found after it. It is not asked about deletes, which nothing may block. An error that it returns ends the
	// whole transaction.
	Before(ctx context.Context, tx postgres.Tx, call tenant.Call, writes []*Write) error

	// After runs when the rows are written: only for writes that changed something, deletes included.
	After(ctx context.Context, tx postgres.Tx, call tenant.Call, writes []*Write) error
}

// Write is one customer on its way into the database.
type Write struct {
	Before *Customer // as stored; nil for a new one
	After  *Customer // as it will be, checked and normalised
	Cause  Cause
	Err    error // set by a hook's Before: a fault that refuses this customer and no other

	// Told is set by a hook's Before: what the event tells of fields instead of their values before, such as nothing
	// of a personal one.
	Told map[string]any
}

// Cause is the way by which a customer was changed.
type Cause string

// The causes that this service has; stages show them.
const (
	ByAPI    Cause = "api"
	ByBatch  Cause = "batch"
	ByImport Cause = "import"
)

// before lets the hooks look at writes, and answers the first refusal when there is one write only.
func (s *Service) before(ctx context.Context, tx postgres.Tx, call tenant.Call, writes ...*Write) error {
	for _, h := range s.hooks {
		if err := h.Before(ctx, tx, call, writes); err != nil {
			return err
		}
	}
	if len(writes) == 1 {
		return writes[0].Err
	}
	return nil
}

func (s *Service) after(ctx context.Context, tx postgres.Tx, call tenant.Call, writes ...*Write) error {
	for _, h := range s.hooks {
		if err := h.After(ctx, tx, call, writes); err != nil {
			return err
		}
	}
	return nil
}

// refuse records what is wrong at a place of the customer's document, beside what other hooks found.
func (w *Write) refuse(err error) {
	have, more := fault.Of(w.Err), fault.Of(err)
	if have == nil || more == nil {
		w.Err = err
		return
	}
	joined := *have
	joined.Fields = append(append([]fault.Field{}, have.Fields...), more.Fields...)
	w.Err = &joined
}

// Refuse refuses the write for the places that v found, beside those that other hooks found.
func (w *Write) Refuse(v *fault.Validator) {
	if err := v.Err(); err != nil {
		w.refuse(err)
	}
}
