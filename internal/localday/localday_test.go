package localday_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/localday"
)

func TestAt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ zone, wall, want string }{
		{"Asia/Shanghai", "2026-01-01T08:00:00", "2026-01-01T00:00:00Z"},
		{"America/Sao_Paulo", "2018-11-03T23:59:59", "2018-11-04T02:59:59Z"},
		{"America/Sao_Paulo", "2018-11-04T00:00:00", "2018-11-04T03:00:00Z"}, // 1:00 there
		{"America/Sao_Paulo", "2018-11-04T00:30:00", "2018-11-04T03:30:00Z"}, // 1:30 there
		{"America/Sao_Paulo", "2018-11-04T01:00:00", "2018-11-04T03:00:00Z"},
		{"Asia/Beirut", "2022-03-27T00:15:00", "2022-03-26T22:15:00Z"}, // 1:15 there
		{"Europe/Berlin", "2026-03-29T02:30:00", "2026-03-29T01:30:00Z"},
		{"UTC", "2026-03-29T02:30:00", "2026-03-29T02:30:00Z"},
	} {
		zone, err := time.LoadLocation(c.zone)
		require.NoError(t, err)
		wall, err := time.Parse("2006-01-02T15:04:05", c.wall)
		require.NoError(t, err)
		require.Equal(t, c.want, localday.At(wall, zone).UTC().Format(time.RFC3339), "%s %s", c.zone, c.wall)
	}
}

func TestStartAndHas(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		zone, day, want string
		has             bool
	}{
		{"Asia/Shanghai", "2026-01-01", "2025-12-31T16:00:00Z", true},
		{"America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z", true},
		{"America/Havana", "2018-11-04", "2018-11-04T04:00:00Z", true}, // the first of two midnights
		{"Pacific/Apia", "2011-12-29", "2011-12-29T10:00:00Z", true},
		{"Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z", false},
		{"Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z", true},
	} {
		zone, err := time.LoadLocation(c.zone)
		require.NoError(t, err)
		d, err := time.Parse(time.DateOnly, c.day)
		require.NoError(t, err)
		require.Equal(t, c.want, localday.Start(d.Year(), d.Month(), d.Day(), zone).UTC().Format(time.RFC3339), "%s %s", c.zone, c.day)
		require.Equal(t, c.has, localday.Has(d.Year(), d.Month(), d.Day(), zone), "%s %s", c.zone, c.day)
	}
}
