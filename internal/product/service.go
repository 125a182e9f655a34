package product

import (
	"bytes"
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/event"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Service keeps products.
type Service struct {
	db  *postgres.DB
	now func() time.Time
}

// NewService works on db with the time that now tells.
func NewService(db *postgres.DB, now func() time.Time) *Service { return &Service{db: db, now: now} }

// Get is one product, or ErrNotFound.
func (s *Service) Get(ctx context.Context, t tenant.Tenant, id uuid.UUID) (Product, error) {
	return get(ctx, s.db, t.ID, id, "")
}

// BySKU is the product of that sku, or ErrNotFound.
func (s *Service) BySKU(ctx context.Context, t tenant.Tenant, sku string) (Product, error) {
	return bySKU(ctx, s.db, t.ID, sku, "")
}

// List is a page of products.
func (s *Service) List(ctx context.Context, t tenant.Tenant, q Query) (page.Of[Product], error) {
	return list(ctx, s.db, t.ID, q)
}

// Create makes a product. Fails with ErrSKUTaken or fault.ErrInvalid.
func (s *Service) Create(ctx context.Context, call tenant.Call, d Draft) (Product, error) {
	p := Product{SKU: d.SKU, Name: d.Name, Category: d.Category, Brand: d.Brand, Unit: d.Unit, Description: d.Description,
		Price: d.Price, Status: d.Status}
	if p.Status == "" {
		p.Status = Active
	}
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		made, err := s.create(ctx, tx, call, &p)
		if err == nil && !made {
			return ErrSKUTaken
		}
		return err
	})
	return p, err
}

// create stores p unless its sku is taken.
func (s *Service) create(ctx context.Context, tx postgres.Tx, call tenant.Call, p *Product) (made bool, err error) {
	p.ID, p.Version, p.CreatedAt = uuid.Must(uuid.NewV7()), 1, s.now()
	p.UpdatedAt = p.CreatedAt
	p.tidy()
	if err := p.check(); err != nil {
		return false, err
	}
	if made, err = insert(ctx, tx, call.Tenant.ID, *p); err != nil || !made {
		return made, err
	}
	return true, s.record(ctx, tx, call, "product.created", p.ID, nil)
}

// Update merges change into the product. A change without effect keeps the version and writes no event. Fails with
// ErrNotFound, patch.ErrVersion, ErrSKUTaken or fault.ErrInvalid. Orders keep the sku, name and category that the product
// had when they were written.
func (s *Service) Update(ctx context.Context, call tenant.Call, id uuid.UUID, expected patch.Expected, change Change) (Product, error) {
	var p Product
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		var err error
		if p, err = get(ctx, tx, call.Tenant.ID, id, " FOR NO KEY UPDATE"); err != nil {
			return err
		}
		return s.update(ctx, tx, call, &p, expected, change)
	})
	return p, err
}

func (s *Service) update(ctx context.Context, tx postgres.Tx, call tenant.Call, p *Product, expected patch.Expected, change Change) error {
	if err := expected.Check(p.Version); err != nil {
		return err
	}
	previous := change.apply(p)
	if err := p.check(); err != nil || len(previous) == 0 {
		return err
	}
	p.Version++
	p.UpdatedAt = s.now()
	if err := update(ctx, tx, call.Tenant.ID, *p); err != nil {
		return err
	}
	return s.record(ctx, tx, call, "product.updated", p.ID, previous)
}

// Put creates the product of that sku, or merges change into it: any number of callers at once make one.
func (s *Service) Put(ctx context.Context, call tenant.Call, sku string, expected patch.Expected, change Change) (p Product, created bool, err error) {
	err = s.db.InTx(ctx, func(tx postgres.Tx) error {
		for {
			p, err = bySKU(ctx, tx, call.Tenant.ID, sku, " FOR NO KEY UPDATE")
			if err == nil {
				created = false
				return s.update(ctx, tx, call, &p, expected, change)
			}
			if err != ErrNotFound { //nolint:errorlint // the sentinel itself, not a fault of its code
				return err
			}
			if expected != nil {
				return patch.ErrVersion
			}
			p = Product{SKU: sku, Status: Active}
			change.apply(&p)
			p.SKU = sku
			if created, err = s.create(ctx, tx, call, &p); err != nil || created {
				return err
			}
			// Somebody else's came first: it is there now.
		}
	})
	return p, created, err
}

// Delete deletes a product that no order names, with its relations. Fails with ErrNotFound, patch.ErrVersion or ErrInUse.
func (s *Service) Delete(ctx context.Context, call tenant.Call, id uuid.UUID, expected patch.Expected) error {
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		p, err := get(ctx, tx, call.Tenant.ID, id, " FOR UPDATE")
		if err != nil {
			return err
		}
		if err := expected.Check(p.Version); err != nil {
			return err
		}
		if err := remove(ctx, tx, call.Tenant.ID, id); err != nil {
			return err
		}
		return s.record(ctx, tx, call, "product.deleted", id, p.document())
	})
}

// Relations are all relations of a product, both ways, by kind and sku of the other.
func (s *Service) Relations(ctx context.Context, t tenant.Tenant, id uuid.UUID) ([]Relation, error) {
	if _, err := get(ctx, s.db, t.ID, id, ""); err != nil {
		return nil, err
	}
	return relations(ctx, s.db, t.ID, id)
}

// Relate makes one product an upgrade of another, and so on; a relation that is there stays. Fails with ErrNotFound,
// ErrRelationSelf, ErrRelationCircle or ErrRelationsFull.
func (s *Service) Relate(ctx context.Context, call tenant.Call, id uuid.UUID, kind RelationKind, other uuid.UUID) (Relation, error) {
	r := Relation{Kind: kind, CreatedAt: s.now()}
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		// Two relations written at once could close a circle that neither sees.
		if err := alone(ctx, tx, call.Tenant.ID); err != nil {
			return err
		}
		if _, err := get(ctx, tx, call.Tenant.ID, id, " FOR KEY SHARE"); err != nil {
			return err
		}
		var err error
		if r.Other, err = get(ctx, tx, call.Tenant.ID, other, " FOR KEY SHARE"); err != nil {
			return err
		}
		if id == other {
			return ErrRelationSelf
		}
		if kind == UpgradeOf {
			if err := checkCircle(ctx, tx, call.Tenant.ID, id, other); err != nil {
				return err
			}
		}
		if err := checkRoom(ctx, tx, call.Tenant.ID, id); err != nil {
			return err
		}
		first, second := stored(id, kind, other)
		made, at, err := relate(ctx, tx, call.Tenant.ID, first, kind, second, r.CreatedAt)
		r.CreatedAt = at
		if err != nil || !made {
			return err
		}
		return s.record(ctx, tx, call, "product.related", id, map[string]any{"relations/" + string(kind) + "/" + other.String(): nil})
	})
	return r, err
}

// Unrelate undoes Relate. Fails with ErrNotFound or ErrRelationNotFound.
func (s *Service) Unrelate(ctx context.Context, call tenant.Call, id uuid.UUID, kind RelationKind, other uuid.UUID) error {
	return s.db.InTx(ctx, func(tx postgres.Tx) error {
		if _, err := get(ctx, tx, call.Tenant.ID, id, ""); err != nil {
			return err
		}
		first, second := stored(id, kind, other)
		gone, err := unrelate(ctx, tx, call.Tenant.ID, first, kind, second)
		if err != nil {
			return err
		}
		if !gone {
			return ErrRelationNotFound
		}
		return s.record(ctx, tx, call, "product.unrelated", id,
			map[string]any{"relations/" + string(kind) + "/" + other.String(): true})
	})
}

// stored is how a relation stands in its table.
func stored(id uuid.UUID, kind RelationKind, other uuid.UUID) (first, second uuid.UUID) {
	if kind == Similar && bytes.Compare(id[:], other[:]) > 0 {
		return other, id
	}
	return id, other
}

func (s *Service) record(ctx context.Context, tx postgres.Tx, call tenant.Call, what string, id uuid.UUID, previous map[string]any) error {
	return event.Record(ctx, tx, call, s.now(), event.Event{Type: what, SubjectType: "product", SubjectID: id.String(),
		Previous: previous})
}
