package pgserver

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	socketPort = "5432" // part of the socket's file name, not a TCP port
	socketFile = ".s.PGSQL." + socketPort
	// socketMax is the longest path of a socket: Linux takes 107 bytes, macOS 103.
	socketMax = 103
)

// Address is where a server listens.
type Address struct {
	socket  string // folder of the socket
	version string
}

// DSN is a connection URL for pgx and psql, as the cluster's superuser. Only the user that runs the database, and
// root, can use it.
func (a Address) DSN(database string) string {
	u := url.URL{
		Scheme: "postgres",
		User:   url.User(superuser),
		Path:   "/" + database,
		RawQuery: url.Values{
			"host":    {a.socket},
			"port":    {socketPort},
			"sslmode": {"disable"},
		}.Encode(),
	}
	return u.String()
}

// Version is PostgreSQL's, such as "15.14".
func (a Address) Version() string { return a.version }

// prepareSocket makes the private folder of the socket: in dir, or when that path is too long or has a comma (which
// separates hosts in a DSN), under a short name in the folder for temporary files. The way there is fixed by dir, so
// that a start after a crash finds and reuses it.
func (s *Server) prepareSocket() error {
	if path := filepath.Join(s.dir, socketName); fits(path) {
		if err := privateFolder(path, s.who, true); err != nil {
			return err
		}
		s.socket = path
		return nil
	}
	name := "kezi-" + digest(s.dir+"\n"+strconv.Itoa(s.who.uid))
	var errs []error
	for _, base := range []string{os.TempDir(), "/tmp"} {
		path := filepath.Join(base, name)
		if !fits(path) {
			errs = append(errs, fmt.Errorf("%s is too long for a socket", path))
			continue
		}
		if err := reachable(s.who, base); err != nil {
			errs = append(errs, err)
			continue
		}
		if err := privateFolder(path, s.who, false); err != nil {
			errs = append(errs, err)
			continue
		}
		s.socket, s.tmpSock = path, path
		return nil
	}
	return fmt.Errorf("no place for the database's socket: %w", errors.Join(errs...))
}

func fits(dir string) bool {
	return len(filepath.Join(dir, socketFile)) <= socketMax && !strings.Contains(dir, ",")
}

// privateFolder makes path a folder of the account alone. One that exists must be the account's or ours; takeOver
// lets root take another's, which is only right where nobody else could have put it.
func privateFolder(path string, who account, takeOver bool) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return unwritable(filepath.Dir(path), err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("look at the socket's folder: %w", err)
	}
	uid, _ := ownerOf(info)
	if !info.IsDir() || uid != who.uid && uid != os.Geteuid() && !(takeOver && who.other) {
		return fmt.Errorf("%s is not a folder of user %s; somebody else made it", path, who.name)
	}
	if err := who.own(path); err != nil {
		return err
	}
	if err := os.Chmod(path, 0o700); err != nil {
		return fmt.Errorf("make %s private: %w", path, err)
	}
	return nil
}
