package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/postgres"
)

func TestUnavailable(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"Refused":      &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED},
		"NoSocket":     &net.OpError{Op: "dial", Err: syscall.ENOENT},
		"Reset":        fmt.Errorf("read: %w", syscall.ECONNRESET),
		"Pipe":         fmt.Errorf("write: %w", syscall.EPIPE),
		"Broken":       fmt.Errorf("list: %w", io.ErrUnexpectedEOF),
		"Closed":       fmt.Errorf("begin: %w", pgconn.ErrConnClosed),
		"ShuttingDown": &pgconn.PgError{Code: "57P01"},
		"Crashed":      &pgconn.PgError{Code: "57P02"},
		"Class08":      fmt.Errorf("begin: %w", &pgconn.PgError{Code: "08006"}),
	} {
		require.True(t, postgres.Unavailable(err), name)
	}
	for name, err := range map[string]error{
		"Nothing":  nil,
		"Deadline": fmt.Errorf("list: %w", context.DeadlineExceeded),
		"Unique":   &pgconn.PgError{Code: "23505"},
		"Bug":      errors.New("index out of range"),
		"NoRows":   pgx.ErrNoRows,
	} {
		require.False(t, postgres.Unavailable(err), name)
	}
	for _, dsn := range []string{"postgres://x@127.0.0.1:1/x", "postgres:///x?host=" + filepath.Join(t.TempDir(), "none")} {
		_, err := pgx.Connect(t.Context(), dsn)
		require.Error(t, err)
		require.True(t, postgres.Unavailable(err), "%v", err)
	}
}
