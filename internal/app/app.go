// Package app is the one place that wires everything: commands and end-to-end tests build the service here.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kezi-io/kezi/internal/address"
	"github.com/kezi-io/kezi/internal/attribute"
	"github.com/kezi-io/kezi/internal/auth"
	"github.com/kezi-io/kezi/internal/completeness"
	"github.com/kezi-io/kezi/internal/contact"
	"github.com/kezi-io/kezi/internal/contactpoint"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/directory"
	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/httpapi"
	"github.com/kezi-io/kezi/internal/idempotency"
	"github.com/kezi-io/kezi/internal/importer"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/note"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/product"
	"github.com/kezi-io/kezi/internal/quality"
	"github.com/kezi-io/kezi/internal/relation"
	"github.com/kezi-io/kezi/internal/score"
	"github.com/kezi-io/kezi/internal/seal"
	"github.com/kezi-io/kezi/internal/tag"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/internal/tier"
	"github.com/kezi-io/kezi/internal/transaction"
)

// Parts are what an App is built from.
type Parts struct {
	DB          *postgres.DB
	Keys        *seal.Keys
	Verifier    *auth.Verifier
	Log         *slog.Logger
	Now         func() time.Time
	CORSOrigins []string
	Metrics     *prometheus.Registry
	// OnResponse hears of responses that the contract does not allow; nil checks none.
	OnResponse func(r *http.Request, err error)
}

// App is the service: its HTTP handler, and the work behind it.
type App struct {
	httpapi.Services
	Handler   *echo.Echo
	sequencer *event.Sequencer
	log       *slog.Logger
	now       func() time.Time
}

// New wires an App.
func New(p Parts) (*App, error) {
	tenants := tenant.NewService(p.DB, p.Now)
	work, err := jobs.NewService(p.DB, tenants, p.Log, p.Now)
	if err != nil {
		return nil, err
	}
	fields := attribute.NewService(p.DB, work, tenant.RateOn, p.Now, tier.Readers, quality.Readers)
	good := quality.NewService(p.DB, work, p.Now)
	customers := customer.NewService(p.DB, p.Now, attribute.Hook{Service: fields}, directory.Hook{}, quality.Hook{Service: good})
	points := contactpoint.NewService(p.DB, p.Keys, p.Now)
	s := httpapi.Services{
		DB: p.DB, Tenants: tenants, Jobs: work,
		Customers:     customers,
		Finder:        directory.NewFinder(p.DB, contactpoint.NewIndex(p.Keys)),
		Contacts:      contact.NewService(p.DB, points, p.Now),
		Relations:     relation.NewService(p.DB, p.Now),
		Notes:         note.NewService(p.DB, p.Now),
		ContactPoints: points,
		Addresses:     address.NewService(p.DB, p.Keys, customers, p.Now),
		Transactions:  transaction.NewService(p.DB, attribute.Transactional{Service: fields}, p.Now),
		Products:      product.NewService(p.DB, p.Now),
		Imports:       importer.NewService(p.DB, work, customers, p.Keys, p.Now),
		Scores:        score.NewService(p.DB, work, p.Now),
		Tiers:         tier.NewService(p.DB, work, p.Now),
		Tags:          tag.NewService(p.DB, p.Now),
		Fields:        fields,
		Quality:       good,
	}
	handler, err := httpapi.New(s, httpapi.Config{Log: p.Log, Verifier: p.Verifier, Cursors: page.NewCursors(p.Keys), Keys: p.Keys,
		Metrics: p.Metrics, CORSOrigins: p.CORSOrigins, Now: p.Now, OnResponse: p.OnResponse})
	if err != nil {
		return nil, err
	}
	return &App{Services: s, Handler: handler, sequencer: event.NewSequencer(p.DB, p.Log), log: p.Log, now: p.Now}, nil
}

// tidyEvery is how often housekeeping runs: nothing shows in between that it has not.
const tidyEvery = 10 * time.Minute

// Work runs everything behind the API until ctx ends: jobs, the event sequencer, and housekeeping.
func (a *App) Work(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() { a.sequencer.Run(ctx) })
	group.Go(func() { a.housekeep(ctx) })
	group.Go(func() { a.complete(ctx) })
	return a.Jobs.Work(ctx)
}

// complete makes customers searchable whom an older version or another program wrote. It tries until it is done.
func (a *App) complete(ctx context.Context) {
	for {
		err := directory.Complete(ctx, a.DB, a.log)
		if err == nil || ctx.Err() != nil {
			return
		}
		a.log.Error("making customers searchable failed", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(tidyEvery):
		}
	}
}

func (a *App) housekeep(ctx context.Context) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		if err := a.Tidy(ctx); err != nil && ctx.Err() == nil {
			a.log.Error("housekeeping failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Tidy removes what has expired, and moves on what a new day moves.
func (a *App) Tidy(ctx context.Context) error {
	ctx = postgres.ForAllTenants(ctx)
	return errors.Join(idempotency.Forget(ctx, a.DB, a.now()), a.Tags.Tidy(ctx), completeness.Fill(ctx, a.DB), a.eachTenant(ctx, a.Customers.RollBirthdays))
}

// eachTenant does something for every tenant, and goes on where it fails for one.
func (a *App) eachTenant(ctx context.Context, do func(context.Context, tenant.Tenant) error) error {
	var errs []error
	for after := (page.Key)(nil); ; {
		p, err := a.Tenants.List(ctx, page.Request{Limit: 1000, After: after})
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		for _, t := range p.Items {
			errs = append(errs, do(ctx, t))
		}
		if after = p.Next; after == nil {
			return errors.Join(errs...)
		}
	}
}

// Serve answers HTTP on a listener of its own until ctx ends, then lets running requests finish.
func (a *App) Serve(ctx context.Context, server *http.Server, listen func() error) error {
	failed := make(chan error, 1)
	go func() { failed <- listen() }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	// Longer than any ordinary request takes.
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	if err := server.Shutdown(stop); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("shut down: %w", err)
	}
	return server.Close()
}
