package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/kezi-io/kezi/pkg/btyd"
)

const (
	fitCustomers  = 235_700
	masterSeconds = 0.2
	manySeconds   = 2.0
)

// measureFit times what scoring computes: a model of purchases and one of their value fitted to everybody, then 52
// weeks, 12 months and the chance of no purchase for everybody. The target is a time, not another program; the answers
// are checked against the models' own definitions, customer by customer.
func (b *bench) measureFit(ctx context.Context) error {
	purchases, err := b.file.purchases()
	if err != nil {
		return err
	}
	customers, err := btyd.Summarize(purchases, btyd.Window{CalibrationEnd: time.Date(1997, 9, 30, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		return err
	}
	hs, ss := make([]btyd.History, len(customers)), make([]btyd.Spending, len(customers))
	for i, c := range customers {
		hs[i], ss[i] = c.History, btyd.Spending{X: c.X, Mean: c.Mean, N: 1}
	}
	for _, family := range []string{btyd.FamilyBGNBD, btyd.FamilyMBGNBD} {
		if err := b.fit(ctx, "fit and predict, master", family, hs, ss, 7, masterSeconds); err != nil {
			return err
		}
	}
	hs, ss = distinct(fitCustomers)
	for _, family := range []string{btyd.FamilyBGNBD, btyd.FamilyMBGNBD} {
		if err := b.fit(ctx, fmt.Sprintf("fit and predict, %d", fitCustomers), family, hs, ss, 3, manySeconds); err != nil {
			return err
		}
	}
	b.report.note("fit: %s + Gamma-Gamma of %d and of %d simulated customers whose histories all differ, medians of 7 and 3; the "+
		"reference is the time allowed.", "BG/NBD or MBG/NBD", len(customers), fitCustomers)
	return nil
}

func (b *bench) fit(ctx context.Context, what, family string, hs []btyd.History, ss []btyd.Spending, runs int, allowed float64) error {
	ask := btyd.Ask{Horizon: 52, Plan: btyd.Months(12, 0.01)}
	var seconds []float64
	var m btyd.Model
	var predictions []btyd.Prediction
	for range runs {
		began := time.Now()
		var err error
		if m, _, err = btyd.Fit(ctx, family, btyd.Distinct(slices.Values(hs)), btyd.Options{}); err != nil {
			return err
		}
		g, _, err := btyd.FitGammaGamma(ctx, ss, btyd.Options{})
		if err != nil {
			return err
		}
		if predictions, err = btyd.Predict(ctx, m, hs, ask); err != nil {
			return err
		}
		total := 0.0
		for i, p := range predictions {
			total += p.Discounted * g.Expected(ss[i].X, ss[i].Mean)
		}
		seconds = append(seconds, time.Since(began).Seconds())
		if !(total > 0) {
			return fmt.Errorf("%s: everybody together is worth %g", family, total)
		}
	}
	if err := checkFit(m, hs, predictions, ask); err != nil {
		return fmt.Errorf("%s: %w", family, err)
	}
	took := median(seconds)
	b.report.add(what+", "+family, fmt.Sprintf("%.3f s", took), fmt.Sprintf("%g s", allowed), allowed/took, 1)
	return nil
}

// checkFit compares some predictions with what the model itself says, and its likelihood with that of its neighbours:
// at a maximum none of them is higher.
func checkFit(m btyd.Model, hs []btyd.History, predictions []btyd.Prediction, ask btyd.Ask) error {
	for i := 0; i < len(hs); i += max(len(hs)/500, 1) {
		p, h := predictions[i], hs[i]
		want := btyd.Prediction{PAlive: m.PAlive(h), Expected: m.Expected(h, ask.Horizon), PNoPurchase: m.PNoPurchase(h, ask.Horizon),
			Discounted: btyd.Discounted(m, h, ask.Plan)}
		for _, d := range []float64{p.PAlive - want.PAlive, p.Expected - want.Expected, p.PNoPurchase - want.PNoPurchase,
			p.Discounted - want.Discounted} {
			if !(math.Abs(d) <= 1e-9*(1+want.Expected)) {
				return fmt.Errorf("customer %d (%+v) is predicted %+v, the model says %+v", i, h, p, want)
			}
		}
	}
	best := likelihood(m, hs)
	for name := range m.Params() {
		for _, factor := range []float64{0.99, 1.01} {
			params := m.Params()
			params[name] *= factor
			near, err := btyd.Restore(m.Family(), params)
			if err != nil {
				return err
			}
			if ll := likelihood(near, hs); ll > best {
				return fmt.Errorf("no maximum: log-likelihood %f, and %f with %s times %g", best, ll, name, factor)
			}
		}
	}
	return nil
}

func likelihood(m btyd.Model, hs []btyd.History) float64 {
	sum := 0.0
	for _, w := range btyd.Distinct(slices.Values(hs)) {
		sum += float64(w.N) * m.LogLikelihood(w.History)
	}
	return sum
}

// distinct are n customers of the CDNOW kind of whom no two have the same history: no two have the same age.
func distinct(n int) ([]btyd.History, []btyd.Spending) {
	ages := make([]float64, n)
	for i := range ages {
		ages[i] = 27 + 12*float64(i)/float64(n)
	}
	hs, counts := make([]btyd.History, n), make([]float64, n)
	for i, s := range btyd.Simulate(btyd.MBGNBD{R: 0.525, Alpha: 6.183, A: 0.891, B: 1.614}, 1, ages, 0) {
		hs[i], counts[i] = s.History, s.X
	}
	return hs, btyd.GammaGamma{P: 6.25, Q: 3.74, V: 15.44}.Simulate(2, counts)
}
