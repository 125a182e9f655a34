package event_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/tenant"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// An event whose transaction commits late gets a number above those that a reader has seen, and leaves no gap.
func TestALateCommitIsNumberedLast(t *testing.T) {
	t.Parallel()
	db := postgrestest.Fresh(t)
	of := postgrestest.Tenant(t, db)
	ctx := postgrestest.Context(t, of)
	call := tenant.Call{Tenant: of, Actor: "test", ChangeSet: uuid.Must(uuid.NewV7())}
	sequencer := event.NewSequencer(db, slog.New(slog.DiscardHandler))
	somebody, other := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	record := func(q postgres.Querier, name string) {
		e := event.Event{Type: name, SubjectType: "x", SubjectID: "1", CustomerID: &other}
		if name == "second" {
			e.CustomerID = &somebody
		}
		require.NoError(t, event.Record(ctx, q, call, time.Now(), e))
	}
	read := func() (types []string) {
		require.NoError(t, sequencer.Drain(ctx))
		events, more, err := event.Feed(ctx, db, of.ID, event.Query{Limit: 100})
		require.NoError(t, err)
		require.False(t, more)
		for i, e := range events {
			require.EqualValues(t, i+1, e.Seq)
			types = append(types, e.Type)
		}
		return types
	}
	require.NoError(t, db.InTx(ctx, func(late postgres.Tx) error {
		record(late, "late")
		record(db, "first")
		record(db, "second")
		require.Equal(t, []string{"first", "second"}, read())
		return nil
	}))
	record(db, "third")
	require.Equal(t, []string{"first", "second", "late", "third"}, read())
	require.Equal(t, []string{"first", "second", "late", "third"}, read(), "numbers stay")
	events, more, err := event.Feed(ctx, db, of.ID, event.Query{After: 1, Limit: 2})
	require.NoError(t, err)
	require.True(t, more)
	require.Equal(t, "late", events[1].Type)
	events, more, err = event.Feed(ctx, db, of.ID, event.Query{After: 1, CustomerID: &somebody, Limit: 2})
	require.NoError(t, err)
	require.False(t, more)
	require.Len(t, events, 1)
	require.Equal(t, "second", events[0].Type)
}
