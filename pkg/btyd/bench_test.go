//go:build unix

package btyd_test

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/pkg/btyd"
)

// fitAndPredict is what scoring does: a model of purchases and one of their
// value, then 52 weeks, 12 months and the chance of no purchase for everybody.
func fitAndPredict(b *testing.B, family string, hs []btyd.History, ss []btyd.Spending) {
	b.Helper()
	ctx := b.Context()
	m, _, err := btyd.Fit(ctx, family, weighted(hs), btyd.Options{})
	require.NoError(b, err)
	g, _, err := btyd.FitGammaGamma(ctx, ss, btyd.Options{})
	require.NoError(b, err)
	ps, err := btyd.Predict(ctx, m, hs, btyd.Ask{Horizon: 52, Plan: btyd.Months(12, 0.01)})
	require.NoError(b, err)
	sum := 0.0
	for i, p := range ps {
		sum += p.Discounted * g.Expected(ss[i].X, ss[i].Mean)
	}
	require.Positive(b, sum)
}

// loop reports processor time too: the wall clock of a busy machine says little.
func loop(b *testing.B, f func()) {
	b.Helper()
	cpu := func() float64 {
		var u syscall.Rusage
		require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
		return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e6
	}
	before := cpu()
	for b.Loop() {
		f()
	}
	b.ReportMetric((cpu()-before)/float64(b.N), "cpu-ms/op")
}

func BenchmarkMaster(b *testing.B) {
	cs := master(b)
	hs, ss := histories(cs), spending(cs)
	for _, f := range btyd.Families() {
		b.Run(f, func(b *testing.B) {
			loop(b, func() { fitAndPredict(b, f, hs, ss) })
		})
	}
}

func BenchmarkTenMasters(b *testing.B) {
	hs, ss := simulated(235700)
	for _, f := range btyd.Families() {
		b.Run(f, func(b *testing.B) {
			loop(b, func() { fitAndPredict(b, f, hs, ss) })
		})
	}
}

func BenchmarkFit(b *testing.B) {
	hs, ss := simulated(235700)
	for _, f := range btyd.Families() {
		b.Run(f, func(b *testing.B) {
			loop(b, func() {
				_, _, err := btyd.Fit(b.Context(), f, weighted(hs), btyd.Options{})
				require.NoError(b, err)
			})
		})
	}
	b.Run("gamma_gamma", func(b *testing.B) {
		loop(b, func() {
			_, _, err := btyd.FitGammaGamma(b.Context(), ss, btyd.Options{})
			require.NoError(b, err)
		})
	})
}

func BenchmarkPredict(b *testing.B) {
	hs, _ := simulated(235700)
	for _, m := range models() {
		b.Run(m.Family(), func(b *testing.B) {
			loop(b, func() {
				_, err := btyd.Predict(b.Context(), m, hs, btyd.Ask{Horizon: 52, Plan: btyd.Months(12, 0.01)})
				require.NoError(b, err)
			})
		})
	}
}
