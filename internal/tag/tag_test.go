package tag_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/bulk"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/rule"
	"github.com/kezi-io/kezi/internal/tag"
	"github.com/kezi-io/kezi/internal/tenant"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// bench is one tenant with a clock of its own.
type bench struct {
	ctx       context.Context
	db        *postgres.DB
	svc       *tag.Service
	engine    *rule.Engine
	jobs      *jobs.Service
	customers *customer.Service
	call      tenant.Call
	offset    *atomic.Int64
	start     time.Time
}

func setup(t *testing.T) bench { return setupIn(t, postgrestest.DB(t)) }

func setupIn(t *testing.T, db *postgres.DB) bench {
	t.Helper()
	of := postgrestest.Tenant(t, db)
	b := bench{ctx: postgrestest.Context(t, of), offset: new(atomic.Int64), start: time.Now().UTC().Truncate(time.Microsecond),
		call: tenant.Call{Tenant: of, Actor: "tester", RequestID: "r1", ChangeSet: uuid.Must(uuid.NewV7())}}
	b.db = db.Settling()
	tenants := tenant.NewService(b.db, b.now)
	work, err := jobs.NewService(b.db, tenants, slog.New(slog.DiscardHandler), b.now)
	require.NoError(t, err)
	b.jobs, b.engine = work, rule.NewEngine(b.db, work, tenants, b.now)
	b.svc = tag.NewService(b.db, work, b.engine, b.now)
	b.customers = customer.NewService(b.db, b.now)
	b.db.BeforeCommit(b.engine.Settle)
	return b
}

// working is a tenant on a database of its own, whose jobs are done.
func working(t *testing.T) bench {
	t.Helper()
	b := setupIn(t, postgrestest.Fresh(t))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var group sync.WaitGroup
	group.Go(func() {
		if err := b.jobs.Work(ctx); err != nil {
			t.Errorf("the workers: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); group.Wait() })
	return b
}

// idle waits until no job is left, and demands that none has failed.
func (b bench) idle(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		var n int
		err := b.db.QueryRow(b.ctx, `SELECT count(*) FROM jobs WHERE tenant_id = $1 AND status IN ('queued', 'running')`, b.call.Tenant.ID).Scan(&n)
		return err == nil && n == 0
	}, time.Minute, 10*time.Millisecond)
	require.Zero(t, b.count(t, `SELECT count(*) FROM jobs WHERE tenant_id = $1 AND status <> 'succeeded'`))
}

func (b bench) putOn(id uuid.UUID, customers []uuid.UUID, reason string) (bulk.Result, error) {
	r, _, err := b.svc.Bulk(b.ctx, b.call, id, tag.Many{Target: bulk.Target{Customers: customers}, Adding: true, Reason: reason}, false)
	return r, err
}

func (b bench) removeFrom(id uuid.UUID, customers []uuid.UUID) (bulk.Result, error) {
	r, _, err := b.svc.Bulk(b.ctx, b.call, id, tag.Many{Target: bulk.Target{Customers: customers}}, false)
	return r, err
}

func (b bench) update(id uuid.UUID, expected patch.Expected, c tag.Change) (tag.Tag, error) {
	t, _, err := b.svc.Update(b.ctx, b.call, id, expected, c)
	return t, err
}

func (b bench) create(d tag.Draft) (tag.Tag, error) {
	t, _, err := b.svc.Create(b.ctx, b.call, d)
	return t, err
}

func (b bench) carried(t *testing.T, customerID uuid.UUID) []tag.Assignment {
	t.Helper()
	found, _, err := b.svc.Carried(b.ctx, b.call.Tenant, customerID)
	require.NoError(t, err)
	return found
}

func (b bench) now() time.Time { return b.start.Add(time.Duration(b.offset.Load())) }

func (b bench) pass(d time.Duration) { b.offset.Add(int64(d)) }

func (b bench) customer(t *testing.T) uuid.UUID {
	t.Helper()
	c, err := b.customers.Create(b.ctx, b.call, customer.Registration{Kind: customer.Person, Name: "Ada"})
	require.NoError(t, err)
	return c.ID
}

func (b bench) group(t *testing.T, key string, exclusive bool) tag.Group {
	t.Helper()
	g, err := b.svc.CreateGroup(b.ctx, b.call, tag.GroupDraft{Key: key, Name: key, Exclusive: exclusive})
	require.NoError(t, err)
	return g
}

func (b bench) tag(t *testing.T, key string, group *uuid.UUID) tag.Tag {
	t.Helper()
	made, err := b.create(tag.Draft{Key: key, Name: key, GroupID: group})
	require.NoError(t, err)
	return made
}

func (b bench) put(t *testing.T, customerID, tagID uuid.UUID) {
	t.Helper()
	_, err := b.svc.Put(b.ctx, b.call, customerID, tagID, tag.Terms{})
	require.NoError(t, err)
}

// keys are the tags that a customer carries.
func (b bench) keys(t *testing.T, customerID uuid.UUID) []string {
	t.Helper()
	keys := []string{}
	for _, a := range b.carried(t, customerID) {
		keys = append(keys, a.Key)
	}
	return keys
}

// count is one number from a statement whose first placeholder is the tenant.
func (b bench) count(t *testing.T, sql string, args ...any) int {
	t.Helper()
	var n int
	require.NoError(t, b.db.QueryRow(b.ctx, sql, append([]any{b.call.Tenant.ID}, args...)...).Scan(&n))
	return n
}

// events are the types of all events that are not about a customer's own fields, in order.
func (b bench) events(t *testing.T) []string {
	t.Helper()
	rows, err := b.db.Query(b.ctx, `SELECT type FROM events WHERE tenant_id = $1 AND type <> 'customer.created' ORDER BY ord`, b.call.Tenant.ID)
	require.NoError(t, err)
	defer rows.Close()
	types := []string{}
	for rows.Next() {
		var s string
		require.NoError(t, rows.Scan(&s))
		types = append(types, s)
	}
	require.NoError(t, rows.Err())
	return types
}

// together runs f n times at once and answers the errors.
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

func TestGroups(t *testing.T) {
	t.Parallel()
	t.Run("EveryFieldIsKept", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		made, err := b.svc.CreateGroup(b.ctx, b.call, tag.GroupDraft{Key: "value", Name: " 价值 ", Color: "#b45309", Exclusive: true, Position: 7})
		require.NoError(t, err)
		require.Equal(t, tag.Group{ID: made.ID, Version: 1, Key: "value", Name: "价值", Color: "#b45309", Exclusive: true, Position: 7,
			CreatedAt: b.now(), UpdatedAt: b.now()}, made)
		read, err := b.svc.Group(b.ctx, b.call.Tenant, made.ID)
		require.NoError(t, err)
		require.Equal(t, made, read)

		b.pass(time.Minute)
		changed, err := b.svc.UpdateGroup(b.ctx, b.call, made.ID, patch.Expected{1}, tag.GroupChange{Name: new("值"), Color: new("#000000"),
			Exclusive: new(false), Position: new(0)})
		require.NoError(t, err)
		require.Equal(t, tag.Group{ID: made.ID, Version: 2, Key: "value", Name: "值", Color: "#000000", CreatedAt: made.CreatedAt,
			UpdatedAt: b.now()}, changed)
		read, err = b.svc.Group(b.ctx, b.call.Tenant, made.ID)
		require.NoError(t, err)
		require.Equal(t, changed, read)

		same, err := b.svc.UpdateGroup(b.ctx, b.call, made.ID, nil, tag.GroupChange{Name: new("值 ")})
		require.NoError(t, err)
		require.Equal(t, changed, same, "a change without effect keeps the version")
		require.NoError(t, b.svc.DeleteGroup(b.ctx, b.call, made.ID, patch.Expected{2}))
		_, err = b.svc.Group(b.ctx, b.call.Tenant, made.ID)
		require.ErrorIs(t, err, tag.ErrGroupNotFound)
		require.Equal(t, []string{"tag_group.created", "tag_group.updated", "tag_group.deleted"}, b.events(t))
	})
	t.Run("RefusalsLeaveNothingBehind", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		g := b.group(t, "value", false)
		b.tag(t, "vip", &g.ID)
		before := b.events(t)
		_, err := b.svc.CreateGroup(b.ctx, b.call, tag.GroupDraft{Key: "value", Name: "x"})
		require.ErrorIs(t, err, tag.ErrGroupKeyTaken)
		_, err = b.svc.CreateGroup(b.ctx, b.call, tag.GroupDraft{Key: "other", Name: "  "})
		require.ErrorIs(t, err, fault.ErrInvalid)
		_, err = b.svc.UpdateGroup(b.ctx, b.call, g.ID, patch.Expected{9}, tag.GroupChange{Name: new("x")})
		require.ErrorIs(t, err, patch.ErrVersion)
		require.ErrorIs(t, b.svc.DeleteGroup(b.ctx, b.call, g.ID, nil), tag.ErrGroupInUse)
		require.ErrorIs(t, b.svc.DeleteGroup(b.ctx, b.call, g.ID, patch.Expected{9}), patch.ErrVersion)
		all, err := b.svc.Groups(b.ctx, b.call.Tenant)
		require.NoError(t, err)
		require.Equal(t, []tag.Group{g}, all)
		require.Equal(t, before, b.events(t))
	})
	t.Run("ExclusiveOnlyWhileNobodyHasTwo", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		g := b.group(t, "level", false)
		gold, silver, loose := b.tag(t, "gold", &g.ID), b.tag(t, "silver", &g.ID), b.tag(t, "loose", nil)
		c := b.customer(t)
		b.put(t, c, gold.ID)
		b.put(t, c, silver.ID)
		_, err := b.svc.UpdateGroup(b.ctx, b.call, g.ID, nil, tag.GroupChange{Exclusive: new(true)})
		require.ErrorIs(t, err, tag.ErrExclusive)
		require.NoError(t, b.svc.Remove(b.ctx, b.call, c, silver.ID, ""))
		_, err = b.svc.UpdateGroup(b.ctx, b.call, g.ID, nil, tag.GroupChange{Exclusive: new(true)})
		require.NoError(t, err)

		b.put(t, c, loose.ID)
		_, err = b.update(loose.ID, nil, tag.Change{GroupID: patch.Set(g.ID)})
		require.ErrorIs(t, err, tag.ErrExclusive)
		read, err := b.svc.Get(b.ctx, b.call.Tenant, loose.ID)
		require.NoError(t, err)
		require.Nil(t, read.GroupID, "a refused move moves nothing")
		require.Equal(t, int64(1), read.Version)
		require.NoError(t, b.svc.Remove(b.ctx, b.call, c, loose.ID, ""))
		_, err = b.update(loose.ID, nil, tag.Change{GroupID: patch.Set(g.ID)})
		require.NoError(t, err)
	})
	t.Run("OrderedForDisplay", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		for i, key := range []string{"c", "a", "b"} {
			_, err := b.svc.CreateGroup(b.ctx, b.call, tag.GroupDraft{Key: key, Name: key, Position: 2 - i})
			require.NoError(t, err)
		}
		all, err := b.svc.Groups(b.ctx, b.call.Tenant)
		require.NoError(t, err)
		require.Equal(t, []string{"b", "a", "c"}, []string{all[0].Key, all[1].Key, all[2].Key})
	})
}

func TestTags(t *testing.T) {
	t.Parallel()
	t.Run("EveryFieldIsKept", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		g := b.group(t, "value", false)
		made, err := b.create(tag.Draft{GroupID: &g.ID, Key: "大客户-1", Name: "贵宾", Description: "重点维护", Color: "#b45309"})
		require.NoError(t, err)
		require.Equal(t, tag.Tag{ID: made.ID, Version: 1, GroupID: &g.ID, Key: "大客户-1", Name: "贵宾", Description: "重点维护",
			Color: "#b45309", CreatedAt: b.now(), UpdatedAt: b.now()}, made)
		read, err := b.svc.Get(b.ctx, b.call.Tenant, made.ID)
		require.NoError(t, err)
		require.Equal(t, made, read)

		b.pass(time.Minute)
		changed, err := b.update(made.ID, patch.Expected{1}, tag.Change{GroupID: patch.Field[uuid.UUID]{Given: true},
			Name: new("V"), Description: new(""), Color: patch.Field[string]{Given: true}})
		require.NoError(t, err)
		require.Equal(t, tag.Tag{ID: made.ID, Version: 2, Key: "大客户-1", Name: "V", CreatedAt: made.CreatedAt, UpdatedAt: b.now()}, changed)
		read, err = b.svc.Get(b.ctx, b.call.Tenant, made.ID)
		require.NoError(t, err)
		require.Equal(t, changed, read)
		same, err := b.update(made.ID, nil, tag.Change{Name: new("V")})
		require.NoError(t, err)
		require.Equal(t, changed, same)

		var previous map[string]any
		require.NoError(t, b.db.QueryRow(b.ctx, `SELECT previous FROM events WHERE tenant_id = $1 AND type = 'tag.updated'`, b.call.Tenant.ID).Scan(&previous))
		require.Equal(t, map[string]any{"group_id": g.ID.String(), "name": "贵宾", "description": "重点维护", "color": "#b45309"}, previous)
	})
	t.Run("RefusalsLeaveNothingBehind", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		vip := b.tag(t, "vip", nil)
		before := b.events(t)
		_, err := b.create(tag.Draft{Key: "vip", Name: "x"})
		require.ErrorIs(t, err, tag.ErrKeyTaken)
		_, err = b.create(tag.Draft{Key: "x", Name: "x", GroupID: new(uuid.New())})
		require.ErrorIs(t, err, tag.ErrGroupUnknown)
		_, err = b.create(tag.Draft{Key: "x", Name: " "})
		require.ErrorIs(t, err, fault.ErrInvalid)
		_, err = b.update(vip.ID, nil, tag.Change{GroupID: patch.Set(uuid.New())})
		require.ErrorIs(t, err, tag.ErrGroupUnknown)
		_, err = b.update(vip.ID, patch.Expected{2}, tag.Change{Name: new("x")})
		require.ErrorIs(t, err, patch.ErrVersion)
		require.ErrorIs(t, b.svc.Delete(b.ctx, b.call, vip.ID, patch.Expected{2}, true), patch.ErrVersion)
		p, err := b.svc.Tags(b.ctx, b.call.Tenant, tag.Query{Page: page.Request{Limit: 10}})
		require.NoError(t, err)
		require.Equal(t, []tag.Tag{vip}, p.Items)
		require.Equal(t, before, b.events(t))
	})
	t.Run("TwentyAtOnceMakeOne", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		errs := together(20, func(int) error {
			_, err := b.create(tag.Draft{Key: "vip", Name: "vip"})
			return err
		})
		require.Equal(t, 1, successes(errs))
		for _, err := range errs {
			if err != nil {
				require.ErrorIs(t, err, tag.ErrKeyTaken)
			}
		}
	})
	t.Run("PagesMeetWithoutGap", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		one, two := b.group(t, "one", false), b.group(t, "two", false) // the same position
		var want []uuid.UUID
		for _, g := range []*uuid.UUID{&one.ID, &two.ID, nil} {
			for i := range 5 {
				made, err := b.create(tag.Draft{Key: fmt.Sprint(g, i), Name: fmt.Sprint("n", i/3), GroupID: g})
				require.NoError(t, err)
				want = append(want, made.ID)
			}
		}
		for limit := 1; limit <= 16; limit++ {
			var got []uuid.UUID
			req := page.Request{Limit: limit}
			for {
				p, err := b.svc.Tags(b.ctx, b.call.Tenant, tag.Query{Page: req})
				require.NoError(t, err)
				for _, item := range p.Items {
					got = append(got, item.ID)
				}
				if req.After = p.Next; p.Next == nil {
					break
				}
			}
			require.Equal(t, want, got, "limit %d", limit)
		}
		p, err := b.svc.Tags(b.ctx, b.call.Tenant, tag.Query{Group: &two.ID, Page: page.Request{Limit: 10}})
		require.NoError(t, err)
		require.Len(t, p.Items, 5)
		for _, k := range []page.Key{{"1"}, {"x", "y", "0", "z", "u"}, {"1", uuid.NewString(), "0", "n", "u"}, {"1", uuid.NewString(), "x", "n", uuid.NewString()}} {
			_, err = b.svc.Tags(b.ctx, b.call.Tenant, tag.Query{Page: page.Request{Limit: 10, After: k}})
			require.ErrorIs(t, err, page.ErrCursor)
		}
	})
	t.Run("AnotherTenantsAreNotThere", func(t *testing.T) {
		t.Parallel()
		mine, theirs := setup(t), setup(t)
		g := mine.group(t, "value", false)
		vip := mine.tag(t, "vip", &g.ID)
		c := mine.customer(t)
		mine.put(t, c, vip.ID)
		_, err := theirs.svc.Get(theirs.ctx, theirs.call.Tenant, vip.ID)
		require.ErrorIs(t, err, tag.ErrNotFound)
		_, err = theirs.svc.Group(theirs.ctx, theirs.call.Tenant, g.ID)
		require.ErrorIs(t, err, tag.ErrGroupNotFound)
		_, err = theirs.create(tag.Draft{Key: "x", Name: "x", GroupID: &g.ID})
		require.ErrorIs(t, err, tag.ErrGroupUnknown)
		require.ErrorIs(t, theirs.svc.Delete(theirs.ctx, theirs.call, vip.ID, nil, true), tag.ErrNotFound)
		require.ErrorIs(t, theirs.svc.DeleteGroup(theirs.ctx, theirs.call, g.ID, nil), tag.ErrGroupNotFound)
		_, _, err = theirs.svc.Carried(theirs.ctx, theirs.call.Tenant, c)
		require.ErrorIs(t, err, customer.ErrNotFound)
		own := theirs.customer(t)
		_, err = theirs.svc.Put(theirs.ctx, theirs.call, own, vip.ID, tag.Terms{})
		require.ErrorIs(t, err, tag.ErrNotFound)
		_, err = theirs.svc.Put(theirs.ctx, theirs.call, c, theirs.tag(t, "vip", nil).ID, tag.Terms{})
		require.ErrorIs(t, err, customer.ErrNotFound)
		_, err = theirs.putOn(vip.ID, []uuid.UUID{own}, "")
		require.ErrorIs(t, err, tag.ErrNotFound)
		require.Equal(t, []string{"vip"}, mine.keys(t, c))
	})
}
