package contactpoint

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/owned"
	"github.com/kezi-io/kezi/internal/postgres"
)

// Entry is one value of a file for a customer.
type Entry struct {
	CustomerID uuid.UUID
	Normal
	Given string
}

// Import adds what customers have not yet, as a set: two statements however many there are. The caller holds the
// customers. It answers for each entry whether it was added, and whether its customer has too many already. The first of
// a kind becomes primary where there is none.
func (x Index) Import(ctx context.Context, tx postgres.Tx, tenantID int32, entries []Entry, source string, now time.Time) (added, full []bool, err error) {
	added, full = make([]bool, len(entries)), make([]bool, len(entries))
	if len(entries) == 0 {
		return added, full, nil
	}
	has, err := holdings(ctx, tx, tenantID, entries)
	if err != nil {
		return nil, nil, err
	}
	var b bulk
	for i, e := range entries {
		p := ContactPoint{Base: owned.Base{ID: uuid.Must(uuid.NewV7()), CustomerID: e.CustomerID}, Kind: e.Kind, Platform: e.Platform,
			Value: e.Value, NumberType: e.NumberType, Given: e.Given}
		if p.Given == p.Value {
			p.Given = ""
		}
		r, err := x.toRow(tenantID, p)
		if err != nil {
			return nil, nil, err
		}
		of := has[e.CustomerID]
		k := keyOf(nil, e.Kind, r.ValueIndex)
		switch {
		case of.keys[k]:
			continue
		case len(of.keys) >= owned.Most:
			full[i] = true
			continue
		}
		r.IsPrimary = !of.primary[e.Kind]
		of.keys[k], of.primary[e.Kind], added[i] = true, true, true
		b.add(r)
	}
	return added, full, b.insert(ctx, tx, tenantID, source, now)
}

// holding is what a customer has before an import.
type holding struct {
	keys    map[key]bool
	primary map[Kind]bool // its own kinds that have a primary one
}

func holdings(ctx context.Context, tx postgres.Tx, tenantID int32, entries []Entry) (map[uuid.UUID]holding, error) {
	all := map[uuid.UUID]holding{}
	var ids []uuid.UUID
	for _, e := range entries {
		if _, ok := all[e.CustomerID]; !ok {
			all[e.CustomerID] = holding{map[key]bool{}, map[Kind]bool{}}
			ids = append(ids, e.CustomerID)
		}
	}
	// One by one by their primary key: statistics of a table that is just being filled are wrong.
	rows, err := tx.Query(ctx, `SELECT p.customer_id, p.contact_id, p.kind, p.value_index, p.is_primary FROM unnest($2::uuid[]) x (id)
		CROSS JOIN LATERAL (SELECT * FROM contact_points p WHERE p.tenant_id = $1 AND p.customer_id = x.id LIMIT 100000) p`, tenantID, ids)
	if err != nil {
		return nil, fmt.Errorf("read the contact points of %d customers: %w", len(ids), err)
	}
	defer rows.Close()
	for rows.Next() {
		var customerID uuid.UUID
		var contactID *uuid.UUID
		var kind string
		var index int64
		var primary bool
		if err := rows.Scan(&customerID, &contactID, &kind, &index, &primary); err != nil {
			return nil, fmt.Errorf("read the contact points of %d customers: %w", len(ids), err)
		}
		of := all[customerID]
		of.keys[keyOf(contactID, Kind(kind), index)] = true
		if primary && contactID == nil {
			of.primary[Kind(kind)] = true
		}
	}
	return all, rows.Err()
}

// bulk is rows as columns.
type bulk struct {
	customers, ids        []uuid.UUID
	kinds                 []string
	platforms, numberType []*string
	values, given         [][]byte
	indexes               []int64
	lookups               []string
	primary               []bool
}

func (b *bulk) add(r row) {
	b.customers, b.ids = append(b.customers, r.CustomerID), append(b.ids, r.ID)
	b.kinds, b.platforms, b.numberType = append(b.kinds, r.Kind), append(b.platforms, r.Platform), append(b.numberType, r.NumberType)
	b.values, b.given = append(b.values, r.Value), append(b.given, r.Given)
	b.indexes, b.lookups, b.primary = append(b.indexes, r.ValueIndex), append(b.lookups, r.Lookup.String()), append(b.primary, r.IsPrimary)
}

func (b *bulk) insert(ctx context.Context, tx postgres.Tx, tenantID int32, source string, now time.Time) error {
	if len(b.ids) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `INSERT INTO contact_points (tenant_id, customer_id, id, version, kind, platform, number_type, value, given,
			value_index, lookup, is_primary, valid, consent, source, created_at, updated_at)
		SELECT $1, x.customer_id, x.id, 1, x.kind, x.platform, x.number_type, x.value, x.given, x.value_index, x.lookup::bigint[],
			x.is_primary, true, 'unknown', $2, $3, $3
		FROM unnest($4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::bytea[], $10::bytea[], $11::bigint[], $12::text[],
			$13::boolean[]) x (customer_id, id, kind, platform, number_type, value, given, value_index, lookup, is_primary)`,
		tenantID, source, now, b.customers, b.ids, b.kinds, b.platforms, b.numberType, b.values, b.given, b.indexes, b.lookups, b.primary)
	if err != nil {
		return fmt.Errorf("insert %d contact points: %w", len(b.ids), err)
	}
	return nil
}
