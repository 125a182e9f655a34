package tenant

import (
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/localday"
)

// Day is a calendar day without a zone, kept as its midnight in UTC.
type Day struct{ time.Time }

// DayOf is the local day of an instant.
func DayOf(at time.Time, zone *time.Location) Day {
	y, m, d := at.In(zone).Date()
	return Day{time.Date(y, m, d, 0, 0, 0, 0, time.UTC)}
}

// ParseDay reads YYYY-MM-DD; a day that no calendar has, such as 31 February, is an error.
func ParseDay(s string) (Day, error) {
	t, err := time.Parse(time.DateOnly, s)
	return Day{t}, err
}

// Start is the instant at which the day begins in zone: not midnight where the clock jumps over it.
func (d Day) Start(zone *time.Location) time.Time {
	y, m, dd := d.Date()
	return localday.Start(y, m, dd, zone).UTC()
}

// ExistsIn reports whether zone had the day: one that crossed the date line may have left it out.
func (d Day) ExistsIn(zone *time.Location) bool {
	y, m, dd := d.Date()
	return localday.Has(y, m, dd, zone)
}

// Implausible is what is wrong with a day that is not Plausible, under the code out_of_range; LeftOut with one that
// the tenant's zone left out, under bad_date.
var (
	Implausible = fault.T("must be between the years 1900 and 2200", "必须在 1900 年至 2200 年之间")
	LeftOut     = fault.T("the tenant's time zone left this day out", "租户时区没有这一天")
)

// Plausible reports whether the day is in the years 1900 to 2200. PostgreSQL's calendar begins in 4713 BC and RFC 3339
// ends in 9999; outside of these years a day is a typing error.
func (d Day) Plausible() bool { return d.Year() >= 1900 && d.Year() <= 2200 }

func (d Day) String() string { return d.Format(time.DateOnly) }

// Value stores the day in a date column.
func (d Day) Value() (driver.Value, error) { return d.Time, nil }

// Scan reads a date column.
func (d *Day) Scan(src any) error {
	t, ok := src.(time.Time)
	if !ok {
		return fmt.Errorf("a date is not a %T", src)
	}
	d.Time = t
	return nil
}
