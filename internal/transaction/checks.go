package transaction

import (
	"context"
	"encoding/json"
	"maps"
	"reflect"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Checks are a tenant's own rules for transactions.
type Checks interface {
	// CheckTransaction looks at a transaction before it is written, in the transaction that writes it and holds the
	// customer. before is what is stored, nil for a new one. It may fill in and normalise after.Attributes; what is
	// wrong it answers as fault.ErrInvalid with pointers into the request's body, such as /attributes/colour. told is what
	// the event says of the values before, by "attributes/<name>": nothing of a personal one.
	CheckTransaction(ctx context.Context, tx postgres.Tx, t tenant.Tenant, after, before *Transaction) (told map[string]any, err error)
}

// maxAttributes bounds all attributes of a transaction together, in bytes of JSON.
const maxAttributes = 64 << 10

// check is what a transaction must fulfil before it is written.
func (s *Service) check(ctx context.Context, tx postgres.Tx, t tenant.Tenant, after, before *Transaction) (told map[string]any, err error) {
	if s.checks != nil {
		if told, err = s.checks.CheckTransaction(ctx, tx, t, after, before); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(after.Attributes)
	if err == nil && len(text) > maxAttributes {
		return nil, fault.ErrInvalid.At("/attributes", "too_large", fault.T("all attributes together may have 64 KiB", "全部自定义属性合计不能超过 64 KiB"))
	}
	return told, err
}

// merged is attributes with those of change: null takes one away. A value is replaced as a whole, for half an amount of
// money is none.
func merged(into, change map[string]any) map[string]any {
	out := maps.Clone(into)
	if out == nil {
		out = map[string]any{}
	}
	for name, value := range change {
		if value == nil {
			delete(out, name)
		} else {
			out[name] = value
		}
	}
	return out
}

// changedAttributes are the values before of those that differ, by "attributes/<name>".
func changedAttributes(before, after map[string]any) map[string]any {
	previous := map[string]any{}
	for name, value := range before {
		if now, ok := after[name]; !ok || !reflect.DeepEqual(now, value) {
			previous["attributes/"+name] = value
		}
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			previous["attributes/"+name] = nil
		}
	}
	return previous
}
