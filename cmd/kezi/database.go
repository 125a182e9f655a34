package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/auth"
	"github.com/kezi-io/kezi/internal/pgserver"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/seal"
)

// storage is where data and keys are.
type storage struct {
	DataDir     string `env:"KEZI_DATA_DIR" default:".kezi" type:"path" help:"Folder of the built-in database and the development keys. (${env})"`
	DatabaseURL string `env:"KEZI_DATABASE_URL" help:"A PostgreSQL 15 or newer to use instead of the built-in one. (${env})"`
	KeysetFile  string `env:"KEZI_KEYSET_FILE" type:"path" help:"Keys that seal personal data and cursors; made in the data folder unless given. (${env})"`
	MaxConns    int32  `env:"KEZI_DATABASE_MAX_CONNS" default:"20" help:"Connections to the database at most. (${env})"`
	RowSecurity bool   `env:"KEZI_ROW_SECURITY" help:"Connect as a role under row-level security: tells the database each statement's tenant. (${env})"`
}

// databaseName is the database in the built-in cluster.
const databaseName = "kezi"

// folder is the data folder. With a built-in database below root it is moved where the database's user can reach it.
func (s storage) folder(say func(string)) (string, error) {
	if s.DatabaseURL != "" {
		return s.DataDir, os.MkdirAll(s.DataDir, 0o755) //nolint:gosec // its files are private
	}
	dir, moved, err := pgserver.ResolveDir(s.DataDir)
	if err != nil {
		return "", err
	}
	if moved {
		say(fmt.Sprintf("the database's user cannot reach %s: the data is in %s", s.DataDir, dir))
	}
	return dir, os.MkdirAll(dir, 0o755) //nolint:gosec // the database's user must enter it; its files are private
}

// local opens the database for a command beside a running service, or without one.
func (s storage) local(ctx context.Context, say func(string)) (*postgres.DB, func(), error) {
	if s.DatabaseURL != "" {
		db, err := s.open(ctx, s.DatabaseURL)
		if err != nil {
			return nil, nil, err
		}
		return db, db.Close, nil
	}
	dir, err := s.folder(say)
	if err != nil {
		return nil, nil, err
	}
	server, stop, err := pgserver.Open(ctx, pgserver.Config{Dir: dir})
	if err != nil {
		return nil, nil, err
	}
	end := func() { stop(context.WithoutCancel(ctx)) } //nolint:errcheck // the next start recovers
	dsn, err := prepare(ctx, server)
	if err == nil {
		_, err = postgres.Migrate(ctx, dsn)
	}
	if err != nil {
		end()
		return nil, nil, err
	}
	db, err := s.open(ctx, dsn)
	if err != nil {
		end()
		return nil, nil, err
	}
	return db, func() { db.Close(); end() }, nil
}

func (s storage) open(ctx context.Context, dsn string) (*postgres.DB, error) {
	return postgres.Open(ctx, postgres.Config{DSN: dsn, MaxConns: s.MaxConns, RowSecurity: s.RowSecurity})
}

// prepare makes the service's database in the built-in cluster where there is none yet.
func prepare(ctx context.Context, server interface{ DSN(string) string }) (string, error) {
	conn, err := pgx.Connect(ctx, server.DSN("postgres"))
	if err != nil {
		return "", fmt.Errorf("reach the built-in database: %w", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is open on it
	var there bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, databaseName).Scan(&there)
	if err == nil && !there {
		_, err = conn.Exec(ctx, "CREATE DATABASE "+databaseName)
		if postgres.Code(err) == "42P04" || postgres.Code(err) == "23505" {
			err = nil // another command was faster
		}
	}
	if err != nil {
		return "", fmt.Errorf("make the database: %w", err)
	}
	return server.DSN(databaseName), nil
}

// keys are the sealing keys: named, or made in the data folder.
func (s storage) keys(dir string) (*seal.Keys, error) {
	if s.KeysetFile != "" {
		return seal.Load(s.KeysetFile)
	}
	return seal.LoadOrCreate(filepath.Join(dir, "keyset.json"))
}

// supervised is the built-in database under a running service: when it ends by itself it is started again.
type supervised struct {
	cfg    pgserver.Config
	server *pgserver.Server
	log    *slog.Logger
	done   chan struct{}
}

func superviseDatabase(ctx context.Context, cfg pgserver.Config, log *slog.Logger) (*supervised, string, error) {
	server, err := pgserver.Start(ctx, cfg)
	if err != nil {
		return nil, "", err
	}
	s := &supervised{cfg: cfg, server: server, log: log, done: make(chan struct{})}
	dsn, err := prepare(ctx, server)
	if err != nil {
		return nil, "", errors.Join(err, server.Stop(context.WithoutCancel(ctx)))
	}
	return s, dsn, nil
}

// run restarts the database until ctx ends, then stops it.
func (s *supervised) run(ctx context.Context) {
	defer close(s.done)
	for {
		select {
		case <-ctx.Done():
			s.stop(ctx)
			return
		case <-s.server.Exited():
			s.log.Error("the built-in database ended by itself and is started again", "error", s.server.Err())
			if err := s.restart(ctx); err != nil {
				s.log.Error("the built-in database does not start", "error", err)
				select {
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
			}
		}
	}
}

func (s *supervised) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := s.server.Stop(ctx); err != nil {
		s.log.Error("the built-in database did not stop well", "error", err)
	}
}

func (s *supervised) restart(ctx context.Context) error {
	if err := s.server.Stop(ctx); err != nil {
		s.log.Warn("cleaning up after the built-in database", "error", err)
	}
	server, err := pgserver.Start(ctx, s.cfg)
	if err != nil {
		return err
	}
	s.server = server
	return nil
}

// identity is how callers prove who they are.
type identity struct {
	JWKSURL       string `env:"KEZI_JWKS_URL" help:"Where the identity provider publishes its keys. (${env})"`
	JWTKeyFile    string `env:"KEZI_JWT_KEY_FILE" type:"path" help:"Public keys (PEM or JWKS) that verify tokens. (${env})"`
	JWTSecretFile string `env:"KEZI_JWT_SECRET_FILE" type:"path" help:"A shared secret of at least 32 bytes that verifies HS256 tokens. (${env})"`
	JWTIssuer     string `env:"KEZI_JWT_ISSUER" help:"The issuer that tokens must name. (${env})"`
	JWTAudience   string `env:"KEZI_JWT_AUDIENCE" help:"The audience that tokens must name. (${env})"`
}

// development reports whether nothing is set: tokens are then signed by a key in the data folder.
func (i identity) development() bool { return i == identity{} }

func (i identity) verifier(ctx context.Context, dir string, log *slog.Logger) (*auth.Verifier, error) {
	if i.development() {
		key, err := auth.LoadOrCreateDevKey(dir)
		if err != nil {
			return nil, err
		}
		return key.Verifier(), nil
	}
	return auth.NewVerifier(ctx, auth.Config{JWKSURL: i.JWKSURL, KeyFile: i.JWTKeyFile, SecretFile: i.JWTSecretFile,
		Issuer: i.JWTIssuer, Audience: i.JWTAudience, Log: log})
}
