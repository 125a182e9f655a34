// Package postgres is the way to the database: one pgx pool that GORM, COPY and the job queue share, transactions
// that span all three, and the migrations.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	pgxuuid "github.com/vgarvardt/pgx-google-uuid/v5"
	gormpostgres "gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// Querier is where a store's statements run: the pool, or an open transaction.
type Querier interface {
	// Session starts a GORM query. Each query starts from a new one: a chained one keeps its conditions.
	Session(ctx context.Context) *gorm.DB
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Config says which database, and how to use it.
type Config struct {
	DSN string
	// MaxConns bounds the pool; 0 takes pgx's default. The job queue's listener takes one for itself.
	MaxConns int32
	// RowSecurity tells the database which tenant each connection works for, as the row-level security
	// policies demand of a role that does not own the tables. It costs a round trip per statement.
	RowSecurity bool
	// Tracer sees every statement; nil sees none.
	Tracer pgx.QueryTracer
}

// DB is the pool. It is a Querier; inside a request transaction (see RequestTx) its statements run there.
type DB struct {
	pool  *pgxpool.Pool
	sql   *sql.DB
	gorm  *gorm.DB
	inner Querier

	settlers []Settler
}

// Open connects and checks that the database is UTF-8 with the C.UTF-8 locale and PostgreSQL 15 or newer.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	pc, err := pgxpool.ParseConfig(cfg.DSN)
	if err != nil {
		return nil, fmt.Errorf("read the database URL: %w", hideDSN(err))
	}
	if cfg.MaxConns > 0 {
		pc.MaxConns = cfg.MaxConns
	}
	pc.ConnConfig.Tracer = cfg.Tracer
	pc.ConnConfig.RuntimeParams["timezone"] = "UTC"
	pc.ConnConfig.RuntimeParams["application_name"] = "kezi"
	// A client that vanished in the middle of a transaction must not hold its locks for ever.
	pc.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = "120000"
	// Without it each id is tried as text, as a Valuer and as bytes before it is encoded: half the time of a write of thousands.
	pc.AfterConnect = func(_ context.Context, c *pgx.Conn) error {
		pgxuuid.Register(c.TypeMap())
		return nil
	}
	if cfg.RowSecurity {
		pc.PrepareConn = tellTenant
	}
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	db, err := wrap(pool)
	if err != nil {
		pool.Close()
		return nil, err
	}
	if err := db.check(ctx); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

func wrap(pool *pgxpool.Pool) (*DB, error) {
	sqlDB := stdlib.OpenDBFromPool(pool)
	g, err := gorm.Open(gormpostgres.New(gormpostgres.Config{Conn: sqlDB}), &gorm.Config{
		SkipDefaultTransaction: true,
		QueryFields:            true,
		TranslateError:         false,
		DisableAutomaticPing:   true,
		Logger:                 logger.Discard, // statements carry personal data; the tracer and our errors tell enough
		NowFunc:                func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) },
	})
	if err != nil {
		return nil, fmt.Errorf("start gorm: %w", err)
	}
	db := &DB{pool: pool, sql: sqlDB, gorm: g}
	db.inner = poolQuerier{db}
	return db, nil
}

// ErrUnfit is returned for a database that kezi cannot keep its promises on.
var ErrUnfit = errors.New("the database does not fit")

func (db *DB) check(ctx context.Context) error {
	var version int
	var encoding, ctype string
	err := db.pool.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, pg_encoding_to_char(encoding),
		coalesce(nullif(to_jsonb(d)->>'datlocale', ''), nullif(to_jsonb(d)->>'daticulocale', ''), datctype)
		FROM pg_database d WHERE datname = current_database()`).Scan(&version, &encoding, &ctype)
	if err != nil {
		return fmt.Errorf("ask the database what it is: %w", err)
	}
	if version < 150000 {
		return fmt.Errorf("%w: PostgreSQL 15 or newer is needed, this is %d", ErrUnfit, version/10000)
	}
	if encoding != "UTF8" || (ctype != "C.UTF-8" && ctype != "C.utf8") {
		return fmt.Errorf("%w: it has encoding %s and locale %s, needed are UTF8 and C.UTF-8: "+
			"CREATE DATABASE kezi ENCODING 'UTF8' LOCALE 'C.UTF-8' TEMPLATE template0", ErrUnfit, encoding, ctype)
	}
	return nil
}

// Close ends all connections.
func (db *DB) Close() {
	db.sql.Close() //nolint:errcheck // it only wraps the pool
	db.pool.Close()
}

// Pool is the pgx pool itself, for the job queue.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// Ping answers whether the database does.
func (db *DB) Ping(ctx context.Context) error { return db.pool.Ping(ctx) }

// Session starts a GORM query.
func (db *DB) Session(ctx context.Context) *gorm.DB { return db.at(ctx).Session(ctx) }

// Replanned has a session's queries planned for the values of each call. Elsewhere a statement's plan is kept after a few
// calls and then serves all values, which saves planning; but what is best for a common value can take a thousand times
// as long for a rare one, and the database does not notice when it took the common one for all.
func Replanned(session *gorm.DB) *gorm.DB {
	session.Statement.ConnPool = replanned{session.Statement.ConnPool}
	return session
}

type replanned struct{ gorm.ConnPool }

func (r replanned) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return r.ConnPool.QueryContext(ctx, query, append([]any{pgx.QueryExecModeCacheDescribe}, args...)...)
}

func (r replanned) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return r.ConnPool.QueryRowContext(ctx, query, append([]any{pgx.QueryExecModeCacheDescribe}, args...)...)
}

// Exec runs a statement.
func (db *DB) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return db.at(ctx).Exec(ctx, sql, args...)
}

// Query runs a query.
func (db *DB) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return db.at(ctx).Query(ctx, sql, args...)
}

// QueryRow runs a query for one row.
func (db *DB) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return db.at(ctx).QueryRow(ctx, sql, args...)
}

// at is the request transaction of ctx where there is one, else the pool.
func (db *DB) at(ctx context.Context) Querier {
	if tx, ok := requestTx(ctx); ok {
		return tx
	}
	return db.inner
}

type poolQuerier struct{ db *DB }

func (p poolQuerier) Session(ctx context.Context) *gorm.DB {
	return p.db.gorm.Session(&gorm.Session{NewDB: true, Context: ctx})
}

func (p poolQuerier) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return p.db.pool.Exec(ctx, sql, args...)
}

func (p poolQuerier) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return p.db.pool.Query(ctx, sql, args...)
}

func (p poolQuerier) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return p.db.pool.QueryRow(ctx, sql, args...)
}

// Violates reports whether err is the database's refusal by the named constraint.
func Violates(err error, constraint string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.ConstraintName == constraint
}

// Code is the SQLSTATE of err, or empty.
func Code(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// IsNone reports whether err says that a row was asked for and there is none.
func IsNone(err error) bool {
	return errors.Is(err, pgx.ErrNoRows) || errors.Is(err, gorm.ErrRecordNotFound)
}

// hideDSN keeps a password in a connection string out of what is logged.
func hideDSN(err error) error {
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) {
		return errors.New("not a PostgreSQL connection string")
	}
	return err
}
