package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
	"github.com/labstack/echo/v4"
)

const (
	defaultBodyLimit = 1 << 20 // bytes
	defaultTimeout   = 30 * time.Second
)

// operation is what the contract says of one method on one path, worked out once at start.
type operation struct {
	id        string
	method    string
	path      string // as Echo spells it
	route     *routers.Route
	open      bool     // needs no token
	scopes    []string // all are needed
	query     map[string]bool
	booleans  map[string]bool // the query parameters that are true or false
	lists     map[string]bool // the query parameters that may be repeated
	names     []string        // of the query parameters, for suggestions
	media     []string        // of the body, lower case; nil takes none
	raw       bool            // the body is not JSON and is streamed to the handler
	bodyLimit int64
	timeout   time.Duration
	retryable bool // honours Idempotency-Key
	dryRuns   bool // honours validate_only
	itemwise  bool // a batch whose items are refused one by one
}

// operations finds the operation of a request that Echo has routed.
type operations map[string]*operation

func (o operations) of(c echo.Context) *operation {
	method := c.Request().Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	return o[method+" "+c.Path()]
}

var pathParameter = regexp.MustCompile(`\{([^}]+)\}`)

func readOperations(doc *openapi3.T) (operations, error) {
	all := operations{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			o, err := readOperation(doc, path, method, item, op)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", method, path, err)
			}
			all[method+" "+o.path] = o
		}
	}
	return all, nil
}

func readOperation(doc *openapi3.T, path, method string, item *openapi3.PathItem, op *openapi3.Operation) (*operation, error) {
	o := &operation{
		id: op.OperationID, method: method,
		path:  pathParameter.ReplaceAllString(path, ":$1"),
		route: &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: op},
		open:  op.Security != nil && len(*op.Security) == 0,
		query: map[string]bool{}, booleans: map[string]bool{}, lists: map[string]bool{}, bodyLimit: defaultBodyLimit, timeout: defaultTimeout,
	}
	if !o.open {
		if err := extension(op, "x-required-scopes", &o.scopes); err != nil {
			return nil, err
		}
		if o.scopes == nil {
			return nil, errors.New("neither open nor with x-required-scopes")
		}
	}
	var seconds int
	if err := errors.Join(extension(op, "x-body-limit", &o.bodyLimit), extension(op, "x-timeout-seconds", &seconds),
		extension(op, "x-item-outcomes", &o.itemwise)); err != nil {
		return nil, err
	}
	if seconds > 0 {
		o.timeout = time.Duration(seconds) * time.Second
	}
	for _, list := range []openapi3.Parameters{item.Parameters, op.Parameters} {
		for _, p := range list {
			switch {
			case p.Value.In == openapi3.ParameterInQuery:
				o.query[p.Value.Name] = true
				o.lists[p.Value.Name] = p.Value.Schema != nil && p.Value.Schema.Value.Type.Is("array") && (p.Value.Explode == nil || *p.Value.Explode)
				o.booleans[p.Value.Name] = p.Value.Schema != nil && p.Value.Schema.Value.Type.Is(openapi3.TypeBoolean)
				o.names = append(o.names, p.Value.Name)
				o.dryRuns = o.dryRuns || p.Value.Name == "validate_only"
			case p.Value.In == openapi3.ParameterInHeader && p.Value.Name == "Idempotency-Key":
				o.retryable = true
			}
		}
	}
	if op.RequestBody != nil {
		for media := range op.RequestBody.Value.Content {
			o.media = append(o.media, media)
			o.raw = o.raw || !strings.HasSuffix(media, "json")
		}
	}
	return o, nil
}

// extension reads an x- member of the operation into v; absent leaves v.
func extension(op *openapi3.Operation, name string, v any) error {
	raw, ok := op.Extensions[name]
	if !ok {
		return nil
	}
	b, err := json.Marshal(raw)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Scopes are all scopes that the contract names.
func Scopes() (map[string]bool, error) {
	doc, err := Document()
	if err != nil {
		return nil, err
	}
	ops, err := readOperations(doc)
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for _, op := range ops {
		for _, s := range op.scopes {
			all[s] = true
		}
	}
	return all, nil
}

// OrdinaryScopes are those that work within one tenant, sorted.
func OrdinaryScopes(all map[string]bool) []string {
	var list []string
	for s := range all {
		if s != "tenants:admin" {
			list = append(list, s)
		}
	}
	slices.Sort(list)
	return list
}
