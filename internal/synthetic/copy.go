package synthetic

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/postgres"
)

// lines writes rows in the text format of COPY, which costs a tenth of going through the driver value by value.
type lines struct {
	out   *bufio.Writer
	row   []byte
	first bool
}

var escapes = strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`)

func (l *lines) field() {
	if l.first {
		l.first = false
		return
	}
	l.row = append(l.row, '\t')
}

// text is an empty string as NULL: no column of these tables holds an empty one.
func (l *lines) text(s string) *lines {
	l.field()
	switch {
	case s == "":
		l.row = append(l.row, `\N`...)
	case strings.ContainsAny(s, "\\\t\n\r"):
		l.row = append(l.row, escapes.Replace(s)...)
	default:
		l.row = append(l.row, s...)
	}
	return l
}

func (l *lines) null() *lines { return l.text("") }

func (l *lines) int(n int64) *lines {
	l.field()
	l.row = strconv.AppendInt(l.row, n, 10)
	return l
}

func (l *lines) id(id uuid.UUID) *lines {
	l.field()
	var b [36]byte
	l.row = append(l.row, appendUUID(b[:0], id)...)
	return l
}

func appendUUID(b []byte, id uuid.UUID) []byte {
	text, _ := id.MarshalText() // never fails
	return append(b, text...)
}

func (l *lines) time(at time.Time) *lines {
	l.field()
	l.row = at.AppendFormat(l.row, "2006-01-02 15:04:05.999999Z")
	return l
}

// day is the date of an instant given in UTC.
func (l *lines) day(at time.Time) *lines {
	l.field()
	l.row = at.AppendFormat(l.row, time.DateOnly)
	return l
}

// end finishes a row. A failure shows at the end of the COPY.
func (l *lines) end() {
	l.row = append(l.row, '\n')
	l.out.Write(l.row) //nolint:errcheck // the flush reports it
	l.row, l.first = l.row[:0], true
}

// copyInto fills a table ("name (columns)") with the rows that write writes.
func copyInto(ctx context.Context, tx postgres.Tx, table string, write func(*lines) error) error {
	r, w := io.Pipe()
	go func() {
		l := &lines{out: bufio.NewWriterSize(w, 1<<16), first: true}
		w.CloseWithError(errors.Join(write(l), l.out.Flush())) //nolint:errcheck // always nil
	}()
	_, err := tx.Pgx().Conn().PgConn().CopyFrom(ctx, r, "COPY "+table+" FROM STDIN")
	r.CloseWithError(errors.Join(err, io.ErrClosedPipe)) //nolint:errcheck // always nil; ends a writer that nobody reads any more
	if err != nil {
		return fmt.Errorf("copy into %s: %w", table, err)
	}
	return nil
}
