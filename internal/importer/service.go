package importer

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/address"
	"github.com/kezi-io/kezi/internal/contactpoint"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/seal"
	"github.com/kezi-io/kezi/internal/tenant"
)

// batchRows is how many rows one transaction takes. It bounds the customers that it locks as well, of which design.md
// allows 10,000.
const batchRows = 5000

// Service keeps imports and runs them.
type Service struct {
	db        *postgres.DB
	jobs      *jobs.Service
	customers *customer.Service
	now       func() time.Time
	batch     int // rows

	keys      *seal.Keys // of what was uploaded
	points    contactpoint.Index
	addresses address.Importer
}

// NewService works on db, writes customers through their own service, and does its jobs; files and contact values are
// sealed by keys.
func NewService(db *postgres.DB, work *jobs.Service, customers *customer.Service, keys *seal.Keys, now func() time.Time) *Service {
	s := &Service{db: db, jobs: work, customers: customers, now: now, batch: batchRows,
		keys: keys, points: contactpoint.NewIndex(keys), addresses: address.NewImporter(keys)}
	work.Handle(jobKind, s.run)
	return s
}

// Create begins an import; its file is uploaded next. Fails with fault.ErrInvalid naming what is wrong.
func (s *Service) Create(ctx context.Context, call tenant.Call, c Creation) (Import, error) {
	if err := c.check(); err != nil {
		return Import{}, err
	}
	if c.Format == "" {
		c.Format = "csv"
	}
	if c.Encoding == "" {
		c.Encoding = UTF8
	}
	if c.RegistrationCheck == "" {
		c.RegistrationCheck = Refuse
	}
	now := s.now()
	im := Import{ID: uuid.Must(uuid.NewV7()), Version: 1, Type: c.Type, Source: c.Source, Format: c.Format, Encoding: c.Encoding,
		Mapping: c.Mapping, Currency: c.Currency, RegistrationCheck: c.RegistrationCheck, Status: Created, ChangeSet: uuid.Must(uuid.NewV7()), Actor: call.Actor,
		CreatedAt: now, UpdatedAt: now, blind: call.Blind}
	if err := insert(ctx, s.db, call.Tenant.ID, im); err != nil {
		return Import{}, err
	}
	return im, nil
}

// Get is one import, or ErrNotFound.
func (s *Service) Get(ctx context.Context, t tenant.Tenant, id uuid.UUID) (Import, error) {
	return get(ctx, s.db, t.ID, id)
}

// List is a page of imports, newest first.
func (s *Service) List(ctx context.Context, t tenant.Tenant, req page.Request) (page.Of[Import], error) {
	return list(ctx, s.db, t.ID, req)
}

// Errors is a page of the rows that were refused, by line. Fails with ErrNotFound.
func (s *Service) Errors(ctx context.Context, t tenant.Tenant, id uuid.UUID, req page.Request) (page.Of[RowError], error) {
	if _, err := get(ctx, s.db, t.ID, id); err != nil {
		return page.Of[RowError]{}, err
	}
	return listErrors(ctx, s.db, t.ID, id, req)
}
