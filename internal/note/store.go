package note

import (
	"github.com/kezi-io/kezi/internal/owned"
	"github.com/kezi-io/kezi/internal/tenant"
)

// row is a line of table notes; nothing outside this file sees it.
type row struct {
	owned.Columns
	Kind       string
	Body       string
	Pinned     bool
	Author     string
	OccurredOn *tenant.Day
}

func (row) TableName() string { return "notes" }

func toRow(tenantID int32, n Note) (row, error) {
	return row{Columns: n.Columns(tenantID), Kind: string(n.Kind), Body: n.Body, Pinned: n.Pinned, Author: n.Author, OccurredOn: n.OccurredOn}, nil
}

func (r row) note() (Note, error) {
	return Note{Base: r.Base(), Kind: Kind(r.Kind), Body: r.Body, Pinned: r.Pinned, Author: r.Author, OccurredOn: r.OccurredOn}, nil
}
