// Package localday is where days begin in a time zone whose clocks jump: over midnight, back over it, or over a whole
// day. Stored facts and filters both ask here, so that they agree.
package localday

import "time"

// Start is the first instant of the day in the zone: not midnight where the clock jumps over it. Of a day that the
// zone left out it is the start of the next one.
func Start(year int, month time.Month, day int, zone *time.Location) time.Time {
	midnight := time.Date(year, month, day, 0, 0, 0, 0, zone)
	want := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	begin, end := midnight.ZoneBounds()
	if got := wall(midnight); !got.Equal(want) {
		// There is no such midnight; time.Date answers with an instant on either side of the jump.
		if got.Before(want) {
			return end
		}
		return begin
	}
	if begin.IsZero() {
		return midnight
	}
	// Where the clock went back over midnight there are two of them; the day begins with the first.
	first := time.Date(year, month, day, 0, 0, 0, 0, before(begin, zone))
	if first.Before(begin) && first.Before(midnight) {
		return first
	}
	return midnight
}

// Has reports whether the zone had the day at all: Pacific/Apia went from 29 to 31 December 2011.
func Has(year int, month time.Month, day int, zone *time.Location) bool {
	y, m, d := Start(year, month, day, zone).In(zone).Date()
	return y == year && m == month && d == day
}

// At is the instant at which clocks in the zone show what t shows, whatever zone t is in. What they jump over is read
// by the clock before the jump, so that it comes after it and never on the day before.
func At(t time.Time, zone *time.Location) time.Time {
	want := wall(t)
	at := in(want, zone)
	got := wall(at)
	if got.Equal(want) {
		return at
	}
	jump, end := at.ZoneBounds()
	if got.Before(want) {
		jump = end
	}
	return in(want, before(jump, zone)).In(zone)
}

// wall is what the clock shows at t, as if it stood in UTC.
func wall(t time.Time) time.Time { return in(t, time.UTC) }

func in(t time.Time, zone *time.Location) time.Time {
	y, m, d := t.Date()
	hour, minute, second := t.Clock()
	return time.Date(y, m, d, hour, minute, second, t.Nanosecond(), zone)
}

// before is the zone's offset just before change, as a zone of its own.
func before(change time.Time, zone *time.Location) *time.Location {
	_, seconds := change.Add(-time.Nanosecond).In(zone).Zone()
	return time.FixedZone("", seconds)
}
