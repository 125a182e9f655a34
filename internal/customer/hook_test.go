package customer_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/tenant"
)

// guard refuses customers called "refused", gives the others an owner, and remembers what was written.
type guard struct{ written []string }

func (g *guard) Before(_ context.Context, _ postgres.Tx, _ tenant.Call, writes []*customer.Write) error {
	for _, w := range writes {
		var v fault.Validator
		v.Check(w.After.Name != "refused", "/name", "refused", fault.T("no", "不"))
		w.Refuse(&v)
		w.After.Owner = "hook"
	}
	return nil
}

func (g *guard) After(_ context.Context, _ postgres.Tx, _ tenant.Call, writes []*customer.Write) error {
	for _, w := range writes {
		what := string(w.Cause) + " " + w.After.Name
		if w.Before != nil {
			what += " was " + w.Before.Name
		}
		if w.After.DeletedAt != nil {
			what += " deleted"
		}
		g.written = append(g.written, what)
	}
	return nil
}

func TestHooksTakePartInEveryWrite(t *testing.T) {
	t.Parallel()
	db := postgrestest.DB(t)
	of := postgrestest.Tenant(t, db)
	ctx := postgrestest.Context(t, of)
	call := tenant.Call{Tenant: of, Actor: "test", ChangeSet: uuid.Must(uuid.NewV7())}
	var g guard
	at := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	svc := customer.NewService(db, func() time.Time { return at }, &g)

	_, err := svc.Create(ctx, call, customer.Registration{Kind: customer.Person, Name: "refused"})
	require.ErrorIs(t, err, fault.ErrInvalid)
	require.Equal(t, "/name", fault.Of(err).Fields[0].Pointer)
	c, err := svc.Create(ctx, call, customer.Registration{Kind: customer.Person, Name: "a"})
	require.NoError(t, err)
	require.Equal(t, "hook", c.Owner)
	read, err := svc.Get(ctx, of, c.ID)
	require.NoError(t, err)
	require.Equal(t, c, read, "what a hook completes is stored and answered")

	c, err = svc.Update(ctx, call, c.ID, nil, customer.Change{Owner: patch.Set("me")})
	require.NoError(t, err)
	require.EqualValues(t, 1, c.Version, "what counts as a change is found after the hooks")
	refused, b := "refused", "b"
	_, err = svc.Update(ctx, call, c.ID, nil, customer.Change{Name: &refused})
	require.ErrorIs(t, err, fault.ErrInvalid)
	_, err = svc.Update(ctx, call, c.ID, nil, customer.Change{Name: &b})
	require.NoError(t, err)
	require.NoError(t, svc.Delete(ctx, call, c.ID, nil))
	_, err = svc.Undelete(ctx, call, c.ID)
	require.NoError(t, err)

	id := customer.ExternalID{Source: "s", ID: "1"}
	d := "d"
	_, _, err = svc.Put(ctx, call, id, nil, false, customer.Change{Name: &d})
	require.NoError(t, err)
	results, err := svc.Batch(ctx, call, []customer.Item{{ID: id, Change: customer.Change{Name: &b}},
		{ID: customer.ExternalID{Source: "s", ID: "2"}, Change: customer.Change{Name: &refused}}})
	require.NoError(t, err)
	require.NoError(t, results[0].Err)
	require.ErrorIs(t, results[1].Err, fault.ErrInvalid)
	require.Equal(t, []string{"api a", "api b was a", "api b was b deleted", "api b was b", "api d", "batch b was d"}, g.written)
}
