package score

import "github.com/kezi-io/kezi/internal/fault"

// An rfm score looks at the last purchase day (all history), and at the purchase days and the spend within the window.
// Each is put into one of n bands: 1 + the number of the 1/n, 2/n, ... quantiles (type 7, over everyone who has ever
// bought) that are strictly below the value. Recency is counted in days since, so it is reversed: r is 1 + the number
// of quantiles strictly above. Who bought nothing within the window has f and m 1.
//
// The value is the composite: the weighted mean of the three bands, rounded to two decimals. The score's band is the
// composite on the scale from 1 to 5, rounded to a whole number.

// Places of the inputs of rfm.
const (
	inRecency = iota // days since the last purchase
	inDays           // purchase days within the window
	inSpend          // within the window, major units
	inR
	inF
	inM
)

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

// Segment is the named segment of a customer with these bands of 5.
func Segment(r, f, m int) string { return segments[r-1][(f+m+1)/2-1] }

// Fifth is band b of n on the scale from 1 to 5, halves up: what segments are named by.
func Fifth(b, n int) int { return 1 + (8*(b-1)+n-1)/(2*(n-1)) }

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

// rfm scores a buyer by the limits of the calibration.
func (s scorer) rfm(c subject, in []float64) rated {
	q := s.cal.Quantiles
	recency, days, spend := float64(c.t-c.tx), float64(c.windowDays), float64(c.windowSpend)/s.scale
	r := 1
	for _, l := range q["recency_days"] {
		if l > recency {
			r++
		}
	}
	in[inRecency], in[inDays], in[inSpend] = recency, days, spend
	in[inR], in[inF], in[inM] = float64(r), float64(bandOf(q["purchase_days"], days)), float64(bandOf(q["spend"], spend))
	total := weighted([]float64{s.params.Weights.R, s.params.Weights.F, s.params.Weights.M}, in[inR:inM+1])
	n := s.params.Bands
	label := Segment(Fifth(r, n), Fifth(int(in[inF]), n), Fifth(int(in[inM]), n))
	return rated{ok: true, value: float64(total) / 100, band: 1 + ((total-100)*4+50*(n-1))/(100*(n-1)), label: label, inputs: in}
}
