package tenant

import (
	"context"
	"sync"
	"time"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/postgres"
)

// cacheFor is how long a tenant is taken as it was read. A stale currency or zone can't be written with: see Hold.
const cacheFor = 2 * time.Second

// Service keeps tenants.
type Service struct {
	db  *postgres.DB
	now func() time.Time

	mu    sync.Mutex
	cache map[string]cached
}

type cached struct {
	tenant Tenant
	until  time.Time
}

// NewService works on db with the time that now tells.
func NewService(db *postgres.DB, now func() time.Time) *Service {
	return &Service{db: db, now: now, cache: map[string]cached{}}
}

// ByName is the tenant of that name, or ErrUnknown.
func (s *Service) ByName(ctx context.Context, name string) (Tenant, error) {
	now := s.now()
	s.mu.Lock()
	hit, ok := s.cache[name]
	s.mu.Unlock()
	if ok && now.Before(hit.until) {
		return hit.tenant, nil
	}
	t, err := byName(postgres.ForAllTenants(ctx), s.db, name)
	if err != nil {
		return Tenant{}, err
	}
	s.mu.Lock()
	s.cache[name] = cached{t, now.Add(cacheFor)}
	s.mu.Unlock()
	return t, nil
}

// ByID is the tenant of that internal id, for work that carries no token.
func (s *Service) ByID(ctx context.Context, id int32) (Tenant, error) {
	return byID(postgres.ForAllTenants(ctx), s.db, id)
}

// Create makes a tenant. Fails with ErrNameTaken, or fault.ErrInvalid naming what is wrong.
func (s *Service) Create(ctx context.Context, c Creation) (Tenant, error) {
	var v fault.Validator
	checkCurrency(&v, c.Currency)
	zone := checkZone(&v, c.TimeZone)
	if c.Region == "" {
		c.Region = DefaultRegion
	}
	checkRegion(&v, c.Region)
	if err := v.Err(); err != nil {
		return Tenant{}, err
	}
	if c.Title == "" {
		c.Title = c.Name
	}
	now := s.now()
	return insert(ctx, s.db, Tenant{Name: c.Name, Title: c.Title, Currency: c.Currency, Zone: zone, Region: c.Region, Version: 1,
		CreatedAt: now, UpdatedAt: now})
}

// Change changes the tenant when its version is an expected one. Fails with patch.ErrVersion, with
// ErrFixed when facts depend on what should change, or with fault.ErrInvalid.
func (s *Service) Change(ctx context.Context, id int32, expected patch.Expected, c Change) (Tenant, error) {
	var t Tenant
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		var err error
		if t, err = locked(ctx, tx, id); err != nil {
			return err
		}
		if err := expected.Check(t.Version); err != nil {
			return err
		}
		before := t
		var v fault.Validator
		if c.Title != nil {
			t.Title = *c.Title
		}
		if c.Currency != nil {
			checkCurrency(&v, *c.Currency)
			t.Currency = *c.Currency
		}
		if c.TimeZone != nil {
			t.Zone = checkZone(&v, *c.TimeZone)
		}
		if c.Region != nil {
			checkRegion(&v, *c.Region)
			t.Region = *c.Region
		}
		if err := v.Err(); err != nil {
			return err
		}
		moved := t.Currency != before.Currency || t.Zone.String() != before.Zone.String()
		if !moved && t.Title == before.Title && t.Region == before.Region {
			return nil
		}
		if moved {
			fixed, err := settled(ctx, tx, id)
			if err != nil {
				return err
			}
			if fixed {
				return ErrFixed
			}
		}
		t.Version++
		t.UpdatedAt = s.now()
		return update(ctx, tx, t)
	})
	if err != nil {
		return Tenant{}, err
	}
	s.mu.Lock()
	delete(s.cache, t.Name)
	s.mu.Unlock()
	return t, nil
}

// List is a page of all tenants by name.
func (s *Service) List(ctx context.Context, req page.Request) (page.Of[Tenant], error) {
	return list(ctx, s.db, req)
}
