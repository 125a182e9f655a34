package importer

import (
	"context"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// key is what makes row i the same transaction when it comes again; ordinal is how many equal rows the file has
// before it.
func (f *fact) key(ordinal int32) string {
	if f.id != "" {
		return f.id
	}
	return "sha256:" + base64.RawURLEncoding.EncodeToString(f.hash[:]) + ":" + strconv.Itoa(int(ordinal)+1)
}

// writeFacts writes a batch of transactions. Locks are taken in one order by all imports: external ids of customers,
// customers, keys of transactions, each ascending.
func (b *batch) writeFacts(ctx context.Context, tx postgres.Tx) (outcome, error) {
	var out outcome
	if len(b.facts) == 0 {
		return out, nil
	}
	tenantID, source, now := b.run.Call.Tenant.ID, b.im.Source, b.service.now()
	ordinals, err := b.ordinals(ctx, tx, len(b.facts), func(i int) identity { return b.facts[i].identity })
	if err != nil {
		return out, err
	}
	names := map[string]bool{}
	for i := range b.facts {
		names[b.facts[i].customer] = true
	}
	who, err := b.resolve(ctx, tx, names)
	if err != nil {
		return out, err
	}
	out.CustomersCreated = int64(len(who.fresh))

	keys := make([]string, len(b.facts))
	var first, again []int // rows that stand for themselves, and rows whose external id the file had before
	for i := range b.facts {
		f := &b.facts[i]
		keys[i] = f.key(ordinals[i])
		switch {
		case who.deleted[who.ids[f.customer]]:
			out.refuse(RowError{Line: f.line, Column: b.file.headerOf("customer_external_id"), Problem: customerDeleted})
		case who.refused[f.customer] != nil:
			errs := b.rowErrors(f.line, who.refused[f.customer])
			for i := range errs {
				errs[i].Column = b.file.headerOf("customer_external_id")
			}
			out.refuse(errs...)
		case f.id != "" && ordinals[i] > 0:
			again = append(again, i)
		default:
			first = append(first, i)
		}
	}
	slices.SortFunc(first, func(i, j int) int { return strings.Compare(keys[i], keys[j]) })
	claimed, customers, ids := make([]string, len(first)), make([]uuid.UUID, len(first)), make([]uuid.UUID, len(first))
	// Ids are in the order of the file, which keeps what belongs together together in the index.
	made := make([]uuid.UUID, len(b.facts))
	for i := range made {
		made[i] = uuid.Must(uuid.NewV7())
	}
	for n, i := range first {
		claimed[n], customers[n], ids[n] = keys[i], who.ids[b.facts[i].customer], made[i]
	}
	fresh, err := claimKeys(ctx, tx, tenantID, source, claimed, customers, ids)
	if err != nil {
		return out, err
	}
	touched := who.fresh
	var added ledger
	var there []int // rows whose transaction exists and may be changed
	slices.Sort(first)
	for _, i := range first {
		f := &b.facts[i]
		switch {
		case fresh[made[i]]:
			added.add(made[i], who.ids[f.customer], f)
			touched[who.ids[f.customer]] = true
		case f.id != "":
			there = append(there, i)
		default: // a row without an external id is the same in every value
			out.Unchanged++
		}
	}
	if err := addTransactions(ctx, tx, tenantID, source, &added, now); err != nil {
		return out, err
	}
	out.Created = int64(len(added.ids))
	if err := b.change(ctx, tx, &out, who, there, again, touched); err != nil {
		return out, err
	}
	out.touched = ascending(touched)
	return out, metric.Refresh(ctx, tx, tenantID, out.touched)
}

// change gives transactions that exist the values of rows there. Rows again only may repeat what is then stored.
func (b *batch) change(ctx context.Context, tx postgres.Tx, out *outcome, who resolved, there, again []int, touched map[uuid.UUID]bool) error {
	if len(there)+len(again) == 0 {
		return nil
	}
	tenantID := b.run.Call.Tenant.ID
	keys := make([]string, 0, len(there)+len(again))
	for _, i := range slices.Concat(there, again) {
		keys = append(keys, b.facts[i].id)
	}
	found, err := findKeys(ctx, tx, tenantID, b.im.Source, keys)
	if err != nil {
		return err
	}
	apply := func(rows []int, dry bool) error {
		l, of, err := b.matching(ctx, tx, out, who, found, rows, dry)
		if err != nil {
			return err
		}
		differing, err := changeTransactions(ctx, tx, tenantID, &l, dry, b.im.Actor, b.service.now())
		if err != nil {
			return err
		}
		var items map[int]bool
		if dry {
			items, err = differingItems(ctx, tx, tenantID, &l)
		} else {
			items, err = writeItems(ctx, tx, tenantID, &l, differing)
		}
		if err != nil {
			return err
		}
		for n, i := range of {
			switch {
			case !differing[n] && !items[n]:
				out.Unchanged++
			case dry:
				out.refuse(RowError{Line: b.facts[i].line, Column: b.file.headerOf("external_id"), Problem: idRepeated})
			default:
				out.Updated++
				touched[l.customers[n].Bytes] = true
			}
		}
		return nil
	}
	if err := apply(there, false); err != nil {
		return err
	}
	return apply(again, true)
}

// matching are the rows whose transactions, found by their keys, they may change; of says which rows those are. The others
// are refused.
func (b *batch) matching(ctx context.Context, tx postgres.Tx, out *outcome, who resolved, found map[string]holder, rows []int, dry bool) (l ledger, of []int, err error) {
	var all ledger
	var candidates []int
	for _, i := range rows {
		f := &b.facts[i]
		h := found[f.id]
		if h.customer != who.ids[f.customer] {
			out.refuse(RowError{Line: f.line, Column: b.file.headerOf("customer_external_id"), Problem: customerDiffers})
			continue
		}
		all.add(h.transaction, h.customer, f)
		candidates = append(candidates, i)
	}
	if dry || len(candidates) == 0 {
		return all, candidates, nil
	}
	bad, err := contradictions(ctx, tx, b.run.Call.Tenant.ID, &all)
	if err != nil || len(bad) == 0 {
		return all, candidates, err
	}
	for n, i := range candidates {
		f := &b.facts[i]
		if why, ok := bad[n]; ok {
			out.refuse(RowError{Line: f.line, Column: b.file.headerOf(b.file.mapped(why.field)), Problem: why.Problem})
			continue
		}
		l.add(found[f.id].transaction, found[f.id].customer, f)
		of = append(of, i)
	}
	return l, of, nil
}

// resolved is whom external ids stand for.
type resolved struct {
	ids     map[string]uuid.UUID
	fresh   map[uuid.UUID]bool // made by this batch
	deleted map[uuid.UUID]bool
	refused map[string]error // who could not be made
}

// resolve finds the customers of external ids, makes those that are unknown, and locks the others.
func (b *batch) resolve(ctx context.Context, tx postgres.Tx, names map[string]bool) (resolved, error) {
	call := b.run.Call
	call.ChangeSet = b.im.ChangeSet
	ids := make([]customer.ExternalID, 0, len(names))
	for name := range names {
		ids = append(ids, customer.ExternalID{Source: b.im.Source, ID: name})
	}
	found, err := b.service.customers.Resolve(ctx, tx, call, ids)
	if err != nil {
		return resolved{}, err
	}
	r := resolved{ids: make(map[string]uuid.UUID, len(found)), fresh: map[uuid.UUID]bool{}, deleted: map[uuid.UUID]bool{}, refused: map[string]error{}}
	for id, who := range found {
		r.ids[id.ID] = who.ID
		switch {
		case who.Err != nil:
			r.refused[id.ID] = who.Err
		case who.Fresh:
			r.fresh[who.ID] = true
		case who.Deleted:
			r.deleted[who.ID] = true
		}
	}
	return r, nil
}

// touch notes the customers in the import's change set.
func touch(ctx context.Context, tx postgres.Tx, call tenant.Call, customers []uuid.UUID) error {
	if len(customers) == 0 {
		return nil
	}
	event.Within(ctx, tx, call, event.Imported)
	return event.Touched(ctx, tx, call, customers)
}
