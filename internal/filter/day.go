package filter

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/kezi-io/kezi/internal/localday"
)

// day is a day of the calendar, without a zone; years are 1 to 9999.
type day struct {
	year  int
	month time.Month
	day   int
}

func dayOf(t time.Time) day {
	y, m, d := t.Date()
	return day{y, m, d}
}

func (d day) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.year, d.month, d.day) }

func (d day) plus(days int) day {
	return dayOf(time.Date(d.year, d.month, d.day+days, 0, 0, 0, 0, time.UTC))
}

// plusMonths keeps the day of the month, or takes the last day of a month that is too short.
func (d day) plusMonths(months int) day {
	first := time.Date(d.year, d.month+time.Month(months), 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return day{first.Year(), first.Month(), min(d.day, last)}
}

// start is the first instant of the day in the zone: not midnight where the clock jumps over it.
func (d day) start(zone *time.Location) time.Time {
	return localday.Start(d.year, d.month, d.day, zone)
}

// parseDay reads 2026-01-31 and today-90d; today is by the clock and zone of env.
func (e Env) parseDay(s string) (day, bool) {
	if m := relative.FindStringSubmatch(s); m != nil {
		return e.relativeDay(m)
	}
	t, err := time.Parse(time.DateOnly, s)
	d := dayOf(t)
	return d, err == nil && d.year >= 1
}

// Day is the day that a value such as 2026-01-31 or today-90d means, as a date.
func (e Env) Day(value string) (string, bool) {
	d, ok := e.parseDay(value)
	return d.String(), ok
}

func (e Env) relativeDay(m []string) (day, bool) {
	d := dayOf(e.Now.In(e.Zone))
	n, _ := strconv.Atoi(m[2])
	if m[1] == "-" {
		n = -n
	}
	switch m[3] {
	case "d":
		d = d.plus(n)
	case "w":
		d = d.plus(7 * n)
	case "m":
		d = d.plusMonths(n)
	case "y":
		d = d.plusMonths(12 * n)
	}
	return d, d.year >= 1 && d.year <= 9999
}

// instantForm is RFC 3339 to the microsecond, which is what the database keeps; time.Parse alone is laxer.
var instantForm = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$`)

func parseInstant(s string) (time.Time, bool) {
	if !instantForm.MatchString(s) {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	return t.UTC(), err == nil && t.Year() >= 1
}

// Relative tells whether what n means changes as days pass.
func Relative(n Node) bool {
	switch n := n.(type) {
	case And:
		return slices.ContainsFunc(n, Relative)
	case Or:
		return slices.ContainsFunc(n, Relative)
	case Not:
		return Relative(n.Node)
	case Leaf:
		if slices.ContainsFunc(n.Values, func(v Value) bool { return v.Kind == KindString && relative.MatchString(v.Text) }) {
			return true
		}
		return n.Fact != nil && (n.Fact.Window != "" && !fixedWindow.MatchString(n.Fact.Window) || n.Fact.Where != nil && Relative(n.Fact.Where))
	}
	return false
}

// fixedWindow is from one date to another.
var fixedWindow = regexp.MustCompile(`^\d{4}-\d\d-\d\d\.\.\d{4}-\d\d-\d\d$`)
