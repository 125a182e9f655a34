package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/gorm"
)

// Tx is an open database transaction. GORM, pgx and the job queue all work on its one connection, so what they
// write commits together or not at all.
type Tx struct {
	pgx   pgx.Tx
	gorm  *gorm.DB
	notes *[]any
}

// Note tells those who act before the commit what the transaction did, see DB.BeforeCommit. A savepoint that is undone
// takes its notes with it, as it takes its locks.
func (tx Tx) Note(note any) { *tx.notes = append(*tx.notes, note) }

// Session starts a GORM query in the transaction.
func (tx Tx) Session(ctx context.Context) *gorm.DB {
	return tx.gorm.Session(&gorm.Session{NewDB: true, Context: ctx, SkipDefaultTransaction: true})
}

// Exec runs a statement in the transaction.
func (tx Tx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return tx.pgx.Exec(ctx, sql, args...)
}

// Query runs a query in the transaction.
func (tx Tx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return tx.pgx.Query(ctx, sql, args...)
}

// QueryRow runs a query for one row in the transaction.
func (tx Tx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return tx.pgx.QueryRow(ctx, sql, args...)
}

// CopyFrom loads rows into a temporary table. Tables under row-level security refuse COPY, so rows for those go
// through a temporary table and INSERT ... SELECT.
func (tx Tx) CopyFrom(ctx context.Context, table string, columns []string, rows pgx.CopyFromSource) (int64, error) {
	return tx.pgx.CopyFrom(ctx, pgx.Identifier{table}, columns, rows)
}

// Pgx is the pgx transaction itself, for the job queue.
func (tx Tx) Pgx() pgx.Tx { return tx.pgx }

// InTx runs fn in a transaction: committed when fn returns nil, rolled back otherwise and on panic. Inside a
// request transaction it is a savepoint of that one. A deadlock or serialization failure runs fn again, at most
// three times, so fn must not keep what a failed attempt computed.
func (db *DB) InTx(ctx context.Context, fn func(tx Tx) error) error {
	if outer, ok := requestTx(ctx); ok {
		return outer.Savepoint(ctx, fn)
	}
	var err error
	for range 3 {
		err = db.once(ctx, fn)
		if code := Code(err); code != "40P01" && code != "40001" {
			return err
		}
	}
	return err
}

// Savepoint runs fn so that its failure undoes only its own statements.
func (tx Tx) Savepoint(ctx context.Context, fn func(tx Tx) error) error {
	inner, err := tx.pgx.Begin(ctx)
	if err != nil {
		return fmt.Errorf("set a savepoint: %w", err)
	}
	defer inner.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // after Commit it does nothing
	noted := len(*tx.notes)
	if err := fn(Tx{pgx: inner, gorm: tx.gorm, notes: tx.notes}); err != nil {
		*tx.notes = (*tx.notes)[:noted]
		return err
	}
	return inner.Commit(ctx)
}

func (db *DB) once(ctx context.Context, fn func(tx Tx) error) (err error) {
	conn, err := db.sql.Conn(ctx)
	if err != nil {
		return fmt.Errorf("take a connection: %w", err)
	}
	defer conn.Close() //nolint:errcheck // gives it back to the pool
	var pc *pgx.Conn
	if err := conn.Raw(func(dc any) error { pc = dc.(*stdlib.Conn).Conn(); return nil }); err != nil {
		return fmt.Errorf("reach the connection: %w", err)
	}
	ptx, err := pc.Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	// The rollback must go out even when the caller is gone, or the connection goes back to the pool in a transaction.
	defer ptx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // after Commit it does nothing
	g := db.gorm.Session(&gorm.Session{NewDB: true, Context: ctx, SkipDefaultTransaction: true})
	g.Statement.ConnPool = bridge{conn}
	tx := Tx{pgx: ptx, gorm: g, notes: new([]any)}
	if err := fn(tx); err != nil {
		return err
	}
	if err := db.settle(ctx, tx); err != nil {
		return err
	}
	if err := ptx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// Settler acts on what a transaction has noted, in the transaction itself.
type Settler func(ctx context.Context, tx Tx, notes []any) error

// Settling is the same pool for a program of its own, which says by BeforeCommit what belongs into its transactions.
func (db *DB) Settling() *DB {
	own := *db
	own.settlers = nil
	own.inner = poolQuerier{&own}
	return &own
}

// BeforeCommit makes every transaction that leaves notes call settlers, in this order, before it commits: what must be true
// together with what the transaction changed, whoever changed it. What they note themselves starts another round. It
// is for the wiring of a program, before its first transaction.
func (db *DB) BeforeCommit(settlers ...Settler) { db.settlers = append(db.settlers, settlers...) }

// maxRounds is far more than settlers that depend on each other without a circle need.
const maxRounds = 20

func (db *DB) settle(ctx context.Context, tx Tx) error {
	for range maxRounds {
		notes := *tx.notes
		if len(notes) == 0 {
			return nil
		}
		*tx.notes = nil
		for _, s := range db.settlers {
			if err := s(ctx, tx, notes); err != nil {
				return err
			}
		}
	}
	return errors.New("what a transaction changed does not settle: its consequences change each other for ever")
}

// bridge gives GORM the connection of a pgx transaction and hides BeginTx, so that GORM can't start or end one. It does
// not begin what is cancelled already: database/sql would take the connection for a bad one and throw it away while
// the transaction is still being rolled back on it.
type bridge struct{ conn *sql.Conn }

func (b bridge) PrepareContext(ctx context.Context, q string) (*sql.Stmt, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return b.conn.PrepareContext(ctx, q)
}

func (b bridge) ExecContext(ctx context.Context, q string, args ...any) (sql.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return b.conn.ExecContext(ctx, q, args...)
}

func (b bridge) QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return b.conn.QueryContext(ctx, q, args...)
}

func (b bridge) QueryRowContext(ctx context.Context, q string, args ...any) *sql.Row {
	return b.conn.QueryRowContext(ctx, q, args...)
}

var errOutside = errors.New("postgres: the transaction ends where it began, not in GORM")

func (b bridge) Commit() error   { return errOutside }
func (b bridge) Rollback() error { return errOutside }

var (
	_ gorm.ConnPool    = bridge{}
	_ gorm.TxCommitter = bridge{}
)

type requestTxKey struct{}

// In is the open transaction that statements on q are part of, if they are.
func In(ctx context.Context, q Querier) (Tx, bool) {
	if tx, ok := q.(Tx); ok {
		return tx, true
	}
	return requestTx(ctx)
}

func requestTx(ctx context.Context) (Tx, bool) {
	tx, ok := ctx.Value(requestTxKey{}).(Tx)
	return tx, ok
}

// Join is ctx in which every statement on the database, InTx included, is part of tx: services that know nothing of each
// other then write together or not at all.
func Join(ctx context.Context, tx Tx) context.Context {
	return context.WithValue(ctx, requestTxKey{}, tx)
}

// RequestTx runs fn with a context whose every statement on db, InTx included, is part of one transaction. It
// makes a whole request atomic with what the request's answer promises: a stored idempotent answer, or a
// validation that must leave nothing behind. It commits when fn returns true and no error.
func (db *DB) RequestTx(ctx context.Context, fn func(ctx context.Context, tx Tx) (commit bool, err error)) error {
	err := db.once(ctx, func(tx Tx) error {
		commit, err := fn(Join(ctx, tx), tx)
		if err == nil && !commit {
			return errRollback
		}
		return err
	})
	if errors.Is(err, errRollback) {
		return nil
	}
	return err
}

var errRollback = errors.New("roll back")
