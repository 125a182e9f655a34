package tag_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/bulk"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/tag"
	"github.com/kezi-io/kezi/internal/tier"
)

func TestPut(t *testing.T) {
	t.Parallel()
	t.Run("EveryFieldIsKept", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		g := b.group(t, "value", false)
		vip := b.tag(t, "vip", &g.ID)
		c := b.customer(t)
		until := b.now().Add(time.Hour)
		a, err := b.svc.Put(b.ctx, b.call, c, vip.ID, tag.Terms{Reason: "老客户", ExpiresAt: new(until.Add(time.Nanosecond).In(time.FixedZone("x", 3600)))})
		require.NoError(t, err)
		require.Equal(t, tag.Assignment{TagID: vip.ID, Key: "vip", Name: "vip", Group: "value", Color: "#64748b", Source: tag.Manual,
			Actor: "tester", Reason: "老客户", AssignedAt: b.now(), ExpiresAt: &until}, a)
		found := b.carried(t, c)
		require.Equal(t, []tag.Assignment{a}, found)

		b.pass(time.Minute)
		again, err := b.svc.Put(b.ctx, b.call, c, vip.ID, tag.Terms{Reason: "老客户", ExpiresAt: &until})
		require.NoError(t, err)
		require.Equal(t, a, again, "the same terms change nothing")
		call := b.call
		call.Actor = "other"
		later, err := b.svc.Put(b.ctx, call, c, vip.ID, tag.Terms{})
		require.NoError(t, err)
		a.Actor, a.Reason, a.ExpiresAt = "other", "", nil
		require.Equal(t, a, later, "since when the customer carries it stays")
		found = b.carried(t, c)
		require.Equal(t, []tag.Assignment{a}, found)
		require.Equal(t, []string{"tag_group.created", "tag.created", "customer.tagged", "customer.tagged"}, b.events(t))

		read, err := b.customers.Get(b.ctx, b.call.Tenant, c)
		require.NoError(t, err)
		require.Equal(t, int64(1), read.Version, "tags do not raise the customer's version")
	})
	t.Run("EventsTellWhatWas", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		vip := b.tag(t, "vip", nil)
		c := b.customer(t)
		_, err := b.svc.Put(b.ctx, b.call, c, vip.ID, tag.Terms{Reason: "why"})
		require.NoError(t, err)
		require.NoError(t, b.svc.Remove(b.ctx, b.call, c, vip.ID, ""))
		var previous []string
		var changed [][]string
		rows, err := b.db.Query(b.ctx, `SELECT previous::text, changed FROM events WHERE tenant_id = $1 AND customer_id = $2
			AND customer_version = 1 AND type LIKE 'customer.%tagged' ORDER BY ord`, b.call.Tenant.ID, c)
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var p string
			var names []string
			require.NoError(t, rows.Scan(&p, &names))
			previous, changed = append(previous, p), append(changed, names)
		}
		require.NoError(t, rows.Err())
		require.Equal(t, [][]string{{"tags.vip"}, {"tags.vip"}}, changed)
		require.JSONEq(t, `{"tags.vip": null}`, previous[0])
		require.Contains(t, previous[1], `"reason": "why"`)
	})
	t.Run("RefusalsLeaveNothingBehind", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		vip := b.tag(t, "vip", nil)
		c, gone := b.customer(t), b.customer(t)
		require.NoError(t, b.customers.Delete(b.ctx, b.call, gone, nil))
		before := b.events(t)
		for _, at := range []time.Time{b.now(), b.now().Add(time.Nanosecond), b.now().Add(-time.Hour)} {
			_, err := b.svc.Put(b.ctx, b.call, c, vip.ID, tag.Terms{ExpiresAt: &at})
			require.ErrorIs(t, err, fault.ErrInvalid)
			require.Equal(t, "/expires_at", fault.Of(err).Fields[0].Pointer)
		}
		_, err := b.svc.Put(b.ctx, b.call, gone, vip.ID, tag.Terms{})
		require.ErrorIs(t, err, customer.ErrNotFound)
		_, err = b.svc.Put(b.ctx, b.call, c, uuid.New(), tag.Terms{})
		require.ErrorIs(t, err, tag.ErrNotFound)
		require.ErrorIs(t, b.svc.Remove(b.ctx, b.call, c, vip.ID, ""), tag.ErrNotCarried)
		require.ErrorIs(t, b.svc.Remove(b.ctx, b.call, c, uuid.New(), ""), tag.ErrNotFound)
		require.ErrorIs(t, b.svc.Remove(b.ctx, b.call, gone, vip.ID, ""), customer.ErrNotFound)
		require.Empty(t, b.keys(t, c))
		require.Equal(t, before, b.events(t))
	})
	t.Run("ReplacesInAnExclusiveGroup", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		g := b.group(t, "level", true)
		gold, silver, loose := b.tag(t, "gold", &g.ID), b.tag(t, "silver", &g.ID), b.tag(t, "loose", nil)
		c := b.customer(t)
		b.put(t, c, loose.ID)
		b.put(t, c, gold.ID)
		b.put(t, c, silver.ID)
		require.Equal(t, []string{"silver", "loose"}, b.keys(t, c))
		events := b.events(t)
		require.Equal(t, []string{"customer.untagged", "customer.tagged"}, events[len(events)-2:])
	})
	t.Run("TwentyAtOnceEndWithOneOfAnExclusiveGroup", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		g := b.group(t, "level", true)
		tags := []uuid.UUID{b.tag(t, "a", &g.ID).ID, b.tag(t, "b", &g.ID).ID, b.tag(t, "c", &g.ID).ID}
		c := b.customer(t)
		errs := together(20, func(i int) error {
			if i%5 == 4 {
				_, err := b.putOn(tags[i%3], []uuid.UUID{c}, "")
				return err
			}
			_, err := b.svc.Put(b.ctx, b.call, c, tags[i%3], tag.Terms{})
			return err
		})
		require.Equal(t, 20, successes(errs), "%v", errs)
		require.Len(t, b.keys(t, c), 1)
		require.Equal(t, 1, b.count(t, `SELECT count(*) FROM customer_tags WHERE tenant_id = $1 AND customer_id = $2`, c))
	})
	t.Run("TwentyAtOnceKeepTheGroupsPromise", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		g := b.group(t, "level", true)
		tags := []uuid.UUID{b.tag(t, "a", nil).ID, b.tag(t, "b", nil).ID, b.tag(t, "c", &g.ID).ID}
		c := b.customer(t)
		// Tags move into the exclusive group while they are put on: whoever comes too late is refused or replaced.
		together(20, func(i int) error {
			if i%2 == 0 {
				_, err := b.update(tags[i/2%2], nil, tag.Change{GroupID: patch.Set(g.ID)})
				return err
			}
			_, err := b.svc.Put(b.ctx, b.call, c, tags[i/2%3], tag.Terms{})
			return err
		})
		require.LessOrEqual(t, b.count(t, `SELECT count(*) FROM customer_tags ct JOIN tags t ON t.tenant_id = ct.tenant_id AND t.id = ct.tag_id
			WHERE ct.tenant_id = $1 AND ct.customer_id = $2 AND t.group_id = $3`, c, g.ID), 1)
	})
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	db := postgrestest.Fresh(t)
	b := setupIn(t, db)
	g := b.group(t, "level", true)
	brief, good := b.tag(t, "brief", &g.ID), b.tag(t, "good", nil)
	c := b.customer(t)
	b.put(t, c, good.ID)
	until := b.now().Add(time.Hour)
	_, err := b.svc.Put(b.ctx, b.call, c, brief.ID, tag.Terms{ExpiresAt: &until})
	require.NoError(t, err)
	require.Equal(t, []string{"brief", "good"}, b.keys(t, c))

	b.pass(time.Hour - time.Microsecond)
	require.Equal(t, []string{"brief", "good"}, b.keys(t, c))
	b.pass(time.Microsecond) // the instant itself is no longer in the future
	require.Equal(t, []string{"good"}, b.keys(t, c))
	read, err := b.svc.Get(b.ctx, b.call.Tenant, brief.ID)
	require.NoError(t, err)
	require.Zero(t, read.Customers)
	require.ErrorIs(t, b.svc.Remove(b.ctx, b.call, c, brief.ID, ""), tag.ErrNotCarried)
	_, err = b.svc.UpdateGroup(b.ctx, b.call, g.ID, nil, tag.GroupChange{Exclusive: new(false)})
	require.NoError(t, err)

	// Put on again before housekeeping came by: a new assignment, one by one or in bulk.
	b.put(t, c, brief.ID)
	require.Equal(t, []string{"brief", "good"}, b.keys(t, c))
	until = b.now().Add(time.Hour)
	_, err = b.svc.Put(b.ctx, b.call, c, brief.ID, tag.Terms{ExpiresAt: &until})
	require.NoError(t, err)
	b.pass(2 * time.Hour)
	r, err := b.putOn(brief.ID, []uuid.UUID{c}, "")
	require.NoError(t, err)
	require.Equal(t, 1, r.Changed)

	until = b.now().Add(time.Hour)
	_, err = b.svc.Put(b.ctx, b.call, c, brief.ID, tag.Terms{ExpiresAt: &until})
	require.NoError(t, err)
	rows := func() int { return b.count(t, `SELECT count(*) FROM customer_tags WHERE tenant_id = $1`) }
	require.NoError(t, b.svc.Tidy(b.ctx))
	require.Equal(t, 2, rows())
	b.pass(time.Hour)
	require.NoError(t, b.svc.Tidy(b.ctx))
	require.Equal(t, 1, rows())
	require.NoError(t, b.svc.Tidy(b.ctx))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM events WHERE tenant_id = $1 AND type = 'tags.expired' AND changed = '{tags.brief}'`))
	require.Equal(t, []string{"good"}, b.keys(t, c))
}

func TestDeleteTag(t *testing.T) {
	t.Parallel()
	t.Run("InUse", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		vip := b.tag(t, "vip", nil)
		c, other := b.customer(t), b.customer(t)
		b.put(t, c, vip.ID)
		b.put(t, other, vip.ID)
		require.NoError(t, b.customers.Delete(b.ctx, b.call, other, nil))
		err := b.svc.Delete(b.ctx, b.call, vip.ID, nil, false)
		require.ErrorIs(t, err, tag.ErrInUse)
		require.Contains(t, fault.Of(err).Message.En, "1 customers")
		require.Equal(t, []string{"vip"}, b.keys(t, c))

		call := b.call
		call.ChangeSet = uuid.Must(uuid.NewV7())
		require.NoError(t, b.svc.Delete(b.ctx, call, vip.ID, nil, true))
		require.Empty(t, b.keys(t, c))
		require.Zero(t, b.count(t, `SELECT count(*) FROM customer_tags WHERE tenant_id = $1`))
		require.Equal(t, 2, b.count(t, `SELECT count(*) FROM change_set_items WHERE tenant_id = $1 AND change_set_id = $2`, call.ChangeSet))
		require.ErrorIs(t, b.svc.Delete(b.ctx, b.call, vip.ID, nil, true), tag.ErrNotFound)
		again := b.tag(t, "vip", nil)
		require.Zero(t, again.Customers)
	})
	t.Run("MoreThanATransactionMayChange", func(t *testing.T) {
		t.Parallel()
		b := working(t)
		vip := b.tag(t, "vip", nil)
		const many = bulk.Chunk + 50
		_, err := b.db.Exec(b.ctx, `INSERT INTO customers (tenant_id, id, version, kind, name, stage, created_at, updated_at)
			SELECT $1, gen_random_uuid(), 1, 'person', 'x', 'lead', now(), now() FROM generate_series(1, $2)`, b.call.Tenant.ID, many)
		require.NoError(t, err)
		_, err = b.db.Exec(b.ctx, `INSERT INTO customer_tags SELECT tenant_id, id, $2, 'bulk', 'x', '', NULL, now() FROM customers WHERE tenant_id = $1`,
			b.call.Tenant.ID, vip.ID)
		require.NoError(t, err)
		require.NoError(t, b.svc.Delete(b.ctx, b.call, vip.ID, nil, true))
		require.Zero(t, b.count(t, `SELECT count(*) FROM customer_tags ct JOIN tags t ON t.tenant_id = ct.tenant_id AND t.id = ct.tag_id WHERE ct.tenant_id = $1`),
			"what is left is not seen")
		b.idle(t)
		require.Zero(t, b.count(t, `SELECT count(*) FROM customer_tags WHERE tenant_id = $1`))
		require.Equal(t, many, b.count(t, `SELECT count(*) FROM change_set_items WHERE tenant_id = $1 AND change_set_id = $2`, b.call.ChangeSet))
	})
	t.Run("NamedByATier", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		vip, other := b.tag(t, "vip", nil), b.tag(t, "other", nil)
		b.tag(t, "x", nil)
		_, err := tier.NewService(b.db, b.jobs, b.engine, b.now).Create(b.ctx, b.call, tier.Draft{Key: "member", Terms: tier.Terms{Tiers: []tier.TierDraft{
			{Key: "in", Name: "in", Condition: json.RawMessage(`{"not": {"or": [{"field": "city", "op": "eq", "value": "other"}, {"field": "tags", "op": "in", "values": ["x", "vip"]}]}}`)},
			{Key: "out", Name: "out"}}}})
		require.NoError(t, err)
		err = b.svc.Delete(b.ctx, b.call, vip.ID, nil, true)
		require.ErrorIs(t, err, tag.ErrRead)
		require.Contains(t, fault.Of(err).Message.En, "member")
		require.NoError(t, b.svc.Delete(b.ctx, b.call, other.ID, nil, false))
	})
	t.Run("WhileTwentyPutIt", func(t *testing.T) {
		t.Parallel()
		b := working(t)
		vip := b.tag(t, "vip", nil)
		var ids []uuid.UUID
		for range 20 {
			ids = append(ids, b.customer(t))
		}
		errs := together(21, func(i int) error {
			if i == 20 {
				return b.svc.Delete(b.ctx, b.call, vip.ID, nil, true)
			}
			_, err := b.svc.Put(b.ctx, b.call, ids[i], vip.ID, tag.Terms{})
			return err
		})
		require.NoError(t, errs[20])
		for _, id := range ids {
			require.Empty(t, b.keys(t, id))
		}
		b.idle(t)
		require.Zero(t, b.count(t, `SELECT count(*) FROM customer_tags WHERE tenant_id = $1`), "no assignment outlives its tag")
		for _, err := range errs[:20] {
			if err != nil {
				require.ErrorIs(t, err, tag.ErrNotFound)
			}
		}
	})
}

func TestBulk(t *testing.T) {
	t.Parallel()
	// S4-22
	t.Run("ChangesWhomItMust", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		g := b.group(t, "level", true)
		gold, silver := b.tag(t, "gold", &g.ID), b.tag(t, "silver", &g.ID)
		x, y, z, gone := b.customer(t), b.customer(t), b.customer(t), b.customer(t)
		require.NoError(t, b.customers.Delete(b.ctx, b.call, gone, nil))
		b.put(t, x, silver.ID)
		_, err := b.svc.Put(b.ctx, b.call, y, gold.ID, tag.Terms{Reason: "mine"})
		require.NoError(t, err)
		unknown := uuid.New()
		call := b.call
		call.ChangeSet = uuid.Must(uuid.NewV7())
		b.call = call
		r, err := b.putOn(gold.ID, []uuid.UUID{z, unknown, x, gone, y, x, unknown}, "春节")
		require.NoError(t, err)
		require.Equal(t, bulk.Result{Changed: 2, Unchanged: 1, Missing: []uuid.UUID{unknown, gone}}, r)
		for id, reason := range map[uuid.UUID]string{x: "春节", y: "mine", z: "春节"} {
			found := b.carried(t, id)
			require.Len(t, found, 1)
			require.Equal(t, "gold", found[0].Key)
			require.Equal(t, reason, found[0].Reason)
		}
		items := func(set uuid.UUID) int {
			return b.count(t, `SELECT count(*) FROM change_set_items WHERE tenant_id = $1 AND change_set_id = $2`, set)
		}
		require.Equal(t, 2, items(call.ChangeSet))
		require.Equal(t, 1, b.count(t, `SELECT count(*) FROM events WHERE tenant_id = $1 AND change_set = $2 AND type = 'customers.tagged'
			AND changed = '{tags.gold,tags.silver}'`, call.ChangeSet))
		p, err := b.svc.Tags(b.ctx, b.call.Tenant, tag.Query{Page: page.Request{Limit: 10}})
		require.NoError(t, err)
		require.Equal(t, []int64{3, 0}, []int64{p.Items[0].Customers, p.Items[1].Customers})

		call.ChangeSet = uuid.Must(uuid.NewV7())
		b.call = call
		r, err = b.putOn(gold.ID, []uuid.UUID{x, y}, "")
		require.NoError(t, err)
		require.Equal(t, bulk.Result{Unchanged: 2, Missing: []uuid.UUID{}}, r)
		require.Zero(t, b.count(t, `SELECT count(*) FROM events WHERE tenant_id = $1 AND change_set = $2`, call.ChangeSet))

		r, err = b.removeFrom(gold.ID, []uuid.UUID{x, unknown})
		require.NoError(t, err)
		require.Equal(t, bulk.Result{Changed: 1, Missing: []uuid.UUID{unknown}}, r)
		r, err = b.removeFrom(silver.ID, []uuid.UUID{x})
		require.NoError(t, err)
		require.Equal(t, bulk.Result{Unchanged: 1, Missing: []uuid.UUID{}}, r)
		require.Equal(t, 1, items(call.ChangeSet))
	})
	t.Run("TooMany", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		_, err := b.putOn(b.tag(t, "vip", nil).ID, make([]uuid.UUID, bulk.MaxIDs+1), "")
		require.ErrorIs(t, err, fault.ErrInvalid)
	})
	t.Run("TwentyAtOnceInAnyOrder", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		vip := b.tag(t, "vip", nil)
		var ids []uuid.UUID
		for range 30 {
			ids = append(ids, b.customer(t))
		}
		changed := make([]int, 20)
		errs := together(20, func(i int) error {
			order := append(append([]uuid.UUID{}, ids[i:]...), ids[:i]...)
			r, err := b.putOn(vip.ID, order, "")
			changed[i] = r.Changed
			return err
		})
		require.Equal(t, 20, successes(errs), "%v", errs)
		total := 0
		for _, n := range changed {
			total += n
		}
		require.Equal(t, 30, total)
	})
}
