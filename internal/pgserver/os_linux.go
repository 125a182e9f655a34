package pgserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// childAttr lets a child run as the account, out of reach of the terminal's Ctrl-C, which is for the service to
// answer, and has the kernel send it the signal when we die.
func childAttr(who account, onDeath syscall.Signal) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: onDeath}
	if who.other {
		attr.Credential = &syscall.Credential{Uid: uint32(who.uid), Gid: uint32(who.gid)}
	}
	return attr
}

// asUser runs f with the rights of the account where files are concerned, /proc included: root in a container often
// lacks the right to look at other users' processes, and always sees through folders that others cannot enter.
func asUser(who account, f func()) {
	if !who.other {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Never unlocked: the thread ends with the goroutine, and its identity with it. The raw calls change one
		// thread, where package syscall's Setgroups would change all.
		runtime.LockOSThread()
		_, _, errno := syscall.RawSyscall(syscall.SYS_SETGROUPS, 0, 0, 0)
		if errno == 0 {
			_ = syscall.Setfsgid(who.gid) // reports no failure
			_ = syscall.Setfsuid(who.uid)
		}
		f()
	}()
	<-done
}

// postgresIn lists the living PostgreSQL processes whose working directory is the folder; postgres goes there as it
// starts, and each of its children stays. A zombie has no working directory.
func postgresIn(folder string, who account) (pids []int, err error) {
	want, err := os.Stat(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for processes of %s: %w", folder, err)
	}
	asUser(who, func() {
		var entries []os.DirEntry
		if entries, err = os.ReadDir("/proc"); err != nil {
			err = fmt.Errorf("look for processes of %s: %w", folder, err)
			return
		}
		for _, e := range entries {
			pid, notPID := strconv.Atoi(e.Name())
			if notPID != nil {
				continue
			}
			proc := filepath.Join("/proc", e.Name())
			cwd, gone := os.Stat(proc + "/cwd") // or another user's, and then none of ours
			if gone != nil || !os.SameFile(cwd, want) {
				continue
			}
			// An administrator's shell may be in the folder too. " (deleted)" follows the name after an upgrade.
			exe, gone := os.Readlink(proc + "/exe")
			if gone == nil && strings.Contains(filepath.Base(exe), "postgres") {
				pids = append(pids, pid)
			}
		}
	})
	return pids, err
}

// memoryFolder is a file system in memory that has room for a throw-away database; empty when there is none.
func memoryFolder() string {
	const shm, tmpfsMagic = "/dev/shm", 0x01021994
	var st syscall.Statfs_t
	if err := syscall.Statfs(shm, &st); err != nil || int64(st.Type) != tmpfsMagic || st.Bavail*uint64(st.Bsize) <= scratchRoom {
		return ""
	}
	return shm
}
