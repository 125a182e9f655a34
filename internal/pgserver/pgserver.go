// Package pgserver runs a real PostgreSQL for one process: the built-in database of a service that was given none,
// and the throw-away cluster of the tests. It needs the installed programs postgres and initdb and nothing else: no
// port, no password, no service manager, and it works for root.
//
// The server lives as long as its owner. Where the kernel can tell a child that its parent died (Linux), a killed
// owner takes the server with it; elsewhere the next Start finds what was left and ends it.
package pgserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	// ErrNoBinaries: PostgreSQL is not installed, or only a version that is too old. The message says how to install it.
	ErrNoBinaries = errors.New("no usable PostgreSQL is installed")
	// ErrLocked: another process already runs the database in this folder.
	ErrLocked = errors.New("the database folder is in use by another process")
	// ErrOtherMajor: the data was written by another major version. Nothing was changed.
	ErrOtherMajor = errors.New("the data belongs to another major version of PostgreSQL")
	// ErrNotRunning: no server answers for this folder.
	ErrNotRunning = errors.New("no database is running in this folder")
	// ErrUnreachable: the user that PostgreSQL runs as may not enter one of the folders above the data.
	ErrUnreachable = errors.New("the database's user cannot reach")
)

const (
	readyWithin   = 5 * time.Minute  // replaying the log after a crash may take minutes
	fastWithin    = 10 * time.Second // then an immediate shutdown
	quitWithin    = 10 * time.Second // PostgreSQL itself kills its children 5 s after SIGQUIT
	killWithin    = 5 * time.Second
	settleWithin  = 30 * time.Second // for another process to create, start or stop the database
	pollInterval  = 5 * time.Millisecond
	sayAfter      = 3 * time.Second // when a start is worth a word in the log
	dataName      = "data"
	dataInitName  = "data.init"
	socketName    = "sock"
	lockName      = "lock"
	logName       = "postgres.log"
	logKeepBytes  = 10 << 20
	oldestVersion = 15
)

// Config says where a server keeps its data and how it behaves.
type Config struct {
	// Dir holds data/, sock/, lock and postgres.log. It is created when missing; its parents keep owner and mode.
	Dir string
	// Binaries is the folder of postgres and initdb. Empty looks for one: the version that wrote the data, else
	// postgres in PATH, else the newest installed.
	Binaries string
	// Ephemeral is for tests: nothing is synced to disk, more connections, and Stop removes the data. The folder
	// must not hold data already.
	Ephemeral bool
	// Settings are further postgresql.conf settings; they win over the defaults here and over that file. The server
	// listens on no port, and pg_hba.conf refuses connections by TCP even when told to.
	Settings map[string]string
	// Log gets a line per start, stop and crash; nil is silent. PostgreSQL's own log is Dir/postgres.log.
	Log *slog.Logger
}

// Server is a PostgreSQL that this process started.
type Server struct {
	Address
	cfg      Config
	log      *slog.Logger
	dir      string
	who      account
	cmd      *exec.Cmd
	lock     *os.File
	logFile  *serverLog
	tmpSock  string // socket folder outside dir, removed on Stop
	disposes bool   // Stop removes what is in dir
	exited   <-chan struct{}
	stopping atomic.Bool
	stop     sync.Once
	stopErr  error
}

// Start runs the database of cfg.Dir, creating it when there is none, and returns once it takes connections. What an
// earlier run left behind (stale files, a half-made cluster, processes without an owner) is cleared first. ctx bounds
// the start only; the server then runs until Stop.
//
// Fails with ErrNoBinaries, ErrLocked, ErrOtherMajor or ErrUnreachable, or an error that names the folder or quotes
// the last lines of PostgreSQL's log.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	began := time.Now()
	if cfg.Dir == "" {
		return nil, errors.New("start postgresql: no folder given")
	}
	s := &Server{cfg: cfg, log: cfg.Log}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	started := false
	defer func() {
		if !started {
			s.release()
		}
	}()
	var err error
	if s.who, err = accountFor(cfg.Dir); err != nil {
		return nil, err
	}
	bin, err := findBinaries(cfg.Binaries, clusterMajor(cfg.Dir))
	if err != nil {
		return nil, err
	}
	if s.dir, err = makeFolder(cfg.Dir); err != nil {
		return nil, err
	}
	if s.lock, err = lockFolder(s.dir); err != nil {
		return nil, err
	}
	if err := reachable(s.who, s.dir, bin); err != nil {
		return nil, err
	}
	if s.logFile, err = openLog(filepath.Join(s.dir, logName)); err != nil {
		return nil, err
	}
	if s.version, err = binaryVersion(ctx, bin); err != nil {
		return nil, err
	}
	fresh, err := s.prepareData(ctx, bin)
	if err != nil {
		return nil, err
	}
	if err := s.prepareSocket(); err != nil {
		return nil, err
	}
	if err := clearStaleFiles(s.data(), s.socket); err != nil {
		return nil, err
	}
	if err := s.launch(bin); err != nil {
		return nil, err
	}
	started = true // from here Stop cleans up
	if err := s.waitReady(ctx); err != nil {
		// The caller's context may be over already, and the process must not outlive this call.
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fastWithin)
		defer cancel()
		return nil, errors.Join(err, s.Stop(stopCtx))
	}
	go s.watch()
	s.log.Info("built-in PostgreSQL started", "version", s.version, "folder", s.dir, "new", fresh,
		"took", time.Since(began).Round(time.Millisecond))
	return s, nil
}

func (s *Server) data() string { return filepath.Join(s.dir, dataName) }

// launch starts postgres itself, not pg_ctl, so that it is our child: its end is noticed, and ours takes it along.
func (s *Server) launch(bin string) error {
	s.cmd = exec.Command(filepath.Join(bin, "postgres"), s.arguments()...)
	s.cmd.Dir = s.data() // a folder that its user can be in
	s.cmd.Env = environment()
	s.cmd.Stdout, s.cmd.Stderr = s.logFile.file, s.logFile.file
	// SIGINT asks for a fast shutdown: clean, without waiting for clients.
	s.cmd.SysProcAttr = childAttr(s.who, syscall.SIGINT)
	var err error
	if s.exited, err = spawn(s.cmd); err != nil {
		return fmt.Errorf("start postgresql: %w", err)
	}
	return nil
}

// waitReady polls postmaster.pid, which PostgreSQL's own pg_ctl also goes by: a connection attempt would not tell
// our server from another one's leftovers.
func (s *Server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	say := time.NewTimer(sayAfter)
	defer say.Stop()
	for {
		if pf, err := readPIDFile(s.data()); err == nil && pf.pid == s.cmd.Process.Pid && pf.status == statusReady {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("postgresql ended while starting (%s)%s", s.cmd.ProcessState, s.logFile.tail())
		case <-ctx.Done():
			return fmt.Errorf("postgresql did not become ready: %w%s", context.Cause(ctx), s.logFile.tail())
		case <-say.C:
			s.log.Info("PostgreSQL is still starting, perhaps recovering from a crash", "log", s.logFile.path)
		case <-tick.C:
		}
	}
}

func (s *Server) watch() {
	<-s.exited
	if err := s.Err(); err != nil {
		s.log.Error("built-in PostgreSQL ended by itself", "error", err)
	}
}

// Exited is closed when PostgreSQL has ended, by itself or by Stop. Stop is needed in either case before the folder
// can be used again.
func (s *Server) Exited() <-chan struct{} { return s.exited }

// Err tells why PostgreSQL ended by itself, with the last lines of its log. It is nil while it runs and after a stop
// that was asked for.
func (s *Server) Err() error {
	select {
	case <-s.exited:
	default:
		return nil
	}
	if s.stopping.Load() {
		return nil
	}
	return fmt.Errorf("postgresql ended by itself (%s)%s", s.cmd.ProcessState, s.logFile.tail())
}

// Stop ends the server and frees the folder; an ephemeral server's data is removed. Open connections are cut. When
// ctx or ten seconds are over, the shutdown becomes an immediate one, which loses nothing that was committed but
// makes the next start recover: hand in a context that is still good. Further calls return what the first did.
func (s *Server) Stop(ctx context.Context) error {
	s.stop.Do(func() { s.stopErr = s.shutdown(ctx) })
	return s.stopErr
}

func (s *Server) shutdown(ctx context.Context) error {
	crashed := true
	select {
	case <-s.exited:
	default:
		crashed = false
		s.stopping.Store(true)
		ctx, cancel := context.WithTimeout(ctx, fastWithin)
		defer cancel()
		s.signal(syscall.SIGINT)
		select {
		case <-s.exited:
		case <-ctx.Done():
			s.log.Warn("PostgreSQL does not end in time; it will recover at the next start")
			s.signal(syscall.SIGQUIT)
			select {
			case <-s.exited:
			case <-time.After(quitWithin):
				s.signal(syscall.SIGKILL)
				<-s.exited
				crashed = true
			}
		}
	}
	var err error
	if crashed && s.disposes {
		// Backends that lost their postmaster may still write below what is about to be removed.
		err = evict(context.WithoutCancel(ctx), s.log, s.who, s.data())
	}
	s.release()
	s.log.Info("built-in PostgreSQL stopped", "folder", s.dir)
	return err
}

// signal ignores the error: the process may just have ended, and exited tells.
func (s *Server) signal(sig os.Signal) { _ = s.cmd.Process.Signal(sig) }

// release undoes what Start did around the process. The lock goes last.
func (s *Server) release() {
	if s.tmpSock != "" {
		_ = os.RemoveAll(s.tmpSock)
	}
	if s.logFile != nil {
		_ = s.logFile.file.Close()
	}
	if s.lock == nil {
		return
	}
	if s.disposes {
		removeServerFiles(s.dir)
	}
	unlock(s.lock)
}

// removeServerFiles removes what a server made in dir, and dir when nothing else is in it.
func removeServerFiles(dir string) {
	for _, name := range []string{dataName, dataInitName, socketName, logName, logName + ".1", lockName} {
		_ = os.RemoveAll(filepath.Join(dir, name))
	}
	_ = os.Remove(dir)
}
