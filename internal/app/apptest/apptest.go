// Package apptest runs the whole service for tests: real HTTP, real PostgreSQL, the contract checked on every answer.
package apptest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/app"
	"github.com/kezi-io/kezi/internal/auth"
	"github.com/kezi-io/kezi/internal/httpapi"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/seal"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Server is a running service.
type Server struct {
	URL string
	App *app.App
	DB  *postgres.DB
	Key *auth.DevKey
}

// Start runs a service on db with its workers until the test ends. Every answer that the contract does not allow fails
// the test.
func Start(t testing.TB, db *postgres.DB) *Server {
	t.Helper()
	return start(t, db, func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) })
}

func start(t testing.TB, db *postgres.DB, now func() time.Time) *Server {
	t.Helper()
	dir := t.TempDir()
	keys, err := seal.LoadOrCreate(filepath.Join(dir, "keyset.json"))
	require.NoError(t, err)
	key, err := auth.LoadOrCreateDevKey(dir)
	require.NoError(t, err)
	log := &testLog{t: t}
	a, err := app.New(app.Parts{DB: db, Keys: keys, Verifier: key.Verifier(), Now: now, Metrics: prometheus.NewRegistry(),
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn})),
		OnResponse: func(r *http.Request, err error) {
			t.Errorf("%s %s: the answer is against the contract: %v", r.Method, r.URL.Path, err)
		}})
	require.NoError(t, err)
	server := httptest.NewServer(a.Handler)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var work sync.WaitGroup
	work.Go(func() {
		if err := a.Work(ctx); err != nil {
			t.Errorf("the workers: %v", err)
		}
	})
	t.Cleanup(func() {
		server.Close()
		cancel()
		work.Wait()
		log.close()
	})
	return &Server{URL: server.URL, App: a, DB: db, Key: key}
}

// testLog writes to the test's log while the test runs.
type testLog struct {
	t      testing.TB
	mu     sync.Mutex
	closed bool
}

func (l *testLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.t.Log(strings.TrimSpace(string(b)))
	}
	return len(b), nil
}

func (l *testLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

// Client calls the service for one subject of one tenant.
type Client struct {
	server *Server
	Token  string
	Tenant tenant.Tenant
}

// Client is a caller in a new tenant with all ordinary scopes.
func (s *Server) Client(t testing.TB, edit ...func(*tenant.Creation)) *Client {
	t.Helper()
	return s.In(t, postgrestest.Tenant(t, s.DB, edit...))
}

// In is a caller in a tenant with the scopes given, or all ordinary ones.
func (s *Server) In(t testing.TB, in tenant.Tenant, scopes ...string) *Client {
	t.Helper()
	if scopes == nil {
		all, err := httpapi.Scopes()
		require.NoError(t, err)
		scopes = httpapi.OrdinaryScopes(all)
	}
	return &Client{server: s, Tenant: in, Token: s.Sign(t, auth.Claims{Subject: "tester", Tenant: in.Name, Scopes: scopes, TTL: time.Hour})}
}

// Sign makes any token.
func (s *Server) Sign(t testing.TB, c auth.Claims) string {
	t.Helper()
	raw, err := s.Key.Sign(c)
	require.NoError(t, err)
	return raw
}

// Answer is a response, read whole.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do calls the service. body is marshalled unless it is nil, []byte or an io.Reader; headers come in pairs.
func (c *Client) Do(t testing.TB, method, path string, body any, headers ...string) Answer {
	t.Helper()
	var r io.Reader
	media := "application/json"
	switch b := body.(type) {
	case nil:
	case []byte:
		r = bytes.NewReader(b)
	case io.Reader:
		r = b
	default:
		raw, err := json.Marshal(body)
		require.NoError(t, err)
		r = bytes.NewReader(raw)
	}
	if method == http.MethodPatch {
		media = "application/merge-patch+json"
	}
	req, err := http.NewRequestWithContext(t.Context(), method, c.server.URL+path, r)
	require.NoError(t, err)
	if r != nil {
		req.Header.Set("Content-Type", media)
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close() //nolint:errcheck // read to its end
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return Answer{res.StatusCode, res.Header, b}
}

// OK is Do that demands a 2xx answer and decodes it into out, when out is not nil.
func (c *Client) OK(t testing.TB, method, path string, body, out any, headers ...string) Answer {
	t.Helper()
	a := c.Do(t, method, path, body, headers...)
	require.True(t, a.Status >= 200 && a.Status < 300, "%s %s: %d %s", method, path, a.Status, a.Body)
	if out != nil {
		reflect.ValueOf(out).Elem().SetZero() // what an earlier answer left must not show
		require.NoError(t, json.Unmarshal(a.Body, out), "%s", a.Body)
	}
	return a
}

// Problem is what a refused call was answered with.
type Problem struct {
	Status int
	Code   string
	Detail string
	Errors []struct {
		Pointer, Parameter, Code, Detail string
		Offset                           int
		Accepted                         []string
	}
}

// Refused is Do that demands a problem of that status and code.
func (c *Client) Refused(t testing.TB, status int, code, method, path string, body any, headers ...string) Problem {
	t.Helper()
	a := c.Do(t, method, path, body, headers...)
	require.Equal(t, status, a.Status, "%s %s: %s", method, path, a.Body)
	require.Equal(t, "application/problem+json", a.Header.Get("Content-Type"))
	var p Problem
	require.NoError(t, json.Unmarshal(a.Body, &p))
	require.Equal(t, code, p.Code, "%s", a.Body)
	return p
}

// Wait follows a job to its end and answers it.
func (c *Client) Wait(t testing.TB, job string) map[string]any {
	t.Helper()
	var j map[string]any
	require.Eventually(t, func() bool {
		c.OK(t, "GET", "/v1/jobs/"+job, nil, &j)
		s := j["status"]
		return s == "succeeded" || s == "failed" || s == "cancelled"
	}, 3*time.Minute, 20*time.Millisecond, "job %s", job)
	return j
}

// RealData is the path of a file of published data, or skips the test where there is none.
func RealData(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		require.NotEqual(t, dir, filepath.Dir(dir), "no go.mod above the test")
	}
	path := filepath.Join(dir, "..", "shared", "data", name)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("KEZI_REQUIRE_REAL_DATA") == "1" {
			t.Fatalf("the real data is required and missing: %v", err)
		}
		t.Skip("the real data is not here")
	}
	return path
}
