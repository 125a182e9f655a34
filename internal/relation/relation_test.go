package relation_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/relation"
	"github.com/kezi-io/kezi/internal/tenant"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

type bench struct {
	*testing.T
	ctx       context.Context
	db        *postgres.DB
	svc       *relation.Service
	customers *customer.Service
	call      tenant.Call
}

func setup(t *testing.T) *bench {
	db := postgrestest.DB(t)
	call := tenant.Call{Tenant: postgrestest.Tenant(t, db), Actor: "test", ChangeSet: uuid.Must(uuid.NewV7())}
	return &bench{t, postgrestest.Context(t, call.Tenant), db, relation.NewService(db, time.Now), customer.NewService(db, time.Now), call}
}

func (b *bench) made(kind customer.Kind, name string) uuid.UUID {
	c, err := b.customers.Create(b.ctx, b.call, customer.Registration{Kind: kind, Name: name})
	require.NoError(b, err)
	return c.ID
}

func (b *bench) companies(n int) []uuid.UUID {
	ids := make([]uuid.UUID, n)
	for i := range ids {
		ids[i] = b.made(customer.Company, fmt.Sprintf("公司 %02d", i))
	}
	return ids
}

func (b *bench) relate(self uuid.UUID, t relation.Type, other uuid.UUID) (relation.Relation, error) {
	return b.svc.Create(b.ctx, b.call, self, relation.Draft{Type: t, OtherID: other})
}

func (b *bench) list(id uuid.UUID, types ...relation.Type) []relation.Relation {
	p, err := b.svc.List(b.ctx, b.call.Tenant, id, types, page.Request{Limit: 100})
	require.NoError(b, err)
	return p.Items
}

func (b *bench) events(id uuid.UUID) (lines []string) {
	rows, err := b.db.Query(b.ctx, `SELECT type, changed, previous::text FROM events
		WHERE tenant_id = $1 AND customer_id = $2 AND subject_type = 'relation' ORDER BY ord`, b.call.Tenant.ID, id)
	require.NoError(b, err)
	defer rows.Close()
	for rows.Next() {
		var what, previous string
		var changed []string
		require.NoError(b, rows.Scan(&what, &changed, &previous))
		lines = append(lines, fmt.Sprint(what, " ", changed, " ", previous))
	}
	require.NoError(b, rows.Err())
	return lines
}

func TestBothEndsSeeOneRelation(t *testing.T) {
	t.Parallel()
	b := setup(t)
	day, _ := tenant.ParseDay("2020-02-29")
	for _, c := range []struct {
		is, seen   relation.Type
		self, then customer.Kind
	}{
		{relation.Parent, relation.Subsidiary, customer.Company, customer.Company},
		{relation.Subsidiary, relation.Parent, customer.Company, customer.Company},
		{relation.Referrer, relation.Referred, customer.Person, customer.Company},
		{relation.Referred, relation.Referrer, customer.Company, customer.Person},
		{relation.Supplier, relation.Buyer, customer.Company, customer.Person},
		{relation.Buyer, relation.Supplier, customer.Company, customer.Company},
		{relation.Employer, relation.Employee, customer.Person, customer.Company},
		{relation.Employee, relation.Employer, customer.Company, customer.Person},
		{relation.Household, relation.Household, customer.Person, customer.Person},
		{relation.Partner, relation.Partner, customer.Company, customer.Person},
		{relation.Related, relation.Related, customer.Person, customer.Company},
	} {
		ends := []uuid.UUID{b.made(c.self, "甲"), b.made(c.then, "乙")}
		for range 2 { // also from the higher id to the lower one
			self, other := ends[0], ends[1]
			if c.self == c.then {
				ends[0], ends[1] = ends[1], ends[0]
			}
			made, err := b.svc.Create(b.ctx, b.call, self, relation.Draft{Type: c.is, OtherID: other, Note: " 合资 ", Since: &day})
			require.NoError(t, err, c.is)
			require.Equal(t, "合资", made.Note)
			require.Equal(t, c.is, made.Type)
			require.Equal(t, other, made.Other.ID)
			require.Equal(t, c.then, made.Other.Kind)
			require.Equal(t, []relation.Relation{made}, b.list(self))
			require.Empty(t, b.list(self, c.is+"x"))
			seen := b.list(other, c.seen)
			require.Len(t, seen, 1, c.is)
			require.Equal(t, c.seen, seen[0].Type)
			require.Equal(t, self, seen[0].Other.ID)
			require.Equal(t, made.ID, seen[0].ID)
			_, err = b.relate(self, c.is, other)
			require.ErrorIs(t, err, relation.ErrTwice)
			_, err = b.relate(other, c.seen, self)
			require.ErrorIs(t, err, relation.ErrTwice)
			found, err := b.svc.Of(b.ctx, b.call.Tenant, []uuid.UUID{self, other}, 5)
			require.NoError(t, err)
			require.Equal(t, map[uuid.UUID][]relation.Relation{self: {made}, other: seen}, found)
			require.NoError(t, b.svc.Delete(b.ctx, b.call, other, made.ID, patch.Expected{1}))
			require.Empty(t, b.list(self))
		}
	}
}

func TestARelationChangesForBothEnds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, z := b.made(customer.Person, "王芳"), b.made(customer.Person, "李娜")
	made, err := b.relate(z, relation.Referrer, a)
	require.NoError(t, err)
	same, err := b.svc.Update(b.ctx, b.call, a, made.ID, nil, relation.Change{Note: patch.Set(" ")})
	require.NoError(t, err)
	require.Equal(t, int64(1), same.Version)
	day, _ := tenant.ParseDay("2024-01-01")
	now, err := b.svc.Update(b.ctx, b.call, a, made.ID, patch.Expected{1}, relation.Change{Note: patch.Set("老客户介绍"), Since: patch.Set(day)})
	require.NoError(t, err)
	require.Equal(t, int64(2), now.Version)
	read, err := b.svc.Get(b.ctx, b.call.Tenant, z, made.ID)
	require.NoError(t, err)
	require.Equal(t, "老客户介绍", read.Note)
	require.Equal(t, now.UpdatedAt.UTC().Truncate(time.Microsecond), read.UpdatedAt)
	_, err = b.svc.Update(b.ctx, b.call, z, made.ID, patch.Expected{1}, relation.Change{Note: patch.Set("x")})
	require.ErrorIs(t, err, patch.ErrVersion)
	stranger := b.made(customer.Person, "张三")
	_, err = b.svc.Get(b.ctx, b.call.Tenant, stranger, made.ID)
	require.ErrorIs(t, err, relation.ErrNotFound)
	require.ErrorIs(t, b.svc.Delete(b.ctx, b.call, stranger, made.ID, nil), relation.ErrNotFound)
	require.NoError(t, b.svc.Delete(b.ctx, b.call, z, made.ID, nil))
	require.Equal(t, []string{"relation.created [] {}", `relation.updated [note since] {"since": null}`,
		fmt.Sprintf(`relation.deleted [note other_customer_id since type] {"type": "referrer", "since": "2024-01-01", "other_customer_id": %q}`, a)}, b.events(z))
	require.Len(t, b.events(a), 3)
	require.Contains(t, b.events(a)[2], `"type": "referred"`)
}

func TestRelationsThatCanNotBe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	person, company := b.made(customer.Person, "王芳"), b.made(customer.Company, "茶叶公司")
	gone := b.made(customer.Person, "走了")
	require.NoError(t, b.customers.Delete(b.ctx, b.call, gone, nil))
	elsewhere := setup(t).made(customer.Person, "别处")
	for _, c := range []struct {
		self    uuid.UUID
		is      relation.Type
		other   uuid.UUID
		pointer string
		code    string
	}{
		{person, relation.Partner, person, "/other_customer_id", "same_customer"},
		{person, relation.Partner, gone, "/other_customer_id", "customer_not_found"},
		{person, relation.Partner, uuid.New(), "/other_customer_id", "customer_not_found"},
		{person, relation.Partner, elsewhere, "/other_customer_id", "customer_not_found"},
		{person, relation.Parent, company, "/type", "wrong_kind"},
		{company, relation.Subsidiary, person, "/type", "wrong_kind"},
		{person, relation.Household, company, "/type", "wrong_kind"},
		{company, relation.Employer, person, "/type", "wrong_kind"},
		{person, relation.Employee, company, "/type", "wrong_kind"},
	} {
		_, err := b.relate(c.self, c.is, c.other)
		require.ErrorIs(t, err, fault.ErrInvalid, "%v", c)
		require.Equal(t, c.pointer, fault.Of(err).Fields[0].Pointer)
		require.Equal(t, c.code, fault.Of(err).Fields[0].Code)
	}
	_, err := b.relate(gone, relation.Partner, person)
	require.ErrorIs(t, err, customer.ErrNotFound)
	_, err = b.relate(elsewhere, relation.Partner, person)
	require.ErrorIs(t, err, customer.ErrNotFound)
	_, err = b.relate(person, relation.Referrer, company)
	require.NoError(t, err)
	_, err = b.relate(company, relation.Referrer, person)
	require.ErrorIs(t, err, relation.ErrTwice, "one has referred the other")
	_, err = b.relate(person, relation.Supplier, company)
	require.NoError(t, err)
	_, err = b.relate(company, relation.Supplier, person)
	require.NoError(t, err, "two can supply each other")
	require.Len(t, b.list(person), 3)
}

func TestACompanyIsNeverAboveItself(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.companies(5)
	for i := range 4 {
		_, err := b.relate(c[i+1], relation.Parent, c[i])
		require.NoError(t, err)
	}
	for i := range 4 {
		_, err := b.relate(c[i], relation.Parent, c[4])
		if i == 0 {
			require.ErrorIs(t, err, relation.ErrCircle)
			path := []string{c[0].String(), c[4].String(), c[3].String(), c[2].String(), c[1].String(), c[0].String()}
			require.Contains(t, fault.Of(err).Message.En, strings.Join(path, " → "), "the way round is named")
			require.Equal(t, "/other_customer_id", fault.Of(err).Fields[0].Pointer)
			continue
		}
		require.ErrorIs(t, err, relation.ErrParent)
		require.Contains(t, fault.Of(err).Message.En, c[i-1].String())
	}
	_, err := b.relate(c[4], relation.Subsidiary, c[0])
	require.ErrorIs(t, err, relation.ErrCircle)
	_, err = b.relate(c[4], relation.Parent, c[3])
	require.ErrorIs(t, err, relation.ErrTwice)
	require.Empty(t, b.list(c[0], relation.Parent), "a refused write leaves nothing behind")
}

// Circles can be closed by writers that have no customer in common; whatever they do at once, none comes to be.
func TestWritersAtOnceCloseNoCircle(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.companies(8)
	for round := range 6 {
		_, err := b.db.Exec(b.ctx, `DELETE FROM relations WHERE tenant_id = $1`, b.call.Tenant.ID)
		require.NoError(t, err)
		var all sync.WaitGroup
		made := make([]error, len(c))
		for i := range c { // all of them together would be one ring of eight
			all.Go(func() {
				if (i+round)%2 == 0 {
					_, made[i] = b.relate(c[i], relation.Parent, c[(i+1)%len(c)])
				} else {
					_, made[i] = b.relate(c[(i+1)%len(c)], relation.Subsidiary, c[i])
				}
			})
		}
		all.Wait()
		refused := 0
		for _, err := range made {
			if err != nil {
				require.ErrorIs(t, err, relation.ErrCircle)
				refused++
			}
		}
		require.Equal(t, 1, refused, "exactly the last one is refused")
	}
	// Random edges: never a circle, never a second parent.
	_, err := b.db.Exec(b.ctx, `DELETE FROM relations WHERE tenant_id = $1`, b.call.Tenant.ID)
	require.NoError(t, err)
	var all sync.WaitGroup
	for seed := range uint64(4) {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(7, seed))
			for range 15 {
				_, err := b.relate(c[rng.IntN(len(c))], relation.Parent, c[rng.IntN(len(c))])
				if f := fault.Of(err); err != nil && f == nil {
					t.Errorf("a plain refusal was expected: %v", err)
				}
			}
		})
	}
	all.Wait()
	for _, id := range c {
		require.LessOrEqual(t, len(b.list(id, relation.Parent)), 1)
		h, err := b.svc.Hierarchy(b.ctx, b.call.Tenant, id)
		require.NoError(t, err)
		seen := map[uuid.UUID]bool{}
		for _, n := range h.Nodes {
			require.False(t, seen[n.ID], "everybody is in the group once")
			seen[n.ID] = true
		}
		require.Equal(t, id, h.Path[len(h.Path)-1])
	}
}

func TestOneParentWinsAmongManyAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.companies(7)
	var all sync.WaitGroup
	made := make([]error, 6)
	for i := range made {
		all.Go(func() { _, made[i] = b.relate(c[6], relation.Parent, c[i]) })
	}
	all.Wait()
	won := 0
	for _, err := range made {
		if err == nil {
			won++
		} else {
			require.ErrorIs(t, err, relation.ErrParent)
		}
	}
	require.Equal(t, 1, won)
	require.Len(t, b.list(c[6]), 1)
}

func TestAGroupAsATree(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.companies(6) // 0 over 1 and 2, 1 over 3 and 4, 4 over 5
	for child, parent := range map[int]int{1: 0, 2: 0, 3: 1, 4: 1, 5: 4} {
		_, err := b.relate(c[child], relation.Parent, c[parent])
		require.NoError(t, err)
	}
	tree := func(id uuid.UUID) (path, nodes []int) {
		h, err := b.svc.Hierarchy(b.ctx, b.call.Tenant, id)
		require.NoError(t, err)
		require.False(t, h.Truncated)
		at := map[uuid.UUID]int{}
		for i, id := range c {
			at[id] = i
		}
		for _, id := range h.Path {
			path = append(path, at[id])
		}
		for i, n := range h.Nodes {
			nodes = append(nodes, at[n.ID])
			require.Equal(t, i == 0, n.ParentID == nil)
			require.Equal(t, i == 0, n.Depth == 0)
			require.Equal(t, fmt.Sprintf("公司 %02d", at[n.ID]), n.Name)
		}
		return path, nodes
	}
	path, nodes := tree(c[5])
	require.Equal(t, []int{0, 1, 4, 5}, path)
	require.Equal(t, []int{0, 1, 2, 3, 4, 5}, nodes)
	path, _ = tree(c[0])
	require.Equal(t, []int{0}, path)

	// Without a deleted company the group falls apart; undeleted it is whole again.
	require.NoError(t, b.customers.Delete(b.ctx, b.call, c[1], nil))
	path, nodes = tree(c[5])
	require.Equal(t, []int{4, 5}, path)
	require.Equal(t, []int{4, 5}, nodes)
	_, nodes = tree(c[0])
	require.Equal(t, []int{0, 2}, nodes)
	require.Empty(t, b.list(c[3]))
	require.Len(t, b.list(c[0]), 1)
	_, err := b.svc.Hierarchy(b.ctx, b.call.Tenant, c[1])
	require.ErrorIs(t, err, customer.ErrNotFound)
	_, err = b.relate(c[0], relation.Parent, c[5])
	require.ErrorIs(t, err, relation.ErrCircle, "undeleting would close it")
	_, err = b.relate(c[3], relation.Parent, c[2])
	require.NoError(t, err, "a deleted parent gives way to a new one")
	require.Contains(t, strings.Join(b.events(c[3]), "\n"), "relation.deleted")
	_, err = b.customers.Undelete(b.ctx, b.call, c[1])
	require.NoError(t, err)
	_, nodes = tree(c[0])
	require.Equal(t, []int{0, 1, 2, 3, 4, 5}, nodes)
	h, err := b.svc.Hierarchy(b.ctx, b.call.Tenant, c[0])
	require.NoError(t, err)
	require.Equal(t, c[2], *h.Nodes[3].ParentID)
}

func TestGroupsHaveBounds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.companies(relation.MaxLevels + 1)
	for i := range relation.MaxLevels - 1 {
		_, err := b.relate(c[i+1], relation.Parent, c[i])
		require.NoError(t, err)
	}
	last := len(c) - 1
	_, err := b.relate(c[last], relation.Parent, c[last-1])
	require.ErrorIs(t, err, relation.ErrDeep)
	_, err = b.relate(c[0], relation.Parent, c[last])
	require.ErrorIs(t, err, relation.ErrDeep)
	_, err = b.relate(c[0], relation.Parent, c[last-1])
	require.ErrorIs(t, err, relation.ErrCircle)
	h, err := b.svc.Hierarchy(b.ctx, b.call.Tenant, c[last-1])
	require.NoError(t, err)
	require.Len(t, h.Path, relation.MaxLevels)
	require.Len(t, h.Nodes, relation.MaxLevels)

	wide := b.companies(1)[0]
	_, err = b.db.Exec(b.ctx, `WITH c AS (INSERT INTO customers (tenant_id, id, version, kind, name, stage, created_at, updated_at)
			SELECT $1, gen_random_uuid(), 1, 'company', 'x', 'lead', now(), now() FROM generate_series(1, 1200) RETURNING id)
		INSERT INTO relations (tenant_id, customer_id, id, version, other_id, type, inverse, note, created_at, updated_at)
		SELECT $1, id, gen_random_uuid(), 1, $2, 'parent', 'subsidiary', '', now(), now() FROM c`, b.call.Tenant.ID, wide)
	require.NoError(t, err)
	h, err = b.svc.Hierarchy(b.ctx, b.call.Tenant, wide)
	require.NoError(t, err)
	require.Len(t, h.Nodes, relation.MaxNodes)
	require.True(t, h.Truncated)

	// Pages meet though all have the same instant.
	seen := map[uuid.UUID]bool{}
	req := page.Request{Limit: 99}
	for {
		p, err := b.svc.List(b.ctx, b.call.Tenant, wide, []relation.Type{relation.Subsidiary, relation.Partner}, req)
		require.NoError(t, err)
		for _, r := range p.Items {
			require.False(t, seen[r.ID])
			seen[r.ID] = true
		}
		if req.After = p.Next; p.Next == nil {
			break
		}
	}
	require.Len(t, seen, 1200)
}
