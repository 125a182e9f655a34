package address

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/owned"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/seal"
)

// row is a line of table addresses; nothing outside this file sees it.
type row struct {
	owned.Columns
	Label      *string
	Recipient  *string
	Country    string
	Province   *string
	City       *string
	District   *string
	Street     seal.Sealed
	ValueIndex int64
	PostalCode *string
	AreaType   *string
	Given      json.RawMessage `gorm:"type:jsonb"`
	IsPrimary  bool
}

const table = "addresses"

func (row) TableName() string { return table }

// sealer makes rows of addresses and addresses of rows.
type sealer struct{ keys *seal.Keys }

// index is the blind index of an address: two of a customer that differ in nothing but case and spaces are the same.
func (s sealer) index(tenantID int32, a Address) (int64, error) {
	return s.keys.Index(strconv.Itoa(int(tenantID)), "address", a.Country, a.Province, a.City, a.District, folded(a.Street))
}

func (s sealer) toRow(tenantID int32, a Address) (row, error) {
	r := row{Columns: a.Columns(tenantID), Label: postgres.Null(a.Label), Recipient: postgres.Null(a.Recipient), Country: a.Country,
		Province: postgres.Null(a.Province), City: postgres.Null(a.City), District: postgres.Null(a.District), PostalCode: postgres.Null(a.PostalCode),
		AreaType: postgres.Null(string(a.AreaType)), IsPrimary: a.Primary}
	var err error
	if r.ValueIndex, err = s.index(tenantID, a); err != nil {
		return row{}, err
	}
	if a.Given != (Place{}) {
		if r.Given, err = json.Marshal(a.Given); err != nil {
			return row{}, fmt.Errorf("write what was given of address %s: %w", a.ID, err)
		}
	}
	if a.Street != "" {
		r.Street, err = s.keys.Seal(a.Street, seal.At(table, a.ID, "street"))
	}
	return r, err
}

func (s sealer) address(r row) (Address, error) {
	a := Address{Base: r.Base(), Label: postgres.Value(r.Label), Recipient: postgres.Value(r.Recipient),
		Place:      Place{r.Country, postgres.Value(r.Province), postgres.Value(r.City), postgres.Value(r.District)},
		PostalCode: postgres.Value(r.PostalCode), AreaType: AreaType(postgres.Value(r.AreaType)), Primary: r.IsPrimary}
	if len(r.Given) > 0 {
		if err := json.Unmarshal(r.Given, &a.Given); err != nil {
			return Address{}, fmt.Errorf("read what was given of address %s: %w", a.ID, err)
		}
	}
	var err error
	a.Street, err = s.keys.Open(r.Street, seal.At(table, a.ID, "street"))
	return a, err
}

func hasAny(ctx context.Context, tx postgres.Tx, tenantID int32, customerID uuid.UUID) (bool, error) {
	var yes bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM addresses WHERE tenant_id = $1 AND customer_id = $2)`, tenantID, customerID).Scan(&yes)
	if err != nil {
		return false, fmt.Errorf("look for addresses of customer %s: %w", customerID, err)
	}
	return yes, nil
}

// indexesOf are the blind indexes of the addresses that a customer has.
func indexesOf(ctx context.Context, q postgres.Querier, tenantID int32, customerID uuid.UUID) (map[int64]bool, error) {
	rows, err := q.Query(ctx, `SELECT value_index FROM addresses WHERE tenant_id = $1 AND customer_id = $2`, tenantID, customerID)
	if err != nil {
		return nil, fmt.Errorf("read the addresses of customer %s: %w", customerID, err)
	}
	defer rows.Close()
	has := map[int64]bool{}
	for rows.Next() {
		var index int64
		if err := rows.Scan(&index); err != nil {
			return nil, fmt.Errorf("read the addresses of customer %s: %w", customerID, err)
		}
		has[index] = true
	}
	return has, rows.Err()
}

// looks are what somebody sees of the addresses that customers have, but of the one named.
func (s sealer) looks(ctx context.Context, q postgres.Querier, tenantID int32, except uuid.UUID, customers ...uuid.UUID) (map[uuid.UUID]map[look]bool, error) {
	var rows []row
	err := q.Session(ctx).Where("tenant_id = ? AND customer_id IN ? AND id <> ?", tenantID, customers, except).
		Limit(len(customers) * owned.Most).Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read the addresses of %d customers: %w", len(customers), err)
	}
	all := make(map[uuid.UUID]map[look]bool, len(customers))
	for _, r := range rows {
		a, err := s.address(r)
		if err != nil {
			return nil, err
		}
		if all[a.CustomerID] == nil {
			all[a.CustomerID] = map[look]bool{}
		}
		all[a.CustomerID][lookOf(a)] = true
	}
	return all, nil
}
