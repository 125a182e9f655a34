// Command kezi is the whole service in one binary: `kezi serve` answers the API, the other commands run beside it.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // time zones on machines that have no database of them

	"github.com/alecthomas/kong"
)

// version is set by the build.
var version = "dev"

// cli is every command and setting; `kezi --help` is made from it.
type cli struct {
	Serve     serveCmd     `cmd:"" help:"Answer the API, and run the jobs behind it."`
	Worker    workerCmd    `cmd:"" help:"Run jobs alone, beside other processes that serve."`
	Migrate   migrateCmd   `cmd:"" help:"Bring the database's schema up to date."`
	Tenant    tenantCmd    `cmd:"" help:"Manage tenants."`
	Token     tokenCmd     `cmd:"" help:"Print a bearer token of the development sign-in."`
	Import    importCmd    `cmd:"" help:"Load a file through the API."`
	Demo      demoCmd      `cmd:"" help:"Manage the demo tenant."`
	Recompute recomputeCmd `cmd:"" help:"Compute all metrics again from the facts, or compare them."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
}

func main() { os.Exit(run()) }

func run() (code int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c cli
	parser, err := kong.New(&c, kong.Name("kezi"), kong.UsageOnError(),
		kong.Description("Customer asset management (客户资产管理). Every flag can be set by the variable that its help names."),
		kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil {
		panic(err) // a tag in the struct above is wrong
	}
	command, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	if err := command.Run(); err != nil {
		var quiet *exitError
		if errors.As(err, &quiet) {
			return quiet.code
		}
		fmt.Fprintln(os.Stderr, "kezi:", err)
		return 1
	}
	return 0
}

// exitError ends the program with a code after the command has said everything itself.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit %d", e.code) }

type versionCmd struct{}

func (versionCmd) Run() error {
	fmt.Println("kezi", version)
	return nil
}

// logging is the settings of the log, which goes to standard error as JSON lines.
type logging struct {
	LogLevel slog.Level `env:"KEZI_LOG_LEVEL" default:"info" help:"debug, info, warn or error. (${env})"`
}

func (l logging) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: l.LogLevel}))
}
