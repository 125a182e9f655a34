package customer

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Item is one customer of a batch.
type Item struct {
	ID     ExternalID
	Change Change
	With   With // in the same transaction; only of a batch

	// Repeats is an item whose id came before and which may only say the same again: one that would change something is
	// ErrDiffers, since nobody knows which of the two is right.
	Repeats bool
}

// Result is what became of an Item; Err is a fault.
type Result struct {
	Customer Customer
	Outcome  Outcome
	Err      error
}

// ErrDiffers is an item that says of an earlier one's customer something else.
var ErrDiffers = fault.New(fault.Invalid, "external_id_repeated",
	"an earlier item has the same external id and says something else", "前面已有外部编号相同但内容不同的条目")

// Batch puts every item by its external id. Items are independent: one that fails undoes only itself. A second item
// on the same key fails with ErrTwice. Items with more than the customer's own fields are written one by one.
func (s *Service) Batch(ctx context.Context, call tenant.Call, items []Item) ([]Result, error) {
	results := make([]Result, len(items))
	seen := make(map[ExternalID]bool, len(items))
	var first []Item
	var at, single []int
	for i, item := range items {
		if seen[item.ID] {
			results[i].Err = ErrTwice
			continue
		}
		seen[item.ID] = true
		if item.With != nil {
			single = append(single, i)
			continue
		}
		first, at = append(first, item), append(at, i)
	}
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		done, err := s.putAll(ctx, tx, call, first, ByBatch, false)
		if err != nil {
			return err
		}
		for n, w := range done {
			results[at[n]] = w.result()
			if w.Err != nil {
				continue
			}
			if err := s.record(ctx, tx, call, w); err != nil {
				return err
			}
		}
		return s.putEach(ctx, tx, call, items, single, results)
	})
	return results, err
}

// putEach puts items with what belongs to them, each in a savepoint of its own.
func (s *Service) putEach(ctx context.Context, tx postgres.Tx, call tenant.Call, items []Item, which []int, results []Result) error {
	slices.SortFunc(which, func(a, b int) int { return compare(items[a].ID, items[b].ID) })
	for _, i := range which {
		r := &results[i]
		*r = Result{}
		r.Customer, r.Outcome, r.Err = s.PutWith(postgres.Join(ctx, tx), call, items[i].ID, nil, false, items[i].Change, items[i].With)
		if r.Err != nil && fault.Of(r.Err) == nil {
			return r.Err
		}
	}
	return nil
}

// Import is Batch for the rows of a file: in the caller's transaction and without events, since the import's own stands for all. Who is
// new and has no name is called by the external id. With lenient, registration numbers that are well formed but for
// their check characters pass with a warning. The caller calls Settle when it has written what belongs to the customers.
func (s *Service) Import(ctx context.Context, tx postgres.Tx, call tenant.Call, items []Item, lenient bool) ([]Result, error) {
	done, err := s.putAll(partsFollow(ctx), tx, call, items, ByImport, lenient)
	if err != nil {
		return nil, err
	}
	results := make([]Result, len(done))
	for i, w := range done {
		results[i] = w.result()
	}
	return results, nil
}

func (w *Write) result() Result {
	if w.Err != nil {
		return Result{Err: w.Err}
	}
	return Result{Customer: *w.After, Outcome: w.Outcome}
}

// putAll puts items by their external ids, and answers the write of each. Locks are taken in one order by all who work on sets: external
// ids, then customers, each ascending.
func (s *Service) putAll(ctx context.Context, tx postgres.Tx, call tenant.Call, items []Item, cause Cause, lenient bool) ([]*Write, error) {
	done := make([]*Write, len(items))
	var ids []ExternalID
	var open []int
	for i, item := range items {
		if !item.ID.tidy() {
			done[i] = &Write{Err: fault.ErrInvalid.At("/external_id", "bad_external_id", badExternalID)}
			continue
		}
		ids, open = append(ids, item.ID), append(open, i)
	}
	holders, fresh, err := s.claimEach(ctx, tx, call.Tenant.ID, ids)
	if err != nil {
		return nil, err
	}
	var known []uuid.UUID
	for _, holder := range holders {
		if !fresh[holder] {
			known = append(known, holder)
		}
	}
	found, err := lockAll(ctx, tx, call.Tenant.ID, known)
	if err != nil {
		return nil, err
	}
	// Items of one customer, which may have several external ids, follow each other in rounds: each sees what the one
	// before has made of it.
	now := make(map[uuid.UUID]*Customer, len(holders))
	for id, c := range found {
		now[id] = &c
	}
	for len(open) > 0 {
		var round []*Write
		var later []int
		taken := make(map[uuid.UUID]bool, len(open))
		for _, i := range open {
			item, holder := items[i], holders[items[i].ID]
			c := now[holder]
			if c == nil {
				blank := begun(holder, item.ID)
				c = &blank
			}
			if taken[c.ID] {
				later = append(later, i)
				continue
			}
			taken[c.ID] = true
			w := item.write(c, holder, fresh[holder], cause)
			done[i] = w
			switch {
			case w.Err != nil:
			case item.Repeats && w.Before != nil:
				if err := s.compare(ctx, tx, call, lenient, w); err != nil {
					return nil, err
				}
			default:
				round = append(round, w)
			}
		}
		if err := s.save(ctx, tx, call, lenient, round...); err != nil {
			return nil, err
		}
		for _, w := range round {
			if w.Err == nil {
				now[w.After.ID], fresh[w.After.ID] = w.After, false
			}
		}
		open = later
	}
	return done, s.unclaim(ctx, tx, call.Tenant.ID, holders, fresh)
}

// write is what the item makes of c, who stands for the holder of its external id. fresh is a customer that the item
// creates.
func (item Item) write(c *Customer, holder uuid.UUID, fresh bool, cause Cause) *Write {
	w := &Write{After: c.clone(), Cause: cause, Reason: item.Change.StageReason, Said: item.Change.said()}
	if !fresh {
		w.Before = c.clone()
		switch {
		case c.DeletedAt != nil:
			w.Err = ErrDeleted
			return w
		case c.ID == holder && !slices.Contains(c.ExternalIDs, item.ID): // between claim and lock it may have gone to somebody else
			w.Err = ErrExternalIDTaken
			return w
		}
	}
	item.Change.apply(w.After)
	if cause == ByImport {
		w.After.imported(item.ID, fresh)
		if fresh && item.Change.Kind == nil && !w.After.Company.IsZero() {
			w.After.Kind = Company // what a file says of a company makes one, where it does not say more
		}
	}
	return w
}

// imported fills what a file leaves out.
func (c *Customer) imported(id ExternalID, fresh bool) {
	if c.Name == "" {
		c.Name = id.ID
	}
	if c.Source.Channel == "" && (fresh || c.Source != (Source{})) {
		c.Source.Channel = "import"
	}
}

// compare refuses a write that would change something, and does nothing else with it.
func (s *Service) compare(ctx context.Context, tx postgres.Tx, call tenant.Call, lenient bool, w *Write) error {
	if err := s.normaliseAll(ctx, tx, call, s.now(), lenient, []*Write{w}); err != nil {
		return err
	}
	if err := s.before(ctx, tx, call, []*Write{w}); err != nil || w.Err != nil {
		return err
	}
	w.Outcome = Unchanged
	if len(w.changes()) > 0 {
		w.Err = ErrDiffers
	}
	return nil
}

// claimEach claims external ids, and answers whom each stands for and who of those is yet to be made.
func (s *Service) claimEach(ctx context.Context, tx postgres.Tx, tenantID int32, ids []ExternalID) (holders map[ExternalID]uuid.UUID, fresh map[uuid.UUID]bool, err error) {
	ids = slices.Compact(sorted(ids))
	want := make([]uuid.UUID, len(ids))
	for i := range want {
		want[i] = uuid.Must(uuid.NewV7())
	}
	if holders, err = claimAll(ctx, tx, tenantID, ids, want, s.now()); err != nil {
		return nil, nil, err
	}
	fresh = make(map[uuid.UUID]bool, len(ids))
	for i, id := range ids {
		if holders[id] == want[i] {
			fresh[want[i]] = true
		}
	}
	return holders, fresh, nil
}

// unclaim lets go of the ids of customers that were not made after all.
func (s *Service) unclaim(ctx context.Context, tx postgres.Tx, tenantID int32, holders map[ExternalID]uuid.UUID, fresh map[uuid.UUID]bool) error {
	var unused []ExternalID
	for id, holder := range holders {
		if fresh[holder] {
			unused = append(unused, id)
		}
	}
	return release(ctx, tx, tenantID, unused...)
}

// Resolved is whom an external id stands for.
type Resolved struct {
	ID      uuid.UUID
	Fresh   bool // made by this call
	Deleted bool
	Err     error // why it could not be made
}

// Resolve finds the customers of external ids, makes those that are unknown, and locks the others: for an import of
// facts, which may come before the customers themselves.
func (s *Service) Resolve(ctx context.Context, tx postgres.Tx, call tenant.Call, ids []ExternalID) (map[ExternalID]Resolved, error) {
	holders, fresh, err := s.claimEach(ctx, tx, call.Tenant.ID, ids)
	if err != nil {
		return nil, err
	}
	found := make(map[ExternalID]Resolved, len(holders))
	var known []uuid.UUID
	var round []*Write
	for _, id := range slices.Compact(sorted(ids)) {
		holder := holders[id]
		if !fresh[holder] {
			known = append(known, holder)
			continue
		}
		c := begun(holder, id)
		c.imported(id, true)
		round = append(round, &Write{After: &c, Cause: ByImport})
	}
	if err := s.save(ctx, tx, call, false, round...); err != nil {
		return nil, err
	}
	for _, w := range round {
		id := w.After.ExternalIDs[0]
		if w.Err == nil {
			fresh[w.After.ID] = false
		}
		found[id] = Resolved{ID: w.After.ID, Fresh: w.Err == nil, Err: w.Err}
	}
	if err := s.unclaim(ctx, tx, call.Tenant.ID, holders, fresh); err != nil {
		return nil, err
	}
	states, err := holdStates(ctx, tx, call.Tenant.ID, known)
	if err != nil {
		return nil, err
	}
	for id, holder := range holders {
		state, ok := states[holder]
		if !ok {
			continue
		}
		for state.merged != nil {
			h, deleted, err := hold(ctx, tx, call.Tenant.ID, *state.merged)
			if err != nil && !errors.Is(err, ErrNotFound) {
				return nil, err
			}
			state = heldState{id: h.ID, deleted: deleted || err != nil}
		}
		found[id] = Resolved{ID: state.id, Deleted: state.deleted}
	}
	return found, nil
}

// Load stores customers that come whole, each with its id and the moment when it was made: demo data, or another system's
// customers. It fails as a whole with the first fault, and writes no events.
func (s *Service) Load(ctx context.Context, tx postgres.Tx, call tenant.Call, customers []Customer) error {
	writes := make([]*Write, len(customers))
	var ids []ExternalID
	var want []uuid.UUID
	for i, c := range customers {
		c.Attributes = Attributes{}.merge(c.Attributes)
		writes[i] = &Write{After: &c, Cause: ByImport}
		for _, id := range c.ExternalIDs {
			ids, want = append(ids, id), append(want, c.ID)
		}
	}
	holders, err := claimAll(ctx, tx, call.Tenant.ID, ids, want, s.now())
	if err != nil {
		return err
	}
	for i, id := range ids {
		if holders[id] != want[i] {
			return ErrExternalIDTaken
		}
	}
	if err := s.save(ctx, tx, call, false, writes...); err != nil {
		return err
	}
	for _, w := range writes {
		if w.Err != nil {
			return w.Err
		}
	}
	return nil
}
