package btyd_test

import (
	"compress/gzip"
	"encoding/csv"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/pkg/btyd"
)

// dataDir is shared/data beside the repository, which holds the CDNOW
// transactions; they are not ours to keep in it. Without them a test is skipped,
// unless KEZI_REQUIRE_REAL_DATA=1 says that they must be there.
func dataDir(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for {
		found := filepath.Join(filepath.Dir(dir), "shared", "data")
		if _, err := os.Stat(filepath.Join(found, "cdnow_sample.csv")); err == nil {
			return found
		}
		if filepath.Dir(dir) == dir {
			break
		}
		dir = filepath.Dir(dir)
	}
	if os.Getenv("KEZI_REQUIRE_REAL_DATA") == "1" {
		t.Fatal("KEZI_REQUIRE_REAL_DATA=1, but there is no shared/data with the CDNOW files")
	}
	t.Skip("no shared/data with the CDNOW files")
	return ""
}

var window = btyd.Window{
	CalibrationEnd: time.Date(1997, 9, 30, 0, 0, 0, 0, time.UTC),
	HoldoutEnd:     time.Date(1998, 6, 30, 0, 0, 0, 0, time.UTC),
}

func purchases(t testing.TB, name, idColumn string) []btyd.Purchase {
	t.Helper()
	f, err := os.Open(filepath.Join(dataDir(t), name))
	require.NoError(t, err)
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		r, err = gzip.NewReader(f)
		require.NoError(t, err)
	}
	lines, err := csv.NewReader(r).ReadAll()
	require.NoError(t, err)
	column := map[string]int{}
	for i, n := range lines[0] {
		column[n] = i
	}
	out := make([]btyd.Purchase, 0, len(lines)-1)
	for _, l := range lines[1:] {
		at, err := time.Parse(time.DateOnly, l[column["date"]])
		require.NoError(t, err)
		cents, err := strconv.Atoi(l[column["amount_cents"]])
		require.NoError(t, err)
		out = append(out, btyd.Purchase{Customer: l[column[idColumn]], At: at, Value: float64(cents) / 100})
	}
	return out
}

// The files are read once for all tests.
var (
	sampleOnce, masterOnce sync.Once
	sampleRows, masterRows []btyd.Customer
)

func sample(t testing.TB) []btyd.Customer {
	t.Helper()
	dataDir(t)
	sampleOnce.Do(func() {
		var err error
		sampleRows, err = btyd.Summarize(purchases(t, "cdnow_sample.csv", "sample_id"), window)
		require.NoError(t, err)
	})
	return sampleRows
}

func master(t testing.TB) []btyd.Customer {
	t.Helper()
	dataDir(t)
	masterOnce.Do(func() {
		var err error
		masterRows, err = btyd.Summarize(purchases(t, "cdnow_master.csv.gz", "customer_id"), window)
		require.NoError(t, err)
	})
	return masterRows
}

func histories(cs []btyd.Customer) []btyd.History {
	out := make([]btyd.History, len(cs))
	for i, c := range cs {
		out[i] = c.History
	}
	return out
}

func weighted(hs []btyd.History) []btyd.Weighted {
	out := make([]btyd.Weighted, len(hs))
	for i, h := range hs {
		out[i] = btyd.Weighted{History: h, N: 1}
	}
	return out
}

func spending(cs []btyd.Customer) []btyd.Spending {
	out := make([]btyd.Spending, len(cs))
	for i, c := range cs {
		out[i] = btyd.Spending{X: c.X, Mean: c.Mean, N: 1}
	}
	return out
}

// simulated are n customers of the CDNOW kind whose histories all differ.
func simulated(n int) ([]btyd.History, []btyd.Spending) {
	ages := make([]float64, n)
	for i := range ages {
		ages[i] = 27 + 12*float64(i)/float64(n)
	}
	sims := btyd.Simulate(models()[1], 1, ages, 0)
	hs := make([]btyd.History, n)
	counts := make([]float64, n)
	for i, s := range sims {
		hs[i] = s.History
		counts[i] = s.X
	}
	return hs, btyd.GammaGamma{P: 6.25, Q: 3.74, V: 15.44}.Simulate(2, counts)
}
