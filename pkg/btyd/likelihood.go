package btyd

import (
	"context"
	"math"
)

// A history's likelihood is a constant times Σ_i e^φi over the ways it can
// have come about (alive at T; left at one time or another). With q_i the share
// of way i, the derivatives of its logarithm are E_q[∇φ] and
// E_q[∇²φ] + Cov_q(∇φ): no special functions beyond the constant's, which
// depends on x alone and is computed once for all histories with the same x.
//
// Parameters 1 (alpha) and, for Pareto/NBD, 3 (beta) are differentiated in
// their logarithms, the others in themselves until toLog.

// bgObjective: parameters r, alpha, a, b.
type bgObjective struct {
	*cohort
	k float64 // see bg
}

func (bgObjective) size() int { return 4 }

func (o bgObjective) eval(ctx context.Context, theta [maxParams]float64) (moments, error) {
	r, a, b := theta[0], theta[2], theta[3]
	all, err := total(ctx, len(o.chunks), func(i int, s *sums) { o.chunk(o.chunks[i], theta, s) })
	if err != nil {
		return moments{}, err
	}
	lnAlpha := math.Log(theta[1])
	for _, g := range o.groups {
		n := g.customers
		p, stay, every := risingOf(r, g.x), risingOf(b, g.x+o.k), risingOf(a+b, g.x+o.k)
		all.f += n * (p.ln - g.x*lnAlpha + stay.ln - every.ln)
		all.g[0] += n * p.d1
		all.g[1] -= n * g.x
		all.g[2] -= n * every.d1
		all.g[3] += n * (stay.d1 - every.d1)
		all.h[0] += n * p.d2
		all.h[7] -= n * every.d2
		all.h[8] -= n * every.d2
		all.h[9] += n * (stay.d2 - every.d2)
	}
	m := all.moments(o.customers)
	m.toLog(theta, [maxParams]bool{true, false, true, true})
	return m, nil
}

// chunk adds the two ways of a BG history: alive, with φ = -(r+x) ln(1+T/α),
// and left after the last purchase, with T replaced by t_x and ln(a/(b+x+k-1)) added.
func (o bgObjective) chunk(c chunk, theta [maxParams]float64, s *sums) {
	r, alpha, a, b := theta[0], theta[1], theta[2], theta[3]
	for from, gi := c.from, c.group; from < c.to; gi++ {
		g := o.groups[gi]
		to := min(g.end, c.to)
		m := r + g.x
		leave := b + g.x + o.k - 1
		lnLeave := math.Log(a / leave)
		if g.x+o.k == 0 {
			leave, lnLeave = 1, math.Inf(-1)
		}
		// q: share of having left; v = q(1-q); d: differences between the ways.
		var f, gr, gA, hrA, hrr, hAA, sq, sv, svr, svA float64
		tx, t, n := o.tx[from:to], o.t[from:to], o.n[from:to]
		for i, t := range t {
			tx, n := tx[i], n[i]
			iT, it := 1/(alpha+t), 1/(alpha+tx)
			u, dr := math.Log1p(t/alpha), math.Log1p((t-tx)*it) // ln (α+T)/α, ln (α+T)/(α+t_x)
			sT, st := t*iT, tx*it
			plus, q := logistic(m*dr + lnLeave)
			v := n * q * (1 - q)
			ds := st - sT
			dA := m * ds
			f += n * (plus - m*u)
			gr += n * (q*dr - u)
			gA += n * (m * (sT + q*ds))
			hrA += n*(sT+q*ds) + v*dr*dA
			hrr += v * dr * dr
			hAA += v*dA*dA - n*m*((1-q)*sT*(1-sT)+q*st*(1-st))
			sq += n * q
			sv += v
			svr += v * dr
			svA += v * dA
		}
		s.f += f
		s.g[0] += gr
		s.g[1] += gA
		s.g[2] += sq / a
		s.g[3] -= sq / leave
		s.h[0] += hrr
		s.h[1] += hrA
		s.h[2] += svr / a
		s.h[3] -= svr / leave
		s.h[4] += hAA
		s.h[5] += svA / a
		s.h[6] -= svA / leave
		s.h[7] += (sv - sq) / (a * a)
		s.h[8] -= sv / (a * leave)
		s.h[9] += (sv + sq) / (leave * leave)
		from = to
	}
}

// paretoObjective: parameters r, alpha, s, beta.
type paretoObjective struct{ *cohort }

func (paretoObjective) size() int { return 4 }

func (o paretoObjective) eval(ctx context.Context, theta [maxParams]float64) (moments, error) {
	all, err := total(ctx, len(o.chunks), func(i int, s *sums) { o.chunk(o.chunks[i], theta, s) })
	if err != nil {
		return moments{}, err
	}
	lnAlpha := math.Log(theta[1])
	for _, g := range o.groups {
		p := risingOf(theta[0], g.x)
		all.f += g.customers * (p.ln - g.x*lnAlpha)
		all.g[0] += g.customers * p.d1
		all.g[1] -= g.customers * g.x
		all.h[0] += g.customers * p.d2
	}
	m := all.moments(o.customers)
	m.toLog(theta, [maxParams]bool{true, false, true, false})
	return m, nil
}

// chunk adds the ways of a Pareto/NBD history: alive at T, and left at each
// time of a quadrature over [t_x, T].
func (o paretoObjective) chunk(c chunk, theta [maxParams]float64, s *sums) {
	r, alpha, sh, beta := theta[0], theta[1], theta[2], theta[3]
	lnRate := math.Log(sh / beta)
	var buf [128]timeNode
	for i, gi := c.from, c.group; i < c.to; i++ {
		if i >= o.groups[gi].end {
			gi++
		}
		tx, t, n := o.tx[i], o.t[i], o.n[i]
		m := r + o.groups[gi].x
		ua, ub := math.Log1p(t/alpha), math.Log1p(t/beta)
		sa, sb := t/(alpha+t), t/(beta+t)
		alive := -m*ua - sh*ub
		// Shares are relative to the larger of the first and the last way, so
		// that none overflows.
		ta, tb := math.Log1p(tx/alpha), math.Log1p(tx/beta)
		start := lnRate - m*ta - (sh+1)*tb
		ref := math.Max(alive, start)
		w := math.Exp(alive - ref)
		sum := w
		g := [4]float64{-ua, m * sa, -ub, sh * sb}
		var m1 [4]float64
		var h [10]float64
		accumulate(&m1, &h, w, &g, sa, -m*sa*(1-sa), 0, sb, -sh*sb*(1-sb))
		invS := 1 / sh
		for _, d := range leavingNodes(buf[:0], tx, t, alpha, beta, m, sh+1) {
			y := tx + d.after
			da, db := math.Log1p(d.after/(alpha+tx)), math.Log1p(d.after/(beta+tx))
			ua, ub := ta+da, tb+db
			sa, sb := y/(alpha+y), y/(beta+y)
			w := d.w * math.Exp(start-ref-m*da-(sh+1)*db)
			sum += w
			g := [4]float64{-ua, m * sa, invS - ub, (sh+1)*sb - 1}
			accumulate(&m1, &h, w, &g, sa, -m*sa*(1-sa), -invS*invS, sb, -(sh+1)*sb*(1-sb))
		}
		inv := 1 / sum
		for k := range m1 {
			m1[k] *= inv
			s.g[k] += n * m1[k]
		}
		s.f += n * (ref + math.Log(sum))
		k := 0
		for a := range 4 {
			for b := a; b < 4; b++ {
				s.h[k] += n * (h[k]*inv - m1[a]*m1[b])
				k++
			}
		}
	}
}

// accumulate adds one way with share w and gradient g; then its second
// derivatives: r-alpha, alpha-alpha, s-s, s-beta, beta-beta.
func accumulate(m1 *[4]float64, h *[10]float64, w float64, g *[4]float64, rA, AA, ss, sB, BB float64) {
	w0, w1, w2, w3 := w*g[0], w*g[1], w*g[2], w*g[3]
	m1[0] += w0
	m1[1] += w1
	m1[2] += w2
	m1[3] += w3
	h[0] += w0 * g[0]
	h[1] += w0*g[1] + w*rA
	h[2] += w0 * g[2]
	h[3] += w0 * g[3]
	h[4] += w1*g[1] + w*AA
	h[5] += w1 * g[2]
	h[6] += w1 * g[3]
	h[7] += w2*g[2] + w*ss
	h[8] += w2*g[3] + w*sB
	h[9] += w3*g[3] + w*BB
}
