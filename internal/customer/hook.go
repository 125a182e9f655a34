package customer

import (
	"context"
	"slices"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Hook is how another subject takes part in every write of customers: by POST, PATCH, PUT, batch, undelete and import.
// It works on sets, so that an import of thousands asks the database once; a single write is a set of one. Hooks run
// in the order given to NewService, inside the write's transaction, on customers that are locked.
type Hook interface {
	// Before may refuse a write through its Refuse, warn through After.Warnings, or complete After: what is stored, and what
	// counts as changed, is found after it. It is not asked about deletes, which nothing may block. An error that it
	// returns ends the whole transaction.
	Before(ctx context.Context, tx postgres.Tx, call tenant.Call, writes []*Write) error

	// After runs when the rows are written: only for writes that changed something, deletes included.
	After(ctx context.Context, tx postgres.Tx, call tenant.Call, writes []*Write) error
}

// Write is one customer on its way into the database.
type Write struct {
	Before *Customer // as stored; nil for a new one
	After  *Customer // as it will be, checked and normalised
	Cause  Cause
	Reason string   // why the stage moves, when it does and somebody said so
	Said   []string // the attributes that the caller gives or clears, whether they are others or not
	Err    error    // a fault that refuses this customer and no other

	// Later is set by a hook's Before where more is written with the customer: it asks for Settle, see Settler.
	Later bool

	claims   bool           // its external ids are yet to be claimed
	Outcome  Outcome        // what became of it
	previous map[string]any // the changed fields with their values before

	// Told is set by a hook's Before: what the event tells of fields instead of their values before, such as nothing
	// of a personal one.
	Told map[string]any

	// Again is set by a hook's Before: fields that count as changed although they are as before, because whoever wrote them
	// must not learn that.
	Again []string
}

// ChangedBeyond reports whether the write, which is done, changed more than these fields.
func (w *Write) ChangedBeyond(fields ...string) bool {
	for name := range w.previous {
		if !slices.Contains(fields, name) {
			return true
		}
	}
	return false
}

// Cause is the way by which a customer was changed.
type Cause string

// The causes that this service has; stages show them.
const (
	ByAPI    Cause = "api"
	ByBatch  Cause = "batch"
	ByImport Cause = "import"
)

// before lets the hooks look at writes that nothing has refused yet; what one refuses the others see as well, so that
// all that is wrong is told at once.
func (s *Service) before(ctx context.Context, tx postgres.Tx, call tenant.Call, writes []*Write) error {
	open := slices.DeleteFunc(slices.Clone(writes), func(w *Write) bool { return w.Err != nil })
	if len(open) == 0 {
		return nil
	}
	for _, h := range s.hooks {
		if err := h.Before(ctx, tx, call, open); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) after(ctx context.Context, tx postgres.Tx, call tenant.Call, writes []*Write) error {
	if len(writes) == 0 {
		return nil
	}
	for _, h := range s.hooks {
		if err := h.After(ctx, tx, call, writes); err != nil {
			return err
		}
	}
	return nil
}

// Refuse refuses the write for the places that v found, beside those found before.
func (w *Write) Refuse(v *fault.Validator) {
	have := fault.Of(w.Err)
	err := v.Err()
	switch {
	case err == nil:
	case have == nil:
		w.Err = err
	default:
		joined := *have
		joined.Fields = slices.Concat(have.Fields, fault.Of(err).Fields)
		w.Err = &joined
	}
}
