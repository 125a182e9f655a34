package app_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/app"
	"github.com/kezi-io/kezi/internal/auth"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/seal"
	"github.com/kezi-io/kezi/internal/tenant"
)

// statements notes what is asked of the database.
type statements struct {
	mu  sync.Mutex
	all []string
}

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !strings.Contains(q.SQL, "kezi.tenant") { // row-level security has statements of its own
		s.all = append(s.all, q.SQL[:min(len(q.SQL), 90)])
	}
	return ctx
}

func (*statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (s *statements) of(t *testing.T, write func() error) []string {
	t.Helper()
	s.all = nil
	require.NoError(t, write())
	return s.all
}

// Each statement is a round trip while locks are held.
func TestAWriteOfACustomerTakesFewStatements(t *testing.T) {
	t.Parallel()
	own := postgrestest.DB(t)
	of := postgrestest.Tenant(t, own)
	ctx := postgrestest.Context(t, of)
	var name string
	require.NoError(t, own.QueryRow(ctx, `SELECT current_database()`).Scan(&name))
	var asked statements
	db, err := postgres.Open(t.Context(), postgres.Config{DSN: postgrestest.DSN(name), MaxConns: 2, RowSecurity: postgrestest.RowSecurity(), Tracer: &asked})
	require.NoError(t, err)
	t.Cleanup(db.Close)
	dir := t.TempDir()
	keys, err := seal.LoadOrCreate(filepath.Join(dir, "keyset.json"))
	require.NoError(t, err)
	key, err := auth.LoadOrCreateDevKey(dir)
	require.NoError(t, err)
	// Its workers do not run: what they ask would be counted.
	a, err := app.New(app.Parts{DB: db, Keys: keys, Verifier: key.Verifier(), Now: time.Now, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	call := tenant.Call{Tenant: of, Actor: "test", ChangeSet: uuid.Must(uuid.NewV7())}

	var c customer.Customer
	_, err = a.Customers.Create(ctx, call, customer.Registration{Kind: customer.Person, Name: "x"})
	require.NoError(t, err) // and the scores in force are known from now on
	made := asked.of(t, func() (err error) {
		c, err = a.Customers.Create(ctx, call, customer.Registration{Kind: customer.Person, Name: "测试", City: "上海", Owner: "王强",
			ExternalIDs: []customer.ExternalID{{Source: "s", ID: "1"}}})
		return err
	})
	// begin, fields, external id, rules, weights, customer, names, event, scores, rules for everybody, commit
	require.LessOrEqual(t, len(made), 11, strings.Join(made, "\n"))
	changed := asked.of(t, func() error {
		_, err := a.Customers.Update(ctx, call, c.ID, nil, customer.Change{Owner: patch.Set("李娜")})
		return err
	})
	// begin, lock, read, rules, customer, weights, completeness, event, scores, rules for everybody, commit
	require.LessOrEqual(t, len(changed), 11, strings.Join(changed, "\n"))
	active := customer.Active
	moved := asked.of(t, func() error {
		_, err := a.Customers.Update(ctx, call, c.ID, nil, customer.Change{Stage: &active})
		return err
	})
	// the stage, and nothing of completeness
	require.LessOrEqual(t, len(moved), 10, strings.Join(moved, "\n"))
	var percent int
	require.NoError(t, own.QueryRow(ctx, `SELECT completeness FROM customer_metrics WHERE tenant_id = $1 AND customer_id = $2`, of.ID, c.ID).Scan(&percent))
	require.Equal(t, 20, percent, "a city and an owner")
}
