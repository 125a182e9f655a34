package note_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/note"
	"github.com/kezi-io/kezi/internal/owned"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/tenant"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// bench is a tenant with one customer; every call has an instant of its own unless frozen.
type bench struct {
	*testing.T
	db   *postgres.DB
	svc  *note.Service
	call tenant.Call
	who  uuid.UUID
	now  time.Time
	step time.Duration
}

func setup(t *testing.T) *bench {
	db := postgrestest.DB(t)
	b := &bench{T: t, db: db, call: tenant.Call{Tenant: postgrestest.Tenant(t, db), Actor: "陈晓明", ChangeSet: uuid.Must(uuid.NewV7())},
		now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), step: time.Second}
	now := func() time.Time { b.now = b.now.Add(b.step); return b.now }
	b.svc = note.NewService(db, now)
	b.who = b.customer("王芳")
	return b
}

func (b *bench) customer(name string) uuid.UUID {
	c, err := customer.NewService(b.db, time.Now).Create(postgrestest.Context(b, b.call.Tenant), b.call,
		customer.Registration{Kind: customer.Person, Name: name})
	require.NoError(b, err)
	return c.ID
}

func (b *bench) add(d note.Draft) note.Note {
	n, err := b.svc.Create(postgrestest.Context(b, b.call.Tenant), b.call, b.who, d)
	require.NoError(b, err)
	return n
}

// events are those of the notes in the order of their writing, as "type changed previous".
func (b *bench) events() (lines []string) {
	rows, err := b.db.Query(postgrestest.Context(b, b.call.Tenant), `SELECT type, changed, previous FROM events
		WHERE tenant_id = $1 AND subject_type = 'note' ORDER BY ord`, b.call.Tenant.ID)
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

func TestANoteIsKeptAsItWasWritten(t *testing.T) { // S3-31, S3-33, S3-34, S2-34, S0-75
	t.Parallel()
	b := setup(t)
	ctx := postgrestest.Context(t, b.call.Tenant)
	day, err := tenant.ParseDay("2019-05-01")
	require.NoError(t, err)
	for _, kind := range []note.Kind{note.SpecialRequest, note.Solution, note.History, note.Prospect, note.General} {
		made := b.add(note.Draft{Kind: kind, Body: "  不要打电话\r\n只发邮件 ", Pinned: true, OccurredOn: &day})
		require.Equal(t, "不要打电话\n只发邮件", made.Body)
		require.Equal(t, "陈晓明", made.Author)
		read, err := b.svc.Get(ctx, b.call.Tenant, b.who, made.ID)
		require.NoError(t, err)
		require.Equal(t, made, read)
	}
	require.Equal(t, note.General, b.add(note.Draft{Body: "x"}).Kind)
}

func TestAPatchOfANote(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := postgrestest.Context(t, b.call.Tenant)
	day, _ := tenant.ParseDay("2019-05-01")
	made := b.add(note.Draft{Body: "电话 13812345678", Pinned: true, OccurredOn: &day})
	same, err := b.svc.Update(ctx, b.call, b.who, made.ID, nil, note.Change{Body: new("电话 13812345678 "), OccurredOn: patch.Set(day)})
	require.NoError(t, err)
	require.Equal(t, made, same)
	require.Len(t, b.events(), 1, "without effect it keeps the version and writes no event")

	now, err := b.svc.Update(ctx, b.call, b.who, made.ID, patch.Expected{1}, note.Change{Body: new("邮件"), Pinned: new(false),
		OccurredOn: patch.Field[tenant.Day]{Given: true}})
	require.NoError(t, err)
	require.Equal(t, int64(2), now.Version)
	read, err := b.svc.Get(ctx, b.call.Tenant, b.who, made.ID)
	require.NoError(t, err)
	require.Equal(t, now, read)
	require.False(t, read.Pinned)
	require.Nil(t, read.OccurredOn)
	_, err = b.svc.Update(ctx, b.call, b.who, made.ID, patch.Expected{1}, note.Change{Body: new("z")})
	require.ErrorIs(t, err, patch.ErrVersion)
	require.ErrorIs(t, b.svc.Delete(ctx, b.call, b.who, made.ID, patch.Expected{1}), patch.ErrVersion)
	require.NoError(t, b.svc.Delete(ctx, b.call, b.who, made.ID, patch.Expected{2}))
	require.ErrorIs(t, b.svc.Delete(ctx, b.call, b.who, made.ID, nil), note.ErrNotFound)
	require.Equal(t, []string{`note.created [] {}`,
		`note.updated [body occurred_on pinned] {"pinned": true, "occurred_on": "2019-05-01"}`,
		`note.deleted [body kind] {"kind": "general"}`}, b.events(), "no event shows what was written")
}

func TestANoteMustSaySomething(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := postgrestest.Context(t, b.call.Tenant)
	day, _ := tenant.ParseDay("0001-01-01")
	for body, d := range map[string]note.Draft{"/body": {Body: " \n\t　\u200b \u200b"}, "/occurred_on": {Body: "x", OccurredOn: &day}} {
		_, err := b.svc.Create(ctx, b.call, b.who, d)
		require.ErrorIs(t, err, fault.ErrInvalid)
		require.Equal(t, body, fault.Of(err).Fields[0].Pointer)
	}
	require.Empty(t, b.events())
}

// Pinned notes come first, then the newest, and pages meet though all have the same instant.
func TestNotesInTheirOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.step = 0
	ctx := postgrestest.Context(t, b.call.Tenant)
	kinds := []note.Kind{note.General, note.History}
	for i := range 23 {
		b.add(note.Draft{Kind: kinds[i%2], Body: fmt.Sprint(i), Pinned: i%3 == 0})
	}
	for _, only := range [][]note.Kind{nil, {note.History}, {note.General, note.History}} {
		var seen []note.Note
		req := page.Request{Limit: 4}
		for {
			p, err := b.svc.Kinds(ctx, b.call.Tenant, b.who, only, req)
			require.NoError(t, err)
			seen = append(seen, p.Items...)
			if req.After = p.Next; p.Next == nil {
				break
			}
		}
		want := 23
		if len(only) == 1 {
			want = 11
		}
		require.Len(t, seen, want)
		for i := 1; i < len(seen); i++ {
			if seen[i-1].Pinned == seen[i].Pinned {
				require.Positive(t, strings.Compare(seen[i-1].ID.String(), seen[i].ID.String()))
			} else {
				require.True(t, seen[i-1].Pinned)
			}
		}
	}
	_, err := b.svc.List(ctx, b.call.Tenant, b.who, nil, page.Request{Limit: 4, After: page.Key{"x"}})
	require.ErrorIs(t, err, page.ErrCursor)

	first := b.who
	b.who = b.customer("李娜")
	b.add(note.Draft{Body: "hers"})
	found, err := b.svc.Of(ctx, b.call.Tenant, []uuid.UUID{first, b.who, uuid.New()}, 5)
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Len(t, found[first], 5)
	require.True(t, found[first][4].Pinned)
	require.Equal(t, "hers", found[b.who][0].Body)
}

func TestNotesOfCustomersThatAreNotThere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := postgrestest.Context(t, b.call.Tenant)
	made := b.add(note.Draft{Body: "x"})
	other := b.customer("李娜")
	_, err := b.svc.Get(ctx, b.call.Tenant, other, made.ID)
	require.ErrorIs(t, err, note.ErrNotFound, "it is another customer's")
	_, err = b.svc.Update(ctx, b.call, other, made.ID, nil, note.Change{Body: new("y")})
	require.ErrorIs(t, err, note.ErrNotFound)

	// A merged customer's id answers for the survivor.
	_, err = b.db.Exec(ctx, `UPDATE customers SET merged_into = $3, deleted_at = now() WHERE tenant_id = $1 AND id = $2`, b.call.Tenant.ID, other, b.who)
	require.NoError(t, err)
	read, err := b.svc.Get(ctx, b.call.Tenant, other, made.ID)
	require.NoError(t, err)
	require.Equal(t, b.who, read.CustomerID)
	late, err := b.svc.Create(ctx, b.call, other, note.Draft{Body: "late"})
	require.NoError(t, err)
	require.Equal(t, b.who, late.CustomerID)
	p, err := b.svc.List(ctx, b.call.Tenant, other, nil, page.Request{Limit: 10})
	require.NoError(t, err)
	require.Len(t, p.Items, 2)

	require.NoError(t, customer.NewService(b.db, time.Now).Delete(ctx, b.call, b.who, nil))
	for _, id := range []uuid.UUID{b.who, other, uuid.New()} {
		_, err := b.svc.Get(ctx, b.call.Tenant, id, made.ID)
		require.ErrorIs(t, err, customer.ErrNotFound)
		_, err = b.svc.List(ctx, b.call.Tenant, id, nil, page.Request{Limit: 10})
		require.ErrorIs(t, err, customer.ErrNotFound)
		_, err = b.svc.Create(ctx, b.call, id, note.Draft{Body: "x"})
		require.ErrorIs(t, err, customer.ErrNotFound)
		require.ErrorIs(t, b.svc.Delete(ctx, b.call, id, made.ID, nil), customer.ErrNotFound)
	}
}

func TestNoListGrowsWithoutEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := postgrestest.Context(t, b.call.Tenant)
	_, err := b.db.Exec(ctx, `INSERT INTO notes (tenant_id, customer_id, id, version, kind, body, pinned, author, created_at, updated_at)
		SELECT $1, $2, gen_random_uuid(), 1, 'general', 'x', false, 'y', now(), now() FROM generate_series(1, $3)`, b.call.Tenant.ID, b.who, owned.Most-1)
	require.NoError(t, err)
	b.add(note.Draft{Body: "the last one"})
	_, err = b.svc.Create(ctx, b.call, b.who, note.Draft{Body: "x"})
	require.ErrorIs(t, err, owned.ErrFull)
}
