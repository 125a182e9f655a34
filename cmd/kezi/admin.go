package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/kezi-io/kezi/internal/auth"
	"github.com/kezi-io/kezi/internal/directory"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/httpapi"
	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

func say(s string) { fmt.Fprintln(os.Stderr, s) }

type tenantCmd struct {
	Create tenantCreateCmd `cmd:"" help:"Make room for another company's customers."`
}

type tenantCreateCmd struct {
	storage
	Name     string `arg:"" help:"Lower-case letters, digits, - and _; the tenant claim of its tokens."`
	Title    string `help:"For people; the name unless given."`
	Currency string `default:"CNY" help:"Base currency (ISO 4217)."`
	Timezone string `default:"Asia/Shanghai" help:"IANA time zone in which days are counted."`
}

// Run creates the tenant.
func (c *tenantCreateCmd) Run(ctx context.Context) error {
	db, stop, err := c.local(ctx, say)
	if err != nil {
		return err
	}
	defer stop()
	t, err := tenant.NewService(db, now).Create(ctx, tenant.Creation{Name: c.Name, Title: c.Title, Currency: c.Currency, TimeZone: c.Timezone})
	if err != nil {
		return readable(err)
	}
	fmt.Printf("tenant %s: %s, %s\n", t.Name, t.Currency, t.Zone)
	return nil
}

// readable is a fault as a sentence for a terminal.
func readable(err error) error {
	f := fault.Of(err)
	if f == nil {
		return err
	}
	parts := []string{f.Message.En}
	for _, field := range f.Fields {
		parts = append(parts, strings.TrimPrefix(field.Pointer+field.Parameter, "/")+": "+field.Detail.En)
	}
	return errors.New(strings.Join(parts, "; "))
}

// tenantOf is the tenant of that name. Where there is none, the error names those there are.
func tenantOf(ctx context.Context, db *postgres.DB, name string) (tenant.Tenant, error) {
	tenants := tenant.NewService(db, now)
	t, err := tenants.ByName(ctx, name)
	if !errors.Is(err, tenant.ErrUnknown) {
		return t, err
	}
	const shown = 20
	all, err := tenants.List(postgres.ForAllTenants(ctx), page.Request{Limit: shown})
	if err != nil {
		return tenant.Tenant{}, err
	}
	names := make([]string, len(all.Items))
	for i, t := range all.Items {
		names[i] = t.Name
	}
	there := "the tenants are " + strings.Join(names, ", ")
	switch {
	case len(names) == 0:
		there = "there is none yet"
	case all.Next != nil:
		there += " and more"
	}
	return tenant.Tenant{}, fmt.Errorf("there is no tenant %s (%s); kezi tenant create %s makes it", name, there, name)
}

type tokenCmd struct {
	storage
	Tenant  string        `required:"" help:"The tenant's name."`
	Subject string        `default:"cli" help:"Who the token is for."`
	Scopes  string        `help:"Scopes separated by spaces; all but tenants:admin unless given."`
	TTL     time.Duration `default:"720h" help:"How long it is good for."`
}

// Run prints the bare token as its last line.
func (c *tokenCmd) Run(ctx context.Context) error {
	db, stop, err := c.local(ctx, say)
	if err != nil {
		return err
	}
	defer stop()
	if _, err := tenantOf(ctx, db, c.Tenant); err != nil {
		return err
	}
	scopes := strings.Fields(c.Scopes)
	known, err := httpapi.Scopes()
	if err != nil {
		return err
	}
	for _, s := range scopes {
		if !known[s] {
			return fmt.Errorf("there is no scope %s", s)
		}
	}
	if len(scopes) == 0 {
		scopes = httpapi.OrdinaryScopes(known)
	}
	dir, err := c.folder(say)
	if err != nil {
		return err
	}
	key, err := auth.LoadOrCreateDevKey(dir)
	if err != nil {
		return err
	}
	raw, err := key.Sign(auth.Claims{Subject: c.Subject, Tenant: c.Tenant, Scopes: scopes, TTL: c.TTL})
	if err != nil {
		return err
	}
	fmt.Println(raw)
	return nil
}

type recomputeCmd struct {
	storage
	Tenant string `required:"" help:"The tenant's name."`
	Verify bool   `help:"Change nothing: compare what is stored with a computation from scratch, and fail on a difference."`
}

// Run recomputes, or verifies, the metrics of a tenant and what its customers are searched by.
func (c *recomputeCmd) Run(ctx context.Context) error {
	db, stop, err := c.local(ctx, say)
	if err != nil {
		return err
	}
	defer stop()
	t, err := tenantOf(ctx, db, c.Tenant)
	if err != nil {
		return err
	}
	ctx = postgres.WithTenant(ctx, t.ID)
	if !c.Verify {
		n, err := metric.RefreshAll(ctx, db, t.ID)
		if err != nil {
			return err
		}
		fmt.Printf("recomputed the metrics of %d customers\n", n)
		if n, err = directory.RefreshAll(ctx, db, t.ID); err != nil {
			return err
		}
		fmt.Printf("made the names of %d customers searchable\n", n)
		return nil
	}
	const shown = 20
	wrong, customers, err := metric.Verify(ctx, db, t.ID, shown)
	if err != nil {
		return err
	}
	lost, err := directory.Verify(ctx, db, t.ID, shown)
	if err != nil {
		return err
	}
	if len(wrong) == 0 {
		fmt.Printf("the metrics of all %d customers equal their facts\n", customers)
	}
	if len(lost) == 0 {
		fmt.Printf("all %d customers are found by their names\n", customers)
	}
	if len(wrong)+len(lost) == 0 {
		return nil
	}
	for _, id := range lost {
		fmt.Printf("customer %s: what it is searched by differs from its names\n", id)
	}
	for _, w := range wrong {
		fmt.Printf("customer %s: the stored metrics differ from its facts\n", w)
	}
	if len(wrong) == shown || len(lost) == shown {
		fmt.Println("... and perhaps more")
	}
	return &exitError{1}
}
