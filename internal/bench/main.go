// Command bench measures what kezi promises about speed and prints it as ratios: each figure of the service stands
// beside that of a reference program measured in the same run on the same cluster, so that a slow or busy machine slows
// both. The two must give equal answers, or the run fails. Speed is printed and never asserted: the exit code is 0
// whatever the ratios are.
//
// Durability is off for both sides (fsync, and where there is room the data is in memory): what is compared is the
// work, not the disk. The one thing this hides is that the service commits an import batch by batch, some twenty times
// for the CDNOW master, where the plain SQL commits once; -durable measures with the disk.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/auth"
	"github.com/kezi-io/kezi/internal/httpapi" //nolint:depguard // a program of its own: signs with the contract's scopes
	"github.com/kezi-io/kezi/internal/pgserver"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// options are the command line.
type options struct {
	only     string
	durable  bool
	profiles string
	kinds    string
	load     loading

	child child // what a child process of the bench is told; empty for the bench itself
}

// bench is one run: a cluster, a template to clone databases from, and the caller's token.
type bench struct {
	options
	dir      string // of keys and made-up data; removed at the end
	data     string // of the database; removed when it stops
	server   *pgserver.Server
	token    string
	file     dataset
	serial   int
	report   report
	tenantID int32
}

// tenantName is the one tenant in every database of the bench.
const tenantName = "bench"

const template = "bench_template"

func main() {
	var o options
	flag.StringVar(&o.only, "only", "", "one part: get, import, memory, fit, scale or score")
	flag.BoolVar(&o.durable, "durable", false, "data on disk and synced, as in production")
	flag.StringVar(&o.profiles, "profiles", "", "folder for CPU profiles of the service's processes")
	flag.StringVar(&o.kinds, "kinds", "", "of the part scale, only reads and writes whose name has this in it")
	flag.BoolVar(&o.load.wanted, "load", false, "load the databases of the part scale instead of measuring; goes on where it stopped")
	flag.StringVar(&o.load.data, "data", filepath.Join(".kezi", "bench"), "folder of those databases")
	flag.StringVar(&o.load.url, "database-url", "", "load only the large one, into this database")
	flag.IntVar(&o.load.customers, "customers", 1_000_000, "customers of the large one")
	flag.IntVar(&o.load.transactions, "transactions", 10_000_000, "transactions of the large one")
	flag.Uint64Var(&o.load.seed, "seed", 1, "the same seed makes the same customers")
	flag.StringVar(&o.load.until, "until", "", "last day of the made-up history, YYYY-MM-DD (default today)")
	flag.StringVar(&o.child.role, "child", "", "used by the bench itself")
	flag.StringVar(&o.child.dsn, "dsn", "", "used by the bench itself")
	flag.StringVar(&o.child.dir, "dir", "", "used by the bench itself")
	flag.StringVar(&o.child.profile, "profile", "", "used by the bench itself")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := start(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context, o options) error {
	if o.child.role != "" {
		return o.child.run(ctx)
	}
	if o.load.wanted {
		return o.load.run(ctx)
	}
	return run(ctx, o)
}

// part is one of the things that are measured.
type part struct {
	name     string
	database bool
	measure  func(*bench, context.Context) error
}

var parts = []part{
	{"get", true, (*bench).measureGet},
	{"import", true, (*bench).measureImport},
	{"memory", true, (*bench).measureMemory},
	{"fit", false, (*bench).measureFit},
	{"scale", false, (*bench).measureScale},
	{"score", false, (*bench).measureScore},
}

func run(ctx context.Context, o options) (err error) {
	chosen := parts
	if o.only != "" {
		i := slices.IndexFunc(parts, func(p part) bool { return p.name == o.only })
		if i < 0 {
			return fmt.Errorf("-only takes get, import, memory, fit, scale or score, not %q", o.only)
		}
		chosen = parts[i : i+1]
	}
	b := &bench{options: o}
	if o.profiles != "" {
		if err := os.MkdirAll(o.profiles, 0o750); err != nil {
			return err
		}
	}
	if b.dir, err = os.MkdirTemp("", "kezi-bench-*"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if b.file, err = cdnow(b.dir); err != nil {
		return err
	}
	if err := b.sign(); err != nil {
		return err
	}
	if slices.ContainsFunc(chosen, func(p part) bool { return p.database }) {
		if err := b.startDatabase(ctx); err != nil {
			return err
		}
		defer func() {
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
			defer cancel()
			err = errors.Join(err, b.server.Stop(stop))
		}()
	}
	b.report.begin(b)
	for _, p := range chosen {
		began := time.Now()
		if err := p.measure(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		progress("%s took %s", p.name, time.Since(began).Round(100*time.Millisecond))
	}
	return b.report.print(os.Stdout)
}

// progress tells what is going on, away from the report.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (b *bench) startDatabase(ctx context.Context) error {
	dir, err := pgserver.Scratch("bench")
	// The memory that the built-in database has on a small machine.
	settings := map[string]string{"shared_buffers": "256MB", "effective_cache_size": "1GB", "work_mem": "16MB",
		"maintenance_work_mem": "128MB", "random_page_cost": "1.1"}
	if err == nil && b.durable {
		dir, err = onDisk()
		for _, name := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
			settings[name] = "on"
		}
	}
	if err != nil {
		return err
	}
	b.data = dir
	b.server, err = pgserver.Start(ctx, pgserver.Config{Dir: dir, Ephemeral: true, Settings: settings})
	if err != nil {
		return err
	}
	if err := b.makeTemplate(ctx); err != nil {
		return errors.Join(err, b.server.Stop(context.WithoutCancel(ctx)))
	}
	return nil
}

// onDisk is a folder among the temporary files that the database's user may enter.
func onDisk() (string, error) {
	dir, err := os.MkdirTemp("", "kezi-bench-data-*")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755) //nolint:gosec // holds made-up data for a minute
}

// makeTemplate makes a migrated database with one tenant, and the token of a caller there.
func (b *bench) makeTemplate(ctx context.Context) error {
	if err := b.admin(ctx, "CREATE DATABASE "+template); err != nil {
		return err
	}
	if _, err := postgres.Migrate(ctx, b.server.DSN(template)); err != nil {
		return err
	}
	db, err := postgres.Open(ctx, postgres.Config{DSN: b.server.DSN(template)})
	if err != nil {
		return err
	}
	defer db.Close()
	t, err := tenant.NewService(db, now).Create(ctx, tenant.Creation{Name: tenantName, Currency: "USD", TimeZone: "UTC"})
	if err != nil {
		return err
	}
	b.tenantID = t.ID
	return nil
}

// sign makes the token of a caller in the tenant of that name, which every database here has.
func (b *bench) sign() error {
	key, err := auth.LoadOrCreateDevKey(b.dir)
	if err != nil {
		return err
	}
	all, err := httpapi.Scopes()
	if err != nil {
		return err
	}
	b.token, err = key.Sign(auth.Claims{Subject: "bench", Tenant: tenantName, Scopes: httpapi.OrdinaryScopes(all), TTL: time.Hour})
	return err
}

// now is the service's clock, at the precision that the database keeps.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

func (b *bench) admin(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, b.server.DSN("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // the statement has answered
	if _, err = conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

// fresh is a new database, migrated and otherwise empty.
func (b *bench) fresh(ctx context.Context, hint string) (name string, err error) {
	b.serial++
	name = fmt.Sprintf("bench_%s_%d", hint, b.serial)
	return name, b.admin(ctx, "CREATE DATABASE "+name+" TEMPLATE "+template)
}

func (b *bench) drop(ctx context.Context, name string) error {
	return b.admin(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
}

func median[T cmp.Ordered](v []T) T {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

// spread is the lowest and highest of ratios, for the reader who wonders how much the machine's other work shows.
func spread(ratios []float64) string {
	return fmt.Sprintf("%.2f to %.2f", slices.Min(ratios), slices.Max(ratios))
}

func joined(values []float64) string {
	var s []string
	for _, v := range values {
		s = append(s, fmt.Sprintf("%.2f", v))
	}
	return strings.Join(s, " ")
}
