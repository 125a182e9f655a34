package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The states of a server in its postmaster.pid.
const (
	statusStarting = "starting"
	statusReady    = "ready"
)

// pidFile is what a running server says about itself in postmaster.pid.
type pidFile struct {
	pid    int
	socket string // folder
	status string
}

var errBadPIDFile = errors.New("postmaster.pid is not complete")

// readPIDFile may see the file half written, as the server adds its lines one after the other: what is missing is
// empty, and without a pid it is errBadPIDFile.
func readPIDFile(data string) (pidFile, error) {
	b, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return pidFile{}, fmt.Errorf("read postmaster.pid: %w", err)
	}
	lines := strings.Split(string(b), "\n")
	line := func(n int) string {
		if n > len(lines) {
			return ""
		}
		return strings.TrimSpace(lines[n-1])
	}
	pid, err := strconv.Atoi(line(1))
	if err != nil || pid == 0 {
		return pidFile{}, errBadPIDFile
	}
	return pidFile{pid: max(pid, -pid), socket: line(5), status: line(8)}, nil // a single-user server's is negative
}

// alive tells whether the process table has the pid, be it as a zombie.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// spawn starts cmd and returns a channel that is closed once it ended. The kernel counts the end of the *thread* that
// started a child as its parent's death, so one thread is kept for it.
func spawn(cmd *exec.Cmd) (<-chan struct{}, error) {
	started, exited := make(chan error, 1), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // ProcessState has it
		close(exited)
	}()
	return exited, <-started
}

// evict ends every PostgreSQL process that still works in the folder, whose lock the caller holds: a server that is
// just going down after its owner died, or backends that lost their postmaster. Nothing may start beside them.
//
// A server gets a fast shutdown first. The helpers of a killed initdb get none: they take SIGINT for something else,
// and their work is thrown away.
func evict(ctx context.Context, log *slog.Logger, who account, folder string) error {
	var master []int
	if pf, err := readPIDFile(folder); err == nil {
		master = []int{pf.pid}
	}
	type step struct {
		sig    syscall.Signal
		only   []int
		within time.Duration
	}
	steps := []step{{syscall.SIGKILL, nil, killWithin}}
	if filepath.Base(folder) != dataInitName {
		steps = append([]step{{syscall.SIGINT, master, fastWithin}, {syscall.SIGQUIT, nil, quitWithin}}, steps...)
	}
	for _, step := range steps {
		left, err := postgresIn(folder, who)
		if err != nil {
			return err
		}
		if len(left) == 0 {
			return nil
		}
		if step.sig == syscall.SIGINT && !slices.ContainsFunc(left, func(pid int) bool { return slices.Contains(master, pid) }) {
			continue
		}
		log.Warn("ending PostgreSQL processes without an owner", "folder", folder, "pids", left, "signal", step.sig.String())
		for _, pid := range left {
			if step.only == nil || slices.Contains(step.only, pid) {
				_ = syscall.Kill(pid, step.sig) // it may just have ended
			}
		}
		if err := waitGone(ctx, folder, who, step.within); err != nil {
			return err
		}
	}
	left, err := postgresIn(folder, who)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("PostgreSQL processes %v work in %s and do not end", left, folder)
	}
	return err
}

// waitGone returns when no process is left, or the time is over.
func waitGone(ctx context.Context, folder string, who account, within time.Duration) error {
	deadline := time.Now().Add(within)
	tick := time.NewTicker(2 * pollInterval)
	defer tick.Stop()
	for time.Now().Before(deadline) {
		left, err := postgresIn(folder, who)
		if err != nil || len(left) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the processes of %s: %w", folder, context.Cause(ctx))
		case <-tick.C:
		}
	}
	return nil
}

// clearStaleFiles removes what would keep PostgreSQL from starting after a crash. Call it after evict: it takes for
// granted that nothing runs on data. A dead pid is left to PostgreSQL, which also checks the shared memory; it gives
// up when the pid lives, though as a zombie that nobody reaps or as another process altogether, as is usual in
// containers. The socket's lock file has the same weakness.
func clearStaleFiles(data, socket string) error {
	pf, err := readPIDFile(data)
	var stale []string
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, errBadPIDFile), err == nil && alive(pf.pid):
		stale = append(stale, filepath.Join(data, "postmaster.pid"))
	case err != nil:
		return err
	}
	stale = append(stale, filepath.Join(socket, socketFile), filepath.Join(socket, socketFile+".lock"))
	for _, path := range stale {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove what an earlier run left: %w", err)
		}
	}
	return nil
}
