package btyd

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Week is the unit of time of the published figures, in days.
const Week = 7.0

// Purchase is one purchase; several of a customer on one day count as one.
type Purchase struct {
	Customer string
	At       time.Time // only its date counts, as in At's own location
	Value    float64   // in any unit of money; 0 is a purchase, a return is not
}

// Window is the time that is looked at. Only the dates count.
type Window struct {
	CalibrationEnd time.Time // the last day of calibration
	HoldoutEnd     time.Time // the last day of the holdout; zero for none
	Unit           float64   // days in the unit of time of the histories; [Week] when 0
}

// Customer is a customer who first bought within the calibration period.
type Customer struct {
	ID      string
	First   time.Time // date of the first purchase, at midnight UTC
	History           // up to the end of calibration
	// Mean is the mean value of the X repeat purchases, each the total of a
	// day; the first is left out. 0 when X is 0.
	Mean float64
	// Holdout is the number of purchases after calibration, up to the end of
	// the holdout, and HoldoutValue their total.
	Holdout      int
	HoldoutValue float64
}

// Summarize makes a customer of each one's purchases, in order of ID. Those
// who first bought after calibration are left out.
//
// Fails with a [RowError] for a value that is negative or not finite, an empty
// customer or a zero time, and with [ErrBadHorizon] for a window that ends before it begins.
func Summarize(purchases []Purchase, w Window) ([]Customer, error) {
	if w.Unit == 0 {
		w.Unit = Week
	}
	end, last := day(w.CalibrationEnd), day(w.HoldoutEnd)
	if w.HoldoutEnd.IsZero() {
		last = end
	}
	if !finite(w.Unit) || w.Unit < 0 || w.CalibrationEnd.IsZero() || last < end {
		return nil, ErrBadHorizon
	}
	type visit struct {
		customer string
		day      int
		value    float64
	}
	visits := make([]visit, 0, len(purchases))
	for i, p := range purchases {
		switch {
		case p.Customer == "":
			return nil, &RowError{i, "no customer"}
		case p.At.IsZero():
			return nil, &RowError{i, "no time of purchase"}
		case !finite(p.Value) || p.Value < 0:
			return nil, &RowError{i, fmt.Sprintf("value %v must be finite and not negative", p.Value)}
		}
		if d := day(p.At); d <= last {
			visits = append(visits, visit{p.Customer, d, p.Value})
		}
	}
	// Stable, so that a day's values are added in the order they were given.
	slices.SortStableFunc(visits, func(a, b visit) int {
		if c := cmp.Compare(a.customer, b.customer); c != 0 {
			return c
		}
		return cmp.Compare(a.day, b.day)
	})
	var out []Customer
	for i := 0; i < len(visits); {
		first := visits[i]
		c := Customer{ID: first.customer, First: time.Unix(int64(first.day)*86400, 0).UTC()}
		repeat, lastDay := 0.0, first.day
		for i < len(visits) && visits[i].customer == first.customer {
			d, value := visits[i].day, 0.0
			for ; i < len(visits) && visits[i].customer == first.customer && visits[i].day == d; i++ {
				value += visits[i].value
			}
			switch {
			case d > end:
				c.Holdout++
				c.HoldoutValue += value
			case d > first.day:
				c.X++
				repeat += value
				lastDay = d
			}
		}
		if first.day > end {
			continue
		}
		if c.X > 0 {
			c.Mean = repeat / c.X
		}
		c.Tx = float64(lastDay-first.day) / w.Unit
		c.T = float64(end-first.day) / w.Unit
		out = append(out, c)
	}
	return out, nil
}

// day numbers the dates from 1970-01-01; a day of 23 or 25 hours is one day.
func day(t time.Time) int {
	y, m, d := t.Date()
	return int(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}
