package tier_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/internal/tier"
)

// A membership through its years: up at once, kept, failing, grace made up for, grace run out, and placed by hand meanwhile.
//
// S3-12
func TestMembershipThroughItsYears(t *testing.T) {
	t.Parallel()
	b := working(t)
	b.scheme(t, tier.Draft{Key: "membership", Preset: tier.Membership})
	ada, bob := b.customer(t, 0), b.customer(t, 0)
	b.until(t, "2026-04-01", 9)
	b.buy(t, ada, 3500)
	b.buy(t, bob, 1200)
	require.Equal(t, []string{"gold", "silver"}, []string{b.tierOf(t, ada), b.tierOf(t, bob)})
	placed, err := b.svc.Placed(b.ctx, b.call.Tenant, ada)
	require.NoError(t, err)
	require.Equal(t, "2027-03-31", placed[0].PeriodEndsOn.String())

	descents := func(within int) []string {
		found, err := b.svc.Descents(b.ctx, b.call.Tenant, "membership", within, page.Request{Limit: 10})
		require.NoError(t, err)
		lines := []string{}
		for _, d := range found.Items {
			who := "ada"
			if d.CustomerID == bob {
				who = "bob"
			}
			lines = append(lines, fmt.Sprintf("%s %s>%s %s %t", who, d.From, d.To, d.On, d.Grace))
		}
		return lines
	}
	b.until(t, "2027-03-20", 9)
	b.buy(t, bob, 500)
	require.Empty(t, descents(60), "both have what they need within the rolling year")
	b.until(t, "2027-04-01", 0)
	require.Equal(t, "2028-03-31", func() string {
		placed, err := b.svc.Placed(b.ctx, b.call.Tenant, ada)
		require.NoError(t, err)
		return placed[0].PeriodEndsOn.String()
	}(), "kept for what was bought in the year")
	require.Equal(t, []string{"ada gold>silver 2028-05-01 false", "bob silver>ordinary 2028-05-01 false"}, descents(400),
		"who buys nothing more in the new year comes down after its end and 30 days")
	b.until(t, "2028-04-01", 0)
	require.Equal(t, []string{"gold", "silver"}, []string{b.tierOf(t, ada), b.tierOf(t, bob)}, "in grace")
	require.Equal(t, []string{"ada gold>silver 2028-05-01 true", "bob silver>ordinary 2028-05-01 true"}, descents(30))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM events WHERE tenant_id = $1 AND type = 'customers.classified' AND changed = '{tiers.membership.downgrade_on}'`))
	b.until(t, "2028-04-20", 12)
	b.buy(t, bob, 900)
	require.Equal(t, []string{"ada gold>silver 2028-05-01 true"}, descents(30), "made up for")
	_, err = b.svc.Place(b.ctx, b.call, ada, "membership", tier.ManualDraft{Tier: "platinum", Until: new(on(t, "2028-06-15")), Reason: "股东"})
	require.NoError(t, err)
	require.Equal(t, "platinum", b.tierOf(t, ada))
	b.until(t, "2028-05-01", 0)
	b.until(t, "2028-06-15", 23)
	require.Equal(t, "platinum", b.tierOf(t, ada), "through its last day")
	b.until(t, "2028-06-16", 0)
	require.Equal(t, "silver", b.tierOf(t, ada), "the rules went on underneath")
	require.Equal(t, []string{
		"2026-03-10 placed >ordinary write", "2026-04-01 up ordinary>gold write", "2028-04-01 grace gold>gold new_day 2028-05-01",
		"2028-04-20 up gold>platinum manual", "2028-06-16 down platinum>silver expiry"}, b.lines(t, ada))
	require.Equal(t, []string{"2026-03-10 placed >ordinary write", "2026-04-01 up ordinary>silver write",
		"2028-04-01 grace silver>silver new_day 2028-05-01", "2028-04-20 recovered silver>silver write"}, b.lines(t, bob))
	b.until(t, "2029-05-01", 1)
	b.until(t, "2029-06-01", 1)
	require.Equal(t, []string{"ordinary", "silver"}, []string{b.tierOf(t, ada), b.tierOf(t, bob)}, "what makes up for a year counts in its own as well")
	require.Contains(t, b.lines(t, ada), "2029-06-01 down silver>ordinary grace_end")
	b.verify(t)

	t.Run("HandsAndTheirRefusals", func(t *testing.T) {
		for name, d := range map[string]tier.ManualDraft{"no reason": {Tier: "gold", Reason: " "}, "no tier": {Tier: "x", Reason: "x"},
			"over": {Tier: "gold", Reason: "x", Until: new(on(t, "2029-05-31"))}} {
			_, err := b.svc.Place(b.ctx, b.call, bob, "membership", d)
			require.ErrorIs(t, err, fault.ErrInvalid, name)
		}
		require.ErrorIs(t, b.svc.Lift(b.ctx, b.call, bob, "membership"), tier.ErrNotPlaced)
		p, err := b.svc.Place(b.ctx, b.call, bob, "membership", tier.ManualDraft{Tier: "gold", Reason: "补偿"})
		require.NoError(t, err)
		require.Equal(t, []string{"gold", "silver", "补偿", "tester"}, []string{p.Key, p.Earned, p.Manual.Reason, p.Manual.Actor})
		events := b.count(t, `SELECT count(*) FROM events WHERE tenant_id = $1`)
		_, err = b.svc.Place(b.ctx, b.call, bob, "membership", tier.ManualDraft{Tier: "gold", Reason: "补偿"})
		require.NoError(t, err)
		require.Equal(t, events, b.count(t, `SELECT count(*) FROM events WHERE tenant_id = $1`), "the same again is no event")
		b.buy(t, bob, 20000)
		require.Equal(t, "gold", b.tierOf(t, bob), "hands beat rules")
		require.NoError(t, b.customers.Delete(b.ctx, b.call, bob, nil))
		require.ErrorIs(t, b.svc.Lift(b.ctx, b.call, bob, "membership"), customer.ErrNotFound)
		_, err = b.customers.Undelete(b.ctx, b.call, bob)
		require.NoError(t, err)
		require.Equal(t, "gold", b.tierOf(t, bob))
		require.NoError(t, b.svc.Lift(b.ctx, b.call, bob, "membership"))
		require.Equal(t, "platinum", b.tierOf(t, bob))
	})
	t.Run("PathsLeadThere", func(t *testing.T) { b.paths(t) })
}

// paths asks what a customer lacks, does it, and is there.
func (b bench) paths(t *testing.T) {
	t.Helper()
	id := b.customer(t, 0)
	b.buy(t, id, 450)
	p, err := b.svc.Path(b.ctx, b.call.Tenant, id, "membership", "gold")
	require.NoError(t, err)
	require.False(t, p.Reached)
	require.Equal(t, "ordinary", p.Current)
	require.Equal(t, []tier.Way{{{Text: `sum(transactions.net_amount, "qualification") >= "3000"`, Seen: []string{"450.00"}, Needed: "3000.00", Want: "at_least",
		Difference: "2550.00", Unit: "CNY"}}}, p.Alternatives)
	b.buy(t, id, 2549)
	p, err = b.svc.Path(b.ctx, b.call.Tenant, id, "membership", "gold")
	require.NoError(t, err)
	require.Equal(t, "1.00", p.Alternatives[0][0].Difference)
	b.buy(t, id, 1)
	require.Equal(t, "gold", b.tierOf(t, id))
	p, err = b.svc.Path(b.ctx, b.call.Tenant, id, "membership", "silver")
	require.NoError(t, err)
	require.True(t, p.Reached)
	require.Empty(t, p.Alternatives)
	_, err = b.svc.Path(b.ctx, b.call.Tenant, id, "membership", "x")
	require.ErrorIs(t, err, tier.ErrNoTier)

	_, err = b.db.Exec(b.ctx, `INSERT INTO tags (tenant_id, id, version, key, name, description, created_at, updated_at)
		VALUES ($1, $2, 1, 'vip', 'vip', '', $3, $3)`, b.call.Tenant.ID, uuid.New(), b.now())
	require.NoError(t, err)
	top, err := filter.Parse(`(spend_total > 5000 OR purchase_count >= 9) AND city = "上海" AND NOT stage = "lost" AND (last_purchase_on < today-10d OR tags:"vip")`)
	require.NoError(t, err)
	raw, err := json.Marshal(top)
	require.NoError(t, err)
	b.scheme(t, tier.Draft{Key: "mixed", Terms: tier.Terms{Tiers: []tier.TierDraft{{Key: "top", Name: "top", Condition: raw}, {Key: "rest", Name: "rest"}}}})
	p, err = b.svc.Path(b.ctx, b.call.Tenant, id, "mixed", "top")
	require.NoError(t, err)
	var ways []string
	for _, w := range p.Alternatives {
		line := ""
		for _, s := range w {
			line += fmt.Sprintf("[%s %s %s]", s.Want, s.Needed, s.Difference)
		}
		ways = append(ways, line)
	}
	require.Equal(t, []string{
		"[at_least 5000.01 2000.01][equal 上海 ][at_most 2029-05-21 -11]", "[at_least 9 6][equal 上海 ][at_most 2029-05-21 -11]",
		"[at_least 5000.01 2000.01][equal 上海 ][equal vip ]"}, ways)
}

// Whatever the condition and the values, each way's values make it true, and a condition that holds needs none.
func TestLargeWaysAreRight(t *testing.T) {
	t.Parallel()
	b := working(t)
	rng := rand.New(rand.NewPCG(9, 9))
	id := b.customer(t, 0)
	var condition func(depth int) string
	condition = func(depth int) string {
		if depth == 0 || rng.IntN(4) == 0 {
			op := []string{">=", ">", "<=", "<", "=", "!="}[rng.IntN(6)]
			return fmt.Sprintf("%s %s %d", []string{"spend_total", "purchase_count", "units_total"}[rng.IntN(3)], op, rng.IntN(20))
		}
		x := "(" + condition(depth-1) + []string{" AND ", " OR "}[rng.IntN(2)] + condition(depth-1) + ")"
		if rng.IntN(4) == 0 {
			return "NOT " + x
		}
		return x
	}
	none, reached := 0, 0
	for i := range 60 {
		n, err := filter.Parse(condition(3))
		require.NoError(t, err)
		raw, err := json.Marshal(n)
		require.NoError(t, err)
		d := tier.Draft{Key: fmt.Sprint("s", i), Terms: tier.Terms{Tiers: []tier.TierDraft{{Key: "in", Name: "in", Condition: raw}, {Key: "out", Name: "out"}}}}
		_, err = b.svc.Create(b.ctx, b.call, d)
		if f := fault.Of(err); f != nil && len(f.Fields) > 0 && f.Fields[0].Code == filter.ErrContradiction.Code {
			continue
		}
		require.NoError(t, err)
		set := func(spend, count, units string) {
			money, _ := new(big.Rat).SetString(spend)
			_, err := b.db.Exec(b.ctx, `UPDATE customer_metrics SET spend_total = $3, purchase_count = $4::bigint, units_total = $5::bigint WHERE tenant_id = $1 AND customer_id = $2`,
				b.call.Tenant.ID, id, new(big.Rat).Mul(money, big.NewRat(100, 1)).Num().Int64(), count, units)
			require.NoError(t, err)
		}
		values := []string{fmt.Sprint(rng.IntN(20)), fmt.Sprint(rng.IntN(20)), fmt.Sprint(rng.IntN(20))}
		set(values[0], values[1], values[2])
		p, err := b.svc.Path(b.ctx, b.call.Tenant, id, d.Key, "in")
		require.NoError(t, err)
		switch {
		case p.Reached:
			reached++
		case len(p.Alternatives) == 0:
			none++ // a contradiction, or the search did not see it
		}
		for _, w := range p.Alternatives {
			changed := append([]string{}, values...)
			for _, s := range w {
				at := map[byte]int{'s': 0, 'p': 1, 'u': 2}[s.Text[0]]
				changed[at] = s.Needed
			}
			set(changed[0], changed[1], changed[2])
			q, err := b.svc.Path(b.ctx, b.call.Tenant, id, d.Key, "in")
			require.NoError(t, err)
			require.True(t, q.Reached, "%s: %v to %v by %v", n.Text(), values, changed, w)
		}
	}
	require.Positive(t, reached)
	require.Less(t, none, 12)
	b.idle(t)
}

// verify tells whether judging everybody anew would change anything.
func (b bench) verify(t *testing.T) {
	t.Helper()
	before := b.count(t, `SELECT count(*) FROM tier_history WHERE tenant_id = $1`)
	all, err := b.svc.List(b.ctx, b.call.Tenant)
	require.NoError(t, err)
	for _, s := range all {
		j := b.evaluate(t, s.Key)
		require.Equal(t, map[string]int64{"changed": 0}, map[string]int64{"changed": j.Counts["changed"]}, "scheme %s", s.Key)
	}
	require.Equal(t, before, b.count(t, `SELECT count(*) FROM tier_history WHERE tenant_id = $1`))
}

// What a simulation tells is what activating does; it writes nothing.
func TestSimulationIsWhatActivatingDoes(t *testing.T) {
	t.Parallel()
	b := working(t)
	rng := rand.New(rand.NewPCG(2, 8))
	for range 40 {
		id := b.customer(t, 0)
		if n := rng.IntN(6); n > 0 {
			b.buy(t, id, int64(n*100))
		}
	}
	b.scheme(t, qualified("m", "gold", "400", "silver", "200"))
	draft := qualified("m", "platinum", "500", "gold", "300", "silver", "100")
	draft.Downgrade, draft.GraceDays = new(tier.OneStep), new(5)
	draft.Tiers[1].Condition = spent("450")
	draft.Tiers[2].Condition = spent("200")
	_, err := b.svc.Simulate(b.ctx, b.call.Tenant, "m", tier.Terms{}, page.Request{Limit: 5})
	require.ErrorIs(t, err, tier.ErrNoDraft)
	snapshot := func() string {
		var all string
		require.NoError(t, b.db.QueryRow(b.ctx, `SELECT md5(string_agg(p::text, ',' ORDER BY customer_id)) || (SELECT count(*) FROM events WHERE tenant_id = $1)
			FROM tier_placements p WHERE tenant_id = $1`, b.call.Tenant.ID).Scan(&all))
		return all
	}
	before := snapshot()
	sim, err := b.svc.Simulate(b.ctx, b.call.Tenant, "m", draft.Terms, page.Request{Limit: 5})
	require.NoError(t, err)
	require.Equal(t, before, snapshot())
	require.Equal(t, int64(40), sim.Customers)
	require.Equal(t, sim.Customers, sim.Unchanged+sim.Up+sim.Down+sim.Placed)
	require.Positive(t, sim.Up)
	require.Positive(t, sim.Grace, "who has 400 is no longer gold, but stays for now")
	require.Zero(t, sim.Down)
	movers := map[uuid.UUID]tier.Mover{}
	for p := sim.Movers; ; {
		for _, m := range p.Items {
			movers[m.CustomerID] = m
		}
		if p.Next == nil {
			break
		}
		next, err := b.svc.Simulate(b.ctx, b.call.Tenant, "m", draft.Terms, page.Request{Limit: 5, After: p.Next})
		require.NoError(t, err)
		require.Nil(t, next.Movements)
		p = next.Movers
	}
	require.Len(t, movers, int(sim.Up))

	_, err = b.svc.PutDraft(b.ctx, b.call, "m", nil, draft.Terms)
	require.NoError(t, err)
	stored, err := b.svc.Simulate(b.ctx, b.call.Tenant, "m", tier.Terms{}, page.Request{Limit: 5})
	require.NoError(t, err)
	require.Equal(t, sim.Movements, stored.Movements)
	active, err := b.svc.Activate(b.ctx, b.call, "m", nil)
	require.NoError(t, err)
	require.Equal(t, 2, active.Revision)
	require.Nil(t, active.Draft)
	b.idle(t)
	d, err := b.svc.Distribution(b.ctx, b.call.Tenant, "m")
	require.NoError(t, err)
	want := map[string]int64{}
	for _, m := range sim.Movements {
		want[m.To] += m.Customers
	}
	for i, x := range active.Tiers {
		require.Equal(t, want[x.Key], d.Customers[i], x.Key)
	}
	for id, m := range movers {
		require.Equal(t, m.To, b.tierOf(t, id))
	}
	found, err := b.svc.Revisions(b.ctx, b.call.Tenant, "m")
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Equal(t, active.Definition, found[0].Definition)
	_, err = b.svc.Activate(b.ctx, b.call, "m", nil)
	require.ErrorIs(t, err, tier.ErrNoDraft)
}

// A new scheme that is only a draft can be simulated, and places nobody before it is activated.
func TestADraftPlacesNobody(t *testing.T) {
	t.Parallel()
	b := working(t)
	id := b.customer(t, 0)
	b.buy(t, id, 500)
	_, err := b.svc.Create(b.ctx, b.call, tier.Draft{Key: "d", Inactive: true, Terms: qualified("d", "gold", "400").Terms})
	require.NoError(t, err)
	b.buy(t, id, 1)
	require.Empty(t, b.tierOf(t, id))
	sim, err := b.svc.Simulate(b.ctx, b.call.Tenant, "d", tier.Terms{}, page.Request{Limit: 5})
	require.NoError(t, err)
	require.Equal(t, []tier.Movement{{From: "", To: "gold", Customers: 1}}, sim.Movements)
	_, err = b.svc.Update(b.ctx, b.call, "d", nil, tier.Change{Terms: tier.Terms{GraceDays: new(3)}})
	require.ErrorIs(t, err, tier.ErrInactive)
	_, err = b.svc.Place(b.ctx, b.call, id, "d", tier.ManualDraft{Tier: "gold", Reason: "x"})
	require.ErrorIs(t, err, tier.ErrInactive)
	_, err = b.svc.Evaluate(b.ctx, b.call, "d")
	require.ErrorIs(t, err, tier.ErrInactive)
	require.ErrorIs(t, b.svc.DropDraft(b.ctx, b.call, "d", nil), tier.ErrInactive)
	active, err := b.svc.Activate(b.ctx, b.call, "d", nil)
	require.NoError(t, err)
	require.Equal(t, 1, active.Revision)
	b.idle(t)
	require.Equal(t, "gold", b.tierOf(t, id))
}

// Twenty who buy while a rule changes again and again leave everybody where judging them anew would.
func TestWritersWhileTheRuleChanges(t *testing.T) {
	t.Parallel()
	b := working(t)
	var ids []uuid.UUID
	for range 8 {
		ids = append(ids, b.customer(t, 0))
	}
	d := qualified("m", "gold", "2000", "silver", "800")
	d.Downgrade = new(tier.Direct)
	b.scheme(t, d)
	var wg sync.WaitGroup
	errs := make(chan error, 200)
	for w := range 20 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(7, uint64(w)))
			for range 5 {
				errs <- b.tryBuy(ids[rng.IntN(len(ids))], int64(1+rng.IntN(300)))
			}
		})
	}
	for i := range 6 {
		_, err := b.svc.Update(b.ctx, b.call, "m", nil, tier.Change{Terms: tier.Terms{Tiers: qualified("m", "gold", fmt.Sprint(1500+100*i), "silver", fmt.Sprint(300+200*i)).Tiers}})
		require.NoError(t, err)
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	b.idle(t)
	b.verify(t)
}

// The day passes at each tenant's own midnight, in the zones where it comes first and last.
func TestTheDayPassesAtTheTenantsMidnight(t *testing.T) {
	t.Parallel()
	b := working(t, func(c *tenant.Creation) { c.TimeZone = "Pacific/Kiritimati" })
	d := tier.Draft{Key: "fresh", Terms: tier.Terms{Tiers: []tier.TierDraft{
		{Key: "new", Name: "new", Condition: json.RawMessage(`{"field": "last_purchase_on", "op": "gte", "value": "today-2d"}`)}, {Key: "old", Name: "old"}}}}
	b.scheme(t, d)
	id := b.customer(t, 0)
	b.until(t, "2026-03-12", 23)
	b.buy(t, id, 1)
	b.until(t, "2026-03-14", 23)
	require.Equal(t, "new", b.tierOf(t, id))
	b.until(t, "2026-03-15", 0)
	require.Equal(t, "old", b.tierOf(t, id))
	require.Equal(t, []string{"2026-03-10 placed >old write", "2026-03-12 up old>new write", "2026-03-15 down new>old new_day"}, b.lines(t, id))
}
