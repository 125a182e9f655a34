package attribute

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Hook checks the attributes of every customer that is written, whatever way it came.
type Hook struct{ Service *Service }

// Before implements customer.Hook: it refuses what does not fit the definitions, gives new customers their defaults,
// and keeps guarded values out of the event.
func (h Hook) Before(ctx context.Context, tx postgres.Tx, call tenant.Call, writes []*customer.Write) error {
	var asked []Write
	var of []*customer.Write
	for _, w := range writes {
		a := Write{Kind: string(w.After.Kind), Fresh: w.Before == nil, Text: w.Cause == customer.ByImport}
		var stored map[string]any
		if w.Before != nil {
			stored = w.Before.Attributes
		}
		var err error
		if a.Patch, err = merge(stored, w.After.Attributes); err != nil {
			return err
		}
		if call.Blind && !a.Fresh {
			a.Said = w.Said
		}
		if len(a.Patch)+len(a.Said) == 0 && !a.Fresh {
			continue
		}
		if a.Stored, err = encode(stored); err != nil {
			return err
		}
		asked, of = append(asked, a), append(of, w)
	}
	if len(asked) == 0 {
		return nil
	}
	outcomes, err := h.Service.Apply(ctx, tx, call.Tenant, Customers, asked)
	if err != nil {
		return err
	}
	for i, o := range outcomes {
		if o.Err != nil {
			var v fault.Validator
			if err := v.Merge("", o.Err); err != nil {
				return err
			}
			of[i].Refuse(&v)
			continue
		}
		if of[i].After.Attributes, err = decode(o.Values); err != nil {
			return err
		}
		of[i].Told, of[i].Again = o.Previous, o.Again
	}
	return nil
}

// After implements customer.Hook.
func (Hook) After(context.Context, postgres.Tx, tenant.Call, []*customer.Write) error { return nil }

// merge is the patch that makes after of before.
func merge(before, after map[string]any) (Values, error) {
	changed := Values{}
	for key, value := range after {
		if old, there := before[key]; there && reflect.DeepEqual(old, value) {
			continue
		}
		raw, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("read attribute %s: %w", key, err)
		}
		changed[key] = raw
	}
	for key := range before {
		if _, there := after[key]; !there {
			changed[key] = json.RawMessage("null")
		}
	}
	return changed, nil
}

func encode(attributes map[string]any) (Values, error) {
	v := make(Values, len(attributes))
	for key, value := range attributes {
		raw, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("read attribute %s: %w", key, err)
		}
		v[key] = raw
	}
	return v, nil
}

func decode(v Values) (customer.Attributes, error) {
	a := make(customer.Attributes, len(v))
	for key, raw := range v {
		a[key] = decoded(raw)
		if m, ok := a[key].(map[string]any); ok {
			var stored amount
			if err := json.Unmarshal(raw, &stored); err != nil {
				return nil, fmt.Errorf("read attribute %s: %w", key, err)
			}
			m["base"] = json.Number(strconv.FormatInt(stored.Base, 10))
		}
	}
	return a, nil
}
