package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// Unavailable reports whether err says that the database could not be reached or went away: it restarts, or its
// network does. Trying again later may help. A caller's own deadline or cancellation is not that.
func Unavailable(err error) bool {
	if err == nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return false
	}
	if code := Code(err); code != "" {
		switch code {
		case "57P01", "57P02", "57P03", "53300": // shutting down, crashed, starting, out of connections
			return true
		}
		return strings.HasPrefix(code, "08")
	}
	for _, gone := range []error{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, io.ErrUnexpectedEOF,
		net.ErrClosed, pgconn.ErrConnClosed, sql.ErrConnDone, driver.ErrBadConn} {
		if errors.Is(err, gone) {
			return true
		}
	}
	var connect *pgconn.ConnectError
	var network net.Error // a dial to a socket that is not there, too
	return errors.As(err, &connect) || errors.As(err, &network)
}
