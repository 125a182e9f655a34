// Package synthetic makes a company's customers up, by the million: names, places, owners and sources as skewed as in
// reality, three years of purchases of which a few buyers make most, tags, tiers and events. The same seed makes the
// same customers.
//
// Each subject is a file with a function that loads its tables in one transaction, so a load that was interrupted goes
// on where it stopped, and a subject added later is loaded beside what is there.
package synthetic

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/seal"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Options say how much to make.
type Options struct {
	Customers    int
	Transactions int
	Seed         uint64
	Until        time.Time  // the last instant; everything lies in the Years before it
	Keys         *seal.Keys // what contact points are sealed with
	Log          func(format string, args ...any)
}

// Years is how far back the first customer came.
const Years = 3

// World is what the subjects of one load share.
type World struct {
	Options
	TenantID int32
	since    time.Time
	orders   []order // by time
	bought   []int32 // orders per customer
	last     []int64 // when each customer ordered last, in Unix seconds; 0 for never
}

// subject is what is loaded together. It is there already when table has rows.
type subject struct {
	name, table string
	load        func(ctx context.Context, w *World, tx postgres.Tx) error
}

// subjects in the order in which they depend on each other.
var subjects = []subject{
	{"customers", "customers", loadCustomers},
	{"transactions", "transactions", loadTransactions},
	{"tags", "customer_tags", loadTags},
	{"events", "events", loadEvents},
	{"phones", "contact_points", loadPhones},
	{"names to search by", "customer_search", loadNames},
}

// Load fills the tenant. What an earlier load finished is left as it is.
func Load(ctx context.Context, db *postgres.DB, t tenant.Tenant, o Options) error {
	if o.Customers < 1 || o.Transactions < 0 {
		return fmt.Errorf("%d customers with %d transactions cannot be made", o.Customers, o.Transactions)
	}
	w := &World{Options: o, TenantID: t.ID, since: o.Until.AddDate(-Years, 0, 0)}
	for _, s := range subjects {
		if err := w.step(ctx, s.name, func() (bool, error) { return w.has(ctx, db, s.table) }, func() error {
			return db.InTx(ctx, func(tx postgres.Tx) error { return s.load(ctx, w, tx) })
		}); err != nil {
			return err
		}
	}
	if err := w.step(ctx, "metrics", func() (bool, error) { return w.measured(ctx, db) }, func() error { return fillMetrics(ctx, w, db) }); err != nil {
		return err
	}
	return w.step(ctx, "tiers", func() (bool, error) { return w.has(ctx, db, "tier_placements") }, func() error {
		return db.InTx(ctx, func(tx postgres.Tx) error { return loadTiers(ctx, w, tx) })
	})
}

// Settle leaves the tables as a database that runs for a while has them: vacuumed and analyzed.
func Settle(ctx context.Context, db *postgres.DB) error {
	if _, err := db.Exec(ctx, "VACUUM (ANALYZE)"); err != nil {
		return fmt.Errorf("vacuum and analyze: %w", err)
	}
	return nil
}

func (w *World) step(ctx context.Context, name string, done func() (bool, error), do func() error) error {
	there, err := done()
	if err != nil {
		return fmt.Errorf("look for %s: %w", name, err)
	}
	if there {
		w.Log("%s are there already", name)
		return nil
	}
	began := time.Now()
	if err := do(); err != nil {
		return fmt.Errorf("load %s: %w", name, err)
	}
	w.Log("%s took %s", name, time.Since(began).Round(100*time.Millisecond))
	return ctx.Err()
}

func (w *World) has(ctx context.Context, q postgres.Querier, table string) (some bool, err error) {
	err = q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM `+pgx.Identifier{table}.Sanitize()+` WHERE tenant_id = $1)`, w.TenantID).Scan(&some)
	return some, err
}

// reload fills tables without foreign keys being checked row by row, where the role may say so, and with their indexes
// built at the end: the rows are consistent by construction, and it takes a third of the time. All is in the
// transaction, so nobody ever sees a table without its indexes.
func reload(ctx context.Context, tx postgres.Tx, tables []string, fill func() error) error {
	return rebuilt(ctx, tx, tables, true, fill)
}

// reloadKeyed keeps the primary key and what is unique, for a fill that looks by them.
func reloadKeyed(ctx context.Context, tx postgres.Tx, tables []string, fill func() error) error {
	return rebuilt(ctx, tx, tables, false, fill)
}

func rebuilt(ctx context.Context, tx postgres.Tx, tables []string, keys bool, fill func() error) error {
	err := tx.Savepoint(ctx, func(tx postgres.Tx) error {
		_, err := tx.Exec(ctx, "SET LOCAL session_replication_role = replica")
		return err
	})
	if err != nil && postgres.Code(err) != "42501" { // insufficient privilege
		return err
	}
	//nolint:rowserrcheck // ForEachRow answers it
	rows, err := tx.Query(ctx, `
		SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', c.conrelid::regclass, c.conname),
			format('ALTER TABLE %s ADD CONSTRAINT %I %s', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid))
		FROM pg_constraint c WHERE $2 AND c.contype IN ('p', 'u') AND c.conrelid = ANY($1::text[]::regclass[])
			AND NOT EXISTS (SELECT FROM pg_constraint f WHERE f.contype = 'f' AND f.confrelid = c.conrelid)
		UNION ALL
		SELECT format('DROP INDEX %s', i.indexrelid::regclass), pg_get_indexdef(i.indexrelid)
		FROM pg_index i WHERE ($2 OR NOT i.indisunique) AND i.indrelid = ANY($1::text[]::regclass[])
			AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)`, tables, keys)
	if err != nil {
		return err
	}
	var away, back []string
	var drop, add string
	if _, err := pgx.ForEachRow(rows, []any{&drop, &add}, func() error {
		away, back = append(away, drop), append(back, add)
		return nil
	}); err != nil {
		return err
	}
	for _, sql := range away {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	if err := fill(); err != nil {
		return err
	}
	for _, sql := range back {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}
