package postgrestest

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/postgres"
)

// guard watches every statement of the suite: one that reads or writes a tenant's table must name tenant_id, unless
// its context says that it works for all tenants. That the name is used rightly is what the run under row-level
// security proves. And one that reads scores must not leave it to a parameter of which runs: each run is a partition, and a plan
// that is kept for any of them takes seconds to make where there are thousands, and locks them all.
type guard struct {
	table *regexp.Regexp

	mu   sync.Mutex
	seen map[string]bool
}

func newGuard(ctx context.Context, conn *pgx.Conn) (*guard, error) {
	rows, err := conn.Query(ctx, `SELECT table_name FROM information_schema.columns
		WHERE column_name = 'tenant_id' AND table_schema = 'public'`)
	if err != nil {
		return nil, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	table, err := regexp.Compile(`(?i)\b(from|join|into|update|only|table)\s+"?(` + strings.Join(names, "|") + `)\b`)
	return &guard{table: table, seen: map[string]bool{}}, err
}

var (
	readsScores = regexp.MustCompile(`(?i)\b(from|join|using)\s+scores\b`)
	anyRun      = regexp.MustCompile(`(?i)\brun_no\s*=\s*(any\s*\(\s*)?\$\d`)
)

func (g *guard) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	nobodys := g.table.MatchString(q.SQL) && !strings.Contains(q.SQL, "tenant_id") && postgres.Scope(ctx) != postgres.AllTenants
	if nobodys || readsScores.MatchString(q.SQL) && anyRun.MatchString(q.SQL) {
		g.mu.Lock()
		g.seen[q.SQL] = true
		g.mu.Unlock()
	}
	return ctx
}

func (g *guard) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (g *guard) err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.seen) == 0 {
		return nil
	}
	var b strings.Builder
	for sql := range g.seen {
		fmt.Fprintf(&b, "\n  %s", sql)
	}
	return fmt.Errorf("statements on tenants' tables without tenant_id, or on scores of any run:%s", b.String())
}
