package btyd

import (
	"context"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
)

// cohort is the input of a fit in the order and the unit of time of the
// search: sorted by x, times divided by the customers' mean T.
type cohort struct {
	unit      float64 // mean T in the caller's unit
	customers float64
	purchases float64 // Σ n x
	groups    []group
	tx, t, n  []float64
	chunks    []chunk
}

// group is the run of histories with the same x.
type group struct {
	x, customers float64
	end          int // index after its last history
}

// chunk is a piece of work for one goroutine. Chunks do not depend on the
// number of processors, and their sums are added in their order.
type chunk struct{ from, to, group int }

const chunkSize = 2048

func newCohort(rows []Weighted, o Options, family string) (*cohort, Report, error) {
	report := Report{Family: family}
	rows, err := sorted(rows)
	if err != nil {
		return nil, report, err
	}
	c := &cohort{tx: make([]float64, len(rows)), t: make([]float64, len(rows)), n: make([]float64, len(rows))}
	total := 0.0
	for _, r := range rows {
		n := float64(r.N)
		report.Customers += r.N
		if r.X > 0 {
			report.RepeatBuyers += r.N
		}
		c.customers += n
		c.purchases += n * r.X
		total += n * r.T
	}
	report.Distinct = len(rows)
	if report.RepeatBuyers < o.MinRepeatBuyers {
		return nil, report, ErrTooFewRepeatBuyers
	}
	c.unit = total / c.customers
	if !(c.unit >= minT) {
		return nil, report, ErrNoObservationTime
	}
	for i, r := range rows {
		c.tx[i], c.t[i], c.n[i] = r.Tx/c.unit, r.T/c.unit, float64(r.N)
		if k := len(c.groups); k == 0 || c.groups[k-1].x != r.X {
			c.groups = append(c.groups, group{x: r.X})
		}
		g := &c.groups[len(c.groups)-1]
		g.customers += float64(r.N)
		g.end = i + 1
		if i%chunkSize == 0 {
			c.chunks = append(c.chunks, chunk{i, min(i+chunkSize, len(rows)), len(c.groups) - 1})
		}
	}
	return c, report, nil
}

// finish completes the report of a fit of a model of purchases.
func (c *cohort) finish(r *Report, best optimum, names [maxParams]string, factors [maxParams]float64) {
	// Each of x purchase times is a density per unit of time.
	r.LogLikelihood = best.at.f*c.customers - c.purchases*math.Log(c.unit)
	r.describe(best, maxParams, names, factors)
}

// sums are totals over a chunk of a log-likelihood and its derivatives.
type sums struct {
	f float64
	g [maxParams]float64
	h [10]float64 // upper triangle, row by row
}

func (s *sums) add(o *sums) {
	s.f += o.f
	for i, v := range o.g {
		s.g[i] += v
	}
	for i, v := range o.h {
		s.h[i] += v
	}
}

// moments divides the totals by the number of customers.
func (s *sums) moments(customers float64) (m moments) {
	m.f = s.f / customers
	k := 0
	for i := range maxParams {
		m.g[i] = s.g[i] / customers
		for j := i; j < maxParams; j++ {
			m.h[i][j] = s.h[k] / customers
			m.h[j][i] = m.h[i][j]
			k++
		}
	}
	return m
}

// total is the sum of work over all chunks: bit-equal whatever the number
// of processors.
func total(ctx context.Context, chunks int, work func(i int, s *sums)) (sums, error) {
	parts := make([]sums, chunks)
	err := each(ctx, chunks, func(i int) { work(i, &parts[i]) })
	var all sums
	for i := range parts {
		all.add(&parts[i])
	}
	return all, err
}

// each runs work for 0 to n-1 on all processors, until the context ends.
func each(ctx context.Context, n int, work func(i int)) error {
	var next atomic.Int64
	run := func() {
		for ctx.Err() == nil {
			i := int(next.Add(1)) - 1
			if i >= n {
				return
			}
			work(i)
		}
	}
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) - 1 {
		wg.Go(run)
	}
	run()
	wg.Wait()
	return ctx.Err()
}
