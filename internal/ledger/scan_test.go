package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const source = `package x

// S9-09 is about a helper, which shows nothing.
func helper() {}

// TestWhole says something.
//
// S1-01, S1-03..04
func TestWhole(t *testing.T) {
	// S1-05
	helper()
	t.Run("first part", func(t *testing.T) { // S1-06
		t.Run("Inner", func(t *testing.T) {
			t.Parallel()
			// S1-07
		})
	})
	// S1-08
	t.Run("Second", func(t *testing.T) {})
}
`

func TestScan(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(root, "x_test.go"), []byte(source), 0o600))
	shown, stray, err := scan(root)
	require.NoError(t, err)
	require.Equal(t, map[string][]test{
		"S1-01": {{"TestWhole", "x_test.go:9"}},
		"S1-03": {{"TestWhole", "x_test.go:9"}},
		"S1-04": {{"TestWhole", "x_test.go:9"}},
		"S1-05": {{"TestWhole", "x_test.go:9"}},
		"S1-06": {{"TestWhole/first_part", "x_test.go:12"}},
		"S1-07": {{"TestWhole/first_part/Inner", "x_test.go:13"}},
		"S1-08": {{"TestWhole/Second", "x_test.go:19"}},
	}, shown)
	require.Equal(t, []string{"x_test.go:3: S9-09 belongs to no test"}, stray)

	var out bytes.Buffer
	require.NoError(t, report(&out, []string{"S1-01", "S1-02"}, map[string]string{"S1-01": "one", "S1-02": "two"}, shown, nil))
	require.Contains(t, out.String(), "S1-01  one\n       x_test.go:9  TestWhole\n")
	require.Contains(t, out.String(), "Without a test:\n  S1-02  two\n")
}

func TestParseIDs(t *testing.T) {
	t.Parallel()
	ids, err := parseIDs("S0-01, 03, 06..08; S4-05..06, 12.")
	require.NoError(t, err)
	require.Equal(t, strings.Fields("S0-01 S0-03 S0-06 S0-07 S0-08 S4-05 S4-06 S4-12"), ids)
	for _, bad := range []string{"03", "S3-9", "S3-17..13", "customers"} {
		_, err := parseIDs(bad)
		require.Error(t, err, bad)
	}
}
