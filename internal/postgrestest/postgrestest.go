// Package postgrestest gives tests real databases: a throw-away cluster per test binary, in memory where the machine
// has room there, and migrated databases cloned from a template.
//
// With KEZI_TEST_RLS=1 the databases are reached by a role that owns nothing, under row-level security. A context then
// has to say its tenant, as the service's contexts do: see Context.
package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/pgserver"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

const (
	template = "kezi_template"
	appRole  = "kezi_app" // owns nothing, so row-level security binds it
)

var cluster struct {
	server *pgserver.Server
	guard  *guard
	serial atomic.Int64
	shared func() (*postgres.DB, error)
}

// RowSecurity reports whether this run is the one under row-level security.
func RowSecurity() bool { return os.Getenv("KEZI_TEST_RLS") == "1" }

// Main runs the tests of a package with a cluster of their own. After them it fails the run when a statement on a
// tenant's table ran without naming the tenant.
func Main(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "postgrestest:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	ctx := context.Background() //nolint:forbidigo // this is a main
	dir, err := pgserver.Scratch("test")
	if err != nil {
		return 1, err
	}
	cluster.server, err = pgserver.Start(ctx, pgserver.Config{Dir: dir, Ephemeral: true})
	if err != nil {
		return 1, err
	}
	defer func() {
		stop, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		err = errors.Join(err, cluster.server.Stop(stop))
	}()
	if err := makeTemplate(ctx); err != nil {
		return 1, err
	}
	cluster.shared = sync.OnceValues(func() (*postgres.DB, error) { return clone(ctx) })
	code = m.Run()
	return code, cluster.guard.err()
}

func makeTemplate(ctx context.Context) error {
	if err := admin(ctx, "postgres", "CREATE DATABASE "+template); err != nil {
		return err
	}
	dsn := cluster.server.DSN(template)
	if _, err := postgres.Migrate(ctx, dsn); err != nil {
		return err
	}
	if RowSecurity() {
		err := admin(ctx, template, "CREATE ROLE "+appRole+" LOGIN",
			"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO "+appRole,
			"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO "+appRole)
		if err != nil {
			return err
		}
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing was written
	cluster.guard, err = newGuard(ctx, conn)
	return err
}

// admin runs statements as the superuser.
func admin(ctx context.Context, database string, statements ...string) error {
	conn, err := pgx.Connect(ctx, cluster.server.DSN(database))
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // every statement has answered
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func clone(ctx context.Context) (*postgres.DB, error) {
	name := fmt.Sprintf("test_%d", cluster.serial.Add(1))
	if err := admin(ctx, "postgres", "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		return nil, err
	}
	return postgres.Open(ctx, postgres.Config{DSN: DSN(name), MaxConns: 20, RowSecurity: RowSecurity(), Tracer: cluster.guard})
}

// DSN is how the service under test connects to a database of the cluster.
func DSN(database string) string {
	dsn := cluster.server.DSN(database)
	if !RowSecurity() {
		return dsn
	}
	u, err := url.Parse(dsn)
	if err != nil {
		panic(err) // our own launcher made it
	}
	u.User = url.User(appRole)
	return u.String()
}

// DB is the package's own database, shared by its tests: each makes rows of its own tenant and asserts on those.
func DB(t testing.TB) *postgres.DB {
	t.Helper()
	db, err := cluster.shared()
	require.NoError(t, err)
	return db
}

// Fresh is a database for one test alone.
func Fresh(t testing.TB) *postgres.DB {
	t.Helper()
	db, err := clone(t.Context())
	require.NoError(t, err)
	t.Cleanup(db.Close)
	return db
}

var tenants atomic.Int64

// Tenant makes a tenant in db, with CNY and Asia/Shanghai unless edit says otherwise.
func Tenant(t testing.TB, db *postgres.DB, edit ...func(*tenant.Creation)) tenant.Tenant {
	t.Helper()
	c := tenant.Creation{Name: fmt.Sprintf("t%d", tenants.Add(1)), Currency: "CNY", TimeZone: "Asia/Shanghai"}
	for _, e := range edit {
		e(&c)
	}
	made, err := tenant.NewService(db, time.Now).Create(t.Context(), c)
	require.NoError(t, err)
	return made
}

// Context is the test's context, working for the tenant as a request's context does.
func Context(t testing.TB, of tenant.Tenant) context.Context {
	return postgres.WithTenant(t.Context(), of.ID)
}
