package demo_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/app/apptest"
	"github.com/kezi-io/kezi/internal/auth"
	"github.com/kezi-io/kezi/internal/demo"
	"github.com/kezi-io/kezi/internal/postgrestest"
)

// document is what the test reads of the contract, as everybody gets it.
type document struct {
	Paths      map[string]map[string]json.RawMessage
	Components struct{ Parameters map[string]parameter }
}

type operation struct {
	OperationID string
	Parameters  []parameter
	Scopes      []string `json:"x-required-scopes"`
	RequestBody *struct {
		Content map[string]struct{ Example json.RawMessage }
	}
}

type parameter struct {
	Ref      string `json:"$ref"`
	In, Name string
	Required bool
	Example  string
}

func (d document) parameters(raw json.RawMessage) (list []parameter, err error) {
	if len(raw) > 0 {
		err = json.Unmarshal(raw, &list)
	}
	return d.resolved(list), err
}

func (d document) resolved(list []parameter) []parameter {
	for i, p := range list {
		if p.Ref != "" {
			list[i] = d.Components.Parameters[p.Ref[strings.LastIndex(p.Ref, "/")+1:]]
		}
	}
	return list
}

// Whoever presses "Try it out" and "Execute" on the demo tenant gets an answer that shows something.
//
// S0-61
func TestLargeExamplesWorkAsTheyStand(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t, postgrestest.Fresh(t))
	_, err := demoOf(s.App, func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }).Fill(t.Context())
	require.NoError(t, err)
	in, err := s.App.Tenants.ByName(t.Context(), demo.Tenant)
	require.NoError(t, err)
	writer := s.In(t, in)
	admin := *writer
	admin.Token = s.Sign(t, auth.Claims{Subject: "operator", Tenant: in.Name, Scopes: []string{"tenants:admin"}, TTL: time.Hour})

	var doc document
	writer.OK(t, "GET", "/openapi.json", nil, &doc)
	tried := 0
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		shared, err := doc.parameters(doc.Paths[path]["parameters"])
		require.NoError(t, err)
		for _, method := range []string{"GET", "POST", "PUT", "PATCH"} {
			raw, ok := doc.Paths[path][strings.ToLower(method)]
			if !ok {
				continue
			}
			var op operation
			require.NoError(t, json.Unmarshal(raw, &op))
			tried++
			t.Run(op.OperationID, func(t *testing.T) {
				caller := writer
				if slices.Contains(op.Scopes, "tenants:admin") {
					caller = &admin
				}
				try(t, caller, method, path, op, slices.Concat(shared, doc.resolved(op.Parameters)))
			})
		}
	}
	require.Greater(t, tried, 50)
	t.Run("AnotherTenantFindsNoneOfIt", func(t *testing.T) { othersFindNothing(t, s, doc) })
}

// othersFindNothing calls every operation that names something in its path with the demo tenant's ids and another
// tenant's token: there is no such thing there.
func othersFindNothing(t *testing.T, s *apptest.Server, doc document) {
	t.Helper()
	in, err := s.App.Tenants.ByName(t.Context(), demo.Second)
	require.NoError(t, err)
	stranger := s.In(t, in)
	tried := 0
	for path, item := range doc.Paths {
		shared, err := doc.parameters(item["parameters"])
		require.NoError(t, err)
		// A business key of one's own choice is nobody's secret: a PUT by it creates, in the caller's tenant.
		if len(shared) == 0 || strings.HasPrefix(path, "/v1/exchange-rates/") || strings.HasPrefix(path, "/v1/completeness-weights/") {
			continue
		}
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
			raw, ok := item[strings.ToLower(method)]
			if !ok || (method == "PUT" && (strings.Contains(path, "by-external-id") || strings.Contains(path, "by-sku"))) {
				continue
			}
			var op operation
			require.NoError(t, json.Unmarshal(raw, &op))
			target := withExamples(t, path, slices.Concat(shared, doc.resolved(op.Parameters)))
			var body any
			headers := []string{}
			if op.RequestBody != nil {
				for media, content := range op.RequestBody.Content {
					headers = []string{"Content-Type", media}
					if body = []byte(content.Example); len(content.Example) == 0 {
						body = []byte("who,day,cents\n")
					}
				}
			}
			a := stranger.Do(t, method, target, body, headers...)
			require.Equal(t, http.StatusNotFound, a.Status, "%s %s: %s", method, target, a.Body)
			tried++
		}
	}
	require.Greater(t, tried, 30)
}

func withExamples(t *testing.T, path string, parameters []parameter) string {
	t.Helper()
	query := url.Values{}
	for _, p := range parameters {
		if p.In == "path" {
			require.NotEmpty(t, p.Example, "%s has no example", p.Name)
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(p.Example))
		}
		if p.In == "query" && p.Required {
			require.NotEmpty(t, p.Example, "%s has no example", p.Name)
			query.Set(p.Name, p.Example)
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}

func try(t *testing.T, caller *apptest.Client, method, path string, op operation, parameters []parameter) {
	t.Helper()
	path = withExamples(t, path, parameters)
	dry := slices.ContainsFunc(parameters, func(p parameter) bool { return p.Name == "validate_only" })
	if method != http.MethodGet {
		var body any
		if op.RequestBody != nil {
			for media, content := range op.RequestBody.Content {
				if !strings.HasSuffix(media, "json") {
					return // a file: the console has no example to send
				}
				require.NotEmpty(t, content.Example, "no example")
				body = []byte(content.Example)
			}
		}
		if dry {
			path += "?validate_only=true"
		}
		caller.OK(t, method, path, body, nil)
		return
	}
	a := caller.Do(t, method, path, nil)
	require.Equal(t, http.StatusOK, a.Status, "%s: %s", path, a.Body)
	var answer map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(a.Body, &answer))
	require.NotEmpty(t, answer)
	if items, ok := answer["items"]; ok {
		require.Greater(t, len(items), len("[]"), "%s shows nothing", path)
	}
}
