package contactpoint

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/owned"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/seal"
)

// row is a line of table contact_points; nothing outside this file sees it.
type row struct {
	owned.Columns
	ContactID  *uuid.UUID
	Kind       string
	Platform   *string
	NumberType *string
	Value      seal.Sealed
	Given      seal.Sealed
	ValueIndex int64
	Lookup     seal.Indexes `gorm:"->:false;<-"` // written only
	Label      *string
	IsPrimary  bool
	Valid      bool
	VerifiedAt *time.Time
	Consent    string
	Source     *string
}

const table = "contact_points"

func (row) TableName() string { return table }

// toRow seals the value for its row and column, and indexes it.
func (x Index) toRow(tenantID int32, p ContactPoint) (row, error) {
	r := row{Columns: p.Columns(tenantID), ContactID: p.ContactID, Kind: string(p.Kind), Platform: postgres.Null(p.Platform),
		NumberType: postgres.Null(p.NumberType), Label: postgres.Null(p.Label), IsPrimary: p.Primary, Valid: p.Valid, VerifiedAt: p.VerifiedAt,
		Consent: string(p.Consent), Source: postgres.Null(p.Source)}
	var err error
	if r.Value, err = x.keys.Seal(p.Value, seal.At(table, p.ID, "value")); err != nil {
		return row{}, err
	}
	if p.Given != "" {
		if r.Given, err = x.keys.Seal(p.Given, seal.At(table, p.ID, "given")); err != nil {
			return row{}, err
		}
	}
	if r.Lookup, err = x.of(tenantID, p.normal()); err != nil {
		return row{}, err
	}
	r.ValueIndex = r.Lookup[0]
	return r, nil
}

func (x Index) contactPoint(r row) (ContactPoint, error) {
	p := ContactPoint{Base: r.Base(), ContactID: r.ContactID, Kind: Kind(r.Kind), Platform: postgres.Value(r.Platform),
		NumberType: postgres.Value(r.NumberType), Label: postgres.Value(r.Label), Primary: r.IsPrimary, Valid: r.Valid,
		Consent: Consent(r.Consent), Source: postgres.Value(r.Source)}
	if r.VerifiedAt != nil {
		at := r.VerifiedAt.UTC()
		p.VerifiedAt = &at
	}
	var err error
	if p.Value, err = x.keys.Open(r.Value, seal.At(table, p.ID, "value")); err != nil {
		return ContactPoint{}, err
	}
	p.Given, err = x.keys.Open(r.Given, seal.At(table, p.ID, "given"))
	return p, err
}

// hasPrimary reports whether the customer, or its contact person, has a primary contact point of the kind.
func hasPrimary(ctx context.Context, tx postgres.Tx, tenantID int32, p ContactPoint) (bool, error) {
	var yes bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM contact_points WHERE tenant_id = $1 AND customer_id = $2 AND kind = $3
			AND contact_id IS NOT DISTINCT FROM $4 AND is_primary)`, tenantID, p.CustomerID, p.Kind, p.ContactID).Scan(&yes)
	if err != nil {
		return false, fmt.Errorf("look for a primary contact point: %w", err)
	}
	return yes, nil
}

// hasContact reports whether the customer has the contact person, who stays until the transaction ends.
func hasContact(ctx context.Context, tx postgres.Tx, tenantID int32, customerID, contactID uuid.UUID) (bool, error) {
	tag, err := tx.Exec(ctx, `SELECT FROM contacts WHERE tenant_id = $1 AND customer_id = $2 AND id = $3`, tenantID, customerID, contactID)
	if err != nil {
		return false, fmt.Errorf("look for a contact: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// key is what a customer has once: a value of a kind, for itself or for one of its contact persons.
type key struct {
	contact uuid.UUID
	kind    Kind
	index   int64
}

func keyOf(contact *uuid.UUID, kind Kind, index int64) key {
	k := key{kind: kind, index: index}
	if contact != nil {
		k.contact = *contact
	}
	return k
}

// keysOf are the keys that a customer has.
func keysOf(ctx context.Context, q postgres.Querier, tenantID int32, customerID uuid.UUID) (map[key]bool, error) {
	rows, err := q.Query(ctx, `SELECT contact_id, kind, value_index FROM contact_points WHERE tenant_id = $1 AND customer_id = $2`, tenantID, customerID)
	if err != nil {
		return nil, fmt.Errorf("read the contact points of customer %s: %w", customerID, err)
	}
	defer rows.Close()
	has := map[key]bool{}
	for rows.Next() {
		var contact *uuid.UUID
		var kind string
		var index int64
		if err := rows.Scan(&contact, &kind, &index); err != nil {
			return nil, fmt.Errorf("read the contact points of customer %s: %w", customerID, err)
		}
		has[keyOf(contact, Kind(kind), index)] = true
	}
	return has, rows.Err()
}

// holders is a page of what has one of the indexes, of customers that are not deleted.
func (x Index) holders(ctx context.Context, q postgres.Querier, tenantID int32, sought seal.Indexes, req page.Request) (page.Of[ContactPoint], error) {
	after := [2]uuid.UUID{}
	if req.After != nil {
		for i := range after {
			var err error
			if after[i], err = uuid.Parse(req.After[i]); err != nil {
				return page.Of[ContactPoint]{}, page.ErrCursor
			}
		}
	}
	var rows []row
	err := q.Session(ctx).Raw(`SELECT p.* FROM (SELECT * FROM contact_points WHERE tenant_id = ? AND lookup && ?::bigint[] OFFSET 0) p -- as in Find
		WHERE (p.customer_id, p.id) > (?, ?) AND EXISTS (SELECT FROM customers c WHERE c.tenant_id = p.tenant_id AND c.id = p.customer_id AND c.deleted_at IS NULL)
		ORDER BY p.customer_id, p.id LIMIT ?`, tenantID, sought, after[0], after[1], req.Limit+1).Scan(&rows).Error
	if err != nil {
		return page.Of[ContactPoint]{}, fmt.Errorf("look for contact points: %w", err)
	}
	var bad error
	p := page.Cut(rows, req.Limit, func(r row) page.Key { return page.Key{r.CustomerID.String(), r.ID.String()} }, func(r row) ContactPoint {
		p, err := x.contactPoint(r)
		if err != nil {
			bad = err
		}
		return p
	})
	return p, bad
}

// looksOf are the looks of the contact points of customers.
func (x Index) looksOf(ctx context.Context, q postgres.Querier, tenantID int32, customers []uuid.UUID) (map[uuid.UUID]map[look]bool, error) {
	var rows []row
	err := q.Session(ctx).Where("tenant_id = ? AND customer_id IN ?", tenantID, customers).Limit(len(customers) * owned.Most).Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read the contact points of %d customers: %w", len(customers), err)
	}
	all := make(map[uuid.UUID]map[look]bool, len(customers))
	for _, r := range rows {
		p, err := x.contactPoint(r)
		if err != nil {
			return nil, err
		}
		if all[p.CustomerID] == nil {
			all[p.CustomerID] = map[look]bool{}
		}
		all[p.CustomerID][lookOf(p.ContactID, p.normal())] = true
	}
	return all, nil
}
