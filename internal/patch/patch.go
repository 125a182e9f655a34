// Package patch is what a change says: which fields it names, and which version it was made from.
package patch

import (
	"reflect"
	"slices"

	"github.com/kezi-io/kezi/internal/fault"
)

// Field is a member of a merge patch (RFC 7396): absent, null, or a value.
type Field[T any] struct {
	Given bool
	Value *T // nil clears
}

// Set is a Field with a value.
func Set[T any](v T) Field[T] { return Field[T]{Given: true, Value: &v} }

// Into applies the field to what is stored, where the zero value means nothing is.
func (f Field[T]) Into(stored *T) {
	if !f.Given {
		return
	}
	var zero T
	if f.Value != nil {
		zero = *f.Value
	}
	*stored = zero
}

// Keep applies an optional new value.
func Keep[T any](stored *T, given *T) {
	if given != nil {
		*stored = *given
	}
}

// Differences are the members of before that after has other values for: of an event, what was.
func Differences(before, after map[string]any) map[string]any {
	previous := map[string]any{}
	for name, value := range before {
		if !reflect.DeepEqual(value, after[name]) {
			previous[name] = value
		}
	}
	return previous
}

// ErrVersion is answered to a change that was made from another version than the stored one.
var ErrVersion = fault.New(fault.Precondition, "version_mismatch",
	"the resource has changed since; read it again and repeat the change on what it is now",
	"资源已被更改；请重新读取后再修改")

// Expected is the versions that a change accepts as its base. nil accepts any, and that there is nothing yet.
type Expected []int64

// anyVersion is never a version: those count from 1.
const anyVersion = -1

// Existing accepts every version of something that exists, and nothing that does not.
func Existing() Expected { return Expected{anyVersion} }

// Check fails with ErrVersion unless version is an expected one.
func (e Expected) Check(version int64) error {
	if e == nil || slices.Contains(e, version) || slices.Contains(e, anyVersion) {
		return nil
	}
	return ErrVersion
}
