package tier_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/rule"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/internal/tier"
	"github.com/kezi-io/kezi/internal/transaction"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// bench is one tenant with a clock of its own, the rule engine at work.
type bench struct {
	ctx          context.Context
	db           *postgres.DB
	svc          *tier.Service
	engine       *rule.Engine
	work         *jobs.Service
	customers    *customer.Service
	transactions *transaction.Service
	call         tenant.Call
	offset       *atomic.Int64
	start        time.Time
}

func setup(t *testing.T) bench { return setupIn(t, postgrestest.DB(t)) }

func setupIn(t *testing.T, db *postgres.DB, edit ...func(*tenant.Creation)) bench {
	t.Helper()
	of := postgrestest.Tenant(t, db, edit...)
	b := bench{ctx: postgrestest.Context(t, of), db: db.Settling(), offset: new(atomic.Int64), start: time.Date(2026, 3, 10, 4, 0, 0, 0, time.UTC),
		call: tenant.Call{Tenant: of, Actor: "tester", RequestID: "r1", ChangeSet: uuid.Must(uuid.NewV7())}}
	var err error
	tenants := tenant.NewService(b.db, b.now)
	b.work, err = jobs.NewService(b.db, tenants, slog.New(slog.DiscardHandler), b.now)
	require.NoError(t, err)
	b.engine = rule.NewEngine(b.db, b.work, tenants, b.now)
	b.svc = tier.NewService(b.db, b.work, b.engine, b.now)
	b.customers, b.transactions = customer.NewService(b.db, b.now), transaction.NewService(b.db, nil, b.now)
	b.db.BeforeCommit(b.engine.Settle)
	return b
}

// working is setup in a database of its own with a worker.
func working(t *testing.T, edit ...func(*tenant.Creation)) bench {
	t.Helper()
	b := setupIn(t, postgrestest.Fresh(t), edit...)
	b.startWork(t)
	return b
}

func (b bench) startWork(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(b.ctx)
	var ended sync.WaitGroup
	ended.Go(func() { _ = b.work.Work(ctx) })
	t.Cleanup(func() { stop(); ended.Wait() })
}

func (b bench) now() time.Time { return b.start.Add(time.Duration(b.offset.Load())) }

func (b bench) pass(d time.Duration) { b.offset.Add(int64(d)) }

// until lets time pass until a local hour of a day, with what is due at midnight.
func (b bench) until(t *testing.T, day string, hour int) {
	t.Helper()
	d, err := tenant.ParseDay(day)
	require.NoError(t, err)
	b.pass(d.Start(b.call.Tenant.Zone).Add(time.Duration(hour) * time.Hour).Sub(b.now()))
	require.NoError(t, b.engine.NextDay(postgres.ForAllTenants(b.ctx)))
	b.idle(t)
}

// idle waits until no job is left.
func (b bench) idle(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM jobs WHERE tenant_id = $1 AND status IN ('queued', 'running')`) == 0
	}, time.Minute, 5*time.Millisecond)
	require.Zero(t, b.count(t, `SELECT count(*) FROM jobs WHERE tenant_id = $1 AND status <> 'succeeded'`))
}

// buy is a purchase of so many yuan now.
func (b bench) buy(t *testing.T, id uuid.UUID, yuan int64) {
	t.Helper()
	require.NoError(t, b.tryBuy(id, yuan))
}

func (b bench) tryBuy(id uuid.UUID, yuan int64) error {
	at := b.now()
	_, err := b.transactions.Create(b.ctx, b.call, transaction.Creation{CustomerID: &id, Moment: transaction.Moment{At: &at},
		Amount: &money.Money{Minor: yuan * 100, Currency: b.call.Tenant.Currency}})
	return err
}

// scheme makes one and waits until everybody is placed.
func (b bench) scheme(t *testing.T, d tier.Draft) tier.Scheme {
	t.Helper()
	made, err := b.svc.Create(b.ctx, b.call, d)
	require.NoError(t, err)
	b.idle(t)
	return made
}

// lines are a customer's history, oldest first.
func (b bench) lines(t *testing.T, id uuid.UUID) []string {
	t.Helper()
	found, err := b.svc.HistoryOf(b.ctx, b.call.Tenant, id, "", page.Request{Limit: 100})
	require.NoError(t, err)
	lines := []string{}
	for _, p := range slices.Backward(found.Items) {
		line := fmt.Sprintf("%s %s %s>%s %s", p.At.In(b.call.Tenant.Zone).Format(time.DateOnly), p.Change, p.From, p.To, p.Cause)
		if p.DowngradeOn != nil {
			line += " " + p.DowngradeOn.String()
		}
		lines = append(lines, line)
	}
	return lines
}

func qualified(key string, steps ...string) tier.Draft {
	d := tier.Draft{Key: key}
	for i := 0; i < len(steps); i += 2 {
		d.Tiers = append(d.Tiers, tier.TierDraft{Key: steps[i], Name: steps[i], Condition: spent(steps[i+1])})
	}
	d.Tiers = append(d.Tiers, tier.TierDraft{Key: "basic", Name: "basic"})
	return d
}

// spent is the condition of so many yuan in the qualification window.
func spent(yuan string) json.RawMessage {
	return json.RawMessage(`{"function": "sum", "of": "transactions.amount", "window": "qualification", "op": "gte", "value": "` + yuan + `"}`)
}

// customer has spent so many yuan.
func (b bench) customer(t *testing.T, spent int64) uuid.UUID {
	t.Helper()
	c, err := b.customers.Create(b.ctx, b.call, customer.Registration{Kind: customer.Person, Name: "Ada"})
	require.NoError(t, err)
	b.spend(t, c.ID, spent)
	return c.ID
}

func (b bench) spend(t *testing.T, id uuid.UUID, spent int64) {
	t.Helper()
	_, err := b.db.Exec(b.ctx, `UPDATE customer_metrics SET spend_total = $3 WHERE tenant_id = $1 AND customer_id = $2`, b.call.Tenant.ID, id, spent*100)
	require.NoError(t, err)
}

// evaluate runs an evaluation to its end.
func (b bench) evaluate(t *testing.T, key string) jobs.Job {
	t.Helper()
	call := b.call
	call.ChangeSet = uuid.Must(uuid.NewV7())
	j, err := b.svc.Evaluate(b.ctx, call, key)
	require.NoError(t, err)
	return b.ended(t, j.ID)
}

func (b bench) ended(t *testing.T, id uuid.UUID) jobs.Job {
	t.Helper()
	var j jobs.Job
	require.Eventually(t, func() bool {
		var err error
		j, err = b.work.Get(b.ctx, b.call.Tenant, id)
		return err == nil && j.Status.Ended()
	}, time.Minute, 20*time.Millisecond)
	return j
}

func (b bench) count(t *testing.T, sql string, args ...any) int {
	t.Helper()
	var n int
	require.NoError(t, b.db.QueryRow(b.ctx, sql, append([]any{b.call.Tenant.ID}, args...)...).Scan(&n))
	return n
}

func (b bench) tierOf(t *testing.T, id uuid.UUID) string {
	t.Helper()
	found, err := b.svc.Placed(b.ctx, b.call.Tenant, id)
	require.NoError(t, err)
	if len(found) == 0 {
		return ""
	}
	require.Len(t, found, 1)
	return found[0].Key
}

// within is spend_total from so much, and below or at most so much.
func within(from, op, to string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"and": [%s, %s]}`, leaf("spend_total", "gte", from), leaf("spend_total", op, to)))
}

func leaf(field, op string, value any) json.RawMessage {
	raw, err := json.Marshal(map[string]any{"field": field, "op": op, "value": value})
	if err != nil {
		panic(err)
	}
	return raw
}

func spending() tier.Draft {
	return tier.Draft{Key: "spending", Name: "消费等级", Terms: tier.Terms{Tiers: []tier.TierDraft{
		{Key: "gold", Name: "金", Condition: leaf("spend_total", "gte", "5000")},
		{Key: "silver", Name: "银", Condition: leaf("spend_total", "gte", "1000")},
		{Key: "basic", Name: "普通"}}}}
}

func TestSchemes(t *testing.T) {
	t.Parallel()
	t.Run("EveryFieldIsKept", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		draft := spending()
		draft.Window, draft.Downgrade, draft.DowngradeAt, draft.GraceDays = &tier.WindowDraft{Window: tier.CalendarYear}, new(tier.OneStep), new(tier.PeriodEnd), new(7)
		draft.Tiers[0].Keep, draft.Tiers[0].Strategy = leaf("spend_total", "gte", "4000"), "回访"
		draft.Tiers[0].Benefits = []tier.Benefit{{Kind: tier.Discount, Name: "九折", Value: new(10.0), Details: "不含特价"}}
		made, err := b.svc.Create(b.ctx, b.call, draft)
		require.NoError(t, err)
		leaf := func(n string) filter.Node {
			return filter.Leaf{Field: "spend_total", Op: filter.Gte, Values: []filter.Value{filter.String(n)}}
		}
		require.Equal(t, tier.Scheme{ID: made.ID, Version: 1, Key: "spending", Name: "消费等级", Revision: 1, CreatedAt: b.now(), UpdatedAt: b.now(),
			Definition: tier.Definition{Window: tier.CalendarYear, Months: 12, Downgrade: tier.OneStep, DowngradeAt: tier.PeriodEnd, GraceDays: 7, Tiers: []tier.Tier{
				{ID: made.Tiers[0].ID, Key: "gold", Name: "金", Condition: leaf("5000"), Keep: leaf("4000"), Strategy: "回访",
					Benefits: []tier.Benefit{{Kind: tier.Discount, Name: "九折", Value: new(10.0), Details: "不含特价"}}},
				{ID: made.Tiers[1].ID, Key: "silver", Name: "银", Condition: leaf("1000"), Benefits: []tier.Benefit{}},
				{ID: made.Tiers[2].ID, Key: "basic", Name: "普通", Benefits: []tier.Benefit{}}}}}, made)
		read, err := b.svc.Get(b.ctx, b.call.Tenant, "spending")
		require.NoError(t, err)
		require.Equal(t, made, read)
		all, err := b.svc.List(b.ctx, b.call.Tenant)
		require.NoError(t, err)
		require.Equal(t, []tier.Scheme{made}, all)

		b.pass(time.Minute)
		tiers := draft.Tiers
		tiers[1] = tier.TierDraft{Key: "bronze", Name: "铜", Condition: json.RawMessage(`{"and": [{"field": "spend_total", "op": "lt", "value": 1.50}, {"not": {"field": "city", "op": "in", "values": ["上海"]}}]}`)}
		changed, err := b.svc.Update(b.ctx, b.call, "spending", patch.Expected{1}, tier.Change{Name: new("新"), Terms: tier.Terms{Tiers: tiers}})
		require.NoError(t, err)
		require.Equal(t, int64(2), changed.Version)
		require.Equal(t, made.Tiers[0], changed.Tiers[0], "a tier keeps its id by key")
		require.NotEqual(t, made.Tiers[1].ID, changed.Tiers[1].ID)
		read, err = b.svc.Get(b.ctx, b.call.Tenant, "spending")
		require.NoError(t, err)
		require.Equal(t, changed, read)
		same, err := b.svc.Update(b.ctx, b.call, "spending", nil, tier.Change{Name: new("新"), Terms: tier.Terms{Tiers: tiers}})
		require.NoError(t, err)
		require.Equal(t, changed, same, "a change without effect keeps the version")
		var previous string
		require.NoError(t, b.db.QueryRow(b.ctx, `SELECT previous::text FROM events WHERE tenant_id = $1 AND type = 'tier_scheme.updated'`, b.call.Tenant.ID).Scan(&previous))
		require.Contains(t, previous, "silver")
	})
	t.Run("RefusalsPointAtThePlace", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		other := spending()
		other.Key = "other"
		_, err := b.svc.Create(b.ctx, b.call, other)
		require.NoError(t, err)
		before := b.count(t, `SELECT count(*) FROM events WHERE tenant_id = $1`)
		edit := func(f func(d *tier.Draft)) tier.Draft { d := spending(); f(&d); return d }
		for name, c := range map[string]struct {
			draft    tier.Draft
			pointers []string
		}{
			"neither":         {tier.Draft{Key: "x"}, []string{"/tiers"}},
			"both":            {edit(func(d *tier.Draft) { d.Preset = tier.Value }), []string{"/preset"}},
			"score":           {edit(func(d *tier.Draft) { d.Score = "clv" }), []string{"/score"}},
			"unknown preset":  {tier.Draft{Key: "x", Preset: "x"}, []string{"/preset"}},
			"one tier":        {edit(func(d *tier.Draft) { d.Tiers = d.Tiers[2:] }), []string{"/tiers"}},
			"repeated key":    {edit(func(d *tier.Draft) { d.Tiers[1].Key = "gold" }), []string{"/tiers/1/key"}},
			"no condition":    {edit(func(d *tier.Draft) { d.Tiers[0].Condition = nil }), []string{"/tiers/0/condition"}},
			"last has one":    {edit(func(d *tier.Draft) { d.Tiers[2].Condition = d.Tiers[1].Condition }), []string{"/tiers/2/condition"}},
			"blank name":      {edit(func(d *tier.Draft) { d.Tiers[2].Name = " " }), []string{"/tiers/2/name"}},
			"not a condition": {edit(func(d *tier.Draft) { d.Tiers[0].Condition = json.RawMessage(`{"x": 1}`) }), []string{"/tiers/0/condition/x", "/tiers/0/condition"}},
			"two at once": {edit(func(d *tier.Draft) {
				d.Tiers[0].Condition, d.Tiers[1].Condition = leaf("nope", "eq", "1"), leaf("spend_total", "gte", "much")
			}), []string{"/tiers/0/condition/field", "/tiers/1/condition/value"}},
			"keep of the last": {edit(func(d *tier.Draft) { d.Tiers[2].Keep = d.Tiers[1].Condition }), []string{"/tiers/2/keep"}},
			"upside down":      {edit(func(d *tier.Draft) { d.Tiers[0], d.Tiers[1] = d.Tiers[1], d.Tiers[0] }), []string{"/tiers/1/condition"}},
			"discount of 200 %": {edit(func(d *tier.Draft) {
				d.Tiers[0].Benefits = []tier.Benefit{{Kind: tier.Discount, Name: "x", Value: new(200.0)}}
			}), []string{"/tiers/0/benefits/0/value"}},
			"a year of 3 days": {edit(func(d *tier.Draft) { d.Window = &tier.WindowDraft{Window: tier.CalendarYear, Days: 3} }), []string{"/qualification"}},
			"ranges that overlap": {edit(func(d *tier.Draft) {
				d.Tiers[0].Condition, d.Tiers[1].Condition = within("1000", "lt", "5000"), within("500", "lt", "3000")
			}), []string{"/tiers/1/condition"}},
			"ranges that share a value": {edit(func(d *tier.Draft) {
				d.Tiers[0].Condition, d.Tiers[1].Condition = leaf("spend_total", "gte", "1000"), within("500", "lte", "1000")
			}), []string{"/tiers/1/condition"}},
			"own tier": {edit(func(d *tier.Draft) { d.Tiers[0].Condition = leaf("tiers.spending", "eq", "gold") }), []string{"/tiers/0/condition"}},
		} {
			_, err := b.svc.Create(b.ctx, b.call, c.draft)
			require.ErrorIs(t, err, fault.ErrInvalid, name)
			var pointers []string
			for _, f := range fault.Of(err).Fields {
				pointers = append(pointers, f.Pointer)
			}
			require.Subset(t, c.pointers, pointers, name)
		}
		require.Equal(t, before, b.count(t, `SELECT count(*) FROM events WHERE tenant_id = $1`))
		for i, touching := range [][2]json.RawMessage{
			{within("1000", "lt", "5000"), within("500", "lt", "1000")},
			{leaf("spend_total", "gte", "1000"), leaf("spend_total", "gte", "500")},
			{leaf("spend_total", "lt", "500"), within("500", "lt", "3000")}, // the best are those who cost the least
			{within("1000", "lt", "5000"), leaf("purchase_count", "gte", "3")},
		} {
			_, err := b.svc.Create(b.ctx, b.call, edit(func(d *tier.Draft) {
				d.Key = fmt.Sprint("touching", i)
				d.Tiers[0].Condition, d.Tiers[1].Condition = touching[0], touching[1]
			}))
			require.NoError(t, err, i)
			require.NoError(t, b.svc.Delete(b.ctx, b.call, fmt.Sprint("touching", i), nil))
		}
		before = b.count(t, `SELECT count(*) FROM events WHERE tenant_id = $1`)
		_, err = b.svc.Create(b.ctx, b.call, other)
		require.ErrorIs(t, err, tier.ErrKeyTaken)
		_, err = b.svc.Create(b.ctx, b.call, tier.Draft{Key: "v", Preset: tier.Value})
		require.ErrorIs(t, err, tier.ErrScoreUnknown)
		_, err = b.svc.Update(b.ctx, b.call, "other", patch.Expected{7}, tier.Change{Name: new("x")})
		require.ErrorIs(t, err, patch.ErrVersion)
		_, err = b.svc.Update(b.ctx, b.call, "other", nil, tier.Change{Name: new(" ")})
		require.ErrorIs(t, err, fault.ErrInvalid)
		_, err = b.svc.Update(b.ctx, b.call, "other", nil, tier.Change{Terms: tier.Terms{Tiers: []tier.TierDraft{}}})
		require.ErrorIs(t, err, fault.ErrInvalid)
		require.ErrorIs(t, b.svc.Delete(b.ctx, b.call, "other", patch.Expected{7}), patch.ErrVersion)
		all, err := b.svc.List(b.ctx, b.call.Tenant)
		require.NoError(t, err)
		require.Len(t, all, 1)
		require.Equal(t, int64(1), all[0].Version)
		require.Equal(t, before, b.count(t, `SELECT count(*) FROM events WHERE tenant_id = $1`))
	})
	t.Run("PresetReadsAScore", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		_, err := b.db.Exec(b.ctx, `INSERT INTO score_models (tenant_id, id, key, version, revision, name, kind, params, created_at, updated_at)
			VALUES ($1, gen_random_uuid(), 'clv', 1, 1, 'clv', 'clv', '{}', now(), now())`, b.call.Tenant.ID)
		require.NoError(t, err)
		made, err := b.svc.Create(b.ctx, b.call, tier.Draft{Key: "value", Preset: tier.Value})
		require.NoError(t, err)
		require.Equal(t, "客户价值", made.Name)
		require.Equal(t, []string{"高价值", "潜力", "普通"}, []string{made.Tiers[0].Name, made.Tiers[1].Name, made.Tiers[2].Name})
		require.Equal(t, "scores.clv.band = 5", made.Tiers[0].Condition.Text())
		require.Equal(t, "scores.clv.band >= 3", made.Tiers[1].Condition.Text())
		read, err := b.svc.Get(b.ctx, b.call.Tenant, "value")
		require.NoError(t, err)
		require.Equal(t, made, read)
	})
	t.Run("NamedByAnotherScheme", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		_, err := b.svc.Create(b.ctx, b.call, spending())
		require.NoError(t, err)
		_, err = b.svc.Create(b.ctx, b.call, tier.Draft{Key: "care", Terms: tier.Terms{Tiers: []tier.TierDraft{
			{Key: "in", Name: "in", Condition: leaf("tiers.spending", "eq", "silver")}, {Key: "out", Name: "out"}}}})
		require.NoError(t, err)
		require.ErrorIs(t, b.svc.Delete(b.ctx, b.call, "spending", nil), tier.ErrInUse)
		tiers := spending().Tiers
		_, err = b.svc.Update(b.ctx, b.call, "spending", nil, tier.Change{Terms: tier.Terms{Tiers: append(tiers[:1:1], tiers[2])}})
		require.ErrorIs(t, err, tier.ErrTierInUse)
		require.NoError(t, b.svc.Delete(b.ctx, b.call, "care", nil))
		_, err = b.svc.Update(b.ctx, b.call, "spending", nil, tier.Change{Terms: tier.Terms{Tiers: append(tiers[:1:1], tiers[2])}})
		require.NoError(t, err)
		require.NoError(t, b.svc.Delete(b.ctx, b.call, "spending", nil))
	})
	t.Run("TwentyAtOnceMakeOne", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		errs := together(20, func(int) error { _, err := b.svc.Create(b.ctx, b.call, spending()); return err })
		require.Equal(t, 1, successes(errs))
		errs = together(20, func(i int) error {
			_, err := b.svc.Update(b.ctx, b.call, "spending", patch.Expected{1}, tier.Change{Name: new(fmt.Sprint(i))})
			return err
		})
		require.Equal(t, 1, successes(errs), "one change per version")
		require.Equal(t, 3, b.count(t, `SELECT count(*) FROM tiers WHERE tenant_id = $1`))
	})
	t.Run("AnotherTenantsAreNotThere", func(t *testing.T) {
		t.Parallel()
		mine, theirs := setup(t), setup(t)
		_, err := mine.svc.Create(mine.ctx, mine.call, spending())
		require.NoError(t, err)
		c := mine.customer(t, 1)
		_, err = theirs.svc.Get(theirs.ctx, theirs.call.Tenant, "spending")
		require.ErrorIs(t, err, tier.ErrNotFound)
		_, err = theirs.svc.Update(theirs.ctx, theirs.call, "spending", nil, tier.Change{Name: new("x")})
		require.ErrorIs(t, err, tier.ErrNotFound)
		_, err = theirs.svc.Evaluate(theirs.ctx, theirs.call, "spending")
		require.ErrorIs(t, err, tier.ErrNotFound)
		_, err = theirs.svc.Distribution(theirs.ctx, theirs.call.Tenant, "spending")
		require.ErrorIs(t, err, tier.ErrNotFound)
		require.ErrorIs(t, theirs.svc.Delete(theirs.ctx, theirs.call, "spending", nil), tier.ErrNotFound)
		_, err = theirs.svc.Placed(theirs.ctx, theirs.call.Tenant, c)
		require.ErrorIs(t, err, customer.ErrNotFound)
		_, err = theirs.svc.Create(theirs.ctx, theirs.call, spending())
		require.NoError(t, err, "keys are the tenant's own")
	})
}

func together(n int, f func(i int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errs
}

func successes(errs []error) (n int) {
	for _, err := range errs {
		if err == nil {
			n++
		}
	}
	return n
}
