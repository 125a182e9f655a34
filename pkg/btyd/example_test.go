package btyd_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kezi-io/kezi/pkg/btyd"
)

// A year ahead for one customer, with the published model of the CDNOW
// customers: weeks and dollars.
func ExampleCLV() {
	m := btyd.MBGNBD{R: 0.525, Alpha: 6.183, A: 0.891, B: 1.614}
	g := btyd.GammaGamma{P: 6.25, Q: 3.74, V: 15.44}
	h := btyd.History{X: 2, Tx: 30.43, T: 38.86}
	fmt.Printf("alive %.3f\n", m.PAlive(h))
	fmt.Printf("purchases in 39 weeks %.2f\n", m.Expected(h, 39))
	fmt.Printf("none in 39 weeks %.3f\n", m.PNoPurchase(h, 39))
	value := g.Expected(2, 22.35)
	fmt.Printf("value of a purchase %.2f\n", value)
	fmt.Printf("lifetime value %.2f\n", btyd.CLV(m, h, value, btyd.Months(12, 0.01)))
	// Output:
	// alive 0.706
	// purchases in 39 weeks 1.26
	// none in 39 weeks 0.440
	// value of a purchase 24.66
	// lifetime value 37.20
}

func ExampleSummarize() {
	on := func(month time.Month, day int) time.Time { return time.Date(2025, month, day, 0, 0, 0, 0, time.UTC) }
	customers, err := btyd.Summarize([]btyd.Purchase{
		{Customer: "ada", At: on(1, 1), Value: 10},
		{Customer: "ada", At: on(1, 15), Value: 20},
		{Customer: "ada", At: on(1, 29), Value: 40},
		{Customer: "ada", At: on(1, 29), Value: 2},
		{Customer: "ada", At: on(4, 2), Value: 5},
	}, btyd.Window{CalibrationEnd: on(3, 12), HoldoutEnd: on(6, 30)})
	if err != nil {
		fmt.Println(err)
		return
	}
	c := customers[0]
	fmt.Printf("x %v, t_x %v, T %v weeks, mean %v, then %d more", c.X, c.Tx, c.T, c.Mean, c.Holdout)
	// Output: x 2, t_x 4, T 10 weeks, mean 31, then 1 more
}

func ExampleFitMBGNBD() {
	// Customers drawn from a known model stand for real ones.
	truth := btyd.MBGNBD{R: 0.5, Alpha: 6, A: 0.9, B: 1.6}
	var histories []btyd.History
	for _, c := range btyd.Simulate(truth, 1, slices.Repeat([]float64{40, 52, 65}, 10000), 0) {
		histories = append(histories, c.History)
	}
	m, report, err := btyd.FitMBGNBD(context.Background(), btyd.Distinct(slices.Values(histories)), btyd.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Diagnosis, report.Customers)
	fmt.Printf("r %.2f ± %.2f, alpha %.1f ± %.1f\n", m.R, report.StdErr["r"], m.Alpha, report.StdErr["alpha"])
	// Output:
	// ok 30000
	// r 0.51 ± 0.02, alpha 6.0 ± 0.2
}

func ExamplePredict() {
	m := btyd.MBGNBD{R: 0.525, Alpha: 6.183, A: 0.891, B: 1.614}
	ask := btyd.Ask{Horizon: 4, Plan: btyd.Months(12, 0.01)}
	predictions, err := btyd.Predict(context.Background(), m, []btyd.History{{T: 20}, {X: 6, Tx: 19, T: 20}}, ask)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range predictions {
		fmt.Printf("alive %.2f, churn %.2f, purchases of the year %.2f\n", p.PAlive, p.PNoPurchase, p.Discounted)
	}
	// Output:
	// alive 0.46, churn 0.97, purchases of the year 0.34
	// alive 0.87, churn 0.47, purchases of the year 6.78
}
