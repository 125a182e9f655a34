package pgserver

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// DefaultDir is where the data lives when nothing else is said, below the working directory.
const DefaultDir = ".kezi"

// movedRoot holds the data of root whose wanted folder the database's user cannot reach.
var movedRoot = "/var/lib/kezi"

// account is the user that PostgreSQL runs as.
type account struct {
	uid, gid int
	name     string
	other    bool // not the one this process runs as: PostgreSQL refuses root
}

// accountFor is this process's user, and for root, in this order: whoever owns the data already, postgres, nobody.
func accountFor(dir string) (account, error) {
	uid, owner, owned := os.Geteuid(), 0, 0
	info, err := os.Lstat(filepath.Join(dir, dataName))
	if err == nil {
		owner, owned = ownerOf(info)
	}
	if uid != 0 {
		if err == nil && owner != uid {
			return account{}, fmt.Errorf("the data in %s belongs to user %s, this is user %s: run as that user or as root",
				dir, nameOf(owner), nameOf(uid))
		}
		return account{uid: uid, gid: os.Getegid(), name: nameOf(uid)}, nil
	}
	if owner != 0 {
		return account{uid: owner, gid: owned, name: nameOf(owner), other: true}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err1 == nil && err2 == nil && uid != 0 {
			return account{uid: uid, gid: gid, name: name, other: true}, nil
		}
	}
	return account{}, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")
}

// own gives path, not what is below it, to the account.
func (a account) own(path string) error {
	if !a.other {
		return nil
	}
	if err := os.Lchown(path, a.uid, a.gid); err != nil {
		return fmt.Errorf("give %s to user %s: %w", path, a.name, err)
	}
	return nil
}

func ownerOf(info fs.FileInfo) (uid, gid int) {
	st := info.Sys().(*syscall.Stat_t)
	return int(st.Uid), int(st.Gid)
}

func nameOf(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

func unwritable(dir string, err error) error {
	return fmt.Errorf("the database folder %s cannot be written: %w", dir, err)
}

// makeFolder creates dir where missing and returns its real path. What root creates can be entered by everybody,
// whatever the umask says, because the database's user must pass.
func makeFolder(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("resolve %s: %w", dir, err)
	}
	var missing []string
	for p := abs; ; p = filepath.Dir(p) {
		if _, err := os.Lstat(p); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		missing = append(missing, p)
	}
	if err := os.MkdirAll(abs, 0o755); err != nil {
		return "", unwritable(dir, err)
	}
	if os.Geteuid() == 0 {
		for _, p := range missing {
			if err := os.Chmod(p, 0o755); err != nil {
				return "", unwritable(dir, err)
			}
		}
	}
	abs, err = filepath.EvalSymlinks(abs)
	if err != nil {
		return "", fmt.Errorf("resolve %s: %w", dir, err)
	}
	return abs, nil
}

// lockFolder takes the folder for this process until the file is closed or the process ends. The file keeps the
// owner's pid for the message of the next one.
func lockFolder(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, unwritable(dir, err)
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			owner, _ := os.ReadFile(path)
			_ = f.Close()
			if !errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, fmt.Errorf("lock %s: %w", path, err)
			}
			return nil, fmt.Errorf("%w: %s (process %s)", ErrLocked, dir, strings.TrimSpace(string(owner)))
		}
		// The owner before may have removed the file between the two calls; a lock on a nameless file keeps nobody out.
		mine, err := f.Stat()
		named, err2 := os.Stat(path)
		if err != nil || err2 != nil || !os.SameFile(mine, named) {
			_ = f.Close()
			continue
		}
		if err := f.Truncate(0); err == nil {
			_, _ = fmt.Fprintln(f, os.Getpid())
		}
		return f, nil
	}
}

// unlock frees the folder at once. Closing alone would not: a child that another goroutine is just forking still has
// the file open, until it becomes its own program.
func unlock(f *os.File) {
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
	_ = f.Close()
}

// reachable fails with ErrUnreachable when the account cannot enter one of the folders, naming what stops it.
func reachable(who account, dirs ...string) error {
	for _, dir := range dirs {
		if at := blockedAt(dir, who); at != "" {
			return fmt.Errorf("%w %s: user %s may not enter %s; choose another folder, or: chmod o+x %s",
				ErrUnreachable, dir, who.name, at, at)
		}
	}
	return nil
}

// blockedAt is the first folder on the way to dir, dir included, that the account cannot enter; empty when it can
// enter all that exist. The kernel is asked as that user, so that access lists count too.
func blockedAt(dir string, who account) (at string) {
	if !who.other {
		return ""
	}
	var way []string
	for p := realPath(dir); ; p = filepath.Dir(p) {
		way = append(way, p)
		if p == filepath.Dir(p) {
			break
		}
	}
	asUser(who, func() {
		for i := len(way) - 1; i >= 0; i-- {
			if _, err := os.Stat(way[i] + "/."); errors.Is(err, fs.ErrPermission) {
				at = way[i]
				return
			}
		}
	})
	return at
}

// realPath resolves the links in the part of path that exists.
func realPath(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	for p, rest := abs, ""; ; p, rest = filepath.Dir(p), filepath.Join(filepath.Base(p), rest) {
		if real, err := filepath.EvalSymlinks(p); err == nil {
			return filepath.Join(real, rest)
		}
		if p == filepath.Dir(p) {
			return abs
		}
	}
}

// ResolveDir is the folder to use for the wanted one, DefaultDir when empty. It differs (moved) only for root, when
// the database's user could not reach the wanted folder: it is then below /var/lib/kezi, under a name made from the
// wanted path, so that two checkouts do not share data. Data that exists decides: what was moved once is found again
// after the wanted folder became reachable, and a folder with data that became unreachable is ErrUnreachable rather
// than an empty new database.
func ResolveDir(wanted string) (dir string, moved bool, err error) {
	if wanted == "" {
		wanted = DefaultDir
	}
	abs, err := filepath.Abs(wanted)
	if err != nil {
		return "", false, fmt.Errorf("resolve %s: %w", wanted, err)
	}
	if os.Geteuid() != 0 {
		return abs, false, nil
	}
	who, err := accountFor(abs)
	if err != nil {
		return "", false, err
	}
	real := realPath(abs)
	elsewhere := filepath.Join(movedRoot, label(real)+"-"+digest(real))
	switch err := reachable(who, abs); {
	case clusterMajor(abs) != 0:
		return abs, false, err
	case err == nil && clusterMajor(elsewhere) == 0:
		return abs, false, nil
	}
	return elsewhere, true, nil
}

var unlabelled = regexp.MustCompile(`[^A-Za-z0-9_]+`)

// label is what a person recognises the folder by: its name, or its parent's when the name is the default one.
func label(path string) string {
	if filepath.Base(path) == DefaultDir {
		path = filepath.Dir(path)
	}
	name := strings.Trim(unlabelled.ReplaceAllString(filepath.Base(path), "-"), "-")
	if name == "" {
		return "root"
	}
	return name[:min(len(name), 40)]
}

// digest is a short name for a path, the same every time.
func digest(path string) string {
	sum := sha256.Sum256([]byte(path))
	return hex.EncodeToString(sum[:6])
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	defer f.Close() //nolint:errcheck // opened for reading
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
