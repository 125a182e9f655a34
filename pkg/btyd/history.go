package btyd

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"slices"
)

// History is what a customer did in the calibration period, as far as the
// models of this package can tell customers apart. The unit of time is the
// caller's, the same for all histories of a fit.
type History struct {
	X  float64 // repeat purchases (the first one is not counted): a whole number
	Tx float64 // from the first purchase to the last; 0 when X is 0
	T  float64 // from the first purchase to the end of the calibration period
}

// Weighted is a history that N customers share.
type Weighted struct {
	History
	N int // at least 1
}

// Problem says what is wrong with the history, or "" when 0 <= Tx <= T, all
// are finite, X is a whole number from 0, and Tx is 0 where X is.
func (h History) Problem() string {
	switch {
	case !finite(h.X, h.Tx, h.T):
		return fmt.Sprintf("x %v, t_x %v and T %v must be finite", h.X, h.Tx, h.T)
	case h.X < 0 || h.X != math.Trunc(h.X) || h.X > maxX:
		return fmt.Sprintf("x %v is not a whole number from 0 to %d", h.X, maxX)
	case h.T < 0:
		return fmt.Sprintf("T %v is negative: the first purchase is after the end of the period", h.T)
	case h.T > maxT:
		return fmt.Sprintf("T %v is more than %g: its unit of time is too short", h.T, float64(maxT))
	case h.Tx < 0:
		return fmt.Sprintf("t_x %v is negative: the last purchase is before the first", h.Tx)
	case h.Tx > h.T:
		return fmt.Sprintf("t_x %v is after T %v: the last purchase is after the end of the period", h.Tx, h.T)
	case h.X == 0 && h.Tx > 0:
		return fmt.Sprintf("t_x %v must be 0 for a customer with one purchase", h.Tx)
	}
	return ""
}

// maxX keeps x and x² exact in a float64.
const maxX = 1 << 26

// A unit of time in which T is longer, or the mean T of a cohort shorter, is a mistake: of three years, the one is
// shorter than a tenth of a microsecond, the other longer than a billion years.
const minT, maxT = 1e-9, 1e15

// tame makes any history one that the formulas are defined for, so that a
// prediction for a single customer is finite whatever it is given.
func (h History) tame() History {
	clean := func(v, limit float64) float64 {
		if !(v > 0) {
			return 0
		}
		return math.Min(v, limit)
	}
	h.X = math.Floor(clean(h.X, maxX))
	h.T = clean(h.T, math.MaxFloat32)
	h.Tx = clean(h.Tx, h.T)
	if h.X == 0 {
		h.Tx = 0
	}
	return h
}

func compare(a, b Weighted) int {
	if a.X != b.X {
		return cmp.Compare(a.X, b.X)
	}
	if a.T != b.T {
		return cmp.Compare(a.T, b.T)
	}
	return cmp.Compare(a.Tx, b.Tx)
}

// Distinct counts equal histories: a fit costs as much as there are different
// ones, which for daily data are far fewer than customers. The result is sorted.
func Distinct(histories iter.Seq[History]) []Weighted {
	count := map[History]int{}
	for h := range histories {
		count[h]++
	}
	out := make([]Weighted, 0, len(count))
	for h, n := range count {
		out = append(out, Weighted{h, n})
	}
	slices.SortFunc(out, compare)
	return out
}

// sorted checks the rows and returns them in the order of a fit, equal
// histories joined, so that sums do not depend on the order of the input.
func sorted(rows []Weighted) ([]Weighted, error) {
	for i := range rows {
		if p := rows[i].Problem(); p != "" {
			return nil, &RowError{i, p}
		}
		if rows[i].N < 1 {
			return nil, &RowError{i, fmt.Sprintf("n %d is not at least 1", rows[i].N)}
		}
	}
	out := slices.Clone(rows)
	if !slices.IsSortedFunc(out, compare) {
		slices.SortFunc(out, compare)
	}
	k := 0
	for i := range out {
		if k > 0 && out[k-1].History == out[i].History {
			out[k-1].N += out[i].N
			continue
		}
		out[k] = out[i]
		k++
	}
	return out[:k], nil
}

func finite(values ...float64) bool {
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}
