package btyd

import "math"

// renewals computes E[(1 - (1+pu)^-m) / p] for p ~ beta(a, b): the expected
// purchases of a BG customer who is alive, u being t/(α+T), m r+x and b
// the model's b plus the chances to leave survived so far.
//
// It equals the published closed form (Fader, Hardie and Lee 2005, by ₂F₁)
// but has no pole at a = 1, no negative argument for a+b < 1 and no cancellation:
// of W ~ negative binomial(m, z), z = u/(1+u), purchases that an immortal
// customer would make, the i-th happens if i-1 dropouts were survived, so
//
//	(1-z)^m Σ_j d_j z^j,  d_j = (m)_j/j! · Σ_{i<j} B(a, b+i)/B(a, b),
//
// with positive terms only. The d_j do not depend on t or T: one
// table serves every customer with the same x and every month ahead.
type renewals struct {
	m, a, b float64

	d     []float64 // d_1 at index 0
	c     float64   // (m)_j/j! of the last term
	sum   float64   // Σ_{i<j} of the last term
	alive float64   // B(a, b+j)/B(a, b)

	nodes []betaNode
}

// The series is used while its terms stay within float64 and few thousand.
const (
	maxTerms    = 2048 // a multiple of 8
	maxSeriesZ  = 0.98
	maxSeriesLn = 600   // limit of -ln (1-z)^m
	maxCoeff    = 1e290 // limit of d_j
	seriesTail  = 1e-14 // relative to the sum
)

// until is the expectation at u; 0 for u <= 0.
func (q *renewals) until(u float64) float64 {
	if !(u > 0) {
		return 0
	}
	ln := q.m * math.Log1p(u)
	if z := u / (1 + u); z < maxSeriesZ && ln < maxSeriesLn {
		if v, ok := q.series(z); ok {
			return v * math.Exp(-ln)
		}
	}
	return q.quadrature(u)
}

func (q *renewals) series(z float64) (float64, bool) {
	sum, power := 0.0, z
	for j := 0; j < maxTerms; j += 8 {
		if len(q.d) < j+8 && !q.grow() {
			return 0, false
		}
		d := (*[8]float64)(q.d[j : j+8])
		z2 := z * z
		z4 := z2 * z2
		low := d[0] + d[1]*z + (d[2]+d[3]*z)*z2
		high := d[4] + d[5]*z + (d[6]+d[7]*z)*z2
		sum += power * (low + high*z4)
		last := power * z4 * z2 * z * d[7]
		power *= z4 * z4
		// After the n-th term the ratio of terms is at most rate, so the
		// rest is at most the geometric series.
		n := float64(j + 8)
		rate := z * math.Max((q.m+n)/(n+1), 1) * (n + 1) / n
		if rate < 1 && last*rate < seriesTail*sum*(1-rate) {
			return sum, true
		}
	}
	return 0, false
}

// grow adds eight terms to the table, or says that they would overflow.
func (q *renewals) grow() bool {
	if len(q.d) == 0 {
		q.c, q.alive = 1, 1
		q.d = make([]float64, 0, 64)
	}
	for range 8 {
		j := float64(len(q.d) + 1)
		q.c *= (q.m + j - 1) / j
		q.sum += q.alive
		q.alive *= (q.b + j - 1) / (q.a + q.b + j - 1)
		if !(q.c*q.sum < maxCoeff) {
			q.d = q.d[:len(q.d)&^7]
			q.c = math.Inf(1) // stays refused
			return false
		}
		q.d = append(q.d, q.c*q.sum)
	}
	return true
}

// betaNode is a point of a quadrature over p ~ beta(a, b); weights sum to 1.
type betaNode struct{ p, w float64 }

func (q *renewals) quadrature(u float64) float64 {
	if q.nodes == nil {
		q.nodes = betaNodes(q.a, q.b, q.m)
	}
	sum := 0.0
	for _, n := range q.nodes {
		if pu := n.p * u; pu*(q.m+1) < 1e-18 {
			sum += n.w * q.m * u
		} else {
			sum += n.w * -math.Expm1(-q.m*math.Log1p(pu)) / n.p
		}
	}
	return sum
}

// betaNodes is the trapezoidal rule over logit(p), which converges
// geometrically because the integrand is analytic in a strip around the real
// line. Where the rest of a side is a pure exponential (p or 1-p negligible),
// its infinitely many steps are summed in closed form, so that a or b close to 0,
// whose tails are endless in logit(p), cost no more.
func betaNodes(a, b, m float64) []betaNode {
	const negligible = 45 // e^-45 = 3e-20
	centre := math.Log(a / b)
	step := math.Min(0.25, 0.5*math.Sqrt(1/a+1/b))
	left := math.Min(centre, -40-math.Log1p(m)-math.Log1p(b)-25)
	right := math.Max(centre, 40+math.Log1p(m)+math.Log1p(a))
	lnWeight := func(y float64) float64 {
		return -a*softplus(-y) - b*softplus(y)
	}
	peak := lnWeight(centre)
	nodes := []betaNode{{sigmoid(centre), 1}}
	total := 1.0
	add := func(p, w float64) {
		nodes = append(nodes, betaNode{p, w})
		total += w
	}
	for i := 1.0; ; i++ {
		y := centre - i*step
		ln := lnWeight(y) - peak
		if ln < -negligible {
			break
		}
		add(sigmoid(y), math.Exp(ln))
		if y < left {
			add(sigmoid(y), math.Exp(ln)/math.Expm1(a*step))
			break
		}
	}
	for i := 1.0; ; i++ {
		y := centre + i*step
		ln := lnWeight(y) - peak
		if ln < -negligible {
			break
		}
		add(sigmoid(y), math.Exp(ln))
		if y > right {
			add(1, math.Exp(ln)/math.Expm1(b*step))
			break
		}
	}
	for i := range nodes {
		nodes[i].w /= total
	}
	return nodes
}

func softplus(y float64) float64 {
	if y > 0 {
		return y + math.Log1p(math.Exp(-y))
	}
	return math.Log1p(math.Exp(y))
}

func sigmoid(y float64) float64 { return 1 / (1 + math.Exp(-y)) }
