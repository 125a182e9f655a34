package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/oapi-codegen/nullable"
	"github.com/oapi-codegen/runtime/types"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/owned"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/rule"
	"github.com/kezi-io/kezi/internal/tenant"
)

// or is *p, or otherwise when p is nil.
func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// set is a pointer to v, or nil when v says nothing.
func set[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func ptr[T any](v T) *T { return &v }

func each[A, B any](in []A, f func(A) B) []B {
	out := make([]B, len(in))
	for i, a := range in {
		out[i] = f(a)
	}
	return out
}

// eachOr is each for what can fail; it ends at the first failure.
func eachOr[A, B any](in []A, f func(A) (B, error)) ([]B, error) {
	out := make([]B, len(in))
	for i, a := range in {
		var err error
		if out[i], err = f(a); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// field is a nullable member of a merge patch, its value mapped.
func field[A, B any](n nullable.Nullable[A], f func(A) B) patch.Field[B] {
	if !n.IsSpecified() {
		return patch.Field[B]{}
	}
	v, err := n.Get()
	if err != nil { // null
		return patch.Field[B]{Given: true}
	}
	return patch.Set(f(v))
}

func same[T any](v T) T { return v }

// conditionToAPI is a condition as JSON; nil for none.
func conditionToAPI(n filter.Node) (*apigen.Condition, error) {
	if n == nil {
		return nil, nil
	}
	raw, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("write a condition: %w", err)
	}
	return ptr(apigen.Condition(raw)), nil
}

func dependentToAPI(r condition.Reader) apigen.Dependent {
	return apigen.Dependent{Type: r.Type, Key: r.Key, Name: r.Name}
}

func moneyToAPI(m money.Money) apigen.Money {
	return apigen.Money{Amount: m.Decimal(), Currency: m.Currency}
}

// moneyFromAPI reads an amount; what is wrong with it is recorded at pointer.
func moneyFromAPI(v *fault.Validator, pointer string, m apigen.Money) money.Money {
	parsed, wrong, detail := money.Parse(m.Amount, m.Currency)
	member := "/amount"
	if wrong == "currency_unknown" {
		member = "/currency"
	}
	v.Check(wrong == "", pointer+member, wrong, detail)
	return parsed
}

func dayToAPI(d tenant.Day) types.Date { return types.Date{Time: d.Time} }

func dateOrNil(d *tenant.Day) *types.Date {
	if d == nil {
		return nil
	}
	return ptr(dayToAPI(*d))
}

func dayFromAPI(d types.Date) tenant.Day { return tenant.Day{Time: d.Time} }

func dayOrNil(d *types.Date) *tenant.Day {
	if d == nil {
		return nil
	}
	return ptr(dayFromAPI(*d))
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return ptr(t.UTC())
}

// lister unpacks and packs what all lists share.
type lister struct{ cursors page.Cursors }

// request reads limit and cursor. scope names the list, its filter and its sort: a cursor of another one is refused.
func (l lister) request(ctx context.Context, limit *int, cursor *string, scope ...string) (page.Request, error) {
	r := page.Request{Limit: or(limit, 50)}
	if cursor == nil {
		return r, nil
	}
	var err error
	r.After, err = l.cursors.Open(*cursor, l.scoped(ctx, scope)...)
	return r, err
}

// next is the cursor after a page, or nil after the last one.
func (l lister) next(ctx context.Context, key page.Key, scope ...string) (*string, error) {
	if key == nil {
		return nil, nil
	}
	s, err := l.cursors.Seal(key, l.scoped(ctx, scope)...)
	return &s, err
}

// paged reads a page of the list that scope names, and answers the cursor after it.
func paged[T any](ctx context.Context, l lister, limit *int, cursor *string, read func(page.Request) (page.Of[T], error), scope ...string) (page.Of[T], *string, error) {
	request, err := l.request(ctx, limit, cursor, scope...)
	if err != nil {
		return page.Of[T]{}, nil, err
	}
	found, err := read(request)
	if err != nil {
		return found, nil, err
	}
	next, err := l.next(ctx, found.Next, scope...)
	return found, next, err
}

func (lister) scoped(ctx context.Context, scope []string) []string {
	return append([]string{strconv.Itoa(int(callOf(ctx).Tenant.ID))}, scope...)
}

// jobLocation is where a job is followed.
func jobLocation(id string) *string { return ptr("/v1/jobs/" + id) }

type languageKey struct{}

func wantsChinese(ctx context.Context) bool {
	zh, _ := ctx.Value(languageKey{}).(bool)
	return zh
}

// preferred is t in the language that the caller asked for.
func preferred(ctx context.Context, t fault.Text) string {
	if wantsChinese(ctx) {
		return t.Zh
	}
	return t.En
}

// ownedLocation is where one of a customer's things is found: its place in the list of that name.
func ownedLocation(b owned.Base, list string) *string {
	return ptr("/v1/customers/" + b.CustomerID.String() + "/" + list + "/" + b.ID.String())
}

func evaluationToAPI(e rule.Evaluation) apigen.RuleEvaluation {
	return apigen.RuleEvaluation{AsOf: dayToAPI(e.AsOf), EvaluatedAt: e.EvaluatedAt, JobID: e.Job}
}

// orNull is null for what is not known.
func orNull(v *float64) nullable.Nullable[float64] {
	if v == nil {
		return nullable.NewNullNullable[float64]()
	}
	return nullable.NewNullableWithValue(*v)
}

// optional is nil for nil, f of it otherwise.
func optional[A, B any](p *A, f func(A) B) *B {
	if p == nil {
		return nil
	}
	return ptr(f(*p))
}
