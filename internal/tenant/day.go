package tenant

import (
	"database/sql/driver"
	"fmt"
	"time"
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

// Start is the instant at which the day begins in zone.
func (d Day) Start(zone *time.Location) time.Time {
	y, m, dd := d.Date()
	return time.Date(y, m, dd, 0, 0, 0, 0, zone).UTC()
}

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
