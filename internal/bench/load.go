package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/pgserver"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/seal"
	"github.com/kezi-io/kezi/internal/synthetic"
	"github.com/kezi-io/kezi/internal/tenant"
)

// The two databases of the part scale, of the same shape: what a write costs in one is compared with the other.
const (
	largeDatabase = "bench_large"
	smallDatabase = "bench_small"
	smallShare    = 100 // the large one has so many times the customers and transactions of the small one
)

// keyset is the file beside the loaded databases with the keys of what is sealed in them.
const keyset = "keyset.json"

// loading is what -load was told.
type loading struct {
	wanted       bool
	data         string // folder of the cluster
	url          string // a database elsewhere instead; only the large one is loaded there
	customers    int
	transactions int
	seed         uint64
	until        string
}

// loadSettings make a load quick. A crash in the middle costs a new one and nobody's data.
var loadSettings = map[string]string{"shared_buffers": "1GB", "maintenance_work_mem": "512MB", "work_mem": "256MB", "max_wal_size": "2GB",
	"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "random_page_cost": "1.1"}

func (l loading) run(ctx context.Context) (err error) {
	until := now().Truncate(24 * time.Hour)
	if l.until != "" {
		if until, err = time.Parse(time.DateOnly, l.until); err != nil {
			return err
		}
	}
	o := synthetic.Options{Customers: l.customers, Transactions: l.transactions, Seed: l.seed, Until: until, Log: progress}
	if l.url != "" {
		keys, err := os.MkdirTemp("", "kezi-bench-*")
		if err != nil {
			return err
		}
		defer os.RemoveAll(keys) //nolint:errcheck // what is left is a key for made-up numbers
		if o.Keys, err = seal.LoadOrCreate(filepath.Join(keys, keyset)); err != nil {
			return err
		}
		return fill(ctx, l.url, o)
	}
	dir, moved, err := pgserver.ResolveDir(l.data)
	if err != nil {
		return err
	}
	if moved {
		progress("the database's user cannot reach %s: the data is in %s", l.data, dir)
	}
	server, err := pgserver.Start(ctx, pgserver.Config{Dir: dir, Settings: loadSettings})
	if err != nil {
		return err
	}
	if o.Keys, err = seal.LoadOrCreate(filepath.Join(dir, keyset)); err != nil {
		return errors.Join(err, server.Stop(ctx))
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Minute)
		defer cancel()
		err = errors.Join(err, server.Stop(stop))
	}()
	for _, database := range []string{smallDatabase, largeDatabase} {
		if err := ensureDatabase(ctx, server, database); err != nil {
			return err
		}
		sized := o
		if database == smallDatabase {
			sized.Customers, sized.Transactions = max(o.Customers/smallShare, 1), o.Transactions/smallShare
		}
		progress("%s: %d customers with %d transactions", database, sized.Customers, sized.Transactions)
		if err := fill(ctx, server.DSN(database), sized); err != nil {
			return fmt.Errorf("%s: %w", database, err)
		}
	}
	return nil
}

func ensureDatabase(ctx context.Context, server *pgserver.Server, name string) error {
	conn, err := pgx.Connect(ctx, server.DSN("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // the statement has answered
	_, err = conn.Exec(ctx, "CREATE DATABASE "+name)
	if postgres.Code(err) == "42P04" { // it is there
		return nil
	}
	return err
}

// fill loads the tenant of the bench; a tenant that is there is completed.
func fill(ctx context.Context, dsn string, o synthetic.Options) error {
	if _, err := postgres.Migrate(ctx, dsn); err != nil {
		return err
	}
	db, err := postgres.Open(ctx, postgres.Config{DSN: dsn})
	if err != nil {
		return err
	}
	defer db.Close()
	tenants := tenant.NewService(db, now)
	t, err := tenants.ByName(ctx, tenantName)
	if errors.Is(err, tenant.ErrUnknown) {
		t, err = tenants.Create(ctx, tenant.Creation{Name: tenantName, Currency: "CNY", TimeZone: "Asia/Shanghai"})
	}
	if err != nil {
		return err
	}
	if err := synthetic.Load(ctx, db, t, o); err != nil {
		return err
	}
	return synthetic.Settle(ctx, db)
}

// loaded is the folder that -load has filled, or empty.
func loaded(data string) string {
	dir, _, err := pgserver.ResolveDir(data)
	if err != nil {
		return ""
	}
	if _, err := os.Stat(filepath.Join(dir, "data", "PG_VERSION")); err != nil {
		return ""
	}
	return dir
}
