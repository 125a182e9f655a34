package btyd

import (
	"math"

	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/mathext"
)

func lgamma(x float64) float64 {
	v, _ := math.Lgamma(x)
	return v
}

// rising is ln(Γ(y+n)/Γ(y)) with its first and second derivative in y.
type rising struct{ ln, d1, d2 float64 }

// risingOf sums the n factors while that is cheap, which is also exact where
// the difference of two large logarithms would not be.
func risingOf(y, n float64) rising {
	var s rising
	if n > 48 {
		s.ln = lnGammaRatio(y, n)
		s.d1 = mathext.Digamma(y+n) - mathext.Digamma(y)
		s.d2 = trigamma(y+n) - trigamma(y)
		return s
	}
	product := 1.0 // of at most 8 factors below 1e30 each
	for i := 0.0; i < n; i++ {
		f := y + i
		product *= f
		if int(i)&7 == 7 {
			s.ln += math.Log(product)
			product = 1
		}
		inv := 1 / f
		s.d1 += inv
		s.d2 -= inv * inv
	}
	s.ln += math.Log(product)
	return s
}

func trigamma(x float64) float64 { return mathext.Zeta(2, x) }

// lnGammaRatio is ln(Γ(y+q)/Γ(y)) for positive y and q. For large y the
// difference of Stirling's series keeps the digits that subtracting loses.
func lnGammaRatio(y, q float64) float64 {
	if y < 30 {
		return lgamma(y+q) - lgamma(y)
	}
	return (y-0.5)*math.Log1p(q/y) + q*(math.Log(y+q)-1) + stirlingTail(y+q) - stirlingTail(y)
}

// stirlingTail is the series after (y-1/2) ln y - y + ln(2π)/2; for y >= 30
// the terms left out are below 1e-17.
func stirlingTail(y float64) float64 {
	i := 1 / y
	i2 := i * i
	return i * (1.0/12 - i2*(1.0/360-i2*(1.0/1260-i2*(1.0/1680-i2/1188))))
}

// lnBetaRatio is ln(B(a, b+n)/B(a, b)): the chance of surviving n dropouts.
func lnBetaRatio(a, b, n float64) float64 {
	if n == 0 {
		return 0
	}
	return lnGammaRatio(b, n) - lnGammaRatio(a+b, n)
}

// logistic returns ln(1+e^d) and e^d/(1+e^d).
func logistic(d float64) (softplus, share float64) {
	if d > 0 {
		e := math.Exp(-d)
		return d + math.Log1p(e), 1 / (1 + e)
	}
	e := math.Exp(d)
	return math.Log1p(e), e / (1 + e)
}

// nodes16 are the 16 Gauss-Legendre nodes and weights on [0, 1].
var nodes16 = func() (n [16]struct{ x, w float64 }) {
	x, w := make([]float64, 16), make([]float64, 16)
	quad.Legendre{}.FixedLocations(x, w, 0, 1)
	for i := range n {
		n[i].x, n[i].w = x[i], w[i]
	}
	return n
}()

// unit clamps a probability that rounding may have pushed out of [0, 1].
func unit(p float64) float64 { return math.Max(0, math.Min(1, p)) }
