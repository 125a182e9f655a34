package app_test

import (
	"compress/gzip"
	"encoding/csv"
	"io"
	"os"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/app/apptest"
	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/postgrestest"
	"github.com/kezi-io/kezi/internal/tenant"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

type object = map[string]any

func dollars(c *tenant.Creation) { c.Currency, c.TimeZone = "USD", "UTC" }

// load brings a file of transactions in through the API and answers the import as it ended. The client closes the file.
func load(t *testing.T, c *apptest.Client, file io.Reader, headers ...string) object {
	t.Helper()
	var imported, job object
	c.OK(t, "POST", "/v1/imports", object{"type": "transactions", "source": "cdnow", "format": "csv", "currency": "USD", "mapping": object{
		"customer_external_id": "customer_id", "occurred_at": "date", "amount_minor": "amount_cents", "units": "units"}}, &imported)
	path := "/v1/imports/" + imported["id"].(string)
	c.OK(t, "PUT", path+"/content", file, &job, append([]string{"Content-Type", "application/octet-stream"}, headers...)...)
	require.Equal(t, "succeeded", c.Wait(t, job["id"].(string))["status"])
	c.OK(t, "GET", path, nil, &imported)
	return imported
}

// score makes a model as of the end of the calibration period, runs it and answers the run.
func score(t *testing.T, c *apptest.Client, key, kind string, params object) object {
	t.Helper()
	c.OK(t, "POST", "/v1/score-models", object{"key": key, "kind": kind, "params": params, "clock": object{"mode": "fixed", "day": "1997-09-30"}}, nil)
	var job, run object
	c.OK(t, "POST", "/v1/score-models/"+key+"/runs", object{"as_of": "1997-09-30"}, &job)
	require.Equal(t, "score_run", job["subject"].(object)["type"])
	require.Equal(t, "succeeded", c.Wait(t, job["id"].(string))["status"])
	c.OK(t, "GET", "/v1/score-models/"+key+"/runs/"+job["subject"].(object)["id"].(string), nil, &run)
	require.Equal(t, true, run["current"])
	return run
}

func within(t *testing.T, want map[string]float64, got any) {
	t.Helper()
	for name, w := range want {
		require.InEpsilon(t, w, got.(object)[name], 0.005, name)
	}
}

// The published 1-in-10 sample in a tenant of its own.
func TestMainJobOnTheSample(t *testing.T) {
	t.Parallel()
	path := apptest.RealData(t, "cdnow_sample.csv")
	s := apptest.Start(t, postgrestest.Fresh(t))
	c := s.Client(t, dollars)
	file, err := os.Open(path)
	require.NoError(t, err)
	imported := load(t, c, file)
	require.InDelta(t, 6919, imported["created"], 0)
	require.InDelta(t, 2357, imported["customers_created"], 0)

	run := score(t, c, "bg", "clv", object{"family": "bg_nbd"})
	calibration := run["calibration"].(object)
	purchases, values := calibration["purchases"].(object), calibration["values"].(object)
	within(t, map[string]float64{"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}, purchases["parameters"])
	require.InDelta(t, -9582.43, purchases["log_likelihood"], 0.01)
	require.InDelta(t, 2357, purchases["customers"], 0)
	require.InDelta(t, 946, purchases["repeat_customers"], 0)
	require.InDelta(t, 2457, purchases["repeat_purchases"], 0)
	within(t, map[string]float64{"p": 6.25, "q": 3.74, "v": 15.44}, values["parameters"])

	run = score(t, c, "clv", "clv", object{})
	within(t, map[string]float64{"r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614}, run["calibration"].(object)["purchases"].(object)["parameters"])
}

func TestLargeMainJobOnTheMaster(t *testing.T) {
	t.Parallel()
	path := apptest.RealData(t, "cdnow_master.csv.gz")
	s := apptest.Start(t, postgrestest.Fresh(t))
	c := s.Client(t, dollars)
	const everybody = 23570

	for _, want := range []object{{"created": 69659.0, "unchanged": 0.0, "customers_created": 23570.0}, {"created": 0.0, "unchanged": 69659.0, "customers_created": 0.0}} {
		file, err := os.Open(path)
		require.NoError(t, err)
		imported := load(t, c, file, "Content-Encoding", "gzip")
		for name, n := range want {
			require.Equal(t, n, imported[name], name)
		}
	}
	var spent, purchases, days int64
	ctx := postgrestest.Context(t, c.Tenant)
	require.NoError(t, s.DB.QueryRow(ctx, `SELECT sum(spend_total), sum(purchase_count), sum(purchase_days)
		FROM customer_metrics WHERE tenant_id = $1`, c.Tenant.ID).Scan(&spent, &purchases, &days))
	require.Equal(t, []int64{250031563, 69659, 67591}, []int64{spent, purchases, days})
	wrong, _, err := metric.Verify(ctx, s.DB, c.Tenant.ID, 10)
	require.NoError(t, err)
	require.Empty(t, wrong)

	score(t, c, "rfm", "rfm", object{})
	score(t, c, "clv", "clv", object{})
	t.Run("ChurnTellsWhoWillNotBuy", func(t *testing.T) { churn(t, c, path) })

	var list struct{ Items []object }
	c.OK(t, "GET", "/v1/customers?sort=-scores.clv&expand=scores,tiers,tags&limit=100", nil, &list)
	value := func(i int) float64 {
		for _, s := range list.Items[i]["scores"].([]any) {
			if s.(object)["key"] == "clv" {
				return s.(object)["value"].(float64)
			}
		}
		t.Fatal("no clv score")
		return 0
	}
	for i := 1; i < len(list.Items); i++ {
		require.GreaterOrEqual(t, value(i-1), value(i))
	}
	var scores struct{ Items []object }
	c.OK(t, "GET", "/v1/customers/"+list.Items[0]["id"].(string)+"/scores", nil, &scores)
	require.Len(t, scores.Items, 3)
	for _, s := range scores.Items {
		require.Equal(t, "1997-09-30", s["as_of"])
		require.NotEmpty(t, s["explanation"].(object)["text"])
	}

	c.OK(t, "POST", "/v1/tier-schemes", object{"key": "value", "preset": "value"}, nil)
	var job, counts object
	c.OK(t, "POST", "/v1/tier-schemes/value/evaluate", nil, &job)
	require.Equal(t, "succeeded", c.Wait(t, job["id"].(string))["status"])
	c.OK(t, "DELETE", "/v1/customers/"+list.Items[0]["id"].(string), nil, nil)
	c.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": "new"}, nil)
	c.OK(t, "GET", "/v1/tier-schemes/value/distribution", nil, &counts)
	sum := counts["unplaced"].(float64)
	for _, i := range counts["items"].([]any) {
		sum += i.(object)["customers"].(float64)
	}
	require.InDelta(t, everybody, sum, 0, "one deleted, one new")
	require.InDelta(t, everybody, counts["total"], 0)
}

// churn compares the default churn model, 39 weeks ahead, with who really did not buy.
func churn(t *testing.T, c *apptest.Client, path string) {
	run := score(t, c, "churn", "churn", object{"horizon_days": 273})
	bought, last, purchases := holdout(t, path)
	var predicted, recency []float64
	var stayed []bool // away for all 39 weeks
	var single []bool // bought on one day alone before
	next := ""
	for {
		var p struct {
			Items []struct {
				CustomerID string `json:"customer_id"`
				Value      float64
			}
			Next string `json:"next_cursor"`
		}
		c.OK(t, "GET", "/v1/score-models/churn/runs/"+run["id"].(string)+"/scores?limit=1000"+next, nil, &p)
		ids := make([]string, len(p.Items))
		for i, s := range p.Items {
			ids[i] = s.CustomerID
		}
		var got struct {
			Items []struct {
				ID          string
				ExternalIDs []struct {
					ExternalID string `json:"external_id"`
				} `json:"external_ids"`
			}
		}
		c.OK(t, "POST", "/v1/customers/batch-get", object{"ids": ids}, &got)
		for i, customer := range got.Items {
			require.Equal(t, ids[i], customer.ID)
			name := customer.ExternalIDs[0].ExternalID
			predicted = append(predicted, p.Items[i].Value)
			recency = append(recency, -last[name])
			stayed = append(stayed, !bought[name])
			single = append(single, purchases[name] == 1)
		}
		if p.Next == "" {
			break
		}
		next = "&cursor=" + p.Next
	}
	require.Len(t, predicted, 23570)
	score, plain := auc(predicted, stayed), auc(recency, stayed)
	t.Logf("AUC %.4f, recency alone %.4f", score, plain)
	require.GreaterOrEqual(t, score, 0.74)
	require.GreaterOrEqual(t, score, plain-0.02)
	all := func(int) bool { return true }
	require.InDelta(t, share(stayed, all), mean(predicted, all), 0.04)
	once := func(i int) bool { return single[i] }
	require.InDelta(t, share(stayed, once), mean(predicted, once), 0.03)
}

// holdout is, per customer, whether they bought after 1997-09-30, their last purchase before it (day of the year), and
// their purchase days before it.
func holdout(t *testing.T, path string) (bought map[string]bool, last map[string]float64, days map[string]int) {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close() //nolint:errcheck // read only
	unzipped, err := gzip.NewReader(file)
	require.NoError(t, err)
	rows, err := csv.NewReader(unzipped).ReadAll()
	require.NoError(t, err)
	bought, last, days = map[string]bool{}, map[string]float64{}, map[string]int{}
	seen := map[string]bool{}
	for _, r := range rows[1:] {
		day, err := tenant.ParseDay(r[1])
		require.NoError(t, err)
		if r[1] > "1997-09-30" {
			bought[r[0]] = true
			continue
		}
		last[r[0]] = max(last[r[0]], float64(day.YearDay()))
		if key := strings.Join(r[:2], " "); !seen[key] {
			seen[key] = true
			days[r[0]]++
		}
	}
	return bought, last, days
}

// auc is the chance that a random positive has a higher score than a random negative, ties counting half.
func auc(score []float64, positive []bool) float64 {
	order := make([]int, len(score))
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(a, b int) bool { return score[order[a]] < score[order[b]] })
	var sum, positives float64
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && score[order[j]] == score[order[i]] {
			j++
		}
		rank := float64(i+j+1) / 2
		for ; i < j; i++ {
			if positive[order[i]] {
				sum += rank
				positives++
			}
		}
	}
	negatives := float64(len(score)) - positives
	return (sum - positives*(positives+1)/2) / (positives * negatives)
}

func mean(v []float64, of func(int) bool) float64 {
	sum, n := 0.0, 0.0
	for i, x := range v {
		if of(i) {
			sum, n = sum+x, n+1
		}
	}
	return sum / n
}

func share(v []bool, of func(int) bool) float64 {
	as := make([]float64, len(v))
	for i, x := range v {
		if x {
			as[i] = 1
		}
	}
	return mean(as, of)
}
