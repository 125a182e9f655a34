package filter_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// openTestDB is a connection of the test's own; its tables are temporary.
func openTestDB(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := postgrestest.DB(t).Pool().Acquire(t.Context())
	require.NoError(t, err)
	// Hijacked, so that temporary tables don't come back with the connection.
	own := conn.Hijack()
	t.Cleanup(func() { _ = own.Close(context.WithoutCancel(t.Context())) })
	return own
}
