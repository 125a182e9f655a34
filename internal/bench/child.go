package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/kezi-io/kezi/internal/app" //nolint:depguard // what is measured is the whole service
	"github.com/kezi-io/kezi/internal/auth"
	"github.com/kezi-io/kezi/internal/pgserver"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/seal"
)

// The roles of child processes: the service and the reference each have a process of their own, so that neither
// collects the other's garbage or that of the program that asks.
const (
	roleService   = "service"
	roleReference = "reference"
)

// maxConns is kezi serve's default; the reference gets as many.
const maxConns = 20

// child is a server in a process of its own. It prints its address and ends when its standard input does, which a
// killed bench brings about as well.
type child struct {
	role    string
	dsn     string
	dir     string // of the keys
	profile string // file for a CPU profile; empty for none
}

func (c child) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		io.Copy(io.Discard, os.Stdin) //nolint:errcheck // its end is all that counts
		cancel()
	}()
	if c.profile != "" {
		f, err := os.Create(c.profile)
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // a profile that is cut short shows when it is read
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	key, err := auth.LoadOrCreateDevKey(c.dir)
	if err != nil {
		return err
	}
	if c.role == roleReference {
		return serveReference(ctx, listener, c.dsn, key.Verifier())
	}
	return c.serve(ctx, listener, key)
}

// serve does what kezi serve does after it has opened the database, workers, access log and metrics included.
func (c child) serve(ctx context.Context, listener net.Listener, key *auth.DevKey) error {
	nowhere, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer nowhere.Close() //nolint:errcheck // nothing is kept there
	log := slog.New(slog.NewMultiHandler(slog.NewJSONHandler(nowhere, nil),
		slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	keys, err := seal.LoadOrCreate(filepath.Join(c.dir, "keyset.json"))
	if err != nil {
		return err
	}
	db, err := postgres.Open(ctx, postgres.Config{DSN: c.dsn, MaxConns: maxConns})
	if err != nil {
		return err
	}
	defer db.Close()
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a, err := app.New(app.Parts{DB: db, Keys: keys, Verifier: key.Verifier(), Log: log, Now: now, Metrics: metrics})
	if err != nil {
		return err
	}
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() {
		if err := a.Work(ctx); err != nil && ctx.Err() == nil {
			log.Error("the workers stopped", "error", err)
		}
	})
	server := &http.Server{Handler: a.Handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	return serveUntil(ctx, server, listener)
}

func serveUntil(ctx context.Context, server *http.Server, listener net.Listener) error {
	go func() {
		<-ctx.Done()
		server.Close() //nolint:errcheck // nobody asks any more
	}()
	fmt.Println(listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// process is a running child as its parent sees it.
type process struct {
	cmd     *exec.Cmd
	stdin   io.Closer
	address string
}

func (b *bench) spawn(ctx context.Context, role, database string) (*process, error) {
	return b.spawnOn(ctx, b.server, role, database)
}

func (b *bench) spawnOn(ctx context.Context, server *pgserver.Server, role, database string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{"-child", role, "-dsn", server.DSN(database), "-dir", b.dir}
	if b.profiles != "" {
		args = append(args, "-profile", filepath.Join(b.profiles, role+"-"+database+".pprof"))
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, stdin: stdin}
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("the %s did not start: %w", role, errors.Join(err, p.stop()))
	}
	p.address = strings.TrimSpace(address)
	return p, nil
}

func (p *process) stop() error {
	p.stdin.Close() //nolint:errcheck // the child ends by it
	return p.cmd.Wait()
}

// peak is the most memory that the process ever had resident, in bytes; 0 where the system does not tell.
func (p *process) peak() int64 {
	v := procValue(p.proc("status"), "VmHWM")
	kb, err := strconv.ParseInt(strings.TrimSuffix(v, " kB"), 10, 64)
	if err != nil {
		return 0
	}
	return kb << 10
}

// processorTime is what the process has used so far, in user mode and in the kernel; 0 where the system does not tell.
func (p *process) processorTime() time.Duration { return processorTime(p.proc("stat"), 2) }

func (p *process) proc(name string) string {
	return "/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/" + name
}

// databaseTime is the processor time of the database's processes that have ended, those of closed connections among
// them; 0 where the system does not tell.
func (b *bench) databaseTime() time.Duration {
	pid, err := os.ReadFile(filepath.Join(b.data, "data", "postmaster.pid"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(pid), "\n")
	return processorTime("/proc/"+first+"/stat", 4)
}

// processorTime adds up the first n of utime, stime, cutime and cstime, the latter two of children that have ended.
func processorTime(stat string, n int) time.Duration {
	b, err := os.ReadFile(stat)
	if err != nil {
		return 0
	}
	// They come 14th to 17th, in hundredths of a second; the 2nd field is the program's name in parentheses.
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	var ticks int64
	for _, f := range fields[11 : 11+n] {
		v, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0
		}
		ticks += v
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
