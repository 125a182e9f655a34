package httpapi_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/app/apptest"
	"github.com/kezi-io/kezi/internal/postgrestest"
)

// herd is customers that are read page by page while others write. The steady ones keep their name, city and purchases,
// not their owner; the restless ones change, go and come back.
type herd struct {
	*apptest.Client
	steady, restless []string // ids

	// turns lets the writers change something for each page that is read: as many changes as fall between the pages,
	// and none that only keep the machine busy.
	turns chan struct{}
}

const steadyHerd, restlessHerd = 160, 40

// Few values, so that most pages end among equals.
func herdName(n int) string {
	return []string{"王伟", "张建国", "Ann Lee", "李娜", "上海华信有限公司"}[n%5]
}
func herdCity(n int) any { return []any{"上海", "杭州", nil}[n%3] }

func newHerd(t *testing.T, s *apptest.Server) *herd {
	t.Helper()
	h := &herd{Client: s.Client(t), turns: make(chan struct{}, 6)}
	items := []object{}
	for i := range steadyHerd + restlessHerd {
		items = append(items, object{"source": "herd", "external_id": fmt.Sprint(i),
			"customer": object{"name": herdName(i * 7), "city": herdCity(i)}})
	}
	var made struct{ Items []object }
	h.OK(t, "POST", "/v1/customers/batch", object{"items": items}, &made)
	for i, m := range made.Items {
		id := m["id"].(string)
		// The restless lie among the steady in every order.
		if i%5 == 4 {
			h.restless = append(h.restless, id)
		} else {
			h.steady = append(h.steady, id)
		}
		if i%3 == 0 {
			h.buy(t, id, i%4)
		}
	}
	return h
}

func (h *herd) buy(t *testing.T, id string, n int) {
	h.OK(t, "POST", "/v1/transactions", object{"customer_id": id, "occurred_on": "2026-01-0" + fmt.Sprint(1+n%9),
		"amount": object{"amount": fmt.Sprint(10 * (1 + n%4)), "currency": "CNY"}}, nil)
}

// write changes the herd at random while turns come.
func (h *herd) write(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 7))
	for n := int(seed); ; n++ {
		if _, more := <-h.turns; !more {
			return
		}
		path := "/v1/customers/" + h.restless[rng.IntN(len(h.restless))]
		switch n % 6 {
		case 0:
			h.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": herdName(rng.IntN(9)), "city": "杭州"}, nil)
		case 1: // moves it in the orders by name, city and change
			h.might(t, "PATCH", path, object{"name": herdName(rng.IntN(9)), "city": herdCity(rng.IntN(9))})
		case 2:
			h.might(t, "DELETE", path, nil)
		case 3:
			h.might(t, "POST", path+"/undelete", nil)
		case 4:
			h.might(t, "POST", "/v1/transactions", object{"customer_id": path[len("/v1/customers/"):], "occurred_on": "2026-02-01",
				"amount": object{"amount": "10", "currency": "CNY"}})
		case 5: // rewrites the row of one whose place must not move
			h.might(t, "PATCH", "/v1/customers/"+h.steady[rng.IntN(len(h.steady))], object{"owner": fmt.Sprint(n)})
		}
	}
}

// might is a call about a customer that another writer may have deleted.
func (h *herd) might(t *testing.T, method, path string, body any) {
	a := h.Do(t, method, path, body)
	gone := a.Status == http.StatusNotFound || bytes.Contains(a.Body, []byte("customer_not_found"))
	assert.True(t, a.Status < 300 || gone, "%s %s: %d %s", method, path, a.Status, a.Body)
}

// read goes through all pages of a list, of any sizes.
func (h *herd) read(t *testing.T, rng *rand.Rand, query string) (ids []string, pages int) {
	cursor := ""
	for {
		var p struct {
			Items []struct{ ID string }
			Next  string `json:"next_cursor"`
		}
		h.OK(t, "GET", fmt.Sprintf("/v1/customers?%s&limit=%d%s", query, 3+rng.IntN(30), cursor), nil, &p)
		for _, c := range p.Items {
			ids = append(ids, c.ID)
		}
		pages++
		for range 2 {
			select {
			case h.turns <- struct{}{}:
			default:
			}
		}
		if p.Next == "" || pages > 2000 {
			return ids, pages
		}
		cursor = "&cursor=" + p.Next
	}
}

// Whoever keeps what a list is sorted and filtered by appears in it exactly once, whatever others write meanwhile, and
// in the order that there was before.
//
// S3-03
func TestPagesUnderWriters(t *testing.T) {
	t.Parallel()
	h := newHerd(t, apptest.Start(t, postgrestest.DB(t)))
	steady := map[string]bool{}
	for _, id := range h.steady {
		steady[id] = true
	}
	only := func(ids []string) (kept []string) {
		for _, id := range ids {
			if steady[id] {
				kept = append(kept, id)
			}
		}
		return kept
	}
	queries := []string{"sort=created_at", "sort=-created_at", "sort=name", "sort=-name", "sort=city", "sort=-city", "sort=spend_total",
		"sort=-spend_total", "sort=last_purchase_on", "sort=-purchase_count", "sort=name&filter=city%20%3D%20%22%E6%9D%AD%E5%B7%9E%22",
		"sort=-spend_total&filter=purchase_count%20%3E%3D%201"}
	rng := rand.New(rand.NewPCG(11, 13))
	before := map[string][]string{}
	for _, q := range queries {
		ids, _ := h.read(t, rng, q)
		before[q] = only(ids)
	}
	require.Len(t, before["sort=name"], steadyHerd)

	var writers, readers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() { h.write(t, uint64(2*w)) })
	}
	for r := range 2 {
		readers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(r), 17))
			for _, i := range rng.Perm(len(queries)) {
				ids, pages := h.read(t, rng, queries[i])
				assert.Greater(t, pages, 1)
				assert.Equal(t, before[queries[i]], only(ids), queries[i])
			}
		})
	}
	readers.Wait()
	close(h.turns)
	writers.Wait()
}
