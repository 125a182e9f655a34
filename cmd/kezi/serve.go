package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/kezi-io/kezi/internal/app"
	"github.com/kezi-io/kezi/internal/auth"
	"github.com/kezi-io/kezi/internal/pgserver"
	"github.com/kezi-io/kezi/internal/postgres"
)

type serveCmd struct {
	storage
	identity
	logging
	observed
	Listen      string   `env:"KEZI_LISTEN" default:"127.0.0.1:8080" help:"Address of the API. (${env})"`
	CORSOrigins []string `env:"KEZI_CORS_ORIGINS" help:"Origins of web pages that may call the API. (${env})"`
	NoWorker    bool     `env:"KEZI_NO_WORKER" help:"Leave the jobs to other processes. (${env})"`
	NoMigrate   bool     `env:"KEZI_NO_MIGRATE" help:"Leave the schema to kezi migrate. (${env})"`
	Demo        bool     `env:"KEZI_DEMO" help:"Fill the demo tenant when it is empty, and print tokens for it. (${env})"`
}

// Run serves until it is told to stop.
func (c *serveCmd) Run(ctx context.Context) error {
	log := c.logger()
	if err := c.check(); err != nil {
		return err
	}
	// The port first: a second start beside a running one must fail before it touches anything.
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", c.Listen, err)
	}
	defer listener.Close() //nolint:errcheck // closed by the server already
	admin, err := c.admin(log)
	if err != nil {
		return err
	}
	s, err := start(ctx, c.storage, c.identity, log, c.NoMigrate, c.CORSOrigins)
	if err != nil {
		return err
	}
	defer s.stop()

	var group sync.WaitGroup
	defer group.Wait()
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	if !c.NoWorker {
		group.Go(func() {
			if err := s.app.Work(work); err != nil && work.Err() == nil {
				log.Error("the workers stopped", "error", err)
				cancel()
			}
		})
	}
	if admin != nil {
		group.Go(func() { serveAdmin(work, admin, s.metrics, log) })
	}
	server := &http.Server{Handler: s.app.Handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	if c.Demo {
		if c.NoWorker {
			return errors.New("--demo needs the workers: leave --no-worker away")
		}
		group.Go(func() {
			if err := c.showDemo(work, s, "http://"+listener.Addr().String()); err != nil && work.Err() == nil {
				log.Error("the demo tenant is not filled", "error", err)
			}
		})
	}
	log.Info("kezi serves", "version", version, "address", listener.Addr().String(), "data", s.dir)
	return answer(work, server, listener)
}

// answer answers HTTP on the listener until ctx ends, then lets running requests finish.
func answer(ctx context.Context, server *http.Server, listener net.Listener) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	// Longer than any ordinary request takes.
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	if err := server.Shutdown(stop); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("shut down: %w", err)
	}
	return server.Close()
}

func (c *serveCmd) check() error {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("--listen takes host:port, such as 127.0.0.1:8080: %w", err)
	}
	ip := net.ParseIP(host)
	if c.development() && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("the development sign-in listens on loopback only, not on %q: set KEZI_JWKS_URL (or KEZI_JWT_KEY_FILE), "+
			"KEZI_JWT_ISSUER and KEZI_JWT_AUDIENCE", c.Listen)
	}
	if !c.development() && c.KeysetFile == "" {
		return errors.New("KEZI_KEYSET_FILE is needed beside a real identity provider: personal data is sealed with it")
	}
	return nil
}

// service is a started App with what it stands on.
type service struct {
	app     *app.App
	db      *postgres.DB
	devKey  *auth.DevKey
	metrics *prometheus.Registry
	dir     string
	stop    func()
}

// start opens the database, brings it up to date and wires the App.
func start(ctx context.Context, st storage, id identity, log *slog.Logger, noMigrate bool, origins []string) (*service, error) {
	dir, err := st.folder(func(s string) { log.Warn(s) })
	if err != nil {
		return nil, err
	}
	s := &service{dir: dir, metrics: prometheus.NewRegistry(), stop: func() {}}
	s.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	dsn := st.DatabaseURL
	if dsn == "" {
		// The database outlives the requests: it is stopped by stop, after everything that uses it.
		alive, end := context.WithCancel(context.WithoutCancel(ctx))
		database, made, err := superviseDatabase(ctx, pgserver.Config{Dir: dir, Log: log}, log)
		if err != nil {
			end()
			return nil, err
		}
		dsn = made
		go database.run(alive)
		s.stop = func() { end(); <-database.done }
	}
	if err := s.wire(ctx, st, id, dsn, log, noMigrate, origins); err != nil {
		s.stop()
		return nil, err
	}
	below := s.stop
	s.stop = func() { s.db.Close(); below() }
	return s, nil
}

func (s *service) wire(ctx context.Context, st storage, id identity, dsn string, log *slog.Logger, noMigrate bool, origins []string) error {
	if !noMigrate {
		if _, err := postgres.Migrate(ctx, dsn); err != nil {
			return err
		}
	}
	keys, err := st.keys(s.dir)
	if err != nil {
		return err
	}
	if id.development() {
		if s.devKey, err = auth.LoadOrCreateDevKey(s.dir); err != nil {
			return err
		}
	}
	verifier, err := id.verifier(ctx, s.dir, log)
	if err != nil {
		return err
	}
	if s.db, err = st.open(ctx, dsn); err != nil {
		return err
	}
	watchPool(s.metrics, s.db)
	s.app, err = app.New(app.Parts{DB: s.db, Keys: keys, Verifier: verifier, Log: log, Now: now, CORSOrigins: origins, Metrics: s.metrics})
	if err != nil {
		s.db.Close()
	}
	return err
}

// now is the service's clock, at the precision that the database keeps.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

type workerCmd struct {
	storage
	identity
	logging
	observed
}

// Run works until it is told to stop.
func (c *workerCmd) Run(ctx context.Context) error {
	if c.DatabaseURL == "" {
		return errors.New("a worker of its own needs KEZI_DATABASE_URL: the built-in database belongs to kezi serve")
	}
	log := c.logger()
	admin, err := c.admin(log)
	if err != nil {
		return err
	}
	s, err := start(ctx, c.storage, c.identity, log, true, nil)
	if err != nil {
		return err
	}
	defer s.stop()
	if admin != nil {
		go serveAdmin(ctx, admin, s.metrics, log)
	}
	log.Info("kezi works", "version", version)
	return s.app.Work(ctx)
}

type migrateCmd struct{ storage }

// Run migrates and prints the version reached.
func (c *migrateCmd) Run(ctx context.Context) error {
	dsn := c.DatabaseURL
	if dsn == "" {
		dir, err := c.folder(func(s string) { fmt.Fprintln(os.Stderr, s) })
		if err != nil {
			return err
		}
		server, stop, err := pgserver.Open(ctx, pgserver.Config{Dir: dir})
		if err != nil {
			return err
		}
		defer stop(context.WithoutCancel(ctx)) //nolint:errcheck // the next start recovers
		if dsn, err = prepare(ctx, server); err != nil {
			return err
		}
	}
	reached, err := postgres.Migrate(ctx, dsn)
	if err != nil {
		return err
	}
	fmt.Printf("the schema is at version %d\n", reached)
	return nil
}
