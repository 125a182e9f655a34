package filter_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/filter"
)

// TestADayBeginsWithItsFirstInstant walks minute by minute through the days around each change of the clock.
func TestADayBeginsWithItsFirstInstant(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"America/Sao_Paulo", // jumped over midnight
		"America/Havana",    // goes back from 1:00 to midnight
		"Asia/Beirut",       // jumps over midnight, goes back over it
		"Pacific/Apia",      // left out 2011-12-30
		"Australia/Lord_Howe", "Europe/Berlin",
		"America/St_Johns", // goes back at 00:01: the day before has a second ending, which counts with the new day
	} {
		zone := mustZone(name)
		for moment := at("2009-06-01T00:00:00Z"); ; {
			_, change := moment.In(zone).ZoneBounds()
			if change.IsZero() || change.Year() > 2013 {
				break
			}
			firsts := map[string]time.Time{}
			for m := change.Add(-30 * time.Hour); m.Before(change.Add(30 * time.Hour)); m = m.Add(time.Minute) {
				day := m.In(zone).Format(time.DateOnly)
				if _, seen := firsts[day]; !seen {
					firsts[day] = m.UTC()
				}
			}
			first := change.Add(-30 * time.Hour).In(zone).Format(time.DateOnly) // began before the walk
			for day, want := range firsts {
				if day == first {
					continue
				}
				require.Equal(t, want, boundary(t, zone, `created_at >= "`+day+`"`), "%s %s", name, day)
			}
			moment = change.Add(time.Hour)
		}
	}
	require.Equal(t, boundary(t, mustZone("Pacific/Apia"), `created_at >= "2011-12-30"`),
		boundary(t, mustZone("Pacific/Apia"), `created_at > "2011-12-30"`), "a day that was left out is empty")
}

func boundary(t *testing.T, zone *time.Location, text string) time.Time {
	t.Helper()
	_, e, err := people.CompileText(text, filter.Env{Now: env.Now, Zone: zone})
	require.NoError(t, err)
	_, args := e.Where()
	return args[0].(time.Time)
}

func TestRelativeDays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ now, text, want string }{
		{"2026-03-31T15:59:59Z", "today", "2026-03-31"},
		{"2026-03-31T16:00:00Z", "today", "2026-04-01"}, // midnight in Shanghai
		{"2026-03-31T00:00:00Z", "today-1m", "2026-02-28"},
		{"2026-03-31T00:00:00Z", "today+1m", "2026-04-30"},
		{"2026-03-31T00:00:00Z", "today-12m", "2025-03-31"},
		{"2026-01-31T00:00:00Z", "today-1m", "2025-12-31"},
		{"2024-02-29T00:00:00Z", "today-1y", "2023-02-28"},
		{"2024-02-29T00:00:00Z", "today-4y", "2020-02-29"},
		{"2026-01-01T00:00:00Z", "today-1d", "2025-12-31"},
		{"2026-03-31T00:00:00Z", "today-90d", "2025-12-31"},
		{"2026-03-31T00:00:00Z", "today+2w", "2026-04-14"},
		{"2026-03-31T00:00:00Z", "today+00d", "2026-03-31"},
		{"2026-03-31T00:00:00Z", "today-2025y", "0001-03-31"},
	} {
		_, e, err := people.CompileText("birthday = "+c.text, filter.Env{Now: at(c.now), Zone: shanghai})
		require.NoError(t, err, c.text)
		_, args := e.Where()
		require.Equal(t, []any{c.want}, args, c.text)
	}
}
