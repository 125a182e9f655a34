package contactpoint

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/owned"
	"github.com/kezi-io/kezi/internal/postgres"
)

// New is a contact point of a value, as it is when nobody says more.
func New(n Normal, given string) ContactPoint {
	p := ContactPoint{Kind: n.Kind, Platform: n.Platform, Value: n.Value, NumberType: n.NumberType, Valid: true, Consent: Unknown}
	if given != n.Value {
		p.Given = given
	}
	return p
}

// Import adds what customers have not yet, as a set: two statements however many there are. The points have values as New
// takes them and their customers, whom the caller holds; those without an id get one. It answers for each whether it was
// added, and whether its customer has too many already. Of a blind caller's, customers have what looks like one of theirs. The first of a kind becomes primary where there is none.
func (x Index) Import(ctx context.Context, tx postgres.Tx, tenantID int32, points []ContactPoint, blind bool, now time.Time) (added, full []bool, err error) {
	added, full = make([]bool, len(points)), make([]bool, len(points))
	if len(points) == 0 {
		return added, full, nil
	}
	has, err := holdings(ctx, tx, tenantID, points)
	if err != nil {
		return nil, nil, err
	}
	var seen map[uuid.UUID]map[look]bool
	if blind {
		if seen, err = x.looksOf(ctx, tx, tenantID, slices.Collect(maps.Keys(has))); err != nil {
			return nil, nil, err
		}
	}
	var b bulk
	for i, p := range points {
		if p.ID == uuid.Nil {
			p.ID = uuid.Must(uuid.NewV7())
		}
		r, err := x.toRow(tenantID, p)
		if err != nil {
			return nil, nil, err
		}
		of := has[p.CustomerID]
		k := keyOf(p.ContactID, p.Kind, r.ValueIndex)
		switch {
		case of.keys[k], seen[p.CustomerID][lookOf(p.ContactID, p.normal())]:
			continue
		case len(of.keys) >= owned.Most:
			full[i] = true
			continue
		}
		first := group{k.contact, k.kind}
		r.IsPrimary = !of.primary[first]
		of.keys[k], of.primary[first], added[i] = true, true, true
		b.add(r)
	}
	return added, full, b.insert(ctx, tx, tenantID, now)
}

// holding is what a customer has before an import.
type holding struct {
	keys    map[key]bool
	primary map[group]bool // those that have a primary one
}

// group is the contact points among which one is primary; contact is nil for the customer's own.
type group struct {
	contact uuid.UUID
	kind    Kind
}

func holdings(ctx context.Context, tx postgres.Tx, tenantID int32, points []ContactPoint) (map[uuid.UUID]holding, error) {
	all := map[uuid.UUID]holding{}
	var ids []uuid.UUID
	for _, e := range points {
		if _, ok := all[e.CustomerID]; !ok {
			all[e.CustomerID] = holding{map[key]bool{}, map[group]bool{}}
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
		k := keyOf(contactID, Kind(kind), index)
		of.keys[k] = true
		if primary {
			of.primary[group{k.contact, k.kind}] = true
		}
	}
	return all, rows.Err()
}

// bulk is rows as columns.
type bulk struct {
	customers, ids                 []uuid.UUID
	contacts                       []*uuid.UUID
	kinds, consents                []string
	platforms, types, labels, from []*string
	values, given                  [][]byte
	indexes                        []int64
	lookups                        []string
	primary, valid                 []bool
	verified                       []*time.Time
}

func (b *bulk) add(r row) {
	b.customers, b.ids, b.contacts = append(b.customers, r.CustomerID), append(b.ids, r.ID), append(b.contacts, r.ContactID)
	b.kinds, b.consents = append(b.kinds, r.Kind), append(b.consents, r.Consent)
	b.platforms, b.types = append(b.platforms, r.Platform), append(b.types, r.NumberType)
	b.labels, b.from = append(b.labels, r.Label), append(b.from, r.Source)
	b.values, b.given = append(b.values, r.Value), append(b.given, r.Given)
	b.indexes, b.lookups = append(b.indexes, r.ValueIndex), append(b.lookups, r.Lookup.String())
	b.primary, b.valid, b.verified = append(b.primary, r.IsPrimary), append(b.valid, r.Valid), append(b.verified, r.VerifiedAt)
}

func (b *bulk) insert(ctx context.Context, tx postgres.Tx, tenantID int32, now time.Time) error {
	if len(b.ids) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `INSERT INTO contact_points (tenant_id, version, created_at, updated_at, customer_id, id, contact_id, kind,
			consent, platform, number_type, label, source, value, given, value_index, is_primary, valid, verified_at, lookup)
		SELECT $1, 1, $2, $2, x.customer_id, x.id, x.contact_id, x.kind, x.consent, x.platform, x.number_type, x.label, x.source,
			x.value, x.given, x.value_index, x.is_primary, x.valid, x.verified_at, x.lookup::bigint[]
		FROM unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
			$12::bytea[], $13::bytea[], $14::bigint[], $15::boolean[], $16::boolean[], $17::timestamptz[], $18::text[])
			x (customer_id, id, contact_id, kind, consent, platform, number_type, label, source, value, given, value_index, is_primary,
				valid, verified_at, lookup)`,
		tenantID, now, b.customers, b.ids, b.contacts, b.kinds, b.consents, b.platforms, b.types, b.labels, b.from, b.values, b.given,
		b.indexes, b.primary, b.valid, b.verified, b.lookups)
	if err != nil {
		return fmt.Errorf("insert %d contact points: %w", len(b.ids), err)
	}
	return nil
}
