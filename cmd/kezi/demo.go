package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kezi-io/kezi/internal/app"
	"github.com/kezi-io/kezi/internal/auth"
	"github.com/kezi-io/kezi/internal/demo"
	"github.com/kezi-io/kezi/internal/httpapi"
)

type demoCmd struct {
	Reset demoResetCmd `cmd:"" help:"Remove everything in the demo tenants, and fill them anew."`
}

type demoResetCmd struct{ storage }

// Run empties the demo tenants and fills them, beside a running service or without one.
func (c *demoResetCmd) Run(ctx context.Context) error {
	db, stop, err := c.local(ctx, say)
	if err != nil {
		return err
	}
	defer stop()
	dir, err := c.folder(say)
	if err != nil {
		return err
	}
	keys, err := c.keys(dir)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	// Its workers do the jobs; nobody calls its handler, so it verifies no tokens.
	a, err := app.New(app.Parts{DB: db, Keys: keys, Log: log, Now: now, Metrics: prometheus.NewRegistry()})
	if err != nil {
		return err
	}
	work, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	group.Go(func() {
		if err := a.Work(work); err != nil && work.Err() == nil {
			log.Error("the workers stopped", "error", err)
			cancel()
		}
	})
	d := demoOf(a)
	if err := d.Reset(work); err != nil {
		return err
	}
	made, err := d.Fill(work)
	if err != nil {
		return fmt.Errorf("the demo tenants are empty now and could not be filled: %w", err)
	}
	fmt.Printf("the demo tenants start over: %s\n", sizeOf(made))
	return nil
}

func demoOf(a *app.App) *demo.Demo {
	return demo.New(demo.Services{DB: a.DB, Tenants: a.Tenants, Customers: a.Customers, Contacts: a.Contacts,
		ContactPoints: a.ContactPoints, Addresses: a.Addresses,
		Relations: a.Relations, Notes: a.Notes, Transactions: a.Transactions, Tags: a.Tags, Segments: a.Segments,
		Scores: a.Scores, Tiers: a.Tiers, Imports: a.Imports, Jobs: a.Jobs, Fields: a.Fields, Quality: a.Quality}, now)
}

func sizeOf(f demo.Filled) string {
	return fmt.Sprintf("%d customers and %d transactions in %.1f s", f.Customers, f.Transactions, f.Took.Seconds())
}

// tokenTTL is how long the tokens that are printed are good for.
const tokenTTL = 30 * 24 * time.Hour

// showDemo fills the demo tenants where they are empty, and tells how to look at them.
func (c *serveCmd) showDemo(ctx context.Context, s *service, url string) error {
	made, err := demoOf(s.app).Fill(ctx)
	if err != nil {
		if ctx.Err() == nil {
			fmt.Printf("\nThe demo tenant could not be filled: %v\nThe next start tries again; kezi demo reset starts over.\n\n", err)
		}
		return err
	}
	if err := answers(ctx, url); err != nil {
		return err
	}
	text, err := welcome(s.devKey, url, made)
	if err != nil {
		return err
	}
	fmt.Print(text)
	return nil
}

// answers returns when the service does: what is printed then works when it is pasted.
func answers(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/healthz", http.NoBody)
		if err != nil {
			return fmt.Errorf("ask the service whether it answers: %w", err)
		}
		if res, err := http.DefaultClient.Do(r); err == nil {
			res.Body.Close() //nolint:errcheck // its status says all
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the service does not answer at %s: %w", url, ctx.Err())
		case <-tick.C:
		}
	}
}

// caller is whom a printed token is for.
type caller struct {
	subject, tenant, may string
	scopes               []string
}

func callers() ([]caller, error) {
	all, err := httpapi.Scopes()
	if err != nil {
		return nil, err
	}
	ordinary := httpapi.OrdinaryScopes(all)
	var reading []string
	for _, s := range ordinary {
		if strings.HasSuffix(s, ":read") {
			reading = append(reading, s)
		}
	}
	return []caller{
		{"demo-reader", demo.Tenant, "reads everything, changes nothing", reading},
		{"demo-writer", demo.Tenant, "reads and changes everything in the tenant", ordinary},
		{"demo2-writer", demo.Second, "the same in a second company, which sees nothing of the first", ordinary},
	}, nil
}

// welcome is what a person reads who has just started the demo.
func welcome(key *auth.DevKey, url string, made demo.Filled) (string, error) {
	var b strings.Builder
	line := strings.Repeat("─", 78)
	fmt.Fprintf(&b, "\n%s\nkezi 客户资产管理 is running with demo data", line)
	if made.Customers > 0 {
		fmt.Fprintf(&b, " (just made: %s)", sizeOf(made))
	}
	fmt.Fprintf(&b, ".\n\n  Swagger UI   %s/docs/   press Authorize, paste a token, try anything\n  Problems     %s/problems   every error code, explained\n",
		url, url)
	list, err := callers()
	if err != nil {
		return "", err
	}
	if key == nil {
		fmt.Fprintf(&b, "\nTokens come from your identity provider; their tenant claim must be %s or %s.\n%s\n\n", demo.Tenant, demo.Second, line)
		return b.String(), nil
	}
	fmt.Fprintf(&b, "\nTokens, good for %d days; each line is one.\n", int(tokenTTL.Hours())/24)
	var first string
	for _, c := range list {
		raw, err := key.Sign(auth.Claims{Subject: c.subject, Tenant: c.tenant, Scopes: c.scopes, TTL: tokenTTL})
		if err != nil {
			return "", fmt.Errorf("sign a token for %s: %w", c.subject, err)
		}
		if first == "" {
			first = raw
		}
		fmt.Fprintf(&b, "\n  %s (tenant %s): %s\n%s\n", c.subject, c.tenant, c.may, raw)
	}
	fmt.Fprintf(&b, "\nA first call, the three most valuable customers with why they are:\n\ncurl -s '%s/v1/customers?sort=-scores.clv&limit=3&expand=metrics,scores,tiers,tags' -H 'Authorization: Bearer %s'\n%s\n\n",
		url, first, line)
	return b.String(), nil
}
