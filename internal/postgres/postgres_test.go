package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

func TestInTx(t *testing.T) {
	t.Parallel()
	ctx := postgres.ForAllTenants(t.Context())
	insert := func(q postgres.Querier, name string) error {
		return q.Session(ctx).Exec(`INSERT INTO tenants (name, title, currency, time_zone, version, created_at, updated_at)
			VALUES (?, '', 'CNY', 'UTC', 1, ?, ?)`, name, time.Now(), time.Now()).Error
	}
	count := func(t *testing.T, db *postgres.DB, name string) (n int) {
		require.NoError(t, db.QueryRow(ctx, `SELECT count(*) FROM tenants WHERE name = $1`, name).Scan(&n))
		return n
	}
	boom := errors.New("boom")

	t.Run("FailureUndoesGORMAndPgx", func(t *testing.T) {
		t.Parallel()
		db := postgrestest.DB(t)
		err := db.InTx(ctx, func(tx postgres.Tx) error {
			require.NoError(t, insert(tx, "gorm-undone"))
			_, err := tx.Exec(ctx, `UPDATE tenants SET title = 'x' WHERE name = 'gorm-undone'`)
			require.NoError(t, err)
			return boom
		})
		require.ErrorIs(t, err, boom)
		require.Zero(t, count(t, db, "gorm-undone"))
	})
	t.Run("PanicUndoes", func(t *testing.T) {
		t.Parallel()
		db := postgrestest.DB(t)
		require.Panics(t, func() {
			_ = db.InTx(ctx, func(tx postgres.Tx) error {
				require.NoError(t, insert(tx, "panicked"))
				panic(boom)
			})
		})
		require.Zero(t, count(t, db, "panicked"))
	})
	t.Run("SavepointUndoesOnlyItself", func(t *testing.T) {
		t.Parallel()
		db := postgrestest.DB(t)
		require.NoError(t, db.InTx(ctx, func(tx postgres.Tx) error {
			require.NoError(t, insert(tx, "kept"))
			require.ErrorIs(t, tx.Savepoint(ctx, func(tx postgres.Tx) error {
				require.NoError(t, insert(tx, "dropped"))
				return boom
			}), boom)
			return nil
		}))
		require.Equal(t, 1, count(t, db, "kept"))
		require.Zero(t, count(t, db, "dropped"))
	})
}

func TestSettlersSeeWhatWasNotedAndEndUp(t *testing.T) {
	t.Parallel()
	db := postgrestest.DB(t).Settling()
	var rounds [][]any
	db.BeforeCommit(func(_ context.Context, tx postgres.Tx, notes []any) error {
		rounds = append(rounds, notes)
		if notes[0] == "first" {
			tx.Note("second")
		}
		if notes[0] == "for ever" {
			tx.Note("for ever")
		}
		if notes[0] == "refused" {
			return errRefused
		}
		return nil
	})
	note := func(note any) error {
		return db.InTx(t.Context(), func(tx postgres.Tx) error {
			return tx.Savepoint(t.Context(), func(tx postgres.Tx) error {
				tx.Note(note)
				return nil
			})
		})
	}
	require.NoError(t, note("first"))
	require.Equal(t, [][]any{{"first"}, {"second"}}, rounds)
	require.ErrorIs(t, note("refused"), errRefused)
	require.ErrorContains(t, note("for ever"), "does not settle")
	rounds = nil
	require.NoError(t, db.InTx(t.Context(), func(postgres.Tx) error { return nil }))
	require.NoError(t, db.RequestTx(t.Context(), func(ctx context.Context, tx postgres.Tx) (bool, error) {
		inner, ok := postgres.In(ctx, db)
		require.True(t, ok)
		inner.Note("only tried")
		return false, nil
	}))
	require.Empty(t, rounds, "nothing was done, so nothing follows")
}

var errRefused = errors.New("refused")

func TestReadsTogetherShareRoundTrips(t *testing.T) {
	t.Parallel()
	db := postgrestest.DB(t)
	ask := func(into *int, numbers ...int) func(q postgres.Querier) error {
		return func(q postgres.Querier) error {
			for _, n := range numbers {
				var got int
				if err := q.QueryRow(t.Context(), `SELECT $1::int`, n).Scan(&got); err != nil {
					return err
				}
				*into += got
			}
			return nil
		}
	}
	var a, b, c int
	require.NoError(t, db.Together(t.Context(), ask(&a, 1, 2), ask(&b, 3), ask(&c), ask(&c, 4, 5)))
	require.Equal(t, []int{3, 3, 9}, []int{a, b, c})
	failing := func(q postgres.Querier) error {
		var n int
		return q.QueryRow(t.Context(), `SELECT 1 / 0`).Scan(&n)
	}
	require.ErrorContains(t, db.Together(t.Context(), ask(&a, 1, 2), failing, ask(&b, 3)), "division by zero")
	require.ErrorIs(t, db.Together(t.Context(), ask(&a, 1), func(postgres.Querier) error { return errRefused }), errRefused)
	var none int
	require.ErrorIs(t, db.Together(t.Context(), func(q postgres.Querier) error {
		return q.QueryRow(t.Context(), `SELECT 1 WHERE false`).Scan(&none)
	}), pgx.ErrNoRows)
	require.NoError(t, db.Together(t.Context(), ask(&a, 1)), "the connection is fit for use after a failure")
}
