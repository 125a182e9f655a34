package segment

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/tenant"
)

// MaxOverlap is how many segments can be compared at once.
const MaxOverlap = 20

// Overlap is how many customers segments have in common.
type Overlap struct {
	Segments []Segment
	Counts   [][]int64 // [i][j] are in both; [i][i] in one
	Only     []int64   // in this one and in no other of them
	Any      int64     // in one or more
	All      int64     // in every one
}

// Overlap compares up to MaxOverlap segments. Fails with ErrUnknown or fault.ErrInvalid.
func (s *Service) Overlap(ctx context.Context, t tenant.Tenant, keys []string) (Overlap, error) {
	var v fault.Validator
	v.Check(len(keys) <= MaxOverlap, "/keys", "too_many", fault.T("at most 20 segments", "最多 20 个客户细分"))
	if err := v.Err(); err != nil {
		return Overlap{}, err
	}
	var o Overlap
	ids := make([]uuid.UUID, len(keys))
	for i, key := range keys {
		x, err := get(ctx, s.db, t.ID, key, unlocked)
		if fault.Of(err) != nil {
			return Overlap{}, ErrUnknown.At(fmt.Sprintf("/keys/%d", i), ErrUnknown.Code, ErrUnknown.Message)
		}
		if err != nil {
			return Overlap{}, err
		}
		v.Check(!slices.Contains(ids[:i], x.ID), fmt.Sprintf("/keys/%d", i), "repeated", fault.T("is given twice", "重复"))
		o.Segments, ids[i] = append(o.Segments, x), x.ID
	}
	if err := v.Err(); err != nil {
		return Overlap{}, err
	}
	o.Counts, o.Only = make([][]int64, len(keys)), make([]int64, len(keys))
	for i := range o.Counts {
		o.Counts[i] = make([]int64, len(keys))
	}
	return o, together(ctx, s.db, t.ID, ids, o.add)
}

// add counts n customers that are in the segments whose bits mask has.
func (o *Overlap) add(mask int, n int64) {
	o.Any += n
	if mask == 1<<len(o.Segments)-1 {
		o.All += n
	}
	for i := range o.Segments {
		if mask == 1<<i {
			o.Only[i] += n
		}
		for j := range o.Segments {
			if mask&(1<<i) != 0 && mask&(1<<j) != 0 {
				o.Counts[i][j] += n
			}
		}
	}
}
