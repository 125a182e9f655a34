// Package birthday is the day that a person celebrates: by the Gregorian calendar or by the Chinese one (农历), with or
// without the year of birth.
//
// A day that a year does not have is kept on the last day before it or in the plain month:
//
//   - 29 February on 28 February in common years;
//   - the 30th of a lunar month on the 29th where the month is short;
//   - a day of a lunar leap month in the leap month where the year has it, else in the plain month of that number.
//
// Source of the Chinese calendar: a table made by github.com/6tail/lunar-go, which computes new moons and solar terms for
// Beijing as GB/T 33661-2017 says.
package birthday

import (
	"time"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Calendar is what a birthday is counted by.
type Calendar string

// The calendars.
const (
	Solar Calendar = "solar" // Gregorian, 公历
	Lunar Calendar = "lunar" // Chinese, 农历
)

// The years of birth that can be given. Lunar years count as the Gregorian year in which they begin: the twelfth month
// of 1990 lies in January and February of 1991.
const (
	FirstYear = 1900
	LastYear  = 2100
)

// Birthday is a day of a calendar. Its zero value is no birthday.
type Birthday struct {
	Calendar  Calendar
	Year      int // 0 where it is not known
	Month     int // 1 to 12
	Day       int // 1 to 31, lunar 1 to 30
	LeapMonth bool
}

// IsZero reports whether there is no birthday.
func (b Birthday) IsZero() bool { return b == Birthday{} }

// Check refuses a day that cannot be anybody's birthday, seen from today: one that its calendar does not have (in its
// year, or in any year where none is given), of a year out of range or in the future. The fault is fault.ErrInvalid
// with every wrong member; the pointers begin at the birthday.
func (b Birthday) Check(today tenant.Day) error {
	var v fault.Validator
	known := v.Check(b.Calendar == Solar || b.Calendar == Lunar, "/calendar", "unknown_value",
		fault.T("must be solar or lunar", "必须是 solar（公历）或 lunar（农历）"), string(Solar), string(Lunar))
	yearFits := v.Check(b.Year == 0 || (b.Year >= FirstYear && b.Year <= LastYear), "/year", "out_of_range",
		fault.T("must be between 1900 and 2100; leave it out where the year is not known", "必须在 1900 至 2100 之间；年份未知时请省略"))
	monthFits := v.Check(b.Month >= 1 && b.Month <= 12, "/month", "out_of_range",
		fault.T("must be between 1 and 12", "必须在 1 至 12 之间"))
	if b.Calendar == Solar {
		v.Check(!b.LeapMonth, "/leap_month", "not_allowed",
			fault.T("only the lunar calendar has leap months", "只有农历才有闰月"))
	}
	longest := 31
	if b.Calendar == Lunar {
		longest = 30
	}
	dayFits := v.Check(b.Day >= 1 && b.Day <= longest, "/day", "out_of_range",
		fault.T("must be between 1 and 31, or 30 in the lunar calendar", "必须在 1 至 31 之间，农历为 1 至 30"))
	if known && yearFits && monthFits && dayFits && b.exists(&v) {
		if born, given := b.Solar(); given {
			v.Check(!born.After(today.Time), "/year", "in_future", fault.T("must not be in the future", "不能晚于今天"))
		}
	}
	return v.Err()
}

// exists records what keeps the day from existing in its year, or in any year.
func (b Birthday) exists(v *fault.Validator) bool {
	if b.Calendar == Solar {
		year := b.Year
		if year == 0 {
			year = 2000 // a leap year
		}
		return v.Check(b.Day <= solarMonthDays(year, b.Month), "/day", "bad_date",
			fault.T("the month does not have this day", "该月没有这一天"))
	}
	days := longestLunarMonth(b.Month, b.LeapMonth)
	if b.Year != 0 {
		days = lunarMonthDays(b.Year, b.Month, b.LeapMonth)
	}
	if days == 0 {
		return v.Check(false, "/leap_month", "bad_date",
			fault.T("the lunar year does not have this leap month", "该农历年没有这个闰月"))
	}
	return v.Check(b.Day <= days, "/day", "bad_date",
		fault.T("the lunar month has only 29 days in this year", "该农历月在这一年只有 29 天"))
}

// Solar is the Gregorian day of birth; false where the year is not known.
func (b Birthday) Solar() (tenant.Day, bool) {
	if b.Year == 0 {
		return tenant.Day{}, false
	}
	return b.in(b.Year), true
}

// Next is the first Gregorian day on or after from on which the birthday is kept; where the year is known, not before
// the birth. It is the zero Day when from is not Plausible or b would not pass Check.
func (b Birthday) Next(from tenant.Day) tenant.Day {
	if !from.Plausible() || !b.readable() {
		return tenant.Day{}
	}
	if born, given := b.Solar(); given && born.After(from.Time) {
		return born
	}
	year := from.Year()
	if b.Calendar == Lunar {
		year-- // a lunar year ends as late as 20 February of the Gregorian year after it
	}
	for ; ; year++ {
		if kept := b.in(year); !kept.Before(from.Time) {
			return kept
		}
	}
}

// Age is how many years the person completed by the day: one more with each anniversary of the Gregorian day of birth,
// also where the birthday is kept by the lunar calendar. False where the year is not known or the day is before the birth.
func (b Birthday) Age(on tenant.Day) (int, bool) {
	if !b.readable() {
		return 0, false
	}
	born, given := b.Solar()
	if !given || on.Before(born.Time) {
		return 0, false
	}
	age := on.Year() - born.Year()
	if anniversary := solarDay(on.Year(), int(born.Month()), born.Day()); on.Before(anniversary.Time) {
		age--
	}
	return age, true
}

// readable guards against birthdays that were never checked: rows edited by hand, callers that forgot.
func (b Birthday) readable() bool {
	return (b.Calendar == Solar || b.Calendar == Lunar) && b.Month >= 1 && b.Month <= 12 && b.Day >= 1 && b.Day <= 31 &&
		(b.Year == 0 || (b.Year >= FirstYear && b.Year <= LastYear))
}

// in is the Gregorian day on which the birthday is kept in a year of its own calendar.
func (b Birthday) in(year int) tenant.Day {
	if b.Calendar == Lunar {
		return lunarDay(year, b.Month, b.LeapMonth, b.Day)
	}
	return solarDay(year, b.Month, b.Day)
}

// solarDay is the day, or the last one of the month where the month is shorter.
func solarDay(year, month, day int) tenant.Day {
	return tenant.Day{Time: time.Date(year, time.Month(month), min(day, solarMonthDays(year, month)), 0, 0, 0, 0, time.UTC)}
}

func solarMonthDays(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}
