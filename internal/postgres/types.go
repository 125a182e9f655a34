package postgres

import (
	"database/sql/driver"
	"fmt"

	"github.com/jackc/pgx/v5/pgtype"
)

var types = pgtype.NewMap()

// StringArray is a text[] column for GORM, which would expand a plain slice into a list of values.
type StringArray []string

// Value encodes the array; nil is an empty one.
func (a *StringArray) Value() (driver.Value, error) {
	if a == nil || *a == nil {
		return "{}", nil
	}
	b, err := types.Encode(pgtype.TextArrayOID, pgtype.TextFormatCode, []string(*a), nil)
	if err != nil {
		return nil, fmt.Errorf("encode text[]: %w", err)
	}
	return string(b), nil
}

// Scan decodes the array.
func (a *StringArray) Scan(src any) error {
	return types.SQLScanner((*[]string)(a)).Scan(src)
}
