package importer

import (
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/directory"
	"github.com/kezi-io/kezi/internal/postgres"
)

// writePeople writes a batch of customers: new ones are made, others merged, deleted ones refused.
func (b *batch) writePeople(ctx context.Context, tx postgres.Tx) (outcome, error) {
	var out outcome
	if len(b.people) == 0 {
		return out, nil
	}
	ordinals, err := b.ordinals(ctx, tx, len(b.people), func(i int) identity { return b.people[i].identity })
	if err != nil {
		return out, err
	}
	firstOf := make(map[string]int, len(b.people))
	names := make(map[string]bool, len(b.people))
	for i := range b.people {
		id := b.people[i].id
		if _, ok := firstOf[id]; !ok {
			firstOf[id] = i
		}
		names[id] = true
	}
	who, err := b.resolve(ctx, tx, names, func(name string) []string { return b.people[firstOf[name]].values[:] })
	if err != nil {
		return out, err
	}
	touched := who.fresh
	var merged, again []int
	for i := range b.people {
		r := &b.people[i]
		switch {
		case who.deleted[who.ids[r.id]]:
			out.refuse(RowError{r.line, b.file.headerOf("external_id"), customerDeleted})
		case who.fresh[who.ids[r.id]] && firstOf[r.id] == i:
			out.Created++
		case ordinals[i] > 0:
			again = append(again, i)
		default:
			merged = append(merged, i)
		}
	}
	changed, err := b.merge(ctx, tx, who, merged, false)
	if err != nil {
		return out, err
	}
	for i, did := range changed {
		if !did {
			out.Unchanged++
			continue
		}
		out.Updated++
		touched[who.ids[b.people[i].id]] = true
	}
	// A customer that stands in the file twice may only say the same again: which of two rows is right, nobody knows.
	differing, err := b.merge(ctx, tx, who, again, true)
	if err != nil {
		return out, err
	}
	for i, does := range differing {
		if does {
			out.refuse(RowError{b.people[i].line, b.file.headerOf("external_id"), idRepeated})
		} else {
			out.Unchanged++
		}
	}
	out.touched = slices.SortedFunc(maps.Keys(touched), compareIDs)
	return out, nil
}

// merge merges rows into their customers and answers for each whether it changed something. Rows of one customer,
// who may have several external ids, follow each other in rounds: a statement changes a row only once.
func (b *batch) merge(ctx context.Context, tx postgres.Tx, who resolved, rows []int, dry bool) (map[int]bool, error) {
	changed := make(map[int]bool, len(rows))
	for len(rows) > 0 {
		var ids []uuid.UUID
		var people []person
		var now, later []int
		taken := make(map[uuid.UUID]bool, len(rows))
		for _, i := range rows {
			id := who.ids[b.people[i].id]
			if taken[id] && !dry {
				later = append(later, i)
				continue
			}
			taken[id] = true
			ids, people, now = append(ids, id), append(people, b.people[i]), append(now, i)
		}
		did, err := mergeCustomers(ctx, tx, b.run.Call.Tenant.ID, ids, people, dry, b.service.now())
		if err != nil {
			return nil, err
		}
		var renamed []uuid.UUID
		for n, i := range now {
			changed[i] = did[n]
			if did[n] && !dry {
				renamed = append(renamed, ids[n])
			}
		}
		if err := directory.Refresh(ctx, tx, b.run.Call.Tenant.ID, renamed); err != nil {
			return nil, err
		}
		rows = later
	}
	return changed, nil
}
