package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/nearest"
)

// maxPlaces bounds how many wrong places one answer names.
const maxPlaces = 50

// violation turns what kin-openapi says into the places of a contract_violation, without its texts: those name Go
// types and regular expressions, and may echo values.
func violation(err error) error {
	f := errContract
	for _, e := range flatten(err) {
		f = addPlace(f, e)
	}
	return f
}

func flatten(err error) []error {
	var many openapi3.MultiError
	if m, ok := err.(openapi3.MultiError); ok { //nolint:errorlint // only this level; wrapped ones belong to their wrapper
		many = m
	} else {
		return []error{err}
	}
	var all []error
	for _, e := range many {
		all = append(all, flatten(e)...)
	}
	return all
}

func addPlace(f *fault.Fault, err error) *fault.Fault {
	var re *openapi3filter.RequestError
	if !errors.As(err, &re) {
		return f
	}
	var own errJSON
	if errors.As(re.Err, &own) {
		return f.At(own.pointer, "bad_json", own.detail)
	}
	if re.Err == nil {
		switch {
		case re.Parameter != nil:
			return f.AtParameter(re.Parameter.Name, "required", fault.T("is required", "必填"))
		case re.RequestBody != nil:
			return f.At("", "required", fault.T("a body is required", "需要请求体"))
		}
		return f
	}
	if errors.Is(re.Err, openapi3filter.ErrInvalidRequired) {
		if re.Parameter != nil {
			return f.AtParameter(re.Parameter.Name, "required", fault.T("is required", "必填"))
		}
		return f.At("", "required", fault.T("a body is required", "需要请求体"))
	}
	if errors.Is(re.Err, openapi3filter.ErrInvalidEmptyValue) && re.Parameter != nil {
		return f.AtParameter(re.Parameter.Name, "empty", fault.T("must not be empty", "不能为空"))
	}
	for _, e := range flatten(re.Err) {
		if len(f.Fields) >= maxPlaces {
			return f
		}
		for _, se := range schemaErrors(e) {
			if re.Parameter != nil {
				code, detail, accepted := explain(se)
				f = f.AtParameter(re.Parameter.Name, code, detail, accepted...)
				continue
			}
			f = addMember(f, se)
		}
		var pe *openapi3filter.ParseError
		if errors.As(e, &pe) && re.Parameter != nil {
			f = f.AtParameter(re.Parameter.Name, "wrong_type", malformed(re.Parameter))
		}
	}
	return f
}

// addMember names the place of a body that breaks its schema.
func addMember(f *fault.Fault, se *openapi3.SchemaError) *fault.Fault {
	code, detail, accepted := explain(se)
	pointer := pointerOf(se.JSONPointer())
	if se.SchemaField == "properties" || se.SchemaField == "additionalProperties" {
		name := unknownMember(se)
		pointer += "/" + fault.Escape(name)
		code = "unknown_member"
		detail, accepted = unknownMemberText(se, name)
	}
	return f.At(pointer, code, detail, accepted...)
}

// schemaErrors unwraps what kin hides behind allOf, oneOf and anyOf.
func schemaErrors(err error) []*openapi3.SchemaError {
	var se *openapi3.SchemaError
	if !errors.As(err, &se) {
		return nil
	}
	if se.Origin != nil {
		var all []*openapi3.SchemaError
		for _, e := range flatten(se.Origin) {
			all = append(all, schemaErrors(e)...)
		}
		if len(all) > 0 {
			return all
		}
	}
	return []*openapi3.SchemaError{se}
}

func pointerOf(segments []string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteString("/" + fault.Escape(s))
	}
	return b.String()
}

// unknownMember is the first member of the object that its schema does not know: kin says it only in a sentence.
func unknownMember(se *openapi3.SchemaError) string {
	object, ok := se.Value.(map[string]any)
	if !ok {
		return ""
	}
	first := ""
	for name := range object {
		if _, known := se.Schema.Properties[name]; !known && (first == "" || name < first) {
			if quoted := strconv.Quote(name); strings.Contains(se.Reason, quoted) || first == "" {
				first = name
			}
		}
	}
	return first
}

// maxMembers bounds how many accepted members an answer lists.
const maxMembers = 30

func unknownMemberText(se *openapi3.SchemaError, name string) (detail fault.Text, accepted []string) {
	known := make([]string, 0, len(se.Schema.Properties))
	for k := range se.Schema.Properties {
		known = append(known, k)
	}
	if near := nearest.Of(name, known); near != "" {
		return fault.T("there is no such member; did you mean "+near+"?", "没有此成员；是否想用 "+near+"？"), nil
	}
	if len(known) == 0 || len(known) > maxMembers {
		return fault.T("there is no such member here", "此处没有该成员"), nil
	}
	slices.Sort(known)
	return fault.T("there is no such member here; there are "+strings.Join(known, ", "),
		"此处没有该成员；可用的有 "+strings.Join(known, "、")), known
}

// count is n things in plain English.
func count(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatUint(n, 10) + " " + many
}

// explain says in our own words what a value breaks.
func explain(se *openapi3.SchemaError) (code string, detail fault.Text, accepted []string) {
	s := se.Schema
	switch se.SchemaField {
	case "required":
		return "required", fault.T("is required", "必填"), nil
	case "type":
		types := ""
		if s.Type != nil {
			types = strings.Join(s.Type.Slice(), " or ")
		}
		return "wrong_type", fault.T("must be of type "+types, "类型必须为 "+types), nil
	case "nullable":
		return "not_null", fault.T("must not be null", "不能为 null"), nil
	case "enum":
		for _, v := range s.Enum {
			accepted = append(accepted, fmt.Sprint(v))
		}
		return "unknown_value", fault.T("must be one of "+strings.Join(accepted, ", "), "必须是其中之一："+strings.Join(accepted, "、")), accepted
	case "minLength":
		return "too_short", fault.T("must have at least "+count(s.MinLength, "character", "characters"), fmt.Sprintf("至少 %d 个字符", s.MinLength)), nil
	case "maxLength":
		return "too_long", fault.T("must have at most "+count(*s.MaxLength, "character", "characters"), fmt.Sprintf("最多 %d 个字符", *s.MaxLength)), nil
	case "minimum", "exclusiveMinimum":
		return "too_small", fault.T("must be at least "+number(s.Min), "不能小于 "+number(s.Min)), nil
	case "maximum", "exclusiveMaximum":
		return "too_large", fault.T("must be at most "+number(s.Max), "不能大于 "+number(s.Max)), nil
	case "minItems":
		return "too_few", fault.T("must have at least "+count(s.MinItems, "item", "items"), fmt.Sprintf("至少 %d 项", s.MinItems)), nil
	case "maxItems":
		return "too_many", fault.T("must have at most "+count(*s.MaxItems, "item", "items"), fmt.Sprintf("最多 %d 项", *s.MaxItems)), nil
	case "minProperties":
		return "too_few", fault.T("must have at least "+count(s.MinProps, "member", "members"), fmt.Sprintf("至少 %d 个成员", s.MinProps)), nil
	case "maxProperties":
		return "too_many", fault.T("must have at most "+count(*s.MaxProps, "member", "members"), fmt.Sprintf("最多 %d 个成员", *s.MaxProps)), nil
	case "pattern":
		if text, ok := patterns[s.Pattern]; ok {
			return "bad_format", text, nil
		}
		return "bad_format", fault.T("does not match "+s.Pattern, "不符合格式 "+s.Pattern), nil
	case "format":
		return format(s.Format)
	case "oneOf", "anyOf", "allOf", "not":
		return "no_match", fault.T("has none of the accepted forms", "不符合任何可接受的形式"), nil
	}
	return "invalid", fault.T("is not what the contract allows", "不符合接口约定"), nil
}

// patterns are the contract's patterns for people; a test knows them all.
var patterns = map[string]fault.Text{
	`^#[0-9a-fA-F]{6}$`: fault.T("must be a colour such as #1677ff", "应为颜色值，例如 #1677ff"),
	`^[A-Z]{2}$`:        fault.T("must be a country's two capital letters (ISO 3166-1), such as CN", "应为国家或地区的两位大写代码（ISO 3166-1），例如 CN"),
	`^[A-Z]{3}$`:        fault.T("must be a currency's three capital letters (ISO 4217), such as CNY", "应为三位大写货币代码（ISO 4217），例如 CNY"),
	`^[A-Za-z0-9][A-Za-z0-9._-]*$`: fault.T("must be of Latin letters, digits, dots, _ and -, the first a letter or digit, such as shop-1",
		"只能用拉丁字母、数字、点、_ 和 -，并以字母或数字开头，例如 shop-1"),
	`^[\p{L}\p{N}_][\p{L}\p{N}_-]*$`: fault.T("must be of letters, digits, _ and -, the first not -, such as vip-2026",
		"只能用文字、数字、_ 和 -，且不以 - 开头，例如 vip-2026"),
	`^[a-z0-9][a-z0-9_-]{0,62}$`: fault.T("must be of up to 63 lower-case Latin letters, digits, _ and -, the first a letter or digit, such as acme-cn",
		"最多 63 个小写拉丁字母、数字、_ 和 -，并以字母或数字开头，例如 acme-cn"),
	`^[a-z][a-z0-9_]{0,19}$`: key(20),
	`^[a-z][a-z0-9_]{0,62}$`: key(63),
	`^-?[0-9]{1,15}(\.[0-9]{1,4})?$`: fault.T("must be a decimal number in plain digits, with at most 15 digits before the point and 4 behind it, such as -12.5",
		"应为十进制数字，小数点前最多 15 位、后最多 4 位，例如 -12.5"),
	`^[0-9]{1,15}(\.[0-9]{1,4})?$`:  decimal(15, 4, "129.90"),
	`^[0-9]{1,12}(\.[0-9]{1,4})?$`:  decimal(12, 4, "129.90"),
	`^[0-9]{1,12}(\.[0-9]{1,12})?$`: decimal(12, 12, "7.1234"),
}

func key(most int) fault.Text {
	return fault.T(fmt.Sprintf("must be of up to %d lower-case Latin letters, digits and _, the first a letter, such as vip_2026", most),
		fmt.Sprintf("最多 %d 个小写拉丁字母、数字和 _，并以字母开头，例如 vip_2026", most))
}

func decimal(before, behind int, example string) fault.Text {
	return fault.T(fmt.Sprintf("must be a decimal number that is not negative, with at most %d digits before the point and %d behind it, such as %s", before, behind, example),
		fmt.Sprintf("应为非负的十进制数字，小数点前最多 %d 位、后最多 %d 位，例如 %s", before, behind, example))
}

func format(name string) (string, fault.Text, []string) {
	switch name {
	case "uuid":
		return "bad_uuid", fault.T("must be a UUID", "必须是 UUID"), nil
	case "date":
		return "bad_date", fault.T("must be a day that exists, as YYYY-MM-DD", "必须是真实存在的日期，格式 YYYY-MM-DD"), nil
	case "date-time":
		return "bad_time", fault.T("must be an RFC 3339 moment, such as 2026-02-14T08:30:00+08:00", "必须是 RFC 3339 时间，例如 2026-02-14T08:30:00+08:00"), nil
	}
	return "bad_format", fault.T("does not have the format "+name, "不符合格式 "+name), nil
}

// malformed is a parameter whose text is not of its type at all.
func malformed(p *openapi3.Parameter) fault.Text {
	t := "value"
	if p.Schema != nil && p.Schema.Value.Type != nil {
		t = strings.Join(p.Schema.Value.Type.Slice(), " or ")
	}
	return fault.T("must be of type "+t, "类型必须为 "+t)
}

func number(n *float64) string {
	if n == nil {
		return "?"
	}
	b, err := json.Marshal(*n)
	if err != nil {
		return "?"
	}
	return string(b)
}

func sizeText(n int64) string { return strconv.FormatInt(n, 10) + " bytes" }
