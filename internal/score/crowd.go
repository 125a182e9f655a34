package score

import (
	"bytes"
	"cmp"
	"math"
	"math/bits"
	"slices"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/pkg/btyd"
)

// crowd is all that is known of everybody for the runs of a pass, some fifty bytes for a customer and eight for each score,
// in blocks that are worked on one at a time.
type crowd struct {
	blocks []*block // customers in ascending order of ids
	size   int
}

// chunk is how many customers are read, scored or loaded at a time.
const chunk = 20_000

// block is up to chunk customers. Its inner slices go by the customer's place in ids.
type block struct {
	ids     []uuid.UUID
	facts   []brief
	windows [][]windowed        // by window of the pass
	rules   [][]float32         // by model of rules in the pass: inputs of one customer after the other
	others  [][]float64         // by run of a part outside the pass: its value, NaN for none
	values  [][]float64         // by run of the pass, NaN for no score
	ahead   [][]btyd.Prediction // by forecast of the pass: of the buyers alone, one after the other
}

// brief is a fact in few bytes: x is -1 for who has not bought.
type brief struct {
	x, tx, t           int32
	company            bool
	spend, repeatSpend int64
}

type windowed struct {
	days  int32
	spend int64
}

func (f brief) bought() bool { return f.x >= 0 }

func (f brief) fact() fact {
	return fact{x: int(f.x), tx: int(f.tx), t: int(f.t), spend: f.spend, repeatSpend: f.repeatSpend, company: f.company}
}

// add puts a customer behind all others.
func (c *crowd) add(id uuid.UUID, f brief) *block {
	if c.size%chunk == 0 {
		c.blocks = append(c.blocks, &block{ids: make([]uuid.UUID, 0, chunk), facts: make([]brief, 0, chunk)})
	}
	c.size++
	b := c.blocks[len(c.blocks)-1]
	b.ids, b.facts = append(b.ids, id), append(b.facts, f)
	return b
}

// finder finds customers that are asked for in ascending order of ids.
type finder struct {
	crowd    *crowd
	block, i int
}

// find answers where a customer is; nil for who is not in the crowd.
func (f *finder) find(id uuid.UUID) (*block, int) {
	for ; f.block < len(f.crowd.blocks); f.block, f.i = f.block+1, 0 {
		b := f.crowd.blocks[f.block]
		if bytes.Compare(b.ids[len(b.ids)-1][:], id[:]) < 0 {
			continue
		}
		for bytes.Compare(b.ids[f.i][:], id[:]) < 0 {
			f.i++
		}
		if b.ids[f.i] == id {
			return b, f.i
		}
		return nil, 0
	}
	return nil, 0
}

// buyers is how many of a block have bought.
func (b *block) buyers() int {
	n := 0
	for _, f := range b.facts {
		if f.bought() {
			n++
		}
	}
	return n
}

// buyers is how many have bought.
func (c *crowd) buyers() int {
	n := 0
	for _, b := range c.blocks {
		n += b.buyers()
	}
	return n
}

// groups are everyone's facts for a fit, equal ones together, sorted by x, t_x, t, repeat spend and kind.
func (c *crowd) groups() []group {
	all := make([]brief, 0, c.buyers())
	for _, b := range c.blocks {
		for _, f := range b.facts {
			if f.bought() {
				all = append(all, f)
			}
		}
	}
	slices.SortFunc(all, compareBriefs)
	var groups []group
	for i, f := range all {
		if i > 0 {
			if p := all[i-1]; p.x == f.x && p.tx == f.tx && p.t == f.t && p.repeatSpend == f.repeatSpend && p.company == f.company {
				last := &groups[len(groups)-1]
				last.n++
				last.spend += f.spend
				continue
			}
		}
		groups = append(groups, group{f.fact(), 1})
	}
	return groups
}

// compareBriefs orders facts as groups are. A comparison looks no further than it has to: most customers differ early.
func compareBriefs(a, b brief) int {
	switch {
	case a.x != b.x:
		return cmp.Compare(a.x, b.x)
	case a.tx != b.tx:
		return cmp.Compare(a.tx, b.tx)
	case a.t != b.t:
		return cmp.Compare(a.t, b.t)
	case a.repeatSpend != b.repeatSpend:
		return cmp.Compare(a.repeatSpend, b.repeatSpend)
	}
	return cmp.Compare(a.fact().kind(), b.fact().kind())
}

// collect is numbers of everybody, in no order.
func (c *crowd) collect(of func(b *block, i int) (float64, bool)) []float64 {
	all := make([]float64, 0, c.size)
	for _, b := range c.blocks {
		for i := range b.ids {
			if v, ok := of(b, i); ok {
				all = append(all, v)
			}
		}
	}
	return all
}

// quantiles at ascending places of values, type 7, to the last bit what PostgreSQL's percentile_cont computes; nil when there are
// no values. Their order is changed.
func quantiles(values []float64, at []float64) []float64 {
	if len(values) == 0 {
		return nil
	}
	limits, from := make([]float64, len(at)), 0
	ranked := func(n int) float64 {
		rank(values[from:], n-from)
		from = n
		return values[n]
	}
	for i, p := range at {
		place := p * float64(len(values)-1)
		low := ranked(int(math.Floor(place)))
		high := ranked(int(math.Ceil(place)))
		limits[i] = low + (place-math.Floor(place))*(high-low)
	}
	return limits
}

// rank puts the value to place n that would be there if all were sorted, no higher ones before it and no lower ones behind it, in a
// time proportional to their number (Hoare's Find, with three parts for values that are equal). Values that are arranged so that it
// makes no progress are sorted.
func rank(values []float64, n int) {
	const few = 32
	for rounds := 2 * bits.Len(uint(len(values))); len(values) > few && rounds > 0; rounds-- {
		first, middle, last := values[0], values[len(values)/2], values[len(values)-1]
		pivot := max(min(first, middle), min(max(first, middle), last))
		lower, higher := 0, len(values)
		for i := 0; i < higher; {
			switch v := values[i]; {
			case v < pivot:
				values[i], values[lower] = values[lower], v
				lower, i = lower+1, i+1
			case v > pivot:
				higher--
				values[i], values[higher] = values[higher], v
			default:
				i++
			}
		}
		switch {
		case n < lower:
			values = values[:lower]
		case n >= higher:
			values, n = values[higher:], n-higher
		default:
			return
		}
	}
	slices.Sort(values)
}
