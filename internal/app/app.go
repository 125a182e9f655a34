// Package app is the one place that wires everything: commands and end-to-end tests build the service here.
package app

import (
	"context"
	"errors"
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
	"github.com/kezi-io/kezi/internal/condition"
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
	"github.com/kezi-io/kezi/internal/rule"
	"github.com/kezi-io/kezi/internal/score"
	"github.com/kezi-io/kezi/internal/seal"
	"github.com/kezi-io/kezi/internal/segment"
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
	rules     *rule.Engine
	sequencer *event.Sequencer
	log       *slog.Logger
	now       func() time.Time
}

// New wires an App.
func New(p Parts) (*App, error) {
	// What must be true together with a change is made so in the change's own transaction.
	db := p.DB.Settling()
	tenants := tenant.NewService(db, p.Now)
	work, err := jobs.NewService(db, tenants, p.Log, p.Now)
	if err != nil {
		return nil, err
	}
	engine := rule.NewEngine(db, work, tenants, p.Now)
	fields := attribute.NewService(db, work, tenant.RateOn, p.Now, condition.ReaderNames, quality.Readers)
	good := quality.NewService(db, work, p.Now)
	customers := customer.NewService(db, p.Now, attribute.Hook{Service: fields}, directory.Hook{}, quality.Hook{Service: good})
	points := contactpoint.NewService(db, p.Keys, p.Now)
	s := httpapi.Services{
		DB: db, Tenants: tenants, Jobs: work,
		Customers:     customers,
		Finder:        directory.NewFinder(db, contactpoint.NewIndex(p.Keys)),
		Contacts:      contact.NewService(db, points, p.Now),
		Relations:     relation.NewService(db, p.Now),
		Notes:         note.NewService(db, p.Now),
		ContactPoints: points,
		Addresses:     address.NewService(db, p.Keys, customers, p.Now),
		Transactions:  transaction.NewService(db, attribute.Transactional{Service: fields}, p.Now),
		Products:      product.NewService(db, p.Now),
		Imports:       importer.NewService(db, work, customers, p.Keys, p.Now),
		Scores:        score.NewService(db, work, p.Now),
		Tiers:         tier.NewService(db, work, engine, p.Now),
		Tags:          tag.NewService(db, work, engine, p.Now),
		Segments:      segment.NewService(db, work, engine, p.Now),
		Fields:        fields,
		Quality:       good,
	}
	engine.Follow(s.Scores)
	// Scores first: rules read them.
	db.BeforeCommit(s.Scores.Settle, engine.Settle)
	handler, err := httpapi.New(s, httpapi.Config{Log: p.Log, Verifier: p.Verifier, Cursors: page.NewCursors(p.Keys), Keys: p.Keys,
		Metrics: p.Metrics, CORSOrigins: p.CORSOrigins, Now: p.Now, OnResponse: p.OnResponse})
	if err != nil {
		return nil, err
	}
	return &App{Services: s, Handler: handler, rules: engine, sequencer: event.NewSequencer(db, p.Log), log: p.Log, now: p.Now}, nil
}

// housekeepEvery is how often what has expired is removed, and how long after a tenant's midnight its new day may begin
// for conditions about days.
const housekeepEvery = time.Minute

// Work runs everything behind the API until ctx ends: jobs, the event sequencer, and housekeeping.
func (a *App) Work(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() { a.sequencer.Run(ctx) })
	group.Go(func() { a.every(ctx, housekeepEvery, a.Tidy) })
	group.Go(func() { a.every(ctx, housekeepEvery, a.NextDay) })
	group.Go(func() { a.complete(ctx) })
	return a.Jobs.Work(ctx)
}

// lookEvery is how often names are looked for that a process of an older version wrote.
const lookEvery = time.Hour

// complete makes customers searchable whom an older version or another program wrote. What fails is tried again soon.
func (a *App) complete(ctx context.Context) {
	for {
		pause := lookEvery
		if err := directory.Complete(ctx, a.DB, a.now(), a.log); err != nil && ctx.Err() == nil {
			a.log.Error("making customers searchable failed", "error", err)
			pause = housekeepEvery
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// every does work again and again until ctx ends.
func (a *App) every(ctx context.Context, pause time.Duration, work func(context.Context) error) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		if err := work(ctx); err != nil && ctx.Err() == nil {
			a.log.Error("housekeeping failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// NextDay starts what is due where a tenant's local day has begun.
func (a *App) NextDay(ctx context.Context) error {
	ctx = postgres.ForAllTenants(ctx)
	return errors.Join(a.rules.NextDay(ctx), a.Scores.NextDay(ctx))
}

// Tidy removes what has expired, and moves on what a new day moves.
func (a *App) Tidy(ctx context.Context) error {
	ctx = postgres.ForAllTenants(ctx)
	return errors.Join(idempotency.Forget(ctx, a.DB, a.now()), a.Tags.Tidy(ctx), completeness.Fill(ctx, a.DB), product.Fill(ctx, a.DB),
		a.eachTenant(ctx, a.Customers.RollBirthdays))
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
