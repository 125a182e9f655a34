package score

import (
	"math"

	"github.com/kezi-io/kezi/internal/fault"
)

// An rfm score looks at the last purchase day (all history), and at the purchase days and the spend within the window.
// Each is put into a band: 1 + the number of the 20, 40, 60 and 80 % quantiles (type 7, over everyone who has ever
// bought) that are strictly below the value. Recency is counted in days since, so it is reversed: r is 1 + the number
// of quantiles strictly above. Who bought nothing within the window has f and m 1.
//
// The value is the composite: the weighted mean of the three bands, rounded to two decimals. The band is the composite
// rounded to a whole number.

// Places of the inputs of rfm.
const (
	inRecency = iota // days since the last purchase
	inDays           // purchase days within the window
	inSpend          // within the window, major units
	inR
	inF
	inM
)

// composite is the weighted mean of the bands in hundredths, and the contribution of each: the rounded running sums'
// differences, so that they add up to it exactly and none is off by more than a hundredth.
func composite(w Weights, r, f, m int) (total int, parts [3]int) {
	hundredths := func(weighted float64) int { return int(math.Round(100 * weighted / w.sum())) }
	upToR := hundredths(w.R * float64(r))
	upToF := hundredths(w.R*float64(r) + w.F*float64(f))
	total = hundredths(w.R*float64(r) + w.F*float64(f) + w.M*float64(m))
	return total, [3]int{upToR, upToF - upToR, total - upToF}
}

// segments names every pair of r (rows, 1 to 5) and the rounded mean of f and m (columns, 1 to 5; halves up):
//
//	r   fm 1            fm 2             fm 3             fm 4         fm 5
//	5   new             potential_loyal  potential_loyal  champions    champions
//	4   promising       potential_loyal  loyal            loyal        champions
//	3   about_to_sleep  need_attention   need_attention   loyal        loyal
//	2   hibernating     about_to_sleep   at_risk          at_risk      at_risk
//	1   lost            hibernating      at_risk          cannot_lose  cannot_lose
var segments = [5][5]string{
	{"lost", "hibernating", "at_risk", "cannot_lose", "cannot_lose"},
	{"hibernating", "about_to_sleep", "at_risk", "at_risk", "at_risk"},
	{"about_to_sleep", "need_attention", "need_attention", "loyal", "loyal"},
	{"promising", "potential_loyal", "loyal", "loyal", "champions"},
	{"new", "potential_loyal", "potential_loyal", "champions", "champions"},
}

// Segment is the named segment of a customer with these bands.
func Segment(r, f, m int) string { return segments[r-1][(f+m+1)/2-1] }

// segmentNames are the segments for people.
var segmentNames = map[string]fault.Text{
	"champions":       fault.T("champion", "冠军客户"),
	"loyal":           fault.T("loyal", "忠诚客户"),
	"potential_loyal": fault.T("potentially loyal", "潜在忠诚客户"),
	"new":             fault.T("new", "新客户"),
	"promising":       fault.T("promising", "有潜力的客户"),
	"need_attention":  fault.T("in need of attention", "需要关注"),
	"about_to_sleep":  fault.T("about to sleep", "即将沉睡"),
	"at_risk":         fault.T("at risk", "有流失风险"),
	"cannot_lose":     fault.T("not to be lost", "不能失去"),
	"hibernating":     fault.T("hibernating", "沉睡客户"),
	"lost":            fault.T("lost", "已流失"),
}

// cell is what a combination of bands amounts to.
type cell struct {
	r, f, m int
	value   float64
	band    int
	label   string
}

// cells are all 125 of them.
func cells(w Weights) []cell {
	var all []cell
	for r := 1; r <= 5; r++ {
		for f := 1; f <= 5; f++ {
			for m := 1; m <= 5; m++ {
				total, _ := composite(w, r, f, m)
				all = append(all, cell{r, f, m, float64(total) / 100, (total + 50) / 100, Segment(r, f, m)})
			}
		}
	}
	return all
}
