package filter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/kezi-io/kezi/internal/fault"
)

// MarshalJSON implements json.Marshaler.
func (a And) MarshalJSON() ([]byte, error) { return json.Marshal(map[string][]Node{"and": a}) }

// MarshalJSON implements json.Marshaler.
func (o Or) MarshalJSON() ([]byte, error) { return json.Marshal(map[string][]Node{"or": o}) }

// MarshalJSON implements json.Marshaler.
func (n Not) MarshalJSON() ([]byte, error) { return json.Marshal(map[string]Node{"not": n.Node}) }

// MarshalJSON implements json.Marshaler.
func (l Leaf) MarshalJSON() ([]byte, error) {
	out := struct {
		Field    string   `json:"field,omitempty"`
		Function Function `json:"function,omitempty"`
		Of       string   `json:"of,omitempty"`
		Window   string   `json:"window,omitempty"`
		Where    Node     `json:"where,omitempty"`
		Op       Op       `json:"op"`
		Value    *Value   `json:"value,omitempty"`
		Values   []Value  `json:"values,omitempty"`
	}{Field: l.Field, Op: l.Op}
	if f := l.Fact; f != nil {
		out.Function, out.Of, out.Window, out.Where = f.Function, f.Of, f.Window, f.Where
	}
	switch {
	case l.Op.list():
		out.Values = l.Values
	case len(l.Values) > 0:
		out.Value = &l.Values[0]
	}
	return json.Marshal(out)
}

// MarshalJSON implements json.Marshaler.
func (v Value) MarshalJSON() ([]byte, error) {
	switch v.Kind {
	case KindNumber:
		return json.Marshal(json.Number(v.Text))
	case KindBool:
		return json.Marshal(v.Text == "true")
	}
	return json.Marshal(v.Text)
}

// ParseJSON reads the JSON form. Fails with ErrSyntax, ErrLimit or ErrValue, whose places are JSON pointers.
func ParseJSON(raw []byte) (Node, error) {
	n, _, err := parseJSON(raw)
	return n, err
}

func parseJSON(raw []byte) (Node, locator, error) {
	var d decoder
	if !utf8.Valid(raw) || !json.Valid(raw) {
		d.wrong("", "expected JSON in UTF-8", "应为 UTF-8 编码的 JSON")
		return nil, nil, d.err()
	}
	n := d.node(raw, "", 0)
	if err := d.err(); err != nil {
		return nil, nil, err
	}
	if err := check(n, d.locate); err != nil {
		return nil, nil, err
	}
	return n, d.locate, nil
}

// decoder reads JSON that is known to be valid.
type decoder struct {
	problems
	leaves []string // pointer of each leaf
}

func (d *decoder) locate(at place) (string, int) {
	if at.leaf >= len(d.leaves) {
		return at.path + at.suffix(), 0
	}
	return d.leaves[at.leaf] + at.suffix(), 0
}

func (d *decoder) wrong(pointer, en, zh string, accepted ...string) {
	d.add(ErrSyntax, pointer, 0, fault.T(en, zh), accepted...)
}

func (d *decoder) tooMuch(pointer, en, zh string) {
	d.add(ErrLimit, pointer, 0, fault.T(en, zh))
}

// member is one member of an object.
type member struct {
	name string
	raw  json.RawMessage
}

var nodeMembers = []string{"and", "or", "not", "field", "function", "of", "window", "where", "op", "value", "values"}

// members reads an object, and refuses members that are unknown or stand twice.
func (d *decoder) members(raw json.RawMessage, pointer string) (map[string]json.RawMessage, bool) {
	if raw[0] != '{' {
		d.wrong(pointer, "expected an object with and, or, not, or field and op", "应为含 and、or、not 或 field 与 op 的对象")
		return nil, false
	}
	found := map[string]json.RawMessage{}
	ok := true
	for _, m := range object(raw) {
		at := pointer + "/" + fault.Escape(m.name)
		switch _, twice := found[m.name]; {
		case !slices.Contains(nodeMembers, m.name):
			d.wrong(at, "unknown member", "未知成员", nodeMembers...)
			ok = false
		case twice:
			d.wrong(at, "this member stands twice", "成员重复")
			ok = false
		}
		found[m.name] = m.raw
	}
	return found, ok
}

func object(raw json.RawMessage) []member {
	dec := json.NewDecoder(bytes.NewReader(raw))
	_, _ = dec.Token()
	var all []member
	for dec.More() {
		name, _ := dec.Token()
		var m member
		m.name, _ = name.(string)
		if dec.Decode(&m.raw) != nil {
			break
		}
		all = append(all, m)
	}
	return all
}

// node answers nil when it recorded a problem.
func (d *decoder) node(raw json.RawMessage, pointer string, depth int) Node {
	raw = bytes.TrimSpace(raw)
	found, ok := d.members(raw, pointer)
	if !ok {
		return nil
	}
	var kind string
	for _, k := range []string{"and", "or", "not", "field", "function"} {
		if _, has := found[k]; has && kind == "" {
			kind = k
		}
	}
	if kind == "field" || kind == "function" {
		return d.leaf(found, pointer, depth)
	}
	if kind == "" || len(found) > 1 {
		d.wrong(pointer, "expected either and, or, not, or field with op", "应为 and、or、not 之一，或 field 与 op")
		return nil
	}
	if depth == MaxDepth {
		d.tooMuch(pointer, fmt.Sprintf("nested deeper than %d levels", MaxDepth), fmt.Sprintf("嵌套超过 %d 层", MaxDepth))
		return nil
	}
	pointer += "/" + kind
	if kind == "not" {
		return Not{d.node(found[kind], pointer, depth+1)}
	}
	return d.nodes(found[kind], pointer, depth+1, kind == "and")
}

func (d *decoder) nodes(raw json.RawMessage, pointer string, depth int, and bool) Node {
	var items []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &items) != nil || len(items) == 0 {
		d.wrong(pointer, "expected an array of one or more conditions", "应为至少含一个条件的数组")
		return nil
	}
	nodes := make([]Node, 0, len(items))
	for i, item := range items {
		if len(d.leaves) > MaxLeaves || len(d.fields) == maxProblems {
			break
		}
		nodes = append(nodes, d.node(item, fmt.Sprintf("%s/%d", pointer, i), depth))
	}
	switch {
	case len(nodes) == 1:
		return nodes[0]
	case and:
		return And(nodes)
	}
	return Or(nodes)
}

func (d *decoder) leaf(found map[string]json.RawMessage, pointer string, depth int) Node {
	d.leaves = append(d.leaves, pointer)
	l := Leaf{}
	for name := range found {
		if name == "and" || name == "or" || name == "not" {
			d.wrong(pointer, "expected either and, or, not, or field with op", "应为 and、or、not 之一，或 field 与 op")
			return nil
		}
	}
	if found["function"] != nil {
		if l.Fact = d.fact(found, pointer, depth); l.Fact == nil {
			return nil
		}
	} else if !d.subject(found, pointer, &l.Field) {
		return nil
	}
	if raw := found["op"]; raw == nil || raw[0] != '"' || json.Unmarshal(raw, &l.Op) != nil || !slices.Contains(ops, l.Op) {
		d.wrong(pointer+"/op", "expected an operator", "应为运算符", each(ops)...)
		return nil
	}
	value, one := found["value"]
	values, many := found["values"]
	null := one && string(value) == "null"
	switch {
	case l.Op.list() && (one || !many):
		d.wrong(pointer, "in and not_in take an array in values", "in 和 not_in 的值写在数组 values 中")
		return nil
	case l.Op.list():
		return d.list(l, values, pointer+"/values")
	case many:
		d.wrong(pointer+"/values", "values is for in and not_in; this operator takes value", "values 仅用于 in 和 not_in；该运算符使用 value")
		return nil
	case l.Op.null() && (!one || null):
		return l
	case l.Op.null():
		d.wrong(pointer+"/value", "is_null and is_not_null take no value", "is_null 和 is_not_null 不带值")
		return nil
	case !one:
		d.wrong(pointer+"/value", "a value is missing", "缺少值")
		return nil
	case null && l.Op == Eq:
		l.Op = IsNull
		return l
	case null && l.Op == Ne:
		l.Op = IsNotNull
		return l
	}
	v, ok := d.value(value, pointer+"/value")
	if !ok {
		return nil
	}
	l.Values = []Value{v}
	return l
}

// subject reads the name of a field.
func (d *decoder) subject(found map[string]json.RawMessage, pointer string, name *string) bool {
	for _, of := range []string{"of", "window", "where"} {
		if found[of] != nil {
			d.wrong(pointer+"/"+of, "this belongs to a function, not to a field", "仅用于 function，不用于 field")
			return false
		}
	}
	return d.text(found["field"], name, pointer+"/field", "expected the name of a field in quotes", "应为带引号的字段名")
}

func (d *decoder) text(raw json.RawMessage, to *string, pointer, en, zh string) bool {
	if raw == nil || raw[0] != '"' || json.Unmarshal(raw, to) != nil {
		d.wrong(pointer, en, zh)
		return false
	}
	return true
}

// fact answers nil when it recorded a problem.
func (d *decoder) fact(found map[string]json.RawMessage, pointer string, depth int) *Fact {
	var f Fact
	var function string
	if !d.text(found["function"], &function, pointer+"/function", "expected the name of a function", "应为函数名") ||
		!d.text(found["of"], &f.Of, pointer+"/of", "expected what the function is made of, such as transactions.amount", "应为函数的对象，例如 transactions.amount") {
		return nil
	}
	f.Function = Function(function)
	if found["field"] != nil {
		d.wrong(pointer, "expected either field or function", "field 与 function 只能有一个")
		return nil
	}
	if raw := found["window"]; raw != nil {
		if !d.text(raw, &f.Window, pointer+"/window", "expected a window such as 90d", "应为时间窗口，例如 90d") {
			return nil
		}
		if f.Window == allTime {
			f.Window = ""
		}
	}
	if raw := found["where"]; raw != nil {
		if depth == MaxDepth {
			d.tooMuch(pointer, fmt.Sprintf("nested deeper than %d levels", MaxDepth), fmt.Sprintf("嵌套超过 %d 层", MaxDepth))
			return nil
		}
		if f.Where = d.node(raw, pointer+"/where", depth+1); f.Where == nil {
			return nil
		}
	}
	return &f
}

func (d *decoder) list(l Leaf, raw json.RawMessage, pointer string) Node {
	var items []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &items) != nil || len(items) == 0 {
		d.wrong(pointer, "expected an array of one or more values", "应为至少含一个值的数组")
		return nil
	}
	if len(items) > MaxValues {
		d.tooMuch(pointer, fmt.Sprintf("more than %d values", MaxValues), fmt.Sprintf("值超过 %d 个", MaxValues))
		return nil
	}
	for i, item := range items {
		v, ok := d.value(item, fmt.Sprintf("%s/%d", pointer, i))
		if !ok {
			return nil
		}
		l.Values = append(l.Values, v)
	}
	return l
}

func (d *decoder) value(raw json.RawMessage, pointer string) (Value, bool) {
	switch raw[0] {
	case '"':
		var s string
		if json.Unmarshal(raw, &s) == nil {
			return String(s), true
		}
	case 't', 'f':
		return Bool(raw[0] == 't'), true
	case '{', '[', 'n':
	default:
		return Number(string(raw)), true
	}
	d.wrong(pointer, "expected text, a number, true or false", "应为文本、数字、true 或 false")
	return Value{}, false
}

func each(names []Op) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = string(n)
	}
	return out
}
