package contact

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/owned"
	"github.com/kezi-io/kezi/internal/postgres"
)

// row is a line of table contacts; nothing outside this file sees it.
type row struct {
	owned.Columns
	Name         string
	Title        string
	Department   string
	Gender       string
	DecisionRole string
	IsPrimary    bool
	Remark       string
	PersonID     *uuid.UUID
}

func (row) TableName() string { return "contacts" }

func toRow(tenantID int32, c Contact) (row, error) {
	return row{Columns: c.Columns(tenantID), Name: c.Name, Title: c.Title, Department: c.Department, Gender: c.Gender,
		DecisionRole: string(c.DecisionRole), IsPrimary: c.Primary, Remark: c.Remark, PersonID: c.PersonID}, nil
}

func (r row) contact() (Contact, error) {
	return Contact{Base: r.Base(), Name: r.Name, Title: r.Title, Department: r.Department, Gender: r.Gender,
		DecisionRole: Role(r.DecisionRole), Primary: r.IsPrimary, Remark: r.Remark, PersonID: r.PersonID}, nil
}

func kindOf(ctx context.Context, q postgres.Querier, tenantID int32, id uuid.UUID) (customer.Kind, error) {
	var kind string
	err := q.QueryRow(ctx, `SELECT kind FROM customers WHERE tenant_id = $1 AND id = $2`, tenantID, id).Scan(&kind)
	if err != nil {
		return "", fmt.Errorf("read the kind of customer %s: %w", id, err)
	}
	return customer.Kind(kind), nil
}
