package birthday_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/6tail/lunar-go/calendar"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/birthday"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/tenant"
)

func day(t *testing.T, s string) tenant.Day {
	t.Helper()
	d, err := tenant.ParseDay(s)
	require.NoError(t, err)
	return d
}

func solar(year, month, d int) birthday.Birthday {
	return birthday.Birthday{Calendar: birthday.Solar, Year: year, Month: month, Day: d}
}

func lunar(year, month, d int) birthday.Birthday {
	return birthday.Birthday{Calendar: birthday.Lunar, Year: year, Month: month, Day: d}
}

func leap(year, month, d int) birthday.Birthday {
	b := lunar(year, month, d)
	b.LeapMonth = true
	return b
}

func TestPossibleBirthdays(t *testing.T) { // S2-02
	t.Parallel()
	today := day(t, "2026-11-22")
	for _, b := range []birthday.Birthday{
		solar(0, 2, 29), solar(2000, 2, 29), solar(1900, 1, 1), solar(2026, 11, 22), solar(0, 12, 31),
		lunar(0, 1, 30), lunar(0, 12, 30), lunar(1900, 1, 1), lunar(2026, 10, 1), lunar(1990, 12, 30),
		leap(0, 4, 30), leap(0, 11, 29), leap(2020, 4, 29), leap(2023, 2, 29), leap(1984, 10, 1),
	} {
		require.NoError(t, b.Check(today), "%+v", b)
	}
}

func TestImpossibleBirthdaysAreRefused(t *testing.T) { // S2-02
	t.Parallel()
	today := day(t, "2026-11-22")
	for _, c := range []struct {
		b       birthday.Birthday
		pointer string
		code    string
	}{
		{birthday.Birthday{}, "/calendar", "unknown_value"},
		{birthday.Birthday{Calendar: "julian", Month: 1, Day: 1}, "/calendar", "unknown_value"},
		{solar(1990, 4, 31), "/day", "bad_date"},
		{solar(0, 4, 31), "/day", "bad_date"},
		{solar(0, 2, 30), "/day", "bad_date"},
		{solar(1900, 2, 29), "/day", "bad_date"},
		{solar(2023, 2, 29), "/day", "bad_date"},
		{solar(1990, 0, 1), "/month", "out_of_range"},
		{solar(1990, 13, 1), "/month", "out_of_range"},
		{solar(1990, 1, 0), "/day", "out_of_range"},
		{solar(1990, 1, 32), "/day", "out_of_range"},
		{solar(1990, 1, -1), "/day", "out_of_range"},
		{solar(1899, 12, 31), "/year", "out_of_range"},
		{solar(2101, 1, 1), "/year", "out_of_range"},
		{solar(-5, 1, 1), "/year", "out_of_range"},
		{solar(2026, 11, 23), "/year", "in_future"},
		{birthday.Birthday{Calendar: birthday.Solar, Month: 4, Day: 1, LeapMonth: true}, "/leap_month", "not_allowed"},
		{lunar(0, 1, 31), "/day", "out_of_range"},
		{lunar(2021, 12, 30), "/day", "bad_date"}, // the twelfth month of 2021 had 29 days, 除夕 was the 29th
		{lunar(2026, 12, 29), "/year", "in_future"},
		{leap(2023, 4, 1), "/leap_month", "bad_date"}, // 2023 had a leap second month
		{leap(2024, 2, 1), "/leap_month", "bad_date"}, // 2024 had none
		{leap(2020, 4, 30), "/day", "bad_date"},       // 闰四月 of 2020 had 29 days
		{leap(0, 12, 1), "/leap_month", "bad_date"},   // no year from 1900 to 2100 has one
		{leap(0, 1, 1), "/leap_month", "bad_date"},
	} {
		err := c.b.Check(today)
		require.ErrorIs(t, err, fault.ErrInvalid, "%+v", c.b)
		fields := fault.Of(err).Fields
		require.Equal(t, c.pointer, fields[0].Pointer, "%+v", c.b)
		require.Equal(t, c.code, fields[0].Code, "%+v", c.b)
	}
	err := birthday.Birthday{Calendar: birthday.Lunar, Year: 3000, Month: 13, Day: 40}.Check(today)
	require.Len(t, fault.Of(err).Fields, 3, "every wrong member at once")
}

// The days are those of the Hong Kong Observatory's and the Purple Mountain Observatory's printed calendars.
func TestLunarDaysOfBirth(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		b    birthday.Birthday
		want string
	}{
		{lunar(1900, 1, 1), "1900-01-31"}, {lunar(1949, 1, 1), "1949-01-29"}, {lunar(1968, 1, 1), "1968-01-30"},
		{lunar(1976, 1, 1), "1976-01-31"}, {lunar(1985, 1, 1), "1985-02-20"}, {lunar(1990, 1, 1), "1990-01-27"},
		{lunar(2000, 1, 1), "2000-02-05"}, {lunar(2008, 1, 1), "2008-02-07"}, {lunar(2019, 1, 1), "2019-02-05"},
		{lunar(2020, 1, 1), "2020-01-25"}, {lunar(2021, 1, 1), "2021-02-12"}, {lunar(2022, 1, 1), "2022-02-01"},
		{lunar(2023, 1, 1), "2023-01-22"}, {lunar(2024, 1, 1), "2024-02-10"}, {lunar(2025, 1, 1), "2025-01-29"},
		{lunar(2026, 1, 1), "2026-02-17"}, {lunar(2033, 1, 1), "2033-01-31"}, {lunar(2034, 1, 1), "2034-02-19"},
		{lunar(2019, 8, 15), "2019-09-13"}, {lunar(2023, 8, 15), "2023-09-29"}, {lunar(2024, 8, 15), "2024-09-17"},
		{lunar(2025, 8, 15), "2025-10-06"}, {lunar(2026, 5, 5), "2026-06-19"}, {lunar(2023, 5, 5), "2023-06-22"},
		{lunar(1990, 12, 30), "1991-02-14"}, {leap(2020, 4, 1), "2020-05-23"}, {leap(2023, 2, 1), "2023-03-22"},
		{leap(2025, 6, 1), "2025-07-25"}, {leap(2033, 11, 1), "2033-12-22"}, {solar(1990, 8, 15), "1990-08-15"},
	} {
		got, given := c.b.Solar()
		require.True(t, given)
		require.Equal(t, c.want, got.String(), "%+v", c.b)
	}
	_, given := lunar(0, 8, 15).Solar()
	require.False(t, given)
}

func TestNextBirthday(t *testing.T) { // S2-02
	t.Parallel()
	for _, c := range []struct {
		b          birthday.Birthday
		from, want string
	}{
		{solar(1990, 8, 15), "2026-08-15", "2026-08-15"},
		{solar(1990, 8, 15), "2026-08-16", "2027-08-15"},
		{solar(0, 1, 1), "2026-12-31", "2027-01-01"},
		{solar(2000, 2, 29), "2027-01-01", "2027-02-28"},
		{solar(2000, 2, 29), "2027-03-01", "2028-02-29"},
		{solar(2000, 2, 29), "2028-02-28", "2028-02-29"},
		{solar(2026, 11, 22), "2020-01-01", "2026-11-22"}, // never before the birth
		{lunar(0, 8, 15), "2024-09-17", "2024-09-17"},
		{lunar(0, 8, 15), "2024-09-18", "2025-10-06"},
		{lunar(1990, 12, 30), "2026-01-01", "2026-02-16"}, // a short month: kept on the 29th, 除夕
		{lunar(0, 12, 30), "2022-01-15", "2022-01-31"},
		{lunar(0, 12, 1), "2026-01-01", "2026-01-19"}, // still the lunar year 2025
		{leap(2020, 4, 10), "2020-06-02", "2021-05-21"},
		{leap(0, 4, 10), "2020-05-03", "2020-06-01"},   // a year that has the leap month keeps it there
		{lunar(0, 4, 10), "2020-05-03", "2021-05-21"},  // and the plain month's day comes once a year
		{leap(0, 2, 30), "2023-03-22", "2023-04-19"},   // 闰二月 of 2023 had 29 days
		{leap(0, 6, 1), "2026-01-01", "2026-07-14"},    // 2026 has no leap month
		{lunar(0, 12, 30), "2200-12-31", "2201-02-03"}, // the last plausible day
	} {
		require.Equal(t, c.want, c.b.Next(day(t, c.from)).String(), "%+v from %s", c.b, c.from)
	}
}

func TestAge(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		b    birthday.Birthday
		on   string
		want int
	}{
		{solar(1990, 8, 15), "2026-08-14", 35}, {solar(1990, 8, 15), "2026-08-15", 36}, {solar(1990, 8, 15), "1990-08-15", 0},
		{solar(2000, 2, 29), "2018-02-27", 17}, {solar(2000, 2, 29), "2018-02-28", 18}, {solar(2000, 2, 29), "2020-02-28", 19},
		{lunar(1990, 12, 30), "2026-02-13", 34}, {lunar(1990, 12, 30), "2026-02-14", 35}, // by the Gregorian day of birth
	} {
		age, known := c.b.Age(day(t, c.on))
		require.True(t, known)
		require.Equal(t, c.want, age, "%+v on %s", c.b, c.on)
	}
	_, known := solar(0, 8, 15).Age(day(t, "2026-08-15"))
	require.False(t, known)
	_, known = solar(1990, 8, 15).Age(day(t, "1990-08-14"))
	require.False(t, known)
}

// A walk over every day of three centuries finds the same lunar calendar as the birthdays do, and its laws.
func TestLunarCalendarHasNoGap(t *testing.T) {
	t.Parallel()
	today := day(t, "2100-12-31")
	// Years with a leap month and its number, 1984 to 2052, of GB/T 33661-2017's calendar as printed.
	leaps := map[int]int{1984: 10, 1987: 6, 1990: 5, 1993: 3, 1995: 8, 1998: 5, 2001: 4, 2004: 2, 2006: 7, 2009: 5, 2012: 4, 2014: 9,
		2017: 6, 2020: 4, 2023: 2, 2025: 6, 2028: 5, 2031: 3, 2033: 11, 2036: 6, 2039: 5, 2042: 2, 2044: 7, 2047: 5, 2050: 3, 2052: 8}
	next := day(t, "1900-01-31")
	for year := birthday.FirstYear; year < birthday.LastYear; year++ {
		newYear, _ := lunar(year, 1, 1).Solar()
		require.Equal(t, next, newYear, year)
		require.True(t, newYear.YearDay() >= 21 && newYear.YearDay() <= 52, "%d begins on %s", year, newYear)
		months, leapMonth := 0, 0
		for month := 1; month <= 12; month++ {
			for _, b := range []birthday.Birthday{lunar(year, month, 1), leap(year, month, 1)} {
				if b.Check(today) != nil {
					continue
				}
				months++
				if b.LeapMonth {
					leapMonth = month
				}
				first, _ := b.Solar()
				require.Equal(t, next, first, "%+v", b)
				b.Day = 30
				length := 30
				if b.Check(today) != nil {
					length = 29
				}
				next = tenant.Day{Time: next.AddDate(0, 0, length)}
			}
		}
		require.Contains(t, []int{12, 13}, months)
		require.Equal(t, months == 13, leapMonth > 0)
		if year >= 1984 && year <= 2052 {
			require.Equal(t, leaps[year], leapMonth, year)
		}
	}
}

// For any birthday and any day: the next one is the first day on which it is kept, about a year away at most, and
// asking again from there gives the same day.
func TestNextIsTheFirst(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 11)) //nolint:gosec // reproducible test data
	today := day(t, "2100-12-31")
	tried := 0
	for tried < 30_000 {
		b := birthday.Birthday{Calendar: birthday.Solar, Month: 1 + r.IntN(12), Day: 1 + r.IntN(31)}
		if r.IntN(3) > 0 {
			b.Calendar, b.LeapMonth = birthday.Lunar, r.IntN(4) == 0
		}
		if r.IntN(2) == 0 {
			b.Year = 1900 + r.IntN(200)
		}
		if b.Check(today) != nil {
			continue
		}
		tried++
		from := tenant.Day{Time: time.Date(1900+r.IntN(300), 1, 1+r.IntN(366), 0, 0, 0, 0, time.UTC)}
		next := b.Next(from)
		require.False(t, next.Before(from.Time), "%+v from %s", b, from)
		require.Equal(t, next, b.Next(next), "%+v from %s", b, from)
		born, given := b.Solar()
		if given && born.After(from.Time) {
			require.Equal(t, born, next)
			continue
		}
		require.LessOrEqual(t, next.Sub(from.Time), 414*24*time.Hour, "%+v from %s", b, from)
		if next.After(from.Time) {
			between := tenant.Day{Time: from.AddDate(0, 0, r.IntN(int(next.Sub(from.Time).Hours()/24)))}
			require.Equal(t, next, b.Next(between), "%+v from %s", b, between)
		}
	}
}

// The table says what the library that made it says, day by day for some thousand days.
func TestTableAgreesWithTheLibrary(t *testing.T) {
	t.Parallel()
	for d := time.Date(1900, 2, 1, 0, 0, 0, 0, time.UTC); d.Year() <= birthday.LastYear; d = d.AddDate(0, 0, 61) {
		l := calendar.NewLunarFromSolar(calendar.NewSolarFromYmd(d.Year(), int(d.Month()), d.Day()))
		b := lunar(l.GetYear(), l.GetMonth(), l.GetDay())
		if b.Month < 0 {
			b.Month, b.LeapMonth = -b.Month, true
		}
		got, _ := b.Solar()
		require.Equal(t, d.Format(time.DateOnly), got.String())
	}
}

func FuzzNothingPanics(f *testing.F) {
	f.Add("lunar", 2020, 4, 30, true, int64(0))
	f.Add("solar", 0, 2, 29, false, int64(1<<40))
	f.Add("", -1, 0, 99, true, int64(-1<<50))
	f.Fuzz(func(t *testing.T, c string, year, month, d int, leapMonth bool, at int64) {
		b := birthday.Birthday{Calendar: birthday.Calendar(c), Year: year, Month: month, Day: d, LeapMonth: leapMonth}
		on := tenant.DayOf(time.Unix(at, 0), time.UTC)
		err := b.Check(on)
		next := b.Next(on)
		age, known := b.Age(on)
		if err == nil && on.Plausible() {
			require.False(t, next.Before(on.Time))
			require.Equal(t, b.Year != 0, known)
			require.GreaterOrEqual(t, age, 0)
		}
	})
}

func BenchmarkNext(b *testing.B) {
	from := tenant.Day{Time: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)}
	for _, c := range []birthday.Birthday{solar(1990, 8, 15), lunar(1990, 8, 15)} {
		b.Run(string(c.Calendar), func(b *testing.B) {
			for b.Loop() {
				c.Next(from)
			}
		})
	}
}
