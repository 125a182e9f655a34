package httpapi

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/kezi-io/kezi/internal/auth"
	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/postgres"
)

// scopePII is the scope without which nobody sees personal contact values, nor those of personal and secret fields.
const scopePII = "pii:read"

// unmasked reports whether the caller is shown personal contact values.
func unmasked(ctx context.Context) bool { return auth.From(ctx).Scopes.Has(scopePII) }

// mayRead demands the scope of every other resource that names reach into: expansions, or fields of a filter or a sort
// such as scores.clv.
func mayRead(ctx context.Context, names ...string) error {
	p := auth.From(ctx)
	for _, name := range names {
		resource, _, _ := strings.Cut(name, ".")
		if name == condition.AtRisk {
			resource = condition.Scores
		}
		switch resource {
		case "orders", "items": // of transactions
			resource = "transactions"
			fallthrough
		case "scores", "tiers", "tags", "segments", "transactions":
			if err := demand(p, resource+":read"); err != nil {
				return err
			}
		}
	}
	return nil
}

// mayAsk demands the scopes of everything that a condition reads: one about a personal field tells its value.
func mayAsk(ctx context.Context, language condition.Language, node filter.Node) error {
	return mayUse(ctx, language, node.Fields()...)
}

// mayUse is mayAsk by the names of fields: the order of a list tells values as well.
func mayUse(ctx context.Context, language condition.Language, names ...string) error {
	if err := mayRead(ctx, names...); err != nil {
		return err
	}
	if language.Guarded(names...) {
		return demand(auth.From(ctx), scopePII)
	}
	return nil
}

// mayKeep demands of who stores conditions, given as JSON or by the names of fields, the scopes to read what they are about,
// pii:read for personal fields: where customers stand by them tells the values. A condition that cannot be read is refused
// later.
func mayKeep(ctx context.Context, db *postgres.DB, now time.Time, conditions []json.RawMessage, names ...string) error {
	language, err := condition.For(ctx, db, callOf(ctx).Tenant, now)
	if err != nil {
		return err
	}
	for _, raw := range conditions {
		if len(raw) == 0 {
			continue
		}
		if node, err := filter.ParseJSON(raw); err == nil {
			names = append(names, node.Fields()...)
		}
	}
	return mayUse(ctx, language, names...)
}
