package tag_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/bulk"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/tag"
	"github.com/kezi-io/kezi/internal/transaction"
)

func node(t testing.TB, text string) filter.Node {
	t.Helper()
	n, err := filter.Parse(text)
	require.NoError(t, err)
	return n
}

// fact is what a customer in the model is known by.
type fact struct {
	city    string
	yuan    int64
	deleted bool
}

// ask is a condition and what it means in the model, where carries tells who carries another tag.
type ask struct {
	text  string
	holds func(f fact, carries func(key string) bool) bool
}

// drawAsk draws a condition that may name the tags below.
func drawAsk(r *rand.Rand, below []string) ask {
	city, yuan := []string{"上海", "北京"}[r.IntN(2)], int64(r.IntN(4))*100
	in := func(f fact) bool { return f.city == city }
	rich := func(f fact) bool { return f.yuan >= yuan }
	switch n := r.IntN(6); {
	case n == 0:
		return ask{fmt.Sprintf(`city = %q`, city), func(f fact, _ func(string) bool) bool { return in(f) }}
	case n == 1:
		return ask{fmt.Sprintf(`spend_total >= %d`, yuan), func(f fact, _ func(string) bool) bool { return rich(f) }}
	case n == 2 || len(below) == 0:
		return ask{fmt.Sprintf(`city = %q OR sum(transactions.amount, "all") >= %d`, city, yuan),
			func(f fact, _ func(string) bool) bool { return in(f) || rich(f) }}
	}
	key := below[r.IntN(len(below))]
	if r.IntN(2) == 0 {
		return ask{fmt.Sprintf(`tags:%q OR city = %q`, key, city), func(f fact, c func(string) bool) bool { return c(key) || in(f) }}
	}
	return ask{fmt.Sprintf(`NOT tags:%q AND spend_total >= %d`, key, yuan), func(f fact, c func(string) bool) bool { return !c(key) && rich(f) }}
}

// kept is a tag in the model.
type kept struct {
	tag.Tag
	ask      *ask // nil for a manual one
	archived bool
	byHand   map[uuid.UUID]*time.Time // customers, with the expiry
	frozen   map[uuid.UUID]bool       // by rule when it was archived
	off      map[uuid.UUID]bool       // suppressed
}

// automatics is what the service should be in: everything about who carries what follows from it.
type automatics struct {
	facts     map[uuid.UUID]*fact
	tags      []*kept // a condition names only tags before its own
	exclusive bool    // the group of the tags that have one
}

func (m automatics) fixed(k *kept, c uuid.UUID) bool {
	_, byHand := k.byHand[c]
	return byHand || k.frozen[c]
}

// carried are the keys that a customer carries.
func (m automatics) carried(c uuid.UUID) map[string]bool {
	is := map[string]bool{}
	// Those outside of the group come first in m.tags, so that the group's conditions find them decided.
	var group []*kept
	for _, k := range m.tags {
		if k.GroupID != nil && m.exclusive {
			group = append(group, k)
			continue
		}
		if m.fixed(k, c) || m.ruled(k, c, is) {
			is[k.Key] = true
		}
	}
	for _, k := range group {
		if m.fixed(k, c) {
			is[k.Key] = true
			return is
		}
	}
	slices.SortStableFunc(group, func(a, b *kept) int { return a.Position - b.Position }) // the older one first
	for _, k := range group {
		if m.ruled(k, c, is) {
			is[k.Key] = true
			return is
		}
	}
	return is
}

func (m automatics) ruled(k *kept, c uuid.UUID, is map[string]bool) bool {
	f := *m.facts[c]
	return k.ask != nil && !k.archived && !f.deleted && !k.off[c] && k.ask.holds(f, func(key string) bool { return is[key] })
}

// put is by hand; it takes what is fixed of the group off.
func (m automatics) put(k *kept, c uuid.UUID, until *time.Time) {
	if k.GroupID != nil && m.exclusive {
		for _, other := range m.tags {
			if other != k && other.GroupID != nil {
				delete(other.byHand, c)
				delete(other.frozen, c)
			}
		}
	}
	delete(k.off, c)
	delete(k.frozen, c)
	k.byHand[c] = until
}

func (m automatics) remove(k *kept, c uuid.UUID) {
	delete(k.byHand, c)
	delete(k.frozen, c)
	if k.ask != nil {
		k.off[c] = true
	}
}

// clash tells whether somebody has two tags of the group that no condition takes off.
func (m automatics) clash() bool {
	for c := range m.facts {
		n := 0
		for _, k := range m.tags {
			if k.GroupID != nil && m.fixed(k, c) {
				n++
			}
		}
		if n > 1 {
			return true
		}
	}
	return false
}

// After any history of facts, hands and rules everybody carries what the model says, and the history tells how it came.
//
// S2-15, S4-22
func TestAutomaticTagsAfterAnyHistory(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			automaticHistory(t, working(t), rand.New(rand.NewPCG(seed, 22)))
		})
	}
}

func automaticHistory(t *testing.T, b bench, r *rand.Rand) {
	m := automatics{facts: map[uuid.UUID]*fact{}, exclusive: true}
	money100 := func(yuan int64) *money.Money {
		return &money.Money{Minor: yuan * 100, Currency: b.call.Tenant.Currency}
	}
	orders := transaction.NewService(b.db, nil, b.now)
	group := b.group(t, "level", true)
	var below []string
	for _, key := range []string{"plain", "n1", "n2", "e1", "e2", "e3"} {
		k := &kept{byHand: map[uuid.UUID]*time.Time{}, frozen: map[uuid.UUID]bool{}, off: map[uuid.UUID]bool{}}
		d := tag.Draft{Key: key, Name: key}
		if key != "plain" {
			a := drawAsk(r, below)
			k.ask, d.Condition = &a, node(t, a.text)
		}
		if key[0] == 'e' {
			d.GroupID, d.Position = &group.ID, r.IntN(2)
		} else {
			below = append(below, key)
		}
		made, err := b.create(d)
		require.NoError(t, err)
		k.Tag = made
		m.tags = append(m.tags, k)
	}
	var customers []uuid.UUID
	for range 5 {
		c := b.customer(t)
		customers, m.facts[c] = append(customers, c), &fact{}
	}
	b.idle(t)
	for step := range 130 {
		c, k := customers[r.IntN(len(customers))], m.tags[r.IntN(len(m.tags))]
		f := m.facts[c]
		what := ""
		switch op := r.IntN(22); {
		case op < 3:
			what = "moves"
			f2 := []string{"上海", "北京", "杭州"}[r.IntN(3)]
			_, err := b.customers.Update(b.ctx, b.call, c, nil, customer.Change{City: patch.Set(f2)})
			if f.deleted {
				require.ErrorIs(t, err, customer.ErrNotFound)
				break
			}
			require.NoError(t, err)
			f.city = f2
		case op < 6:
			what = "buys"
			if f.deleted {
				break
			}
			at, yuan := b.now(), int64(1+r.IntN(2))*100
			_, err := orders.Create(b.ctx, b.call, transaction.Creation{CustomerID: &c, Moment: transaction.Moment{At: &at}, Amount: money100(yuan)})
			require.NoError(t, err)
			f.yuan += yuan
		case op < 9:
			what = "put " + k.Key
			var until *time.Time
			if r.IntN(3) == 0 {
				until = new(b.now().Add(time.Duration(1+r.IntN(3)) * time.Hour))
			}
			_, err := b.svc.Put(b.ctx, b.call, c, k.ID, tag.Terms{ExpiresAt: until})
			switch {
			case f.deleted:
				require.ErrorIs(t, err, customer.ErrNotFound)
			case k.archived:
				require.ErrorIs(t, err, tag.ErrArchived)
			default:
				require.NoError(t, err)
				m.put(k, c, until)
			}
		case op < 12:
			what = "remove " + k.Key
			carries := m.carried(c)[k.Key]
			err := b.svc.Remove(b.ctx, b.call, c, k.ID, "why")
			switch {
			case f.deleted:
				require.ErrorIs(t, err, customer.ErrNotFound)
			case !carries:
				require.ErrorIs(t, err, tag.ErrNotCarried)
			default:
				require.NoError(t, err)
				m.remove(k, c)
			}
		case op < 14:
			what = "lift " + k.Key
			err := b.svc.Lift(b.ctx, b.call, c, k.ID)
			switch {
			case f.deleted:
				require.ErrorIs(t, err, customer.ErrNotFound)
			case !k.off[c]:
				require.ErrorIs(t, err, tag.ErrNotSuppressed)
			default:
				require.NoError(t, err)
				delete(k.off, c)
			}
		case op == 14:
			what = "deleted or back"
			if f.deleted {
				_, err := b.customers.Undelete(b.ctx, b.call, c)
				require.NoError(t, err)
			} else {
				require.NoError(t, b.customers.Delete(b.ctx, b.call, c, nil))
			}
			f.deleted = !f.deleted
		case op < 17:
			adding := r.IntN(2) == 0
			what = fmt.Sprint("bulk by filter ", adding, " ", k.Key)
			many := tag.Many{Target: bulk.Target{Condition: node(t, `city = "上海"`)}, Adding: adding}
			got, _, err := b.svc.Bulk(b.ctx, b.call, k.ID, many, false)
			if adding && k.archived {
				require.ErrorIs(t, err, tag.ErrArchived)
				break
			}
			require.NoError(t, err)
			changed := 0
			for _, c := range customers {
				_, byHand := k.byHand[c]
				switch {
				case m.facts[c].deleted || m.facts[c].city != "上海":
				case adding && !byHand:
					changed++
					m.put(k, c, nil)
				case !adding && m.carried(c)[k.Key]:
					changed++
					m.remove(k, c)
				}
			}
			require.Equal(t, changed, got.Changed)
		case op == 17 && k.ask != nil:
			at := slices.Index(m.tags, k)
			a := drawAsk(r, below[:min(at, len(below))])
			what = k.Key + " by " + a.text
			_, err := b.update(k.ID, nil, tag.Change{Condition: node(t, a.text)})
			require.NoError(t, err)
			k.ask = &a
		case op == 18 && k.GroupID != nil:
			what = "position of " + k.Key
			k.Position = r.IntN(3)
			_, err := b.update(k.ID, nil, tag.Change{Position: &k.Position})
			require.NoError(t, err)
		case op == 19 && k.ask != nil:
			what = "archive or restore " + k.Key
			if k.archived {
				k.frozen = map[uuid.UUID]bool{}
			} else {
				for _, c := range customers {
					if _, byHand := k.byHand[c]; m.carried(c)[k.Key] && !byHand {
						k.frozen[c] = true
					}
				}
			}
			k.archived = !k.archived
			_, err := b.update(k.ID, nil, tag.Change{Archived: &k.archived})
			require.NoError(t, err)
		case op == 20:
			what = "exclusive or not"
			_, err := b.svc.UpdateGroup(b.ctx, b.call, group.ID, nil, tag.GroupChange{Exclusive: new(!m.exclusive)})
			if !m.exclusive && m.clash() {
				require.ErrorIs(t, err, tag.ErrExclusive)
				break
			}
			require.NoError(t, err)
			m.exclusive = !m.exclusive
		default:
			what = "time passes"
			b.pass(time.Duration(r.IntN(90)) * time.Minute)
			require.NoError(t, b.svc.Tidy(b.ctx))
			for _, k := range m.tags {
				for c, until := range k.byHand {
					if until != nil && !until.After(b.now()) {
						delete(k.byHand, c)
					}
				}
			}
		}
		b.idle(t)
		found, err := tag.Of(b.ctx, b.db, b.call.Tenant.ID, customers, b.now())
		require.NoError(t, err)
		for i, c := range customers {
			got := map[string]bool{}
			for _, a := range found[c] {
				got[a.Key] = true
			}
			require.Equal(t, m.carried(c), got, "step %d: %s; customer %d", step, what, i)
		}
	}
	b.replay(t)
}

// replay proves that the history alone tells who carries what and what is suppressed.
func (b bench) replay(t *testing.T) {
	t.Helper()
	require.Zero(t, b.count(t, `SELECT count(*) FROM (SELECT customer_id, tag_id,
				(array_agg(action IN ('assigned', 'changed') ORDER BY ord DESC) FILTER (WHERE action <> 'lifted'))[1] AS has,
				(array_agg(action = 'suppressed' ORDER BY ord DESC) FILTER (WHERE action <> 'changed'))[1] AS off,
				bool_and(CASE action WHEN 'assigned' THEN coalesce(before NOT IN ('assigned', 'changed'), true)
					WHEN 'lifted' THEN before = 'suppressed' ELSE before IN ('assigned', 'changed') END) AS told
			FROM (SELECT *, lag(action) OVER (PARTITION BY customer_id, tag_id ORDER BY ord) AS before FROM customer_tag_log WHERE tenant_id = $1) l
			GROUP BY customer_id, tag_id) l
		FULL JOIN (SELECT customer_id, tag_id FROM customer_tags WHERE tenant_id = $1) ct USING (customer_id, tag_id)
		FULL JOIN (SELECT customer_id, tag_id AS tag_id, true AS is FROM tag_suppressions WHERE tenant_id = $1) s USING (customer_id, tag_id)
		WHERE coalesce(l.has, false) <> (ct.* IS NOT NULL) OR coalesce(l.off, false) <> coalesce(s.is, false) OR NOT l.told`))
	require.Zero(t, b.count(t, `SELECT count(*) FROM tags t WHERE tenant_id = $1 AND
		(SELECT coalesce(sum(change), 0) FROM tag_carriers k WHERE k.tenant_id = t.tenant_id AND k.tag_id = t.id) <>
		(SELECT count(*) FROM customer_tags ct JOIN customers c ON c.tenant_id = ct.tenant_id AND c.id = ct.customer_id
			WHERE ct.tenant_id = t.tenant_id AND ct.tag_id = t.id AND c.deleted_at IS NULL)`))
}
