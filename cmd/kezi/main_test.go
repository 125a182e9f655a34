package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/pgserver"
)

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "kezi-cmd-*")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "kezi")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", binary, ".").CombinedOutput() //nolint:gosec // our own package
	if err != nil {
		fmt.Fprintln(os.Stderr, string(out))
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	os.Exit(code)
}

// installation is one data folder with the address of the service on it.
type installation struct {
	dir, address string
	token        string
}

func install(t *testing.T) *installation {
	t.Helper()
	// Not t.TempDir: the database's user must reach it when the test runs as root.
	dir, err := os.MkdirTemp("", "kezi-data-*")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755)) //nolint:gosec // see above
	t.Cleanup(func() { os.RemoveAll(dir) })  //nolint:errcheck // a temporary folder
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return &installation{dir: filepath.Join(dir, "data"), address: l.Addr().String()}
}

func (i *installation) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, binary, args...) //nolint:gosec // our own binary
	c.Env = append(os.Environ(), "KEZI_DATA_DIR="+i.dir, "KEZI_LISTEN="+i.address, "KEZI_ADMIN_LISTEN=off",
		"KEZI_URL=http://"+i.address, "KEZI_TOKEN="+i.token)
	return c
}

// run runs a command to its end and answers what it printed.
func (i *installation) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := i.command(t.Context(), args...).CombinedOutput()
	require.NoError(t, err, "kezi %s: %s", strings.Join(args, " "), out)
	return string(out)
}

// serve starts the service and waits until it is ready.
func (i *installation) serve(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	c := i.command(context.WithoutCancel(t.Context()), append([]string{"serve"}, args...)...)
	var log bytes.Buffer
	c.Stderr = &log
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		c.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have been killed by the test
		c.Wait()                          //nolint:errcheck // likewise
		if t.Failed() {
			t.Log(log.String())
		}
	})
	require.Eventually(t, func() bool {
		res, err := http.Get("http://" + i.address + "/readyz") //nolint:noctx // it answers or refuses at once
		if err != nil {
			return false
		}
		res.Body.Close() //nolint:errcheck // only the status matters
		return res.StatusCode == http.StatusOK
	}, 60*time.Second, 20*time.Millisecond)
	return c
}

func (i *installation) get(t *testing.T, path string, out any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+i.address+path, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+i.token)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close() //nolint:errcheck // read to its end
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode, "%s", b)
	require.NoError(t, json.Unmarshal(b, out))
}

func (i *installation) post(t *testing.T, path, body string, status int, out any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+i.address+path, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+i.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close() //nolint:errcheck // read to its end
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, status, res.StatusCode, "%s", b)
	if out != nil {
		require.NoError(t, json.Unmarshal(b, out))
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// The service is killed in the middle of an import and started again: the import ends by itself, every row once. Then it is
// killed in the middle of a run of all score models.
func TestKilledInTheMiddleOfAnImport(t *testing.T) {
	t.Parallel()
	i := install(t)
	first := i.serve(t)
	i.run(t, "tenant", "create", "shop", "--currency", "USD", "--timezone", "UTC")
	i.token = lastLine(i.run(t, "token", "--tenant", "shop"))

	const rows, customers = 60_000, 7_000
	var file strings.Builder
	file.WriteString("who,day,cents\n")
	for n := range rows {
		fmt.Fprintf(&file, "c%d,2026-01-%02d,%d\n", n%customers, 1+n%28, n%5000)
	}
	path := filepath.Join(t.TempDir(), "orders.csv")
	require.NoError(t, os.WriteFile(path, []byte(file.String()), 0o600))
	load := []string{"import", "transactions", path, "--source", "pos", "--currency", "USD",
		"--map", "customer_external_id=who,occurred_at=day,amount_minor=cents"}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	cli := i.command(ctx, load...)
	require.NoError(t, cli.Start())

	var imports struct {
		Items []struct {
			Status                           string
			Rows, Created, Unchanged, Failed int
			CustomersCreated                 int `json:"customers_created"`
		}
	}
	require.Eventually(t, func() bool {
		i.get(t, "/v1/imports", &imports)
		return len(imports.Items) == 1 && imports.Items[0].Rows > 0
	}, time.Minute, 5*time.Millisecond)
	require.NoError(t, first.Process.Kill())
	first.Wait() //nolint:errcheck // it was killed
	stop()
	cli.Wait() //nolint:errcheck // it was killed

	second := i.serve(t)
	require.Eventually(t, func() bool {
		i.get(t, "/v1/imports", &imports)
		return imports.Items[0].Status == "succeeded"
	}, 2*time.Minute, 100*time.Millisecond)
	require.Equal(t, rows, imports.Items[0].Created)
	require.Equal(t, customers, imports.Items[0].CustomersCreated)
	require.Contains(t, i.run(t, "recompute", "--tenant", "shop", "--verify"), "the metrics of all 7000 customers equal their facts")

	out := i.run(t, load...)
	require.Contains(t, out, "unchanged")
	i.get(t, "/v1/imports", &imports)
	require.Equal(t, rows, imports.Items[0].Unchanged)
	require.Zero(t, imports.Items[0].Created)

	i.killedInTheMiddleOfARun(t, second, customers)

	// A number whose check character is wrong: refused, unless a warning is asked for.
	require.NoError(t, os.WriteFile(path, []byte("no,name,code\n1,甲有限公司,914403007084611369\n"), 0o600))
	companies := []string{"import", "customers", path, "--source", "erp", "--map", "external_id=no,name=name,company.registration_number=code"}
	require.Contains(t, i.run(t, companies...), "1 refused")
	out = i.run(t, append(companies, "--registration-check", "warn")...)
	require.Contains(t, out, "1 created, 0 updated, 0 unchanged, 0 refused; 1 with a warning")
	require.Contains(t, out, "line 2, column code, taken with a warning: ")
}

// killedInTheMiddleOfARun kills the service when everybody's scores are loaded and none is in force yet.
func (i *installation) killedInTheMiddleOfARun(t *testing.T, service *exec.Cmd, customers int) {
	t.Helper()
	for _, kind := range []string{"rfm", "rules", "composite"} {
		i.post(t, "/v1/score-models", fmt.Sprintf(`{"key": %q, "kind": %q}`, kind, kind), http.StatusCreated, nil)
	}
	server, err := pgserver.Attach(t.Context(), i.dir)
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), server.DSN("kezi"))
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // closed below
	const loose = `SELECT count(*) FROM pg_class WHERE relkind = 'r' AND NOT relispartition AND relname ~ '^scores_[0-9]+$'`
	count := func(sql string) (n int) {
		require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&n))
		return n
	}
	// While this transaction is open no partition can be attached.
	_, err = conn.Exec(t.Context(), `BEGIN; LOCK TABLE scores IN SHARE UPDATE EXCLUSIVE MODE`)
	require.NoError(t, err)
	var job struct {
		ID, Status string
		Counts     struct{ Scored int }
	}
	i.post(t, "/v1/score-runs", `{}`, http.StatusAccepted, &job)
	require.Eventually(t, func() bool { return count(loose) == 3 }, time.Minute, 10*time.Millisecond)
	require.NoError(t, service.Process.Kill())
	service.Wait() //nolint:errcheck // it was killed
	require.NoError(t, conn.Close(t.Context()))

	i.serve(t)
	require.Eventually(t, func() bool {
		i.get(t, "/v1/jobs/"+job.ID, &job)
		return job.Status == "succeeded"
	}, 2*time.Minute, 50*time.Millisecond)
	require.Equal(t, 3*customers, job.Counts.Scored)
	if server, err = pgserver.Attach(t.Context(), i.dir); err == nil {
		conn, err = pgx.Connect(t.Context(), server.DSN("kezi"))
	}
	require.NoError(t, err)
	require.Zero(t, count(loose), "nothing is left of the attempt that was killed")
	require.Equal(t, 3*customers, count(`SELECT count(*) FROM scores`), "everybody once by each model")
	require.Equal(t, 3, count(`SELECT count(DISTINCT current_run) FROM score_models`))
	require.NoError(t, conn.Close(t.Context()))
}

func TestDevelopmentSignInStaysOnLoopback(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.address = "0.0.0.0:0"
	out, err := i.command(t.Context(), "serve").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "loopback")
}

func TestCommandsWorkWithoutAServer(t *testing.T) {
	t.Parallel()
	i := install(t)
	require.Contains(t, i.run(t, "migrate"), "the schema is at version")
	stranger := func(args ...string) string {
		out, err := i.command(t.Context(), append(args, "--tenant", "nobody")...).CombinedOutput()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
		require.Equal(t, 1, exit.ExitCode())
		return lastLine(string(out))
	}
	require.Equal(t, "kezi: there is no tenant nobody (there is none yet); kezi tenant create nobody makes it", stranger("recompute"))
	i.run(t, "tenant", "create", "one")
	require.Equal(t, "kezi: there is no tenant nobody (the tenants are one); kezi tenant create nobody makes it", stranger("recompute", "--verify"))
	out, err := i.command(t.Context(), "tenant", "create", "one").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "already")
	out, err = i.command(t.Context(), "tenant", "create", "two", "--currency", "XXY", "--timezone", "Mars").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "currency")
	require.Contains(t, string(out), "time_zone")
	require.Len(t, strings.Split(lastLine(i.run(t, "token", "--tenant", "one")), "."), 3)
	require.Contains(t, stranger("token"), "kezi tenant create nobody")
	require.Contains(t, i.run(t, "version"), "kezi")
}
