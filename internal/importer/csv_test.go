package importer_test

import (
	"bytes"
	"encoding/csv"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/importer"
)

// TestCSVIsWhatEncodingCSVWrites reads random tables back, also when they come a byte at a time.
func TestCSVIsWhatEncodingCSVWrites(t *testing.T) {
	t.Parallel()
	pieces := []string{"", "a", "客户", `"`, `""`, ",", "\n", " ", "x y", strings.Repeat("long", 200)}
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var want [][]string
		var text bytes.Buffer
		w := csv.NewWriter(&text)
		w.UseCRLF = seed%3 == 0
		wide := 2 + r.IntN(4)
		for range r.IntN(60) {
			row := make([]string, wide)
			for i := range row {
				for range r.IntN(4) {
					row[i] += pieces[r.IntN(len(pieces))]
				}
			}
			require.NoError(t, w.Write(row))
			if w.UseCRLF { // which the writer puts inside of values as well
				for i := range row {
					row[i] = strings.ReplaceAll(row[i], "\n", "\r\n")
				}
			}
			want = append(want, row)
		}
		w.Flush()
		got, lines, err := importer.ReadCSV(iotest.HalfReader(bytes.NewReader(text.Bytes())))
		require.NoError(t, err)
		require.Equal(t, want, got, "seed %d", seed)
		for i, line := range lines {
			before := 1
			for _, row := range want[:i] {
				before += 1 + strings.Count(strings.Join(row, ""), "\n")
			}
			require.Equal(t, int64(before), line)
		}
	}
}

// TestCSVGoesOnAfterWhatItCannotRead begins anew on the line after the bad one.
func TestCSVGoesOnAfterWhatItCannotRead(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("y", 3<<20)
	for name, c := range map[string]struct {
		text string
		want [][]string
	}{
		"OpenQuote":           {"\"a,b\nc,d\n", [][]string{nil, {"c", "d"}}},
		"TextAfterQuote":      {"\"a\"b,c\nd,e", [][]string{nil, {"d", "e"}}},
		"QuoteInText":         {"a\"b,c\r\nd,e\r\n", [][]string{nil, {"d", "e"}}},
		"LongLine":            {long + "\na,b\n", [][]string{nil, {"a", "b"}}},
		"LongLineAtTheEnd":    {"a,b\n" + long, [][]string{{"a", "b"}, nil}},
		"OpenQuoteOnLongText": {"\"a\n" + strings.Repeat("b,c\n", 3) + long + "\nd,e\n", [][]string{nil, {"b", "c"}, {"b", "c"}, {"b", "c"}, nil, {"d", "e"}}},
		"NothingBetween":      {"\n\r\n\na,,\n", [][]string{{"a", "", ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _, err := importer.ReadCSV(strings.NewReader(c.text))
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}
