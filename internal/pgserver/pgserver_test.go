package pgserver_test

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/pgserver"
)

func TestLife(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), "new")
	began := time.Now()
	s := start(t, pgserver.Config{Dir: dir, Settings: map[string]string{"work_mem": "7MB"}})
	t.Log("cold start", time.Since(began))

	require.Regexp(t, `^\d+\.?\d*`, s.Version())
	require.Equal(t, "UTF8", ask[string](t, s, "SHOW server_encoding"))
	require.Equal(t, "C.UTF-8", ask[string](t, s, "SELECT datctype FROM pg_database WHERE datname = current_database()"))
	require.Empty(t, ask[string](t, s, "SHOW listen_addresses"))
	require.Equal(t, "on", ask[string](t, s, "SHOW fsync"))
	require.Equal(t, "7MB", ask[string](t, s, "SHOW work_mem"))
	for _, name := range []string{"data", "sock"} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o700), info.Mode().Perm(), name)
	}
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.Geteuid(), int(info.Sys().(*syscall.Stat_t).Uid), "the folder itself stays ours")
	do(t, s, "CREATE TABLE customers AS SELECT 'Ada' AS name")
	require.NoError(t, s.Err())
	stop(t, s)
	stop(t, s)
	require.NoError(t, s.Err(), "asked for")

	began = time.Now()
	s = start(t, pgserver.Config{Dir: dir})
	t.Log("warm start", time.Since(began))
	require.Equal(t, "Ada", ask[string](t, s, "SELECT name FROM customers"))
	began = time.Now()
	stop(t, s)
	t.Log("stop", time.Since(began))
}

func TestStopWithAnEndedContextLosesNothing(t *testing.T) {
	t.Parallel()
	dir := made(t, folder(t))
	s := start(t, pgserver.Config{Dir: dir})
	do(t, s, "CREATE TABLE customers AS SELECT 'Ada' AS name")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, s.Stop(over))
	closed(t, s.Exited())
	s = start(t, pgserver.Config{Dir: dir})
	require.Equal(t, "Ada", ask[string](t, s, "SELECT name FROM customers"))
}

func TestSecondInstanceIsRefused(t *testing.T) {
	t.Parallel()
	dir := made(t, folder(t))
	s := start(t, pgserver.Config{Dir: dir})
	began := time.Now()
	_, err := pgserver.Start(t.Context(), pgserver.Config{Dir: dir})
	require.ErrorIs(t, err, pgserver.ErrLocked)
	require.ErrorContains(t, err, dir)
	require.Less(t, time.Since(began), time.Second)

	other := run(t, "round", dir, nil)
	require.Contains(t, other.said(t, "round"), pgserver.ErrLocked.Error())
	require.Equal(t, 1, ask[int](t, s, "SELECT 1"), "the first one is not disturbed")
}

func TestAttach(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	_, err := pgserver.Attach(t.Context(), filepath.Join(dir, "never"))
	require.ErrorIs(t, err, pgserver.ErrNotRunning)

	owner := run(t, "own", dir, nil)
	require.Equal(t, "<nil>", owner.said(t, "started"))
	a, err := pgserver.Attach(t.Context(), dir)
	require.NoError(t, err)
	require.Equal(t, ask[string](t, a, "SELECT split_part(current_setting('server_version'), ' ', 1)"), a.Version())

	closeIt := func(fn func(context.Context) error) { require.NoError(t, fn(t.Context())) }
	b, done, err := pgserver.Open(t.Context(), pgserver.Config{Dir: dir})
	require.NoError(t, err)
	require.Equal(t, a, b)
	closeIt(done)
	require.Equal(t, 1, ask[int](t, a, "SELECT 1"), "closing what another process started leaves it running")

	owner.kill(t)
	eventually(t, "the server follows its owner", func() bool {
		_, err := pgserver.Attach(t.Context(), dir)
		return err != nil
	})
	_, err = pgserver.Attach(t.Context(), dir)
	require.ErrorIs(t, err, pgserver.ErrNotRunning)

	b, done, err = pgserver.Open(t.Context(), pgserver.Config{Dir: dir})
	require.NoError(t, err)
	require.Equal(t, 1, ask[int](t, b, "SELECT 1"))
	closeIt(done)
	_, err = pgserver.Attach(t.Context(), dir)
	require.ErrorIs(t, err, pgserver.ErrNotRunning)
}

func TestOpenAtOnce(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	var all, ready sync.WaitGroup
	ready.Add(4)
	for range 4 {
		all.Go(func() {
			a, done, err := pgserver.Open(t.Context(), pgserver.Config{Dir: dir})
			if err == nil {
				_, err = pgserver.Attach(t.Context(), dir)
			}
			ready.Done()
			if err != nil {
				t.Error(err)
				return
			}
			ready.Wait() // one of them owns the server, and closes it
			if a.Version() == "" {
				t.Error("no version")
			}
			if err := done(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	_, err := pgserver.Attach(t.Context(), dir)
	require.ErrorIs(t, err, pgserver.ErrNotRunning)
}

func TestEphemeral(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	s := start(t, pgserver.Config{Dir: dir, Ephemeral: true})
	for _, setting := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		require.Equal(t, "off", ask[string](t, s, "SHOW "+setting))
	}
	stop(t, s)
	require.NoDirExists(t, dir)

	made(t, dir)
	_, err := pgserver.Start(t.Context(), pgserver.Config{Dir: dir, Ephemeral: true})
	require.ErrorContains(t, err, "holds data")
	require.FileExists(t, filepath.Join(dir, "data", "PG_VERSION"), "a test must not remove real data")
}

func TestEphemeralCrashLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	s := start(t, pgserver.Config{Dir: dir, Ephemeral: true})
	require.NoError(t, syscall.Kill(masterPID(t, dir), syscall.SIGKILL))
	closed(t, s.Exited())
	stop(t, s)
	require.NoDirExists(t, dir)
}

func TestScratchSweepsDeadOwners(t *testing.T) {
	base := t.TempDir()
	t.Setenv("TMPDIR", base)
	dir := folder(t)
	base = filepath.Dir(dir) // memory, where there is some

	mk := func(name string, age time.Duration) string {
		path, err := os.MkdirTemp(base, "kezi-test-sweep-"+name+"-*")
		require.NoError(t, err)
		require.NoError(t, os.Mkdir(filepath.Join(path, "data"), 0o755))
		require.NoError(t, os.Chmod(path, 0o755))
		t.Cleanup(func() { require.NoError(t, os.RemoveAll(path)) })
		at := time.Now().Add(-age)
		require.NoError(t, os.Chtimes(path, at, at))
		return path
	}
	dead, fresh := mk("dead", time.Hour), mk("fresh", 0)
	living := mk("living", 0)
	require.NoError(t, os.Remove(filepath.Join(living, "data")))
	s := start(t, pgserver.Config{Dir: living, Ephemeral: true})
	old := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(living, old, old))

	folder(t)
	require.NoDirExists(t, dead)
	require.DirExists(t, fresh)
	require.Equal(t, 1, ask[int](t, s, "SELECT 1"))
}

func TestPathsThatSocketsAndListsDislike(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"Long":  strings.Repeat("long/", 30),
		"Comma": "a,b",
		"Odd":   `it's "odd" \ 50% & 客資?`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := made(t, filepath.Join(folder(t), path))
			s := start(t, pgserver.Config{Dir: dir})
			require.Equal(t, 1, ask[int](t, s, "SELECT 1"))
			a, err := pgserver.Attach(t.Context(), dir)
			require.NoError(t, err)
			require.Equal(t, s.DSN("x"), a.DSN("x"))
			stop(t, s)
			if sock := socketFolder(t, s); !strings.HasPrefix(sock, dir) {
				require.NoDirExists(t, sock)
			}
		})
	}
}

// A socket in a folder of somebody else would hand them the database.
func TestSocketFolderOfSomebodyElse(t *testing.T) {
	needRoot(t)
	tmp := folder(t)
	t.Setenv("TMPDIR", tmp)
	dir := made(t, filepath.Join(folder(t), strings.Repeat("long/", 30)))
	s := start(t, pgserver.Config{Dir: dir})
	sock := socketFolder(t, s)
	require.Equal(t, tmp, filepath.Dir(sock))
	stop(t, s)

	require.NoError(t, os.Mkdir(sock, 0o777))
	require.NoError(t, os.Chown(sock, 54321, 54321))
	s = start(t, pgserver.Config{Dir: dir})
	require.NotEqual(t, sock, socketFolder(t, s))
	entries, err := os.ReadDir(sock)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func socketFolder(t *testing.T, s addressed) string {
	t.Helper()
	u, err := url.Parse(s.DSN("postgres"))
	require.NoError(t, err)
	return u.Query().Get("host")
}

func TestLargeLogIsMovedAside(t *testing.T) {
	t.Parallel()
	dir := made(t, folder(t))
	log := filepath.Join(dir, "postgres.log")
	require.NoError(t, os.WriteFile(log, nil, 0o600))
	require.NoError(t, os.Truncate(log, 11<<20))
	start(t, pgserver.Config{Dir: dir})
	info, err := os.Stat(log)
	require.NoError(t, err)
	require.Less(t, info.Size(), int64(1<<20))
	require.FileExists(t, log+".1")
}
