package birthday

import (
	"sync"
	"time"

	"github.com/kezi-io/kezi/internal/tenant"
)

//go:generate go run ./lunargen
//go:generate gofmt -w lunar_table.gen.go

// lunarYear is when the months of a lunar year begin. Days are counted from 1 January 1970.
type lunarYear struct {
	months [12]lunarMonth
	leap   lunarMonth
	after  int // the number of the month that leap follows and is named by; 0 in a year without a leap month
}

type lunarMonth struct{ first, days int }

var lunarYears = sync.OnceValue(func() *[len(lunarTable)]lunarYear {
	var years [len(lunarTable)]lunarYear
	day := firstTabledDay
	next := func(long uint32) lunarMonth {
		m := lunarMonth{first: day, days: 29 + int(long&1)}
		day += m.days
		return m
	}
	for i, packed := range lunarTable {
		y := &years[i]
		y.after = int(packed >> 13)
		for month := 1; month <= 12; month++ {
			y.months[month-1] = next(packed >> (month - 1))
			if month == y.after {
				y.leap = next(packed >> 12)
			}
		}
	}
	return &years
})

func lunarYearOf(year int) *lunarYear {
	return &lunarYears()[min(max(year, firstTabled), lastTabled)-firstTabled]
}

// lunarDay is the day that the rules of this package give for a lunar one in the lunar year.
func lunarDay(year, month int, leap bool, day int) tenant.Day {
	y := lunarYearOf(year)
	m := y.months[month-1]
	if leap && y.after == month {
		m = y.leap
	}
	return tenant.Day{Time: time.Unix(int64(m.first+min(day, m.days)-1)*secondsOfDay, 0).UTC()}
}

const secondsOfDay = 24 * 60 * 60

// lunarMonthDays is 29 or 30, or 0 for a leap month that the year does not have.
func lunarMonthDays(year, month int, leap bool) int {
	y := lunarYearOf(year)
	switch {
	case !leap:
		return y.months[month-1].days
	case y.after == month:
		return y.leap.days
	default:
		return 0
	}
}

// longestLunarMonth is the most days that the month has in any year of birth, or 0 for a leap month of none.
func longestLunarMonth(month int, leap bool) int {
	days := 0
	for year := FirstYear; year <= LastYear; year++ {
		days = max(days, lunarMonthDays(year, month, leap))
	}
	return days
}
