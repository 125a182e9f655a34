package attribute

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Rate is what one unit of a currency is worth in the base currency on a day, or nil.
type Rate func(ctx context.Context, q postgres.Querier, tenantID int32, currency string, day tenant.Day) (*big.Rat, error)

// Reader names what has a condition with a comparison for which reads holds: a tier scheme, a validation rule. What
// conditions are about is not deleted below them.
type Reader func(ctx context.Context, q postgres.Querier, tenantID int32, reads func(filter.Leaf) bool) ([]string, error)

// Service keeps field definitions and checks values.
type Service struct {
	db      *postgres.DB
	jobs    *jobs.Service
	rate    Rate
	readers []Reader
	now     func() time.Time
}

// NewService works on db, does its jobs, and asks readers before a field goes.
func NewService(db *postgres.DB, work *jobs.Service, rate Rate, now func() time.Time, readers ...Reader) *Service {
	s := &Service{db: db, jobs: work, rate: rate, now: now, readers: readers}
	work.Handle(removal, s.remove)
	return s
}

// List is all fields in their display order; an empty subject takes those of customers and of transactions.
func (s *Service) List(ctx context.Context, t tenant.Tenant, subject AppliesTo) ([]Definition, error) {
	defs, err := all(ctx, s.db, t.ID, subject, false)
	if err != nil {
		return nil, err
	}
	out := make([]Definition, len(defs))
	for i, d := range defs {
		out[i] = *d
	}
	return out, nil
}

// Of are the fields of a subject, for whoever builds on them.
func Of(ctx context.Context, q postgres.Querier, tenantID int32, subject AppliesTo) ([]*Definition, error) {
	return all(ctx, q, tenantID, subject, false)
}

// Get is one field, or ErrNotFound.
func (s *Service) Get(ctx context.Context, t tenant.Tenant, id uuid.UUID) (Definition, error) {
	d, err := get(ctx, s.db, t.ID, id, false)
	if err != nil {
		return Definition{}, err
	}
	return *d, nil
}

// Create makes a field. Rows that exist stay as they are, also when the field is required. Fails with ErrKeyTaken,
// ErrTooMany or fault.ErrInvalid.
func (s *Service) Create(ctx context.Context, call tenant.Call, draft Draft) (Definition, error) {
	now := s.now()
	d := Definition{ID: uuid.Must(uuid.NewV7()), Version: 1, AppliesTo: draft.AppliesTo, Key: draft.Key, Label: draft.Label,
		Type: draft.Type, Required: draft.Required, Default: draft.Default, Unit: draft.Unit, Validation: draft.Validation,
		Choices: slices.Clone(draft.Choices), Purpose: draft.Purpose, Sensitivity: draft.Sensitivity, Description: draft.Description,
		Position: draft.Position, CreatedAt: now, UpdatedAt: now}
	if d.Sensitivity == "" {
		d.Sensitivity = Internal
	}
	if d.Choices == nil {
		d.Choices = []Option{}
	}
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		d := d
		if err := s.check(ctx, tx, call.Tenant, &d); err != nil {
			return err
		}
		defs, err := all(ctx, tx, call.Tenant.ID, d.AppliesTo.Subject(), true)
		if err != nil {
			return err
		}
		if len(defs) >= MaxDefinitions {
			return ErrTooMany.Because(fmt.Sprintf("there are %d field definitions already; delete some that are archived", len(defs)),
				fmt.Sprintf("已有 %d 个字段定义；请先删除已归档的字段", len(defs)))
		}
		if err := insert(ctx, tx, call.Tenant.ID, d); err != nil {
			return err
		}
		return s.record(ctx, tx, call, "field_definition.created", d.ID, nil)
	})
	if err != nil {
		return Definition{}, err
	}
	return s.Get(ctx, call.Tenant, d.ID)
}

// check looks at the definition as a whole and makes its default canonical.
func (s *Service) check(ctx context.Context, q postgres.Querier, t tenant.Tenant, d *Definition) error {
	var v fault.Validator
	if err := v.Merge("", d.check(t)); err != nil {
		return err
	}
	if err := v.Err(); err != nil {
		return err // a default can only be judged by a sound definition
	}
	if null(d.Default) {
		d.Default = nil
		return nil
	}
	w, err := s.world(ctx, q, t, newSet([]*Definition{d}), []Write{{Fresh: true}})
	if err != nil {
		return err
	}
	canonical, bad := d.canonical(Plain(d.Default), nil, w)
	if bad != nil {
		v.Check(false, "/default"+bad.member, bad.code, bad.detail, bad.accepted...)
		return v.Err()
	}
	d.Default = canonical
	return nil
}

// Update merges change into the field. Stored values stay as they are. A change without effect keeps the version and
// writes no event. Fails with ErrNotFound, patch.ErrVersion, fault.ErrInvalid, or ErrRead when conditions would no
// longer mean anything.
func (s *Service) Update(ctx context.Context, call tenant.Call, id uuid.UUID, expected patch.Expected, change Change) (Definition, error) {
	var after Definition
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		before, err := get(ctx, tx, call.Tenant.ID, id, true)
		if err != nil {
			return err
		}
		if err := expected.Check(before.Version); err != nil {
			return err
		}
		if after, err = s.changed(ctx, tx, call.Tenant, *before, change); err != nil {
			return err
		}
		previous := difference(*before, after)
		if len(previous) == 0 {
			return nil
		}
		if err := s.checkRead(ctx, tx, call.Tenant.ID, lost(*before, after)); err != nil {
			return err
		}
		after.Version++
		after.UpdatedAt = s.now()
		if err := update(ctx, tx, call.Tenant.ID, after); err != nil {
			return err
		}
		return s.record(ctx, tx, call, "field_definition.updated", id, previous)
	})
	return after, err
}

func (s *Service) changed(ctx context.Context, q postgres.Querier, t tenant.Tenant, d Definition, change Change) (Definition, error) {
	change.apply(&d)
	if d.Choices == nil {
		d.Choices = []Option{}
	}
	err := s.check(ctx, q, t, &d)
	return d, err
}

// lost is which comparisons a change takes the meaning from: all with another type, those with a choice that goes.
func lost(before, after Definition) func(filter.Leaf) bool {
	names := before.names()
	if before.Type != after.Type {
		return func(l filter.Leaf) bool { return slices.Contains(names, l.Field) }
	}
	var gone []filter.Value
	for _, o := range before.Choices {
		if after.option(o.Key) == nil {
			gone = append(gone, filter.String(o.Key))
		}
	}
	if gone == nil {
		return nil
	}
	return func(l filter.Leaf) bool {
		return slices.Contains(names, l.Field) && slices.ContainsFunc(gone, func(v filter.Value) bool { return slices.Contains(l.Values, v) })
	}
}

// checkRead fails with ErrRead when a condition has a comparison for which reads holds.
func (s *Service) checkRead(ctx context.Context, q postgres.Querier, tenantID int32, reads func(filter.Leaf) bool) error {
	if reads == nil {
		return nil
	}
	var names []string
	for _, r := range s.readers {
		found, err := r(ctx, q, tenantID, reads)
		if err != nil {
			return err
		}
		names = append(names, found...)
	}
	if len(names) == 0 {
		return nil
	}
	list := strings.Join(names, ", ")
	detail := fault.T("conditions, rules or weights name the field; change them first, in: "+list, "以下条件、规则或权重引用了该字段，请先修改："+list)
	return ErrRead.Because(detail.En, detail.Zh).At("", "in_use", detail, names...)
}

// Delete deletes a field, and by a job the values that are stored under it. Until the job is done its key is taken;
// nobody sees the values any more. Fails with ErrNotFound, patch.ErrVersion, ErrRead while conditions name it, and
// ErrInUse while rows have values, unless the field is archived.
func (s *Service) Delete(ctx context.Context, call tenant.Call, id uuid.UUID, expected patch.Expected) error {
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		d, err := get(ctx, tx, call.Tenant.ID, id, true)
		if err != nil {
			return err
		}
		if err := expected.Check(d.Version); err != nil {
			return err
		}
		if err := s.checkRead(ctx, tx, call.Tenant.ID, func(l filter.Leaf) bool { return slices.Contains(d.names(), l.Field) }); err != nil {
			return err
		}
		n, err := holding(ctx, tx, call.Tenant.ID, d)
		switch {
		case err != nil:
			return err
		case n == 0:
			err = remove(ctx, tx, call.Tenant.ID, id)
		case !d.Archived:
			return ErrInUse.Because(
				fmt.Sprintf("%d records have a value in this field; archive it first, then deleting removes the values", n),
				fmt.Sprintf("有 %d 条记录在该字段下有数据；请先归档，再删除时会清除这些数据", n))
		default:
			if err = bury(ctx, tx, call.Tenant.ID, id, s.now()); err == nil {
				_, err = s.jobs.Start(ctx, tx, call, jobs.Spec{Kind: removal, SubjectType: subject, SubjectID: id.String()})
			}
		}
		if err != nil {
			return err
		}
		previous := difference(*d, Definition{})
		previous["values"] = n
		return s.record(ctx, tx, call, "field_definition.deleted", id, previous)
	})
}

// maxSamples is how many rows a Report names.
const maxSamples = 10

// Sample is a row whose value the changed field would not accept.
type Sample struct {
	ID     uuid.UUID // the customer, or the transaction
	Code   string
	Detail fault.Text
}

// Report is what a change would mean for what is stored.
type Report struct {
	Values  int64 // rows that have one
	Failing int64 // of those, the ones that could not be written again
	Missing int64 // rows without a value although the field would be required
	Samples []Sample
}

// Check tells what change would mean for what is stored, and changes nothing. Fails with ErrNotFound or
// fault.ErrInvalid.
func (s *Service) Check(ctx context.Context, t tenant.Tenant, id uuid.UUID, change Change) (Report, error) {
	before, err := get(ctx, s.db, t.ID, id, false)
	if err != nil {
		return Report{}, err
	}
	d, err := s.changed(ctx, s.db, t, *before, change)
	if err != nil {
		return Report{}, err
	}
	r := Report{Samples: []Sample{}}
	if d.Required {
		if r.Missing, err = lacking(ctx, s.db, t.ID, &d); err != nil {
			return Report{}, err
		}
	}
	defs := newSet([]*Definition{&d})
	after := place{}
	for {
		page, err := values(ctx, s.db, t.ID, &d, after, 5000)
		if err != nil || len(page) == 0 {
			return r, err
		}
		writes := make([]Write, len(page))
		for i, v := range page {
			writes[i].Patch = Values{d.Key: Plain(v.value)}
		}
		w, err := s.world(ctx, s.db, t, defs, writes)
		if err != nil {
			return Report{}, err
		}
		for i, v := range page {
			r.Values++
			raw := writes[i].Patch[d.Key]
			if _, bad := d.canonical(raw, raw, w); bad != nil {
				r.Failing++
				if len(r.Samples) < maxSamples {
					r.Samples = append(r.Samples, Sample{v.row, bad.code, bad.detail})
				}
			}
		}
		after = page[len(page)-1].place
	}
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, call tenant.Call, what string, id uuid.UUID, previous map[string]any) error {
	for name, value := range previous {
		if raw, ok := value.(json.RawMessage); ok && raw == nil {
			previous[name] = nil
		}
	}
	return event.Record(ctx, tx, call, s.now(), event.Event{Type: what, SubjectType: subject, SubjectID: id.String(),
		Previous: previous})
}
