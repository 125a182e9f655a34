package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// superuser is the role that owns the cluster. It needs no password: the socket folder lets in nobody but the
// database's user and root.
const superuser = "postgres"

// clusterMajor is the major version of the data below dir, 0 when there is none.
func clusterMajor(dir string) int {
	b, err := os.ReadFile(filepath.Join(dir, dataName, "PG_VERSION"))
	if err != nil {
		return 0
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return -1 // 9.6 and the like: no version that runs here
	}
	return major
}

// prepareData leaves a cluster of the right version that nobody runs on; fresh tells that it is new.
func (s *Server) prepareData(ctx context.Context, bin string) (fresh bool, err error) {
	data, half := s.data(), filepath.Join(s.dir, dataInitName)
	for _, folder := range []string{data, half} {
		if err := evict(ctx, s.log, s.who, folder); err != nil {
			return false, err
		}
	}
	// A folder of this name was never finished: the rename below is the last step.
	if err := os.RemoveAll(half); err != nil {
		return false, unwritable(s.dir, err)
	}
	found, err := checkData(data, s.version)
	if err != nil {
		return false, err
	}
	if found && s.cfg.Ephemeral {
		return false, fmt.Errorf("folder %s holds data; an ephemeral server would remove it", s.dir)
	}
	s.disposes = s.cfg.Ephemeral
	if found {
		return false, adoptData(data, s.who)
	}
	if err := s.initdb(ctx, bin, half); err != nil {
		// A cancelled initdb leaves helpers that may still write.
		err = errors.Join(err, evict(context.WithoutCancel(ctx), s.log, s.who, half))
		return false, errors.Join(err, os.RemoveAll(half))
	}
	err = os.Remove(data) // an empty folder, as a container's volume may bring
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = os.Rename(half, data)
	}
	if err != nil {
		return false, fmt.Errorf("put the new database in place: %w", err)
	}
	return true, syncFolder(s.dir)
}

// checkData tells whether data is a cluster that PostgreSQL of this version can open. Whatever is in it stays.
func checkData(data, version string) (found bool, err error) {
	info, err := os.Lstat(data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look at the data: %w", err)
	case !info.IsDir():
		return false, fmt.Errorf("%s is not a folder", data)
	}
	b, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		entries, err := os.ReadDir(data)
		if err == nil && len(entries) > 0 {
			err = fmt.Errorf("%s is not empty and not a database either; it is left alone", data)
		}
		return false, err
	case err != nil:
		return false, fmt.Errorf("read the version of the data: %w", err)
	}
	if had, have := strings.TrimSpace(string(b)), strconv.Itoa(majorOf(version)); had != have {
		return false, fmt.Errorf("%w: %s was written by PostgreSQL %s, installed is %s; install PostgreSQL %s, or dump the "+
			"data with it and restore it into a new folder", ErrOtherMajor, data, had, version, had)
	}
	return true, nil
}

// adoptData gives data that root owns, a restored copy for one, to the database's user: PostgreSQL runs on nothing
// but its own files.
func adoptData(data string, who account) error {
	if !who.other {
		return nil
	}
	info, err := os.Lstat(data)
	if err != nil {
		return fmt.Errorf("look at the data: %w", err)
	}
	if uid, _ := ownerOf(info); uid == who.uid {
		return nil
	}
	err = filepath.WalkDir(data, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, who.uid, who.gid)
	})
	if err == nil {
		err = os.Chmod(data, 0o700)
	}
	if err != nil {
		return fmt.Errorf("give the data to user %s: %w", who.name, err)
	}
	return nil
}

func (s *Server) initdb(ctx context.Context, bin, folder string) error {
	if err := os.Mkdir(folder, 0o700); err != nil {
		return unwritable(s.dir, err)
	}
	if err := s.who.own(folder); err != nil {
		return err
	}
	args := []string{"-D", folder, "-U", superuser, "-E", "UTF8", "--auth-local=trust", "--auth-host=reject", "--no-instructions"}
	args = append(args, localeArguments(majorOf(s.version))...)
	if s.cfg.Ephemeral {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), args...)
	cmd.Dir = folder
	cmd.Env = environment()
	cmd.Stdout, cmd.Stderr = s.logFile.file, s.logFile.file
	cmd.SysProcAttr = childAttr(s.who, syscall.SIGKILL) // what it leaves is removed at the next start
	exited, err := spawn(cmd)
	if err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	<-exited
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("create the database: %w", context.Cause(ctx))
	case !cmd.ProcessState.Success():
		return fmt.Errorf("create the database: initdb: %s%s", cmd.ProcessState, s.logFile.tail())
	}
	return nil
}

// localeArguments ask for C.UTF-8. From version 17 on PostgreSQL brings that locale itself, the same on every system;
// macOS needs it, whose C library has none.
func localeArguments(major int) []string {
	if major < 17 {
		return []string{"--locale=C.UTF-8"}
	}
	libc := "C.UTF-8"
	if runtime.GOOS == "darwin" {
		libc = "C"
	}
	return []string{"--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=" + libc}
}

// arguments of postgres. Settings given by the caller come after the defaults and win, except for the socket: DSN
// relies on it.
func (s *Server) arguments() []string {
	args := []string{"-D", s.data()}
	add := func(m map[string]string) {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			args = append(args, "-c", name+"="+m[name])
		}
	}
	add(commonSettings)
	if s.cfg.Ephemeral {
		add(ephemeralSettings)
	} else {
		add(memorySettings(machineMemory()))
		add(serviceSettings)
	}
	add(s.cfg.Settings)
	add(map[string]string{
		"port":                    socketPort,
		"unix_socket_directories": `"` + strings.ReplaceAll(s.socket, `"`, `""`) + `"`, // a list: quoted, a comma is no separator
		"unix_socket_permissions": "0700",
	})
	return args
}

var commonSettings = map[string]string{
	"listen_addresses":  "",
	"jit":               "off", // costs more than it gains on short queries
	"timezone":          "UTC",
	"log_timezone":      "UTC",
	"log_destination":   "stderr",
	"logging_collector": "off",
	"log_line_prefix":   "%m [%p] %q%u@%d ",
}

// serviceSettings share a machine with the service, so memory per query is asked for modestly; nothing risks data.
var serviceSettings = map[string]string{
	"max_connections":      "200",
	"work_mem":             "16MB",
	"maintenance_work_mem": "128MB",
	"random_page_cost":     "1.1", // no spinning disk is expected
	"wal_compression":      "on",
	"wal_level":            "minimal", // nobody replicates it: what is loaded into a new table is synced, and not logged as well
	"max_wal_senders":      "0",
	"max_wal_size":         "2GB",
}

// ephemeralSettings trade everything for speed; memory stays small because many packages test at once.
var ephemeralSettings = map[string]string{
	"max_connections":    "500",
	"shared_buffers":     "128MB",
	"fsync":              "off",
	"full_page_writes":   "off",
	"synchronous_commit": "off",
	"wal_level":          "minimal",
	"max_wal_senders":    "0",
	"max_wal_size":       "256MB", // on tmpfs it is memory
	"min_wal_size":       "32MB",
}

// environment of PostgreSQL's programs: none of the service's settings, which may be secret, and no PG* variable,
// which would change what they do.
func environment() []string {
	env := []string{"LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH")}
	for _, name := range []string{"LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"} {
		if v := os.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}
