package address

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/owned"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/seal"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Read is a draft as it will be kept: standard names, checked. Fails with fault.ErrInvalid.
func Read(d Draft, t tenant.Tenant) (Address, error) {
	var a Address
	d.fill(&a, t.Region)
	err := a.check()
	return a, err
}

// Importer adds addresses by sets.
type Importer struct{ sealer }

// NewImporter seals street lines by keys.
func NewImporter(keys *seal.Keys) Importer { return Importer{sealer{keys}} }

// Import adds the addresses that customers have not yet: two statements however many there are. They are as Read answers
// them, with their customers, whom the caller holds and gives their places itself; those without an id get one. It answers
// for each whether it was added, and whether its customer has too many already. Of a blind caller's, customers have what looks
// like one of theirs. A customer's first becomes its primary one.
func (s Importer) Import(ctx context.Context, tx postgres.Tx, tenantID int32, places []Address, blind bool, now time.Time) (added, full []bool, err error) {
	added, full = make([]bool, len(places)), make([]bool, len(places))
	if len(places) == 0 {
		return added, full, nil
	}
	has, err := holdings(ctx, tx, tenantID, places)
	if err != nil {
		return nil, nil, err
	}
	var seen map[uuid.UUID]map[look]bool
	if blind {
		if seen, err = s.looks(ctx, tx, tenantID, uuid.Nil, slices.Collect(maps.Keys(has))...); err != nil {
			return nil, nil, err
		}
	}
	var b bulk
	for i, a := range places {
		if a.ID == uuid.Nil {
			a.ID = uuid.Must(uuid.NewV7())
		}
		r, err := s.toRow(tenantID, a)
		if err != nil {
			return nil, nil, err
		}
		of := has[a.CustomerID]
		switch {
		case of[r.ValueIndex], seen[a.CustomerID][lookOf(a)]:
			continue
		case len(of) >= owned.Most:
			full[i] = true
			continue
		}
		r.IsPrimary = len(of) == 0
		of[r.ValueIndex], added[i] = true, true
		b.add(r)
	}
	return added, full, b.insert(ctx, tx, tenantID, now)
}

// holdings are the indexes of the addresses that customers have.
func holdings(ctx context.Context, tx postgres.Tx, tenantID int32, places []Address) (map[uuid.UUID]map[int64]bool, error) {
	all := map[uuid.UUID]map[int64]bool{}
	var ids []uuid.UUID
	for _, e := range places {
		if all[e.CustomerID] == nil {
			all[e.CustomerID] = map[int64]bool{}
			ids = append(ids, e.CustomerID)
		}
	}
	rows, err := tx.Query(ctx, `SELECT a.customer_id, a.value_index FROM unnest($2::uuid[]) x (id)
		CROSS JOIN LATERAL (SELECT * FROM addresses a WHERE a.tenant_id = $1 AND a.customer_id = x.id LIMIT 100000) a`, tenantID, ids)
	if err != nil {
		return nil, fmt.Errorf("read the addresses of %d customers: %w", len(ids), err)
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		var index int64
		if err := rows.Scan(&id, &index); err != nil {
			return nil, fmt.Errorf("read the addresses of %d customers: %w", len(ids), err)
		}
		all[id][index] = true
	}
	return all, rows.Err()
}

// bulk is rows as columns.
type bulk struct {
	customers, ids                                                         []uuid.UUID
	countries                                                              []string
	provinces, cities, districts, postal, areas, labels, recipients, given []*string
	streets                                                                [][]byte
	indexes                                                                []int64
	primary                                                                []bool
}

func (b *bulk) add(r row) {
	b.customers, b.ids, b.countries = append(b.customers, r.CustomerID), append(b.ids, r.ID), append(b.countries, r.Country)
	b.provinces, b.cities, b.districts = append(b.provinces, r.Province), append(b.cities, r.City), append(b.districts, r.District)
	b.postal, b.areas = append(b.postal, r.PostalCode), append(b.areas, r.AreaType)
	b.labels, b.recipients = append(b.labels, r.Label), append(b.recipients, r.Recipient)
	b.given, b.streets = append(b.given, postgres.Null(string(r.Given))), append(b.streets, r.Street)
	b.indexes, b.primary = append(b.indexes, r.ValueIndex), append(b.primary, r.IsPrimary)
}

func (b *bulk) insert(ctx context.Context, tx postgres.Tx, tenantID int32, now time.Time) error {
	if len(b.ids) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `INSERT INTO addresses (tenant_id, customer_id, id, version, country, province, city, district, postal_code,
			area_type, label, recipient, given, street, value_index, is_primary, created_at, updated_at)
		SELECT $1, x.customer_id, x.id, 1, x.country, x.province, x.city, x.district, x.postal_code, x.area_type, x.label, x.recipient,
			x.given::jsonb, x.street, x.value_index, x.is_primary, $2, $2
		FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
			$12::text[], $13::text[], $14::bytea[], $15::bigint[], $16::boolean[])
			x (customer_id, id, country, province, city, district, postal_code, area_type, label, recipient, given, street, value_index, is_primary)`,
		tenantID, now, b.customers, b.ids, b.countries, b.provinces, b.cities, b.districts, b.postal, b.areas, b.labels, b.recipients,
		b.given, b.streets, b.indexes, b.primary)
	if err != nil {
		return fmt.Errorf("insert %d addresses: %w", len(b.ids), err)
	}
	return nil
}
