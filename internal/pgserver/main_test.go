package pgserver_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/pgserver"
)

// The test binary runs itself again as another process or another user; these variables say as what.
const (
	roleVar = "KEZI_PGSERVER_ROLE"
	dirVar  = "KEZI_PGSERVER_DIR"
)

func TestMain(m *testing.M) {
	switch os.Getenv(roleVar) {
	case "own": // start and hold until killed
		_, err := pgserver.Start(context.Background(), pgserver.Config{Dir: os.Getenv(dirVar)})
		fmt.Println("started:", err)
		_, _ = io.Copy(io.Discard, os.Stdin)
		select {}
	case "round-077": // as with a strict umask
		syscall.Umask(0o077)
		fallthrough
	case "round": // start, write, stop
		fmt.Println("round:", round(os.Getenv(dirVar)))
		os.Exit(0)
	}
	syscall.Umask(0o022) // the tests' own files must be readable for the database's user
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	if dir, err := model(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

func round(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := pgserver.Start(ctx, pgserver.Config{Dir: dir})
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "CREATE TABLE IF NOT EXISTS visits (n int)"); err != nil {
		return err
	}
	return s.Stop(ctx)
}

// binary is a copy of the test binary that other users can run; go test builds it in a private folder.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "kezi-pgserver-bin-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	in, err := os.Open("/proc/self/exe")
	if err != nil {
		return "", err
	}
	defer in.Close()
	path := filepath.Join(dir, "pgserver.test")
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return "", err
	}
	if _, err := io.Copy(out, in); err != nil {
		return "", err
	}
	return path, out.Close()
})

// child is the test binary in a role, its first line of output read by said.
type child struct {
	cmd *exec.Cmd
	out *bufio.Reader
}

func run(t *testing.T, role, dir string, as *user.User) *child {
	t.Helper()
	path, err := binary()
	require.NoError(t, err)
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), roleVar+"="+role, dirVar+"="+dir)
	cmd.Dir = "/"
	cmd.Stderr = os.Stderr
	if as != nil {
		uid, _ := strconv.Atoi(as.Uid)
		gid, _ := strconv.Atoi(as.Gid)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	_, err = cmd.StdinPipe() // stays open
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &child{cmd, bufio.NewReader(out)}
}

// said is the rest of the line that begins with the word.
func (c *child) said(t *testing.T, word string) string {
	t.Helper()
	line, err := c.out.ReadString('\n')
	require.NoError(t, err)
	rest, ok := strings.CutPrefix(line, word+": ")
	require.True(t, ok, line)
	return strings.TrimSpace(rest)
}

func (c *child) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, c.cmd.Process.Kill())
	_ = c.cmd.Wait()
}

// folder is a place for a database, in memory where possible, that the database's user can reach; t.TempDir is
// below a private folder.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := pgserver.Scratch(t.Name())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// model is a folder with a stopped database, for made to copy.
var model = sync.OnceValues(func() (string, error) {
	dir, err := pgserver.Scratch("model")
	if err != nil {
		return "", err
	}
	s, err := pgserver.Start(context.Background(), pgserver.Config{Dir: dir})
	if err != nil {
		return "", err
	}
	return dir, s.Stop(context.Background())
})

// made puts a database into dir without the half second that initdb takes.
func made(t *testing.T, dir string) string {
	t.Helper()
	from, err := model()
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	out, err := exec.Command("cp", "-a", filepath.Join(from, "data"), dir).CombinedOutput()
	require.NoError(t, err, string(out))
	return dir
}

func start(t *testing.T, cfg pgserver.Config) *pgserver.Server {
	t.Helper()
	s, err := pgserver.Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *pgserver.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	require.NoError(t, s.Stop(ctx))
	select {
	case <-s.Exited():
	default:
		t.Error("Stop returned before PostgreSQL ended")
	}
}

type addressed interface{ DSN(database string) string }

// ask runs one statement that returns one value.
func ask[T any](t *testing.T, s addressed, sql string, args ...any) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.DSN("postgres"))
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // nothing follows
	var v T
	require.NoError(t, conn.QueryRow(t.Context(), sql, args...).Scan(&v))
	return v
}

func do(t *testing.T, s addressed, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.DSN("postgres"))
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // nothing follows
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}

// masterPID is the pid that the server of dir wrote down.
func masterPID(t *testing.T, dir string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	require.NoError(t, err)
	line, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(line)
	require.NoError(t, err)
	return pid
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	require.Eventually(t, done, time.Minute, 5*time.Millisecond, what)
}

func closed(t *testing.T, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(15 * time.Second):
		t.Fatal("not closed in time")
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it is about root and other users")
	}
}

func somebody(t *testing.T) *user.User {
	t.Helper()
	u, err := user.Lookup("nobody")
	require.NoError(t, err)
	return u
}

// give makes path the user's.
func give(t *testing.T, path string, u *user.User) {
	t.Helper()
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	require.NoError(t, os.Chown(path, uid, gid))
}
