package pgserver_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/pgserver"
)

func TestOtherMajorVersion(t *testing.T) {
	t.Parallel()
	dir := made(t, folder(t))
	file := filepath.Join(dir, "data", "PG_VERSION")
	was, err := os.ReadFile(file)
	require.NoError(t, err)

	require.NoError(t, os.WriteFile(file, []byte("12\n"), 0o600))
	_, err = pgserver.Start(t.Context(), pgserver.Config{Dir: dir})
	require.ErrorIs(t, err, pgserver.ErrOtherMajor)
	require.ErrorContains(t, err, "PostgreSQL 12")
	require.DirExists(t, filepath.Join(dir, "data", "base"))

	require.NoError(t, os.WriteFile(file, was, 0o600))
	start(t, pgserver.Config{Dir: dir})
}

func TestDataThatIsNoDatabaseIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	note := filepath.Join(dir, "data", "thesis.txt")
	require.NoError(t, os.Mkdir(filepath.Dir(note), 0o755))
	require.NoError(t, os.WriteFile(note, []byte("x"), 0o600))
	_, err := pgserver.Start(t.Context(), pgserver.Config{Dir: dir})
	require.ErrorContains(t, err, "not a database")
	require.FileExists(t, note)

	require.NoError(t, os.Remove(note))
	start(t, pgserver.Config{Dir: dir}) // an empty folder is as good as none
}

func TestUnwritableFolder(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := pgserver.Start(t.Context(), pgserver.Config{Dir: filepath.Join(file, "kezi")})
	require.ErrorContains(t, err, filepath.Join(file, "kezi")+" cannot be written")

	needRoot(t)
	for _, wanted := range []string{dir, filepath.Join(dir, "below")} {
		c := run(t, "round", wanted, somebody(t))
		require.Contains(t, c.said(t, "round"), "the database folder "+wanted+" cannot be written: ")
	}
}

func TestNoBinaries(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	_, err := pgserver.Start(t.Context(), pgserver.Config{Dir: filepath.Join(dir, "kezi"), Binaries: dir})
	require.ErrorIs(t, err, pgserver.ErrNoBinaries)
	require.ErrorContains(t, err, pgserver.InstallHint())
	require.NoDirExists(t, filepath.Join(dir, "kezi"))

	script := "#!/bin/sh\necho 'postgres (PostgreSQL) 14.9 (Debian 14.9-1)'\n"
	for _, name := range []string{"postgres", "initdb"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755))
	}
	_, err = pgserver.Start(t.Context(), pgserver.Config{Dir: filepath.Join(dir, "kezi"), Binaries: dir})
	require.ErrorIs(t, err, pgserver.ErrNoBinaries)
	require.ErrorContains(t, err, "14.9")
}

func TestBinariesInPATHAreFoundThroughLinks(t *testing.T) {
	real, err := pgserver.FindBinaries("", 0)
	require.NoError(t, err)
	links := t.TempDir()
	require.NoError(t, os.Symlink(filepath.Join(real, "postgres"), filepath.Join(links, "postgres")))
	t.Setenv("PATH", links)
	found, err := pgserver.FindBinaries("", 0)
	require.NoError(t, err)
	require.Equal(t, real, found, "initdb is beside the program, not beside the link")
	t.Setenv("PATH", "")
	_, err = pgserver.FindBinaries("", 0)
	require.NoError(t, err, "not everybody has it in PATH")
}

func TestUnreachableParent(t *testing.T) {
	needRoot(t)
	private := filepath.Join(folder(t), "home")
	require.NoError(t, os.Mkdir(private, 0o700))
	wanted, other := filepath.Join(private, "one", ".kezi"), filepath.Join(private, "two", ".kezi")
	_, err := pgserver.Start(t.Context(), pgserver.Config{Dir: wanted})
	require.ErrorIs(t, err, pgserver.ErrUnreachable)
	require.ErrorContains(t, err, "may not enter "+private+";")

	elsewhere := filepath.Join(folder(t), "lib", "kezi")
	pgserver.MoveTo(t, elsewhere)
	dir, moved, err := pgserver.ResolveDir(wanted)
	require.NoError(t, err)
	require.True(t, moved)
	require.Equal(t, elsewhere, filepath.Dir(dir))
	require.Contains(t, filepath.Base(dir), "one-")
	again, _, err := pgserver.ResolveDir(wanted)
	require.NoError(t, err)
	require.Equal(t, dir, again)
	another, _, err := pgserver.ResolveDir(other)
	require.NoError(t, err)
	require.NotEqual(t, dir, another, "two checkouts do not share data")
	made(t, dir)

	require.NoError(t, os.Chmod(private, 0o755))
	again, moved, err = pgserver.ResolveDir(wanted)
	require.NoError(t, err)
	require.Equal(t, dir, again, "the data is there")
	require.True(t, moved)
	another, moved, err = pgserver.ResolveDir(other)
	require.NoError(t, err)
	require.Equal(t, other, another)
	require.False(t, moved)

	made(t, other)
	require.NoError(t, os.Chmod(private, 0o700))
	_, _, err = pgserver.ResolveDir(other)
	require.ErrorIs(t, err, pgserver.ErrUnreachable, "rather than an empty new database")
}

func TestResolveDirFindsTheDefault(t *testing.T) {
	dir := folder(t)
	t.Chdir(dir)
	got, moved, err := pgserver.ResolveDir("")
	require.NoError(t, err)
	require.False(t, moved)
	require.Equal(t, filepath.Join(dir, ".kezi"), got)
}

func TestOrdinaryUser(t *testing.T) {
	t.Parallel()
	needRoot(t)
	dir := filepath.Join(folder(t), "home")
	require.NoError(t, os.Mkdir(dir, 0o700))
	give(t, dir, somebody(t))
	c := run(t, "round", dir, somebody(t))
	require.Equal(t, "<nil>", c.said(t, "round"))

	// Root after that: the data's owner goes on running it, and finds it afterwards as it was.
	s := start(t, pgserver.Config{Dir: dir})
	require.Equal(t, 0, ask[int](t, s, "SELECT count(*) FROM visits"))
	stop(t, s)
	c = run(t, "round", dir, somebody(t))
	require.Equal(t, "<nil>", c.said(t, "round"))
}

func TestStrictUmask(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), "var", "kezi")
	c := run(t, "round-077", dir, nil)
	require.Equal(t, "<nil>", c.said(t, "round"), "the database's user passes the folders that root made")
}

func TestDataOfAnotherUser(t *testing.T) {
	t.Parallel()
	needRoot(t)
	dir := folder(t)
	give(t, dir, somebody(t))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "data"), 0o700))
	require.NoError(t, os.Chown(filepath.Join(dir, "data"), 54321, 54321))
	c := run(t, "round", dir, somebody(t))
	require.Contains(t, c.said(t, "round"), "belongs to user 54321")
}

func TestCopyMadeByRootIsAdopted(t *testing.T) {
	t.Parallel()
	needRoot(t)
	dir := made(t, folder(t))
	restored := folder(t)
	require.NoError(t, os.CopyFS(filepath.Join(restored, "data"), os.DirFS(filepath.Join(dir, "data"))))
	start(t, pgserver.Config{Dir: restored})
}

func TestInstallHint(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		id, like, version string
		root              bool
		want              string
	}{
		{"debian", "", "12", true, "apt-get update && apt-get install -y postgresql"},
		{"ubuntu", "debian", "24.04", false, "sudo sh -c 'apt-get update && apt-get install -y postgresql'"},
		{"linuxmint", "ubuntu debian", "22", true, "apt-get update && apt-get install -y postgresql"},
		{"fedora", "", "42", false, "sudo dnf install -y postgresql-server postgresql-contrib"},
		{"rocky", "rhel centos fedora", "9.4", true, "dnf install -y postgresql-server postgresql-contrib"},
		{"alpine", "", "3.22.1", true, "apk add postgresql postgresql-contrib"},
		{"arch", "", "", true, "pacman -S --noconfirm postgresql"},
		{"plan9", "", "", true, "install PostgreSQL 15 or newer with the package manager of this system"},
	} {
		release := "NAME=x\nID=" + c.id + "\nID_LIKE=" + strconv.Quote(c.like) + "\nVERSION_ID=" + strconv.Quote(c.version) + "\n"
		require.Equal(t, c.want, pgserver.InstallHintFor("linux", release, c.root), c.id)
	}
	require.Contains(t, pgserver.InstallHintFor("linux", "ID=ubuntu\nVERSION_ID=\"22.04\"\n", true), "pgdg", "its own is version 14")
	require.Equal(t, "brew install postgresql@17", pgserver.InstallHintFor("darwin", "", false))
}
