// Package page is keyset paging: a page ends in the key of its last row, and the next one begins after it. There is
// no offset, so depth costs nothing and rows that others write or delete shift nothing.
package page

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/seal"
)

// Total says whether to count all matches beside the page.
type Total string

// The ways to count; the estimate is the query planner's.
const (
	TotalNone     Total = "none"
	TotalEstimate Total = "estimate"
	TotalExact    Total = "exact"
)

// Key is where a page ends: the sort values of its last row as text, the row's id last.
type Key []string

// Request asks for a page.
type Request struct {
	Limit int // 1 to 1000
	After Key // nil for the first page
	Total Total
}

// Of is one page. Next is nil on the last one.
type Of[T any] struct {
	Items    []T
	Next     Key
	Total    *int64
	Estimate bool // whether Total is one
}

// Cut makes a page of rows that were read one past the limit: that one says whether another page follows.
func Cut[R, T any](rows []R, limit int, key func(R) Key, item func(R) T) Of[T] {
	var p Of[T]
	if len(rows) > limit {
		rows = rows[:limit]
		p.Next = key(rows[limit-1])
	}
	p.Items = make([]T, len(rows))
	for i, r := range rows {
		p.Items[i] = item(r)
	}
	return p
}

// Line is an entry of a log, in which Ord is its place.
type Line[T any] struct {
	Ord   int64
	Entry T
}

// Before is where in a log a page begins, newest first: with the entry before this place.
func (r Request) Before() (int64, error) {
	if r.After == nil {
		return math.MaxInt64, nil
	}
	ord, err := strconv.ParseInt(r.After[0], 10, 64)
	if err != nil {
		return 0, ErrCursor
	}
	return ord, nil
}

// Log makes a page of lines that were read one past the limit.
func Log[T any](lines []Line[T], limit int) Of[T] {
	return Cut(lines, limit, func(l Line[T]) Key { return Key{strconv.FormatInt(l.Ord, 10)} }, func(l Line[T]) T { return l.Entry })
}

// ErrCursor is answered to a cursor that this service did not make for this very list.
var ErrCursor = fault.New(fault.Malformed, "cursor_invalid",
	"the cursor does not belong to this list; use next_cursor with the same filter and sort, or begin again without one",
	"游标不属于此列表；请在相同的 filter 和 sort 下使用 next_cursor，或不带游标重新开始")

// Cursors turns keys into opaque text and back. Sealed, because a key holds values of a row; bound to the list it
// came from, because with another filter or sort it would silently leave rows out.
type Cursors struct{ keys *seal.Keys }

// NewCursors makes cursors under keys.
func NewCursors(keys *seal.Keys) Cursors { return Cursors{keys} }

// Seal is the text of k for the list named by scope: tenant, operation, filter and sort.
func (c Cursors) Seal(k Key, scope ...string) (string, error) {
	plain, err := json.Marshal(k)
	if err != nil {
		return "", fmt.Errorf("write a cursor: %w", err)
	}
	return c.keys.SealText(plain, boundTo(scope))
}

// Open is the key in cursor, or ErrCursor.
func (c Cursors) Open(cursor string, scope ...string) (Key, error) {
	plain, err := c.keys.OpenText(cursor, boundTo(scope))
	if err != nil {
		return nil, ErrCursor.AtParameter("cursor", "cursor_invalid", ErrCursor.Message)
	}
	var k Key
	if err := json.Unmarshal(plain, &k); err != nil || len(k) == 0 {
		return nil, ErrCursor
	}
	return slices.Clone(k), nil
}

func boundTo(scope []string) []byte { return []byte("cursor\x00" + strings.Join(scope, "\x00")) }
