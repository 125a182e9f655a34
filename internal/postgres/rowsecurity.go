package postgres

import (
	"context"
	"strconv"

	"github.com/jackc/pgx/v5"
)

type tenantKey struct{}

// AllTenants is the scope of work that belongs to no single tenant: finding a tenant by name, numbering events.
const AllTenants = "*"

// WithTenant marks ctx as working for one tenant. Under row-level security the database then shows that
// tenant's rows alone; elsewhere it changes nothing.
func WithTenant(ctx context.Context, id int32) context.Context {
	return context.WithValue(ctx, tenantKey{}, strconv.Itoa(int(id)))
}

// ForAllTenants marks ctx as working for no single tenant.
func ForAllTenants(ctx context.Context) context.Context {
	return context.WithValue(ctx, tenantKey{}, AllTenants)
}

// tellTenant runs when a connection leaves the pool. A context without a tenant sees no rows at all.
func tellTenant(ctx context.Context, conn *pgx.Conn) (bool, error) {
	_, err := conn.Exec(ctx, `SELECT set_config('kezi.tenant', $1, false)`, Scope(ctx))
	return err == nil, err
}

// Scope is the tenant that ctx works for as text, AllTenants, or empty when nobody said.
func Scope(ctx context.Context) string {
	scope, _ := ctx.Value(tenantKey{}).(string)
	return scope
}
