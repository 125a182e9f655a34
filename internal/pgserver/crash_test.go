package pgserver_test

import (
	"context"
	"fmt"
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

func TestCrashOfPostgreSQL(t *testing.T) {
	t.Parallel()
	dir := made(t, folder(t))
	s := start(t, pgserver.Config{Dir: dir})
	do(t, s, "CREATE TABLE customers AS SELECT 'Ada' AS name")

	// A backend that computes does not notice that its postmaster is gone, and would block the next start.
	busy, err := pgx.Connect(t.Context(), s.DSN("postgres"))
	require.NoError(t, err)
	pid := int(busy.PgConn().PID())
	cut := make(chan struct{})
	go func() {
		defer close(cut)
		_, _ = busy.Exec(t.Context(), "SELECT count(*) FROM generate_series(1, 1e13)")
		_ = busy.Close(context.WithoutCancel(t.Context()))
	}()
	eventually(t, "the backend computes", func() bool {
		return ask[int](t, s, "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND state = 'active'", pid) == 1
	})

	require.NoError(t, syscall.Kill(masterPID(t, dir), syscall.SIGKILL))
	closed(t, s.Exited())
	require.ErrorContains(t, s.Err(), "killed")
	require.NotContains(t, []string{"", "Z"}, stateOf(pid), "the orphan lives")
	_, err = pgserver.Start(t.Context(), pgserver.Config{Dir: dir})
	require.ErrorIs(t, err, pgserver.ErrLocked, "until Stop")
	stop(t, s)

	began := time.Now()
	s = start(t, pgserver.Config{Dir: dir})
	t.Log("start after a crash, with an orphan", time.Since(began))
	require.Contains(t, []string{"", "Z"}, stateOf(pid), "the orphan is gone")
	closed(t, cut)
	require.Equal(t, "Ada", ask[string](t, s, "SELECT name FROM customers"))
}

func TestCrashOfTheOwner(t *testing.T) {
	t.Parallel()
	dir := made(t, folder(t))
	owner := run(t, "own", dir, nil)
	require.Equal(t, "<nil>", owner.said(t, "started"))
	pid := masterPID(t, dir)
	a, err := pgserver.Attach(t.Context(), dir)
	require.NoError(t, err)
	do(t, a, "CREATE TABLE customers AS SELECT 'Ada' AS name")

	owner.kill(t)
	began := time.Now()
	s := start(t, pgserver.Config{Dir: dir}) // at once, while the old server may still be going down
	t.Log("start after the owner was killed", time.Since(began))
	require.Equal(t, "Ada", ask[string](t, s, "SELECT name FROM customers"))
	require.NotEqual(t, pid, masterPID(t, dir))
	require.Contains(t, []string{"", "Z"}, stateOf(pid), "gone, though perhaps nobody has reaped it")
}

func TestStaleFiles(t *testing.T) {
	t.Parallel()
	dir := made(t, folder(t))
	stop(t, start(t, pgserver.Config{Dir: dir})) // makes the socket's folder
	data, sock := filepath.Join(dir, "data"), filepath.Join(dir, "sock")
	living, zombie := exec.Command("sleep", "60"), exec.Command("true")
	if os.Geteuid() == 0 {
		// PostgreSQL overlooks a pid that it may not send signals to; these are to be in its way.
		info, err := os.Stat(data)
		require.NoError(t, err)
		st := info.Sys().(*syscall.Stat_t)
		living.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: st.Uid, Gid: st.Gid}}
		zombie.SysProcAttr = living.SysProcAttr
		living.Dir, zombie.Dir = "/", "/"
	}
	require.NoError(t, living.Start())
	t.Cleanup(func() {
		_ = living.Process.Kill()
		_ = living.Wait()
	})
	require.NoError(t, zombie.Start())
	t.Cleanup(func() { _ = zombie.Wait() })
	eventually(t, "the zombie", func() bool { return stateOf(zombie.Process.Pid) == "Z" })

	lines := func(pid int, status string) string {
		return fmt.Sprintf("%d\n%s\n1700000000\n5432\n%s\n\n  5432001         0\n%-8s\n", pid, data, sock, status)
	}
	for name, text := range map[string]string{
		"OtherProcess":         lines(living.Process.Pid, "ready"),
		"OtherProcessStarting": lines(living.Process.Pid, "starting"),
		"OtherProcessOneLine":  fmt.Sprintln(living.Process.Pid),
		"Zombie":               lines(zombie.Process.Pid, "ready"),
		"Ourselves":            lines(os.Getpid(), "ready"),
		"Dead":                 lines(1<<22-1, "ready"),
		"Empty":                "",
		"Noise":                "\x00\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			for path, text := range map[string]string{
				filepath.Join(data, "postmaster.pid"):     text,
				filepath.Join(sock, ".s.PGSQL.5432.lock"): text,
				filepath.Join(sock, ".s.PGSQL.5432"):      "",
			} {
				require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
			}
			_, err := pgserver.Attach(t.Context(), dir)
			require.ErrorIs(t, err, pgserver.ErrNotRunning)
			s := start(t, pgserver.Config{Dir: dir})
			require.Equal(t, 1, ask[int](t, s, "SELECT 1"))
			stop(t, s)
		})
	}
	require.NoError(t, living.Process.Signal(syscall.Signal(0)), "a process that is not PostgreSQL is left alone")
}

// stateOf is the letter of /proc/<pid>/stat, empty when there is no process.
func stateOf(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	state, _, _ := strings.Cut(rest, " ")
	return state
}

func TestShellInTheFolderIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := made(t, folder(t))
	shell := exec.Command("sleep", "60")
	shell.Dir = filepath.Join(dir, "data")
	require.NoError(t, shell.Start())
	t.Cleanup(func() {
		_ = shell.Process.Kill()
		_ = shell.Wait()
	})
	start(t, pgserver.Config{Dir: dir})
	require.Equal(t, "S", stateOf(shell.Process.Pid))
}

func TestKilledInitdb(t *testing.T) {
	t.Parallel()
	t.Run("Owner", func(t *testing.T) {
		t.Parallel()
		dir := folder(t)
		owner := run(t, "own", dir, nil)
		eventually(t, "initdb is at work", func() bool {
			_, err := os.Stat(filepath.Join(dir, "data.init", "base"))
			return err == nil
		})
		owner.kill(t)
		s := start(t, pgserver.Config{Dir: dir})
		require.Equal(t, 1, ask[int](t, s, "SELECT 1"))
		require.NoDirExists(t, filepath.Join(dir, "data.init"))
	})
	t.Run("Context", func(t *testing.T) {
		t.Parallel()
		dir := folder(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			for t.Context().Err() == nil {
				if _, err := os.Stat(filepath.Join(dir, "data.init", "base")); err == nil {
					cancel()
					return
				}
				time.Sleep(time.Millisecond)
			}
		}()
		_, err := pgserver.Start(ctx, pgserver.Config{Dir: dir})
		require.ErrorIs(t, err, context.Canceled)
		require.NoDirExists(t, filepath.Join(dir, "data.init"))
		require.NoDirExists(t, filepath.Join(dir, "data"))
		start(t, pgserver.Config{Dir: dir})
	})
	t.Run("Leftovers", func(t *testing.T) {
		t.Parallel()
		dir := folder(t)
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "data.init", "base", "1"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "data.init", "PG_VERSION"), []byte("15\n"), 0o600))
		start(t, pgserver.Config{Dir: dir})
		require.NoDirExists(t, filepath.Join(dir, "data.init"))
	})
}

func TestStartThatFailsQuotesTheLog(t *testing.T) {
	t.Parallel()
	dir := made(t, folder(t))
	_, err := pgserver.Start(t.Context(), pgserver.Config{Dir: dir, Settings: map[string]string{"shared_buffers": "much"}})
	require.ErrorContains(t, err, `invalid value for parameter "shared_buffers"`)
	start(t, pgserver.Config{Dir: dir})
}
