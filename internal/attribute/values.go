package attribute

import (
	"context"
	"encoding/json"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/nearest"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Values are the attributes of one row by key, in the form in which they are stored.
type Values map[string]json.RawMessage

// Write is what a caller says of the attributes of one row.
type Write struct {
	Kind   string   // person, company or transaction: whose fields may be written
	Fresh  bool     // the row is being made: defaults apply, and required fields must be there
	Stored Values   // what the row has
	Patch  Values   // a merge patch: null clears; the values are as callers write them
	Said   []string // by a caller who is not shown guarded values: what counts as changed whether it is or not
	Text   bool     // strings are what the cells of a file say, whatever the type
}

// Outcome is what became of a Write.
type Outcome struct {
	Values   Values         // the row's attributes from now on; never nil
	Previous map[string]any // the values before of the keys that changed, as attributes.<key>; guarded ones as nil
	Again    []string       // the guarded ones of Write.Said, as attributes.<key>
	Err      error          // fault.ErrInvalid with places below /attributes; the rest is then empty
}

// Apply checks writes of one subject's rows, with one read of the definitions for all of them. A value that a write
// does not touch is never looked at, so that what a changed definition no longer accepts stays as it is.
func (s *Service) Apply(ctx context.Context, q postgres.Querier, t tenant.Tenant, subject AppliesTo, writes []Write) ([]Outcome, error) {
	defs, err := all(ctx, q, t.ID, subject, true)
	if err != nil {
		return nil, err
	}
	return s.apply(ctx, q, t, defs, writes)
}

func (s *Service) apply(ctx context.Context, q postgres.Querier, t tenant.Tenant, defs []*Definition, writes []Write) ([]Outcome, error) {
	set := newSet(defs)
	for _, write := range writes {
		if write.Text {
			set.read(write.Patch, t.Currency)
		}
	}
	w, err := s.world(ctx, q, t, set, writes)
	if err != nil {
		return nil, err
	}
	out := make([]Outcome, len(writes))
	for i, write := range writes {
		out[i] = set.apply(write, w)
	}
	return out, nil
}

// set is the definitions of a subject.
type set struct {
	inOrder []*Definition
	byKey   map[string]*Definition
}

func newSet(defs []*Definition) set {
	s := set{defs, make(map[string]*Definition, len(defs))}
	for _, d := range defs {
		s.byKey[d.Key] = d
	}
	return s
}

// find is the definition under which a row of the kind may be written, or nil.
func (s set) find(key, kind string) *Definition {
	d := s.byKey[key]
	if d == nil || d.removed || !d.AppliesTo.covers(kind) {
		return nil
	}
	return d
}

// world reads what the values of writes refer to.
func (s *Service) world(ctx context.Context, q postgres.Querier, t tenant.Tenant, defs set, writes []Write) (*world, error) {
	var ids []uuid.UUID
	currencies := map[string]bool{}
	note := func(d *Definition, raw json.RawMessage) {
		switch {
		case d == nil || null(raw):
		case d.Type == Reference:
			if id, ok := readReference(raw); ok {
				ids = append(ids, id)
			}
		case d.Type == Money:
			if a, ok := readAmount(raw); ok && a.Currency != t.Currency {
				currencies[a.Currency] = true
			}
		}
	}
	for _, write := range writes {
		for key, raw := range write.Patch {
			note(defs.byKey[key], raw)
		}
		if write.Fresh {
			for _, d := range defs.inOrder {
				note(d, d.Default)
			}
		}
	}
	return s.look(ctx, q, t, ids, currencies)
}

func (s *Service) look(ctx context.Context, q postgres.Querier, t tenant.Tenant, ids []uuid.UUID, currencies map[string]bool) (*world, error) {
	w := &world{base: t.Currency, rates: map[string]*big.Rat{}}
	for _, c := range slices.Sorted(maps.Keys(currencies)) {
		rate, err := s.rate(ctx, q, t.ID, c, t.Today(s.now()))
		if err != nil {
			return nil, err
		}
		w.rates[c] = rate
	}
	var err error
	w.customers, err = survivors(ctx, q, t.ID, ids)
	return w, err
}

func (s set) apply(write Write, w *world) Outcome {
	var v fault.Validator
	values := maps.Clone(write.Stored)
	if values == nil {
		values = Values{}
	}
	for _, key := range slices.Sorted(maps.Keys(write.Patch)) {
		raw, at := write.Patch[key], "/attributes/"+fault.Escape(key)
		d := s.find(key, write.Kind)
		switch {
		case d == nil && null(raw):
			s.clearUnknown(&v, values, key, at, write.Kind)
		case d == nil:
			s.unknown(&v, key, at, write.Kind)
		case null(raw):
			old, there := values[key]
			if v.Check(!d.Required || !there || null(old), at, "required",
				fault.T("this field is required; it can be changed but not cleared", "该字段为必填，只能修改不能清空")) {
				delete(values, key)
			}
		case same(raw, values[key]):
		case d.Archived:
			v.Check(false, at, "archived", fault.T("this field is archived: its values can be read and cleared, not written", "该字段已归档，只能读取或清空，不能写入"))
		default:
			canonical, bad := d.canonical(raw, values[key], w)
			if bad != nil {
				v.Check(false, at+bad.member, bad.code, bad.detail, bad.accepted...)
			} else if !same(canonical, values[key]) {
				values[key] = canonical
			}
		}
	}
	if write.Fresh {
		s.complete(&v, values, write, w)
	}
	size := 0
	for key, raw := range values {
		size += len(key) + len(raw)
	}
	v.Check(size <= MaxSize || len(write.Patch) == 0, "/attributes", "too_large",
		fault.T("all attributes together take more than 256 KiB", "全部自定义字段合计超过 256 KiB"))
	if err := v.Err(); err != nil {
		return Outcome{Err: err}
	}
	var again []string
	for _, key := range write.Said {
		if d := s.byKey[key]; d != nil && d.Sensitivity.Guarded() {
			again = append(again, prefix+key)
		}
	}
	return Outcome{Values: values, Previous: s.changes(write.Stored, values), Again: again}
}

// complete gives a new row the defaults of what it does not say, and demands what is required.
func (s set) complete(v *fault.Validator, values Values, write Write, w *world) {
	for _, d := range s.inOrder {
		_, said := write.Patch[d.Key]
		if _, there := values[d.Key]; there || d.Archived || s.find(d.Key, write.Kind) == nil {
			continue
		}
		if d.Default != nil && !said {
			if canonical, bad := d.canonical(d.Default, nil, w); bad == nil {
				values[d.Key] = canonical
				continue
			}
		}
		v.Check(!d.Required || said && !null(write.Patch[d.Key]), "/attributes/"+d.Key, "required",
			fault.T("this field is required", "该字段为必填"))
	}
}

// clearUnknown lets go of a value that the row should not have any more, such as one of a company that became a person.
func (s set) clearUnknown(v *fault.Validator, values Values, key, at, kind string) {
	if _, there := values[key]; there {
		delete(values, key)
		return
	}
	s.unknown(v, key, at, kind)
}

func (s set) unknown(v *fault.Validator, key, at, kind string) {
	if d := s.byKey[key]; d != nil && !d.removed {
		v.Check(false, at, "other_kind", fault.T("this field is only for "+string(d.AppliesTo), "该字段仅适用于 "+string(d.AppliesTo)))
		return
	}
	var known []string
	for _, d := range s.inOrder {
		if s.find(d.Key, kind) != nil && !d.Archived {
			known = append(known, d.Key)
			if strings.EqualFold(d.Label, key) {
				known = []string{d.Key}
				break
			}
		}
	}
	guess := nearest.Of(key, known)
	if len(known) == 1 && guess == "" {
		guess = known[0]
	}
	if guess == "" {
		v.Check(false, at, "unknown_attribute", fault.T("there is no such field; /v1/field-definitions lists them", "没有这个字段，可用字段见 /v1/field-definitions"))
		return
	}
	v.Check(false, at, "unknown_attribute", fault.T("there is no such field; the nearest is "+guess, "没有这个字段，最接近的是 "+guess), guess)
}

func (s set) changes(before, after Values) map[string]any {
	previous := map[string]any{}
	note := func(key string) {
		if same(before[key], after[key]) {
			return
		}
		d := s.byKey[key]
		previous["attributes."+key] = nil
		if old, there := before[key]; there && d != nil && !d.removed && !d.Sensitivity.Guarded() {
			previous["attributes."+key] = Plain(old)
		}
	}
	for key := range before {
		note(key)
	}
	for key := range after {
		note(key)
	}
	return previous
}

// Plain is a stored value as callers see it.
func Plain(stored json.RawMessage) json.RawMessage {
	var a amount
	if len(stored) > 0 && stored[0] == '{' && json.Unmarshal(stored, &a) == nil {
		out, _ := json.Marshal(map[string]string{"amount": a.Amount, "currency": a.Currency}) // strings always marshal
		return out
	}
	return stored
}

// Shown are the attributes of a customer as callers see them: those of visible, and of money what was said.
func Shown(attributes map[string]any, visible map[string]bool) map[string]any {
	out := make(map[string]any, len(attributes))
	for key, value := range attributes {
		if !visible[key] {
			continue
		}
		if m, ok := value.(map[string]any); ok {
			value = map[string]any{"amount": m["amount"], "currency": m["currency"]}
		}
		out[key] = value
	}
	return out
}
