package tag_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/bulk"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/rule"
	"github.com/kezi-io/kezi/internal/tag"
	"github.com/kezi-io/kezi/internal/transaction"
)

func (b bench) move(t *testing.T, c uuid.UUID, city string) {
	t.Helper()
	_, err := b.customers.Update(b.ctx, b.call, c, nil, customer.Change{City: patch.Set(city)})
	require.NoError(t, err)
}

func (b bench) automatic(t *testing.T, d tag.Draft, text string) tag.Tag {
	t.Helper()
	d.Name, d.Condition = d.Key, node(t, text)
	made, err := b.create(d)
	require.NoError(t, err)
	return made
}

// history is what happened to a customer's tags, oldest first.
func (b bench) history(t *testing.T, c uuid.UUID) []string {
	t.Helper()
	p, err := b.svc.HistoryOf(b.ctx, b.call.Tenant, c, page.Request{Limit: 100})
	require.NoError(t, err)
	var lines []string
	for i := len(p.Items) - 1; i >= 0; i-- {
		e := p.Items[i]
		lines = append(lines, fmt.Sprintf("%s %s %s %s", e.Key, e.Action, e.Source, e.Cause))
	}
	return lines
}

// S2-15, S2-16, S4-22
func TestAutomaticTags(t *testing.T) {
	t.Parallel()
	b := working(t)
	ada, bob := b.customer(t), b.customer(t)
	b.move(t, bob, "上海")
	made := b.automatic(t, tag.Draft{Key: "local"}, `city = "上海"`)
	require.True(t, made.Automatic())
	b.idle(t)

	t.Run("FollowEachWrite", func(t *testing.T) {
		require.Equal(t, []string{"local"}, b.keys(t, bob))
		b.move(t, ada, "上海")
		a := b.carried(t, ada)[0]
		require.Equal(t, tag.Rule, a.Source)
		require.Equal(t, "tester", a.Actor)
		require.True(t, a.Automatic)
		b.move(t, ada, "北京")
		require.Empty(t, b.keys(t, ada))
		require.Equal(t, []string{"local assigned rule write", "local removed rule write"}, b.history(t, ada))
		require.Equal(t, []string{"local assigned rule rule_change"}, b.history(t, bob))
		read, err := b.svc.Get(b.ctx, b.call.Tenant, made.ID)
		require.NoError(t, err)
		require.Equal(t, int64(1), read.Customers)
		require.NotNil(t, read.EvaluatedAt)
	})
	t.Run("ByHandBeatsByRule", func(t *testing.T) {
		b.put(t, ada, made.ID)
		require.Equal(t, []string{"local"}, b.keys(t, ada), "although the condition does not hold")
		require.NoError(t, b.svc.Remove(b.ctx, b.call, bob, made.ID, "moves soon"))
		require.Empty(t, b.keys(t, bob))
		b.move(t, bob, "北京")
		b.move(t, bob, "上海")
		require.Empty(t, b.keys(t, bob), "a removal by hand sticks")
		_, off, err := b.svc.Carried(b.ctx, b.call.Tenant, bob)
		require.NoError(t, err)
		require.Equal(t, []tag.Suppression{{TagID: made.ID, Key: "local", Name: "local", Actor: "tester", Reason: "moves soon", At: b.now()}}, off)
		require.NoError(t, b.svc.Lift(b.ctx, b.call, bob, made.ID))
		require.Equal(t, []string{"local"}, b.keys(t, bob))
		require.ErrorIs(t, b.svc.Lift(b.ctx, b.call, bob, made.ID), tag.ErrNotSuppressed)
		require.Equal(t, []string{"local assigned rule rule_change", "local suppressed rule manual", "local lifted manual manual", "local assigned rule write"}, b.history(t, bob))
	})
	t.Run("ConditionsMustNotGoInACircle", func(t *testing.T) {
		b.automatic(t, tag.Draft{Key: "guest"}, `NOT tags:"local"`)
		b.idle(t)
		require.NotContains(t, b.keys(t, bob), "guest")
		_, err := b.update(made.ID, nil, tag.Change{Condition: node(t, `city = "上海" OR tags:"guest"`)})
		require.ErrorIs(t, err, rule.ErrCycle)
		require.ErrorContains(t, err, "tags.local → tags.guest → tags.local")
		_, err = b.create(tag.Draft{Key: "me", Name: "me", Condition: node(t, `tags:"me"`)})
		require.ErrorIs(t, err, rule.ErrCycle)
		x, y := b.automatic(t, tag.Draft{Key: "x"}, `city = "无"`), b.automatic(t, tag.Draft{Key: "y"}, `city = "无"`)
		errs := together(2, func(i int) error {
			of, names := x.ID, "y"
			if i == 1 {
				of, names = y.ID, "x"
			}
			_, err := b.update(of, nil, tag.Change{Condition: filter.Leaf{Field: "tags", Op: filter.Has, Values: []filter.Value{filter.String(names)}}})
			return err
		})
		require.Equal(t, 1, successes(errs), "%v", errs)
	})
	t.Run("WhatConditionsNameStays", func(t *testing.T) {
		readers, err := b.svc.Dependents(b.ctx, b.call.Tenant, made.ID)
		require.NoError(t, err)
		require.Len(t, readers, 1)
		require.Equal(t, "tag guest", readers[0].String())
		require.ErrorIs(t, b.svc.Delete(b.ctx, b.call, made.ID, nil, true), tag.ErrRead)
		_, err = b.update(made.ID, nil, tag.Change{Key: new("near")})
		require.ErrorIs(t, err, tag.ErrRead)
		require.ErrorContains(t, err, "tag guest")
		_, _, err = b.svc.Merge(b.ctx, b.call, made.ID, b.tag(t, "other", nil).ID)
		require.ErrorIs(t, err, tag.ErrRead)
		_, err = b.update(made.ID, nil, tag.Change{Key: new("other")})
		require.ErrorIs(t, err, tag.ErrKeyTaken)
	})
	t.Run("NoConditionNamesATagThatIsNotThere", func(t *testing.T) {
		_, err := b.create(tag.Draft{Key: "reader", Name: "reader", Condition: node(t, `tags:"fresh"`)})
		require.ErrorIs(t, err, filter.ErrValue)
	})
	t.Run("WithoutItsConditionWhoCarriesItKeepsIt", func(t *testing.T) {
		some := b.automatic(t, tag.Draft{Key: "some"}, `city = "上海"`)
		b.idle(t)
		_, err := b.update(some.ID, nil, tag.Change{Automatic: new(true), Condition: node(t, `city = "上海"`)})
		require.NoError(t, err)
		_, err = b.update(some.ID, nil, tag.Change{Automatic: new(false), Condition: node(t, `city = "上海"`)})
		require.ErrorIs(t, err, fault.ErrInvalid)
		after, err := b.update(some.ID, nil, tag.Change{Automatic: new(false)})
		require.NoError(t, err)
		require.False(t, after.Automatic())
		_, err = b.update(some.ID, nil, tag.Change{Automatic: new(true)})
		require.ErrorIs(t, err, fault.ErrInvalid)
		b.move(t, bob, "北京")
		require.Contains(t, b.keys(t, bob), "some")
		require.NoError(t, b.svc.Remove(b.ctx, b.call, bob, some.ID, ""))
		_, off, err := b.svc.Carried(b.ctx, b.call.Tenant, bob)
		require.NoError(t, err)
		require.Empty(t, off)
	})
	t.Run("ArchivedTagsAreHiddenAndStay", func(t *testing.T) {
		_, err := b.update(made.ID, nil, tag.Change{Archived: new(true)})
		require.NoError(t, err)
		for _, archived := range []bool{false, true} {
			p, err := b.svc.Tags(b.ctx, b.call.Tenant, tag.Query{Archived: archived, Page: page.Request{Limit: 100}})
			require.NoError(t, err)
			for _, x := range p.Items {
				require.Equal(t, archived, x.ID == made.ID)
			}
		}
		require.Contains(t, b.keys(t, ada), "local")
		_, err = b.putOn(made.ID, []uuid.UUID{bob}, "")
		require.ErrorIs(t, err, tag.ErrArchived)
		b.move(t, bob, "上海")
		require.NotContains(t, b.keys(t, bob), "local")
		_, err = b.update(made.ID, nil, tag.Change{Archived: new(false)})
		require.NoError(t, err)
		b.idle(t)
		require.Contains(t, b.keys(t, bob), "local")
	})
	t.Run("ADayPasses", func(t *testing.T) {
		b.automatic(t, tag.Draft{Key: "fresh_customer"}, `created_at >= today-1d`)
		b.idle(t)
		require.Contains(t, b.keys(t, ada), "fresh_customer")
		b.pass(72 * time.Hour)
		require.NoError(t, b.engine.NextDay(postgres.ForAllTenants(b.ctx)))
		b.idle(t)
		require.NotContains(t, b.keys(t, ada), "fresh_customer")
		lines := b.history(t, ada)
		require.Equal(t, "fresh_customer removed rule new_day", lines[len(lines)-1])
	})
	b.replay(t)
}

func TestMerge(t *testing.T) {
	t.Parallel()
	b := working(t)
	level := b.group(t, "level", true)
	from, into, third := b.tag(t, "from", nil), b.tag(t, "into", &level.ID), b.tag(t, "third", &level.ID)
	auto := b.automatic(t, tag.Draft{Key: "auto"}, `city = "上海"`)
	b.idle(t)
	x, y, z, gone := b.customer(t), b.customer(t), b.customer(t), b.customer(t)
	until := b.now().Add(time.Hour)
	_, err := b.svc.Put(b.ctx, b.call, x, from.ID, tag.Terms{Reason: "why", ExpiresAt: &until})
	require.NoError(t, err)
	b.put(t, x, third.ID)
	b.put(t, y, from.ID)
	_, err = b.svc.Put(b.ctx, b.call, y, into.ID, tag.Terms{Reason: "mine"})
	require.NoError(t, err)
	b.move(t, z, "上海")
	b.put(t, gone, from.ID)
	require.NoError(t, b.customers.Delete(b.ctx, b.call, gone, nil))

	_, _, err = b.svc.Merge(b.ctx, b.call, from.ID, from.ID)
	require.ErrorIs(t, err, tag.ErrMergeSelf)
	_, _, err = b.svc.Merge(b.ctx, b.call, from.ID, uuid.New())
	require.ErrorIs(t, err, tag.ErrUnknown)
	_, _, err = b.svc.Merge(b.ctx, b.call, uuid.New(), into.ID)
	require.ErrorIs(t, err, tag.ErrNotFound)

	r, job, err := b.svc.Merge(b.ctx, b.call, from.ID, into.ID)
	require.NoError(t, err)
	require.Nil(t, job)
	require.Equal(t, bulk.Result{Changed: 2, Unchanged: 1, Missing: []uuid.UUID{}}, r)
	require.Equal(t, []string{"into"}, b.keys(t, x), "the other one of the exclusive group is replaced")
	a := b.carried(t, x)[0]
	require.Equal(t, "why", a.Reason)
	require.Equal(t, until, *a.ExpiresAt)
	require.Equal(t, "mine", b.carried(t, y)[0].Reason)
	_, err = b.customers.Undelete(b.ctx, b.call, gone)
	require.NoError(t, err)
	require.Equal(t, []string{"into"}, b.keys(t, gone))
	_, err = b.svc.Get(b.ctx, b.call.Tenant, from.ID)
	require.ErrorIs(t, err, tag.ErrNotFound)

	_, _, err = b.svc.Merge(b.ctx, b.call, auto.ID, into.ID)
	require.NoError(t, err)
	b.move(t, z, "北京")
	require.Equal(t, tag.Bulk, b.carried(t, z)[0].Source, "what a condition had put on stays")
	b.idle(t)
	b.replay(t)
}

// S2-15, S2-16, S2-17
func TestPresets(t *testing.T) {
	t.Parallel()
	b := working(t)
	b.call.Tenant.Region = "CN"
	ada := b.customer(t)
	_, err := b.customers.Update(b.ctx, b.call, ada, nil, customer.Change{Province: patch.Set("上海"), City: patch.Set("上海")})
	require.NoError(t, err)
	orders := transaction.NewService(b.db, nil, b.now)
	local := b.now().In(b.call.Tenant.Zone)
	for n := range 3 {
		at := time.Date(local.Year(), local.Month(), local.Day()-3-n, 23, 30, 0, 0, b.call.Tenant.Zone)
		_, err := orders.Create(b.ctx, b.call, transaction.Creation{CustomerID: &ada, Moment: transaction.Moment{At: &at},
			Amount: &money.Money{Minor: 50_000, Currency: b.call.Tenant.Currency}})
		require.NoError(t, err)
	}
	for _, p := range []tag.Preset{tag.ByIndustry, tag.ByRegion, tag.ByBuyingBehaviour} {
		g, made, err := b.svc.Presets(b.ctx, b.call, p)
		require.NoError(t, err)
		require.Greater(t, len(made), 8)
		require.Equal(t, p != tag.ByBuyingBehaviour, g.Exclusive)
		before := b.events(t)
		g2, again, err := b.svc.Presets(b.ctx, b.call, p)
		require.NoError(t, err)
		require.Equal(t, g, g2)
		require.Len(t, again, len(made))
		require.Equal(t, made[0].ID, again[0].ID)
		require.NotContains(t, b.events(t)[len(before):], "tag.created", "a repeat makes nothing")
	}
	b.idle(t)
	keys := b.keys(t, ada)
	for _, key := range []string{"region_east", "night_shopper", "repeat_buyer", "big_ticket"} {
		require.Contains(t, keys, key)
	}
	require.NotContains(t, keys, "discount_driven")
}

// crowd makes customers in Shanghai by set.
func (b bench) crowd(t *testing.T, n int) {
	t.Helper()
	_, err := b.db.Exec(b.ctx, `WITH c AS (INSERT INTO customers (tenant_id, id, version, kind, name, stage, city, created_at, updated_at)
			SELECT $1, gen_random_uuid(), 1, 'person', 'x', 'lead', '上海', now(), now() FROM generate_series(1, $2) n RETURNING id)
		INSERT INTO customer_metrics (tenant_id, customer_id) SELECT $1, id FROM c`, b.call.Tenant.ID, n)
	require.NoError(t, err)
}

// S4-22
func TestLargeMoreThanOneTransactionMayChange(t *testing.T) {
	t.Parallel()
	b := working(t)
	const many = bulk.Chunk + 50
	b.crowd(t, many)
	vip := b.tag(t, "vip", nil)
	count := func(id uuid.UUID) int64 {
		x, err := b.svc.Get(b.ctx, b.call.Tenant, id)
		require.NoError(t, err)
		return x.Customers
	}
	locals := tag.Many{Target: bulk.Target{Condition: node(t, `city = "上海"`)}, Adding: true, Reason: "so"}
	r, job, err := b.svc.Bulk(b.ctx, b.call, vip.ID, locals, true)
	require.NoError(t, err)
	require.Nil(t, job)
	require.Equal(t, bulk.Result{Changed: many, Missing: []uuid.UUID{}}, r, "trying tells the numbers")
	require.Zero(t, count(vip.ID))
	_, job, err = b.svc.Bulk(b.ctx, b.call, vip.ID, locals, false)
	require.NoError(t, err)
	require.NotNil(t, job)
	b.idle(t)
	require.EqualValues(t, many, count(vip.ID))
	done, err := b.jobs.Get(b.ctx, b.call.Tenant, job.ID)
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"changed": many, "unchanged": 0, "missing": 0}, done.Counts)
	require.Equal(t, many, b.count(t, `SELECT count(*) FROM change_set_items WHERE tenant_id = $1 AND change_set_id = $2`, b.call.ChangeSet))

	// As after a worker that was killed on the way: what it did is not done again.
	auto := b.automatic(t, tag.Draft{Key: "local"}, `city = "上海"`)
	b.idle(t)
	require.EqualValues(t, many, count(auto.ID))
	_, err = b.db.Exec(b.ctx, `DELETE FROM customer_tags WHERE tenant_id = $1 AND tag_id = $2 AND customer_id > '80000000-0000-0000-0000-000000000000'`,
		b.call.Tenant.ID, auto.ID)
	require.NoError(t, err)
	require.Less(t, count(auto.ID), int64(many))
	require.NoError(t, b.db.InTx(b.ctx, func(tx postgres.Tx) error {
		_, err := b.engine.Changed(b.ctx, tx, b.call, "tag", auto.ID, false)
		return err
	}))
	b.idle(t)
	require.EqualValues(t, many, count(auto.ID))
	require.Zero(t, b.count(t, `SELECT count(*) FROM (SELECT FROM customer_tag_log WHERE tenant_id = $1 AND tag_id = $2
		AND customer_id < '80000000-0000-0000-0000-000000000000' GROUP BY customer_id HAVING count(*) > 1) x`, auto.ID))

	into := b.tag(t, "into", nil)
	_, job, err = b.svc.Merge(b.ctx, b.call, vip.ID, into.ID)
	require.NoError(t, err)
	require.NotNil(t, job)
	_, err = b.putOn(vip.ID, nil, "")
	require.Error(t, err)
	b.idle(t)
	require.EqualValues(t, many, count(into.ID))
	_, err = b.svc.Get(b.ctx, b.call.Tenant, vip.ID)
	require.ErrorIs(t, err, tag.ErrNotFound)
	for _, table := range []string{"customer_tags", "customer_tag_log"} {
		require.Zero(t, b.count(t, `SELECT count(*) FROM `+table+` WHERE tenant_id = $1 AND tag_id = $2`, vip.ID))
	}
}

// S4-19
// Who puts a tag on holds the tag, and then judges by the rules: the end of a sweep, which notes on the tag that it was evaluated,
// must not keep the rules meanwhile.
func TestTheEndOfASweepDoesNotBlockWhoHoldsItsTag(t *testing.T) {
	t.Parallel()
	b := working(t)
	x := b.automatic(t, tag.Draft{Key: "a"}, `city = "上海"`)
	b.idle(t)
	require.NoError(t, b.db.InTx(b.ctx, func(tx postgres.Tx) error {
		if _, err := tx.Exec(b.ctx, `SELECT FROM tags WHERE tenant_id = $1 AND id = $2 FOR SHARE`, b.call.Tenant.ID, x.ID); err != nil {
			return err
		}
		err := b.db.InTx(b.ctx, func(tx postgres.Tx) error {
			_, err := b.engine.Changed(b.ctx, tx, b.call, "tag", x.ID, false)
			return err
		})
		if err != nil {
			return err
		}
		require.Eventually(t, func() bool {
			return b.count(t, `SELECT count(*) FROM pg_stat_activity WHERE $1 > 0 AND datname = current_database() AND wait_event_type = 'Lock'
				AND query LIKE 'UPDATE%SET evaluated_at%'`) > 0
		}, time.Minute, 5*time.Millisecond)
		if _, err = tx.Exec(b.ctx, `SET LOCAL lock_timeout = '200ms'`); err != nil {
			return err
		}
		_, err = tx.Exec(b.ctx, `SELECT kezi_rules($1, '{}')`, b.call.Tenant.ID)
		return err
	}))
	b.idle(t)
}

func TestTwentyWritersWhileTagsChange(t *testing.T) {
	t.Parallel()
	b := working(t)
	level := b.group(t, "level", true)
	cities := []string{"上海", "北京", "杭州"}
	var tags, ids []uuid.UUID
	for i, d := range []tag.Draft{{Key: "a"}, {Key: "b"}, {Key: "e1", GroupID: &level.ID}, {Key: "e2", GroupID: &level.ID, Position: 1}} {
		tags = append(tags, b.automatic(t, d, fmt.Sprintf(`city = %q`, cities[i%3])).ID)
	}
	tags = append(tags, b.tag(t, "manual", &level.ID).ID)
	for range 20 {
		ids = append(ids, b.customer(t))
	}
	b.idle(t)
	conditions := []string{`city = "上海"`, `city != "上海"`, `city = "北京" OR tags:"b"`, `NOT tags:"b"`}
	errs := together(21, func(w int) error {
		r := rand.New(rand.NewPCG(5, uint64(w)))
		for n := range 15 {
			c, id := ids[r.IntN(len(ids))], tags[r.IntN(len(tags))]
			var err error
			switch op := r.IntN(7); {
			case w == 20 && n%3 == 2:
				_, err = b.svc.UpdateGroup(b.ctx, b.call, level.ID, nil, tag.GroupChange{Exclusive: new(n%2 == 0)})
			case w == 20:
				at := r.IntN(4)
				_, err = b.update(tags[at], nil, tag.Change{Condition: node(t, conditions[r.IntN(2+at/2*2)]), Position: new(r.IntN(3))})
			case op < 3:
				_, err = b.customers.Update(b.ctx, b.call, c, nil, customer.Change{City: patch.Set(cities[r.IntN(3)])})
			case op == 3:
				_, err = b.svc.Put(b.ctx, b.call, c, id, tag.Terms{})
			case op == 4:
				err = b.svc.Remove(b.ctx, b.call, c, id, "")
			case op == 5:
				err = b.svc.Lift(b.ctx, b.call, c, id)
			default:
				_, err = b.many(id, ids[r.IntN(len(ids)):], r.IntN(2) == 0)
			}
			if err != nil && fault.Of(err) == nil {
				return err
			}
		}
		return nil
	})
	require.Equal(t, 21, successes(errs), "%v", errs)
	_, err := b.svc.UpdateGroup(b.ctx, b.call, level.ID, nil, tag.GroupChange{Exclusive: new(true)})
	exclusive := err == nil
	b.idle(t)
	before := b.count(t, `SELECT count(*) FROM customer_tag_log WHERE tenant_id = $1`)
	require.NoError(t, b.db.InTx(b.ctx, func(tx postgres.Tx) error {
		_, err := b.engine.ChangedFields(b.ctx, tx, b.call, rule.Listed)
		if err != nil {
			return err
		}
		for _, id := range tags[:4] {
			if _, err := b.engine.Changed(b.ctx, tx, b.call, "tag", id, false); err != nil {
				return err
			}
		}
		return nil
	}))
	b.idle(t)
	require.Equal(t, before, b.count(t, `SELECT count(*) FROM customer_tag_log WHERE tenant_id = $1`), "evaluating everybody again changes nothing")
	if exclusive {
		require.Zero(t, b.count(t, `SELECT count(*) FROM (SELECT FROM customer_tags ct JOIN tags t ON t.tenant_id = ct.tenant_id AND t.id = ct.tag_id
			WHERE ct.tenant_id = $1 AND t.group_id = $2 GROUP BY ct.customer_id HAVING count(*) > 1) x`, level.ID))
	}
	b.replay(t)
}
