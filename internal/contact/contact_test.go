package contact_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/contact"
	"github.com/kezi-io/kezi/internal/contactpoint"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/seal"
	"github.com/kezi-io/kezi/internal/tenant"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// bench is a tenant with a company and a person.
type bench struct {
	*testing.T
	ctx             context.Context
	db              *postgres.DB
	svc             *contact.Service
	points          *contactpoint.Service
	customers       *customer.Service
	call            tenant.Call
	company, person uuid.UUID
}

func setup(t *testing.T) *bench {
	db := postgrestest.DB(t)
	call := tenant.Call{Tenant: postgrestest.Tenant(t, db), Actor: "test", ChangeSet: uuid.Must(uuid.NewV7())}
	now := func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
	keys, err := seal.LoadOrCreate(filepath.Join(t.TempDir(), "keyset.json"))
	require.NoError(t, err)
	points := contactpoint.NewService(db, keys, now)
	b := &bench{T: t, ctx: postgrestest.Context(t, call.Tenant), db: db, svc: contact.NewService(db, points, now), points: points,
		customers: customer.NewService(db, now), call: call}
	b.company, b.person = b.made(customer.Company, "杭州西湖茶叶有限公司"), b.made(customer.Person, "王芳")
	return b
}

func (b *bench) made(kind customer.Kind, name string) uuid.UUID {
	c, err := b.customers.Create(b.ctx, b.call, customer.Registration{Kind: kind, Name: name})
	require.NoError(b, err)
	return c.ID
}

func (b *bench) add(d contact.Draft) contact.Contact {
	c, err := b.svc.Create(b.ctx, b.call, b.company, d)
	require.NoError(b, err)
	return c
}

func (b *bench) read(id uuid.UUID) contact.Contact {
	c, err := b.svc.Get(b.ctx, b.call.Tenant, b.company, id)
	require.NoError(b, err)
	return c
}

// events are those of one contact, as "type changed previous".
func (b *bench) events(id uuid.UUID) (lines []string) {
	rows, err := b.db.Query(b.ctx, `SELECT type, changed, previous FROM events
		WHERE tenant_id = $1 AND customer_id = $2 AND subject_id = $3 ORDER BY ord`, b.call.Tenant.ID, b.company, id.String())
	require.NoError(b, err)
	defer rows.Close()
	for rows.Next() {
		var what string
		var changed []string
		var previous json.RawMessage
		require.NoError(b, rows.Scan(&what, &changed, &previous))
		lines = append(lines, fmt.Sprint(what, " ", changed, " ", string(previous)))
	}
	require.NoError(b, rows.Err())
	return lines
}

func TestAContactIsKeptWhole(t *testing.T) { // S2-32, S3-07
	t.Parallel()
	b := setup(t)
	made := b.add(contact.Draft{Name: " 周敏 ", Title: "采购总监", Department: "采购部", Gender: "female", DecisionRole: "decision_maker",
		Primary: true, Remark: "周三开会", PersonID: &b.person})
	require.Equal(t, "周敏", made.Name)
	require.Equal(t, made, b.read(made.ID))
	plain, err := b.svc.Create(b.ctx, b.call, b.person, contact.Draft{Name: "王芳的助理"})
	require.NoError(t, err, "people have contacts too")
	require.Equal(t, b.person, plain.CustomerID)

	cleared, err := b.svc.Update(b.ctx, b.call, b.company, made.ID, patch.Expected{1}, contact.Change{Title: patch.Field[string]{Given: true},
		Department: patch.Set("财务部"), Gender: patch.Field[string]{Given: true}, DecisionRole: patch.Field[contact.Role]{Given: true},
		Primary: new(false), Remark: patch.Set("电话 13812345678"), PersonID: patch.Field[uuid.UUID]{Given: true}})
	require.NoError(t, err)
	require.Equal(t, cleared, b.read(made.ID))
	require.Equal(t, contact.Contact{Base: cleared.Base, Name: "周敏", Department: "财务部", Remark: "电话 13812345678"}, cleared)
	same, err := b.svc.Update(b.ctx, b.call, b.company, made.ID, nil, contact.Change{Name: new("周敏"), Department: patch.Set("财务部 ")})
	require.NoError(t, err)
	require.Equal(t, int64(2), same.Version)
	require.NoError(t, b.svc.Delete(b.ctx, b.call, b.company, made.ID, patch.Expected{2}))
	require.Equal(t, []string{"contact.created [] {}",
		fmt.Sprintf(`contact.updated [decision_role department gender person_id primary remark title] {"title": "采购总监", "gender": "female", "primary": true, "person_id": %q, "department": "采购部", "decision_role": "decision_maker"}`, b.person),
		`contact.deleted [department name remark] {"name": "周敏", "department": "财务部"}`}, b.events(made.ID))
}

func TestContactsThatCanNotBe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	nobody, gone, elsewhere := uuid.New(), b.made(customer.Person, "走了"), setup(t).person
	require.NoError(t, b.customers.Delete(b.ctx, b.call, gone, nil))
	for _, c := range []struct {
		who     uuid.UUID
		d       contact.Draft
		pointer string
		code    string
	}{
		{b.company, contact.Draft{Name: "\u200b \u200b"}, "/name", "required"},
		{b.company, contact.Draft{Name: "a", PersonID: &nobody}, "/person_id", "customer_not_found"},
		{b.company, contact.Draft{Name: "a", PersonID: &gone}, "/person_id", "customer_not_found"},
		{b.company, contact.Draft{Name: "a", PersonID: &elsewhere}, "/person_id", "customer_not_found"},
		{b.company, contact.Draft{Name: "a", PersonID: &b.company}, "/person_id", "not_a_person"},
		{b.person, contact.Draft{Name: "a", PersonID: &b.person}, "/person_id", "same_customer"},
	} {
		_, err := b.svc.Create(b.ctx, b.call, c.who, c.d)
		require.ErrorIs(t, err, fault.ErrInvalid)
		require.Equal(t, c.pointer, fault.Of(err).Fields[0].Pointer)
		require.Equal(t, c.code, fault.Of(err).Fields[0].Code)
	}
	first := b.add(contact.Draft{Name: "王芳", PersonID: &b.person})
	_, err := b.svc.Create(b.ctx, b.call, b.company, contact.Draft{Name: "王芳", PersonID: &b.person})
	require.ErrorIs(t, err, contact.ErrTwice)
	second := b.add(contact.Draft{Name: "李娜"})
	_, err = b.svc.Update(b.ctx, b.call, b.company, second.ID, nil, contact.Change{PersonID: patch.Set(b.person)})
	require.ErrorIs(t, err, contact.ErrTwice)

	// Only the moment of linking counts: a contact whose person is gone can still be changed.
	require.NoError(t, b.customers.Delete(b.ctx, b.call, b.person, nil))
	now, err := b.svc.Update(b.ctx, b.call, b.company, first.ID, nil, contact.Change{Title: patch.Set("顾问")})
	require.NoError(t, err)
	require.Equal(t, b.person, *now.PersonID)
}

func TestOnePrimaryContact(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first, second := b.add(contact.Draft{Name: "一", Primary: true}), b.add(contact.Draft{Name: "二"})
	third := b.add(contact.Draft{Name: "三", Primary: true})
	require.Equal(t, int64(2), b.read(first.ID).Version)
	require.False(t, b.read(first.ID).Primary)
	require.Equal(t, []string{"contact.created [] {}", `contact.updated [primary] {"primary": true}`}, b.events(first.ID))
	_, err := b.svc.Update(b.ctx, b.call, b.company, second.ID, nil, contact.Change{Primary: new(true)})
	require.NoError(t, err)
	require.Equal(t, int64(2), b.read(third.ID).Version)
	p, err := b.svc.List(b.ctx, b.call.Tenant, b.company, nil, page.Request{Limit: 10})
	require.NoError(t, err)
	require.Equal(t, []string{"二", "一", "三"}, []string{p.Items[0].Name, p.Items[1].Name, p.Items[2].Name}, "the primary one first, then the oldest")

	// A primary one that is refused takes the place of nobody.
	nobody := uuid.New()
	_, err = b.svc.Create(b.ctx, b.call, b.company, contact.Draft{Name: "四", Primary: true, PersonID: &nobody})
	require.Error(t, err)
	require.True(t, b.read(second.ID).Primary)
}

func TestManyAtOnceMakeOnePrimaryContact(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if _, err := b.svc.Create(b.ctx, b.call, b.company, contact.Draft{Name: fmt.Sprint(i), Primary: true}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	seen, primary := map[uuid.UUID]bool{}, 0
	req := page.Request{Limit: 3}
	for {
		p, err := b.svc.List(b.ctx, b.call.Tenant, b.company, nil, req)
		require.NoError(t, err)
		for _, c := range p.Items {
			require.False(t, seen[c.ID])
			seen[c.ID] = true
			if c.Primary {
				primary++
			}
		}
		if req.After = p.Next; p.Next == nil {
			break
		}
	}
	require.Len(t, seen, 20)
	require.Equal(t, 1, primary)
}

func TestADeletedContactTakesItsPointsAlong(t *testing.T) {
	t.Parallel()
	b := setup(t)
	goes, stays := b.add(contact.Draft{Name: "周敏"}), b.add(contact.Draft{Name: "钱伟"})
	var points []contactpoint.ContactPoint
	for _, d := range []contactpoint.Draft{
		{Kind: contactpoint.Phone, Value: "13812345678", ContactID: &goes.ID},
		{Kind: contactpoint.Email, Value: "zhou@example.com", ContactID: &goes.ID},
		{Kind: contactpoint.Phone, Value: "13812345678", ContactID: &stays.ID},
		{Kind: contactpoint.Phone, Value: "13812345678"},
	} {
		p, err := b.points.Create(b.ctx, b.call, b.company, d)
		require.NoError(t, err)
		points = append(points, p)
	}
	require.ErrorIs(t, b.svc.Delete(b.ctx, b.call, b.company, goes.ID, patch.Expected{9}), patch.ErrVersion)
	require.NoError(t, b.svc.Delete(b.ctx, b.call, b.company, goes.ID, nil))
	p, err := b.points.List(b.ctx, b.call.Tenant, b.company, nil, page.Request{Limit: 10})
	require.NoError(t, err)
	require.Equal(t, points[2:], p.Items)
	told := b.events(points[0].ID)
	require.Len(t, told, 2)
	require.Contains(t, told[1], "contact_point.deleted")
	require.NotContains(t, told[1], "138", "no event shows a number")
}
