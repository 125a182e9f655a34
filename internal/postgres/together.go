package postgres

import (
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
)

// Together runs reads that know nothing of each other so that their statements share round trips: each runs until it asks
// something, and when all of them wait, everything they ask goes to the database at once. Five reads of two statements
// each cost two round trips. The first error ends it.
//
// A read closes its rows before it asks again, and asks by Query and QueryRow alone.
func (db *DB) Together(ctx context.Context, reads ...func(q Querier) error) error {
	if tx, ok := requestTx(ctx); ok {
		for _, read := range reads {
			if err := read(tx); err != nil {
				return err
			}
		}
		return nil
	}
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("take a connection: %w", err)
	}
	defer conn.Release()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	asked := make(chan question, len(reads))
	ended := make(chan error, len(reads))
	var group sync.WaitGroup
	for _, read := range reads {
		group.Go(func() { ended <- read(shared{db, asked, ctx}) })
	}
	// Whatever happens, no read is left waiting, and none uses the connection after this function has given it back.
	defer group.Wait()
	defer cancel(nil)
	for running := len(reads); running > 0; {
		var round []question
		for waiting := 0; waiting < running; {
			select {
			case q := <-asked:
				round = append(round, q)
				waiting++
			case err := <-ended:
				running--
				if err != nil {
					return err
				}
			}
		}
		if err := answer(ctx, conn.Conn(), round); err != nil {
			return err
		}
	}
	return nil
}

// question is a statement that a read waits for.
type question struct {
	sql    string
	args   []any
	answer chan<- reply
}

type reply struct {
	rows pgx.Rows
	err  error
}

// answer asks all questions in one round trip and hands each its rows in turn.
func answer(ctx context.Context, conn *pgx.Conn, round []question) (err error) {
	if len(round) == 0 {
		return nil
	}
	var b pgx.Batch
	for _, q := range round {
		b.Queue(q.sql, q.args...)
	}
	results := conn.SendBatch(ctx, &b)
	defer func() {
		if closed := results.Close(); err == nil {
			err = closed
		}
	}()
	for _, q := range round {
		rows, err := results.Query()
		done := make(chan struct{})
		q.answer <- reply{&handed{Rows: rows, done: done}, err}
		if err != nil {
			continue // the read tells it
		}
		<-done
	}
	return nil
}

// handed are rows that tell when their reader is through with them.
type handed struct {
	pgx.Rows
	once sync.Once
	done chan struct{}
}

func (h *handed) Close() {
	h.Rows.Close()
	h.once.Do(func() { close(h.done) })
}

func (h *handed) Next() bool {
	more := h.Rows.Next()
	if !more {
		h.Close()
	}
	return more
}

// shared is the Querier of one of the reads.
type shared struct {
	db    *DB
	asked chan<- question
	all   context.Context //nolint:containedctx // ends when any of the reads fails
}

func (s shared) Query(_ context.Context, sql string, args ...any) (pgx.Rows, error) {
	answer := make(chan reply, 1)
	select {
	case s.asked <- question{sql, args, answer}:
	case <-s.all.Done():
		return nil, context.Cause(s.all)
	}
	select {
	case r := <-answer:
		if r.err != nil {
			return nil, r.err
		}
		return r.rows, nil
	case <-s.all.Done():
		return nil, context.Cause(s.all)
	}
}

func (s shared) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, err := s.Query(ctx, sql, args...)
	return oneRow{rows, err}
}

// oneRow is the first of some rows.
type oneRow struct {
	rows pgx.Rows
	err  error
}

func (r oneRow) Scan(into ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := r.rows.Scan(into...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}

func (s shared) Exec(context.Context, string, ...any) (pgconn.CommandTag, error) {
	return pgconn.CommandTag{}, errReadsOnly
}

func (s shared) Session(ctx context.Context) *gorm.DB { return s.db.inner.Session(ctx) }

var errReadsOnly = fmt.Errorf("postgres: only reads run together")
