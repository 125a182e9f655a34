package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Attach finds the server that another process runs on the folder, and waits for one that is just starting. It is for
// commands beside a running service. Fails with ErrNotRunning when there is none.
func Attach(ctx context.Context, dir string) (Address, error) {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	data := filepath.Join(realPath(dir), dataName)
	for {
		a, wait, err := attach(ctx, data)
		if err == nil || !wait {
			return a, err
		}
		select {
		case <-ctx.Done():
			return Address{}, errors.Join(context.Cause(ctx), err)
		case <-time.After(2 * pollInterval):
		}
	}
}

// attach tries once; wait tells that a server is on its way.
func attach(ctx context.Context, data string) (a Address, wait bool, err error) {
	notRunning := func(why string) (Address, bool, error) {
		return Address{}, false, fmt.Errorf("%w: %s: %s", ErrNotRunning, filepath.Dir(data), why)
	}
	pf, err := readPIDFile(data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return notRunning("no postmaster.pid")
	case errors.Is(err, errBadPIDFile):
		return notRunning(err.Error())
	case err != nil:
		return Address{}, false, err
	case pf.status == statusStarting || pf.status == "":
		// Left by a crash, the pid may be anybody's by now.
		who, err := accountFor(filepath.Dir(data))
		if err != nil {
			return Address{}, false, err
		}
		pids, err := postgresIn(data, who)
		if err != nil {
			return Address{}, false, err
		}
		if !slices.Contains(pids, pf.pid) {
			return notRunning("its server is gone")
		}
		return Address{}, true, fmt.Errorf("%w: %s: still starting", ErrNotRunning, filepath.Dir(data))
	case pf.status != statusReady || pf.socket == "":
		return notRunning("its state is " + pf.status)
	}
	// The file may be a crashed server's, so the socket decides.
	a.socket = pf.socket
	conn, err := pgconn.Connect(ctx, a.DSN("postgres"))
	if err == nil {
		a.version, _, _ = strings.Cut(conn.ParameterStatus("server_version"), " ")
		return a, false, conn.Close(ctx)
	}
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused) && refused.Code == "53300": // too many connections: it runs, and will have room
		a.version = strconv.Itoa(clusterMajor(filepath.Dir(data)))
		return a, false, nil
	case errors.As(err, &refused) && refused.Code == "57P03": // starting up or shutting down
		return Address{}, alive(pf.pid), fmt.Errorf("%w: %w", ErrNotRunning, err)
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return notRunning("nothing listens on its socket")
	}
	return Address{}, false, fmt.Errorf("connect to the database of %s: %w", filepath.Dir(data), err)
}

// Open uses the server that runs on cfg.Dir, or starts one. The function returned stops it only when it was started
// here, and is never nil on success. A folder that stays locked while no server comes up is ErrLocked after a while.
func Open(ctx context.Context, cfg Config) (Address, func(context.Context) error, error) {
	deadline := time.Now().Add(settleWithin)
	for {
		a, err := Attach(ctx, cfg.Dir)
		if err == nil {
			return a, func(context.Context) error { return nil }, nil
		}
		if !errors.Is(err, ErrNotRunning) {
			return Address{}, nil, err
		}
		s, err := Start(ctx, cfg)
		if err == nil {
			return s.Address, s.Stop, nil
		}
		// Somebody else was quicker and is not yet ready, or is just stopping: either way it settles.
		if !errors.Is(err, ErrLocked) || time.Now().After(deadline) {
			return Address{}, nil, err
		}
		select {
		case <-ctx.Done():
			return Address{}, nil, errors.Join(context.Cause(ctx), err)
		case <-time.After(4 * pollInterval):
		}
	}
}
