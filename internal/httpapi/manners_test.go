package httpapi_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/app/apptest"
	"github.com/kezi-io/kezi/internal/auth"
	"github.com/kezi-io/kezi/internal/httpapi"
	"github.com/kezi-io/kezi/internal/postgrestest"
)

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, postgrestest.DB(t))
	body := object{"kind": "person", "name": "一次"}
	count := func(t *testing.T, c *apptest.Client) any {
		var list object
		c.OK(t, "GET", "/v1/customers?total=exact", nil, &list)
		return list["total"]
	}
	t.Run("FirstSuccessIsReplayed", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		first := c.OK(t, "POST", "/v1/customers", body, nil, "Idempotency-Key", `"k 1"`)
		again := c.OK(t, "POST", "/v1/customers", body, nil, "Idempotency-Key", "k 1")
		require.Empty(t, first.Header.Get("Idempotent-Replayed"))
		require.Equal(t, "true", again.Header.Get("Idempotent-Replayed"))
		require.Equal(t, first.Body, again.Body)
		require.Equal(t, first.Status, again.Status)
		require.Equal(t, first.Header.Get("ETag"), again.Header.Get("ETag"))
		require.Equal(t, first.Header.Get("Location"), again.Header.Get("Location"))
		require.InDelta(t, 1, count(t, c), 0)
		c.Refused(t, 422, "idempotency_key_reused", "POST", "/v1/customers", object{"kind": "person", "name": "另一个"}, "Idempotency-Key", "k 1")
		c.Refused(t, 400, "idempotency_key_invalid", "POST", "/v1/customers", body, "Idempotency-Key", "ü")
		other := s.In(t, c.Tenant)
		other.Token = s.Sign(t, auth.Claims{Subject: "someone else", Tenant: c.Tenant.Name, Scopes: []string{"customers:write"}, TTL: time.Hour})
		require.Empty(t, other.OK(t, "POST", "/v1/customers", body, nil, "Idempotency-Key", "k 1").Header.Get("Idempotent-Replayed"),
			"a key means something for one caller only")
	})
	t.Run("FailuresAreNotStored", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		c.Refused(t, 422, "invalid", "POST", "/v1/customers", object{"kind": "person", "name": " "}, "Idempotency-Key", "k")
		c.OK(t, "POST", "/v1/customers", body, nil, "Idempotency-Key", "k")
	})
	t.Run("HundredAtOnceMakeOne", func(t *testing.T) {
		t.Parallel()
		c := s.Client(t)
		answers := make([]apptest.Answer, 100)
		var group sync.WaitGroup
		for i := range answers {
			group.Go(func() { answers[i] = c.Do(t, "POST", "/v1/customers", body, "Idempotency-Key", "burst") })
		}
		group.Wait()
		for _, a := range answers {
			require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
			require.Equal(t, answers[0].Body, a.Body)
		}
		require.InDelta(t, 1, count(t, c), 0)
	})
}

func TestValidateOnlyChangesNothing(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, postgrestest.DB(t))
	c := s.Client(t)
	var would object
	a := c.OK(t, "POST", "/v1/customers?validate_only=true", object{"kind": "person", "name": "试"}, &would)
	require.Equal(t, http.StatusCreated, a.Status)
	c.Refused(t, 404, "customer_not_found", "GET", "/v1/customers/"+would["id"].(string), nil)
	c.Refused(t, 422, "invalid", "POST", "/v1/customers?validate_only=true", object{"kind": "person", "name": " "})
	var feed struct{ Items []object }
	require.NoError(t, s.App.Tidy(t.Context()))
	c.OK(t, "GET", "/v1/events", nil, &feed)
	require.Empty(t, feed.Items)
}

// Every operation of the document, called without a token, with one that lacks the scope, and with an id that
// belongs to another tenant.
func TestEveryOperationIsGuarded(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, postgrestest.DB(t))
	c := s.Client(t)
	nobody := &apptest.Client{}
	*nobody = *c
	nobody.Token = ""
	scopeless := s.In(t, c.Tenant, "nothing:at-all")
	doc, err := httpapi.Document()
	require.NoError(t, err)
	path := strings.NewReplacer("{customer_id}", "01890a5d-ac96-774b-bcce-b30209900001", "{source}", "s", "{external_id}", "x",
		"{transaction_id}", "01890a5d-ac96-774b-bcce-b30209900002", "{change_set_id}", "01890a5d-ac96-774b-bcce-b30209900003",
		"{job_id}", "01890a5d-ac96-774b-bcce-b30209900004", "{group_id}", "01890a5d-ac96-774b-bcce-b30209900005",
		"{tag_id}", "01890a5d-ac96-774b-bcce-b30209900006", "{scheme_key}", "none", "{model_key}", "none", "{segment_key}", "none",
		"{run_id}", "01890a5d-ac96-774b-bcce-b30209900007", "{import_id}", "01890a5d-ac96-774b-bcce-b30209900008",
		"{contact_id}", "01890a5d-ac96-774b-bcce-b30209900021", "{relation_id}", "01890a5d-ac96-774b-bcce-b30209900022",
		"{note_id}", "01890a5d-ac96-774b-bcce-b30209900023", "{contact_point_id}", "01890a5d-ac96-774b-bcce-b30209900031",
		"{address_id}", "01890a5d-ac96-774b-bcce-b30209900032",
		"{currency}", "USD", "{day}", "2026-01-01", "{payment_id}", "01890a5d-ac96-774b-bcce-b30209900009",
		"{return_id}", "01890a5d-ac96-774b-bcce-b3020990000a", "{product_id}", "01890a5d-ac96-774b-bcce-b3020990000b",
		"{related_id}", "01890a5d-ac96-774b-bcce-b3020990000c", "{relation_kind}", "similar", "{sku}", "x",
		"{field_definition_id}", "01890a5d-ac96-774b-bcce-b3020990000d", "{validation_rule_id}", "01890a5d-ac96-774b-bcce-b3020990000e",
		"{rule_id}", "01890a5d-ac96-774b-bcce-b3020990000e", "{kind}", "person")
	checked := 0
	for spelled, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.Security != nil {
				continue
			}
			checked++
			target := path.Replace(spelled)
			require.NotContains(t, target, "{", "the test does not know this parameter")
			p := nobody.Refused(t, 401, "token_missing", method, target, nil)
			require.NotEmpty(t, p.Detail)
			if len(op.Extensions["x-required-scopes"].([]any)) > 0 {
				p = scopeless.Refused(t, 403, "scope_missing", method, target, nil)
				require.Contains(t, p.Detail, op.Extensions["x-required-scopes"].([]any)[0])
			}
			require.NotEmpty(t, op.Summary, op.OperationID)
			require.NotEmpty(t, op.Description, op.OperationID)
		}
	}
	require.Greater(t, checked, 50)
}

func TestTokens(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, postgrestest.DB(t))
	c := s.Client(t)
	stranger := &apptest.Client{}
	*stranger = *c
	stranger.Token = s.Sign(t, auth.Claims{Subject: "x", Tenant: "no-such-tenant", Scopes: []string{"customers:read"}, TTL: time.Hour})
	stranger.Refused(t, 403, "tenant_unknown", "GET", "/v1/customers", nil)
	stranger.Token = "garbage"
	a := stranger.Do(t, "GET", "/v1/customers", nil)
	require.Equal(t, 401, a.Status)
	require.Contains(t, a.Header.Get("WWW-Authenticate"), `error="invalid_token"`)
}

func TestProblemsSpeakChineseAndHavePages(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, postgrestest.DB(t))
	c := s.Client(t)
	a := c.Do(t, "GET", "/v1/customers/01890a5d-ac96-774b-bcce-b30209900001", nil, "Accept-Language", "zh-CN,zh;q=0.9", "X-Request-Id", "my-id")
	var p struct {
		Type, Detail string
		RequestID    string `json:"request_id"`
	}
	require.NoError(t, json.Unmarshal(a.Body, &p))
	require.Equal(t, "没有这个客户", p.Detail)
	require.Equal(t, "my-id", p.RequestID)
	require.Equal(t, "my-id", a.Header.Get("X-Request-Id"))
	const of = "0af7651916cd43dd8448eb211c80319c"
	require.Equal(t, of, c.OK(t, "GET", "/healthz", nil, nil, "traceparent", "00-"+of+"-b7ad6b7169203331-01").Header.Get("X-Request-Id"))
	senseless := c.OK(t, "GET", "/healthz", nil, nil, "traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01")
	require.NoError(t, uuid.Validate(senseless.Header.Get("X-Request-Id")))
	page := c.OK(t, "GET", p.Type, nil, nil)
	require.Contains(t, string(page.Body), "customer_not_found")
	c.OK(t, "GET", "/problems", nil, nil)
	c.OK(t, "GET", "/openapi.json", nil, nil)
	c.OK(t, "GET", "/healthz", nil, nil)
	c.OK(t, "GET", "/readyz", nil, nil)
}

func TestFeedNumbersWithoutGapInEachCustomersOrder(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, postgrestest.DB(t))
	c := s.Client(t)
	const customers, writes = 8, 10
	var group sync.WaitGroup
	for i := range customers {
		group.Go(func() {
			var made object
			c.OK(t, "POST", "/v1/customers", object{"kind": "person", "name": "n"}, &made)
			for j := range writes {
				c.OK(t, "PATCH", "/v1/customers/"+made["id"].(string), object{"city": strings.Repeat("城", i+j+1)}, nil)
			}
		})
	}
	// Read along while they write: nothing may appear below a number already seen.
	last, versions := 0.0, map[string]float64{}
	deadline := time.Now().Add(20 * time.Second)
	for n := 0; n < customers*(writes+1); {
		require.True(t, time.Now().Before(deadline), "only %d events", n)
		var feed struct{ Items []object }
		c.OK(t, "GET", "/v1/events?limit=7&after="+strings.TrimSuffix(jsonNumber(last), ".0"), nil, &feed)
		for _, e := range feed.Items {
			require.InDelta(t, last+1, e["seq"], 0)
			last = e["seq"].(float64)
			id := e["customer_id"].(string)
			require.InDelta(t, versions[id]+1, e["customer_version"], 0)
			versions[id] = e["customer_version"].(float64)
			n++
		}
	}
	group.Wait()
}

func jsonNumber(f float64) string {
	b, _ := json.Marshal(f)
	return string(b)
}
