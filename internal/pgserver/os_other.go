//go:build !linux

package pgserver

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// childAttr lets a child run as the account, out of reach of the terminal's Ctrl-C. Nothing tells it that we died;
// the next start ends it.
func childAttr(who account, _ syscall.Signal) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if who.other {
		attr.Credential = &syscall.Credential{Uid: uint32(who.uid), Gid: uint32(who.gid)}
	}
	return attr
}

// asUser has no other identity to offer here: what root can reach counts as reachable, and PostgreSQL's own message
// tells otherwise.
func asUser(_ account, f func()) { f() }

// postgresIn knows only the server itself, by its arguments. Backends without a server are found by PostgreSQL, which
// then refuses to start.
func postgresIn(folder string, _ account) ([]int, error) {
	pf, err := readPIDFile(folder)
	if err != nil || !alive(pf.pid) {
		return nil, nil //nolint:nilerr // no file, no process
	}
	out, err := exec.Command("ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pf.pid)).Output()
	if err != nil || !strings.Contains(string(out), "postgres") || !strings.Contains(string(out), folder) {
		return nil, nil //nolint:nilerr // ps fails when the process is gone
	}
	return []int{pf.pid}, nil
}

func memoryFolder() string { return "" }
