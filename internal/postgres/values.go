package postgres

import (
	"bytes"
	"time"

	"github.com/google/uuid"
)

// Null is v for a nullable column, where what says nothing is NULL.
func Null[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// Value is what a nullable column holds; nothing for NULL.
func Value[T any](v *T) T {
	if v == nil {
		var zero T
		return zero
	}
	return *v
}

// UTC is the instant of a nullable column in UTC: the driver answers the machine's zone.
func UTC(at *time.Time) *time.Time {
	if at == nil {
		return nil
	}
	in := at.UTC()
	return &in
}

// CompareIDs is the order of ids in the database, and with it that of locks.
func CompareIDs(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }
