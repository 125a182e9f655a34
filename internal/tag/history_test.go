package tag_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/bulk"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/tag"
)

// held is an assignment in the model.
type held struct {
	reason string
	until  *time.Time
}

func (h held) live(now time.Time) bool { return h.until == nil || h.until.After(now) }

func (h held) text() string {
	if h.until == nil {
		return h.reason
	}
	return h.reason + " until " + h.until.String()
}

// model is what the service should be in, in plain maps.
type model struct {
	groups  map[uuid.UUID]bool       // whether exclusive
	tags    map[uuid.UUID]*uuid.UUID // its group
	deleted map[uuid.UUID]bool
	carried map[uuid.UUID]map[uuid.UUID]held // by customer and tag
}

func (m model) put(c, g uuid.UUID, h held) {
	if group := m.tags[g]; group != nil && m.groups[*group] {
		for other := range m.carried[c] {
			if to := m.tags[other]; other != g && to != nil && *to == *group {
				delete(m.carried[c], other)
			}
		}
	}
	m.carried[c][g] = h
}

// double tells whether somebody carries two tags of a group when moved belongs to it as well.
func (m model) double(group, moved uuid.UUID, now time.Time) bool {
	for _, tags := range m.carried {
		n := 0
		for g, h := range tags {
			if to := m.tags[g]; h.live(now) && (g == moved || (to != nil && *to == group)) {
				n++
			}
		}
		if n > 1 {
			return true
		}
	}
	return false
}

// holders is how many customers that are not deleted carry a tag.
func (m model) holders(g uuid.UUID, now time.Time) (n int64) {
	for c, tags := range m.carried {
		if h, ok := tags[g]; ok && h.live(now) && !m.deleted[c] {
			n++
		}
	}
	return n
}

// After any history of calls the service holds what a model in plain maps holds, and refuses what the model refuses.
func TestAnyHistory(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			// Housekeeping works for all tenants by this one's clock: a database of its own.
			history(t, setupIn(t, postgrestest.Fresh(t)), rand.New(rand.NewPCG(seed, 1)))
		})
	}
}

func history(t *testing.T, b bench, r *rand.Rand) {
	m := model{groups: map[uuid.UUID]bool{}, tags: map[uuid.UUID]*uuid.UUID{}, deleted: map[uuid.UUID]bool{}, carried: map[uuid.UUID]map[uuid.UUID]held{}}
	var groups, tags, customers []uuid.UUID
	for i := range 2 {
		g := b.group(t, fmt.Sprint("g", i), i == 0)
		groups, m.groups[g.ID] = append(groups, g.ID), g.Exclusive
	}
	group := func() *uuid.UUID {
		if i := r.IntN(3); i < 2 {
			return &groups[i]
		}
		return nil
	}
	serial := 0
	grow := func() {
		to := group()
		made := b.tag(t, fmt.Sprint("t", serial), to)
		serial++
		tags, m.tags[made.ID] = append(tags, made.ID), to
	}
	for range 5 {
		grow()
		c := b.customer(t)
		customers, m.carried[c] = append(customers, c), map[uuid.UUID]held{}
	}
	for step := range 120 {
		now := b.now()
		c, g := customers[r.IntN(len(customers))], tags[r.IntN(len(tags))]
		h := held{reason: fmt.Sprint(r.IntN(2))}
		if r.IntN(2) == 0 {
			h.until = new(now.Add(time.Duration(1+r.IntN(5)) * time.Minute))
		}
		old, has := m.carried[c][g]
		has = has && old.live(now)
		switch op := r.IntN(20); {
		case op < 7:
			_, err := b.svc.Put(b.ctx, b.call, c, g, tag.Terms{Reason: h.reason, ExpiresAt: h.until})
			if m.deleted[c] {
				require.ErrorIs(t, err, customer.ErrNotFound)
			} else {
				require.NoError(t, err)
				m.put(c, g, h)
			}
		case op < 9:
			err := b.svc.Remove(b.ctx, b.call, c, g, "")
			switch {
			case m.deleted[c]:
				require.ErrorIs(t, err, customer.ErrNotFound)
			case !has:
				require.ErrorIs(t, err, tag.ErrNotCarried)
			default:
				require.NoError(t, err)
				delete(m.carried[c], g)
			}
		case op < 13:
			ids, put := customers[r.IntN(len(customers)):], op < 12
			result, err := b.many(g, ids, put)
			require.NoError(t, err)
			changed := 0
			for _, id := range ids {
				old, has := m.carried[id][g]
				if has = has && old.live(now); m.deleted[id] || has == put {
					continue
				}
				changed++
				if delete(m.carried[id], g); put {
					m.put(id, g, held{reason: "bulk"})
				}
			}
			require.Equal(t, changed, result.Changed)
		case op < 15:
			b.pass(time.Duration(r.IntN(180)) * time.Second)
		case op == 15:
			if m.deleted[c] {
				_, err := b.customers.Undelete(b.ctx, b.call, c)
				require.NoError(t, err)
			} else {
				require.NoError(t, b.customers.Delete(b.ctx, b.call, c, nil))
			}
			m.deleted[c] = !m.deleted[c]
		case op == 16:
			to := group()
			_, err := b.update(g, nil, tag.Change{GroupID: patch.Field[uuid.UUID]{Given: true, Value: to}})
			from := m.tags[g]
			moves := (from == nil) != (to == nil) || (from != nil && *from != *to)
			if moves && to != nil && m.groups[*to] && m.double(*to, g, now) {
				require.ErrorIs(t, err, tag.ErrExclusive)
			} else {
				require.NoError(t, err)
				m.tags[g] = to
			}
		case op == 17:
			id := groups[r.IntN(2)]
			_, err := b.svc.UpdateGroup(b.ctx, b.call, id, nil, tag.GroupChange{Exclusive: new(!m.groups[id])})
			if !m.groups[id] && m.double(id, uuid.Nil, now) {
				require.ErrorIs(t, err, tag.ErrExclusive)
			} else {
				require.NoError(t, err)
				m.groups[id] = !m.groups[id]
			}
		case op == 18:
			force := r.IntN(2) == 0
			err := b.svc.Delete(b.ctx, b.call, g, nil, force)
			if !force && m.holders(g, now) > 0 {
				require.ErrorIs(t, err, tag.ErrInUse)
				break
			}
			require.NoError(t, err)
			delete(m.tags, g)
			for _, carried := range m.carried {
				delete(carried, g)
			}
			tags = slices.DeleteFunc(tags, func(id uuid.UUID) bool { return id == g })
			grow()
		default:
			require.NoError(t, b.svc.Tidy(b.ctx))
		}
		compare(t, b, m, customers, step)
	}
}

func (b bench) many(g uuid.UUID, ids []uuid.UUID, put bool) (bulk.Result, error) {
	if put {
		return b.putOn(g, ids, "bulk")
	}
	return b.removeFrom(g, ids)
}

func compare(t *testing.T, b bench, m model, customers []uuid.UUID, step int) {
	t.Helper()
	now := b.now()
	found, err := tag.Of(b.ctx, b.db, b.call.Tenant.ID, customers, now)
	require.NoError(t, err)
	for _, c := range customers {
		want := map[uuid.UUID]string{}
		for g, h := range m.carried[c] {
			if h.live(now) {
				want[g] = h.text()
			}
		}
		got := map[uuid.UUID]string{}
		for _, a := range found[c] {
			got[a.TagID] = held{a.Reason, a.ExpiresAt}.text()
		}
		require.Equal(t, want, got, "step %d", step)
		_, _, err := b.svc.Carried(b.ctx, b.call.Tenant, c)
		require.Equal(t, m.deleted[c], errors.Is(err, customer.ErrNotFound))
	}
	p, err := b.svc.Tags(b.ctx, b.call.Tenant, tag.Query{Page: page.Request{Limit: 1000}})
	require.NoError(t, err)
	require.Len(t, p.Items, len(m.tags))
	for _, item := range p.Items {
		require.Equal(t, m.holders(item.ID, now), item.Customers, "step %d", step)
		require.Equal(t, m.tags[item.ID], item.GroupID)
	}
}
