// Command bundle merges the fragments in api/parts into api/openapi.yaml.
//
// It fails on a path, operation or component that is defined twice. To each operation it adds what all of its kind
// share, so that none can forget it: the problem answers, Idempotency-Key and validate_only on writes, ETag,
// If-None-Match and 304 where x-etag is set, and Location on 201 unless x-no-location says that there is none.
package main

import (
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: bundle PARTS_FOLDER OUTPUT_FILE")
	}
	if err := bundle(os.Args[1], os.Args[2]); err != nil {
		log.Fatal("bundle: ", err)
	}
}

func bundle(folder, output string) error {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(files) == 0 {
		return errors.Join(err, fmt.Errorf("no fragments in %s", folder))
	}
	common := filepath.Join(folder, "common.yaml")
	doc, err := read(common)
	if err != nil {
		return err
	}
	for _, file := range files {
		if file == common {
			continue
		}
		part, err := read(file)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := merge(doc, part, 0); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	if err := complete(doc); err != nil {
		return err
	}
	get(doc, "paths").Style = 0 // one path a line, not the flow style of the empty one in common.yaml
	var out strings.Builder
	out.WriteString("# Made from api/parts by `make generate`; edit those.\n")
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(doc); err != nil {
		return err
	}
	return os.WriteFile(output, []byte(out.String()), 0o644) //nolint:gosec // a public document
}

func read(file string) (*yaml.Node, error) {
	b, err := os.ReadFile(file) //nolint:gosec // the fragment that the build names
	if err != nil {
		return nil, err
	}
	var n yaml.Node
	if err := yaml.Unmarshal(b, &n); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return n.Content[0], noNulls(n.Content[0])
}

// noNulls refuses a key without a value: in a flow mapping an unquoted comma in a description makes one.
func noNulls(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return fmt.Errorf("line %d: a key without a value: quote the text that has a comma", n.Line)
	}
	for _, c := range n.Content {
		if err := noNulls(c); err != nil {
			return err
		}
	}
	return nil
}

// mergeDepth is how deep maps are joined: paths/<path>/<method> and components/<section>/<name>. Below that a key
// that is there already is a duplicate.
const mergeDepth = 2

func merge(into, from *yaml.Node, depth int) error {
	for i := 0; i < len(from.Content); i += 2 {
		key, value := from.Content[i], from.Content[i+1]
		old := get(into, key.Value)
		switch {
		case old == nil:
			into.Content = append(into.Content, key, value)
		case depth < mergeDepth && old.Kind == yaml.MappingNode && value.Kind == yaml.MappingNode:
			if err := merge(old, value, depth+1); err != nil {
				return fmt.Errorf("%s: %w", key.Value, err)
			}
		default:
			return fmt.Errorf("line %d: %q is defined already", key.Line, key.Value)
		}
	}
	return nil
}

func get(m *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	return nil
}

func set(m *yaml.Node, key string, value *yaml.Node) {
	m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, value)
}

// child is m's mapping or sequence of that name, made when missing.
func child(m *yaml.Node, key string, kind yaml.Kind) *yaml.Node {
	if n := get(m, key); n != nil {
		return n
	}
	n := &yaml.Node{Kind: kind}
	set(m, key, n)
	return n
}

func ref(to string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
	set(n, "$ref", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "#/components/" + to, Style: yaml.SingleQuotedStyle})
	return n
}

var methods = []string{"get", "put", "post", "patch", "delete"}

func complete(doc *yaml.Node) error {
	seen := map[string]string{}
	paths := get(doc, "paths")
	for i := 0; i < len(paths.Content); i += 2 {
		path, item := paths.Content[i].Value, paths.Content[i+1]
		for _, method := range methods {
			op := get(item, method)
			if op == nil {
				continue
			}
			id := get(op, "operationId")
			if id == nil {
				return fmt.Errorf("%s %s has no operationId", method, path)
			}
			if other, twice := seen[id.Value]; twice {
				return fmt.Errorf("operationId %s is both %s and %s %s", id.Value, other, method, path)
			}
			seen[id.Value] = method + " " + path
			if err := completeOperation(op, path, method); err != nil {
				return fmt.Errorf("%s: %w", id.Value, err)
			}
		}
	}
	return nil
}

func completeOperation(op *yaml.Node, path, method string) error {
	if !strings.HasPrefix(path, "/v1/") {
		return nil
	}
	if get(op, "x-required-scopes") == nil {
		return errors.New("x-required-scopes is missing")
	}
	flag := func(name string) bool { n := get(op, name); return n != nil && n.Value == "true" }
	hasBody := get(op, "requestBody") != nil
	writes := method != "get" && !flag("x-read-only")
	etag := flag("x-etag")

	var params []string
	if writes && (method == "post" || method == "patch") {
		params = append(params, "IdempotencyKey")
	}
	if writes && !flag("x-no-validate-only") {
		params = append(params, "ValidateOnly")
	}
	if etag && method == "get" {
		params = append(params, "IfNoneMatch")
	}
	if len(params) > 0 {
		list := child(op, "parameters", yaml.SequenceNode)
		for _, p := range params {
			list.Content = append(list.Content, ref("parameters/"+p))
		}
	}

	responses := get(op, "responses")
	for i := 0; i < len(responses.Content); i += 2 {
		status, answer := responses.Content[i].Value, responses.Content[i+1]
		if etag && strings.HasPrefix(status, "2") {
			headers := child(answer, "headers", yaml.MappingNode)
			set(headers, "ETag", ref("headers/ETag"))
			if status == "201" && !flag("x-no-location") {
				set(headers, "Location", ref("headers/Location"))
			}
		}
	}
	if etag && method == "get" {
		set(responses, "304", ref("responses/NotModified"))
	}
	statuses := []int{400, 401, 403, 503}
	if hasBody {
		statuses = append(statuses, 408, 413, 415)
	}
	if writes && (method == "post" || method == "patch") {
		statuses = append(statuses, 409, 422) // an Idempotency-Key in use, or used for another payload
	}
	if extra := get(op, "x-problem-statuses"); extra != nil {
		for _, n := range extra.Content {
			s, err := strconv.Atoi(n.Value)
			if err != nil {
				return fmt.Errorf("x-problem-statuses: %w", err)
			}
			statuses = append(statuses, s)
		}
	}
	slices.Sort(statuses)
	for _, s := range slices.Compact(statuses) {
		set(responses, strconv.Itoa(s), ref("responses/P"+strconv.Itoa(s)))
	}
	return nil
}
