// Package quality keeps records right: a tenant's rules, which block or warn when a customer is written, and reports of
// what is missing, wrong or old.
package quality

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/attribute"
	"github.com/kezi-io/kezi/internal/completeness"
	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/nearest"
	"github.com/kezi-io/kezi/internal/patch"
)

var (
	ErrNotFound  = fault.New(fault.NotFound, "validation_rule_not_found", "no such validation rule", "没有这条校验规则")
	ErrNameTaken = fault.New(fault.Conflict, "validation_rule_name_taken", "another validation rule already has this name", "该名称已被另一条校验规则使用")
	ErrTooMany   = fault.New(fault.Conflict, "validation_rule_limit", "there are 200 validation rules already; delete some first",
		"校验规则已达上限 200 条；请先删除一些")
)

// MaxRules is how many rules a tenant may have: each is asked on every write.
const MaxRules = 200

// RuleKind is what a rule demands.
type RuleKind string

// The kinds.
const (
	Required  RuleKind = "required"  // the field has a value
	Pattern   RuleKind = "pattern"   // the field's text, where there is one, is what a regular expression describes
	Condition RuleKind = "condition" // a condition holds
)

// Severity is what becomes of a write that breaks a rule.
type Severity string

// The severities.
const (
	Block Severity = "block" // it is refused
	Warn  Severity = "warn"  // its answer says so
)

// Rule is what customers must fulfil when they are written.
type Rule struct {
	ID        uuid.UUID // UUIDv7; unique within its tenant
	Version   int64     // raised by each change of the fields below
	AppliesTo attribute.AppliesTo
	Name      string
	Kind      RuleKind
	Field     string      // of required and pattern
	Pattern   string      // RE2, of the whole text
	Condition filter.Node // nil but for condition
	Severity  Severity
	Message   fault.Text // what people are told; empty in both languages says it in words of its own
	Active    bool
	Position  int // among the rules, ascending
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Draft is what a caller says of a new rule. Condition is the JSON form of a filter.
type Draft struct {
	AppliesTo      attribute.AppliesTo
	Name           string
	Kind           RuleKind
	Field, Pattern string
	Condition      json.RawMessage
	Severity       Severity
	Message        fault.Text
	Inactive       bool
	Position       int
}

// Change is a merge patch of a rule.
type Change struct {
	AppliesTo *attribute.AppliesTo
	Name      *string
	Kind      *RuleKind
	Field     patch.Field[string]
	Pattern   patch.Field[string]
	Condition patch.Field[json.RawMessage]
	Severity  *Severity
	Message   *fault.Text
	Active    *bool
	Position  *int
}

func (c Change) apply(to *Rule) (condition json.RawMessage) {
	patch.Keep(&to.AppliesTo, c.AppliesTo)
	patch.Keep(&to.Name, c.Name)
	patch.Keep(&to.Kind, c.Kind)
	c.Field.Into(&to.Field)
	c.Pattern.Into(&to.Pattern)
	patch.Keep(&to.Severity, c.Severity)
	patch.Keep(&to.Message, c.Message)
	patch.Keep(&to.Active, c.Active)
	patch.Keep(&to.Position, c.Position)
	if to.Condition != nil {
		condition, _ = json.Marshal(to.Condition) // a node that was read always marshals
	}
	c.Condition.Into(&condition)
	return condition
}

func (r Rule) document() map[string]any {
	return map[string]any{"applies_to": r.AppliesTo, "name": r.Name, "kind": r.Kind, "field": r.Field, "pattern": r.Pattern,
		"condition": r.Condition, "severity": r.Severity, "message": r.Message, "active": r.Active, "position": r.Position}
}

// covers reports whether customers of that kind must fulfil the rule.
func (r Rule) covers(kind string) bool {
	return r.AppliesTo == attribute.Customers || string(r.AppliesTo) == kind
}

// check makes sure that the rule can be asked in the language, and reads its condition.
func (r *Rule) check(l condition.Language, raw json.RawMessage) error {
	var v fault.Validator
	r.Name = strings.TrimSpace(r.Name)
	v.Check(r.Name != "", "/name", "required", fault.T("a name is needed", "必须有名称"))
	needed := func(ok, given bool, member string) {
		v.Check(ok || !given, member, "not_allowed", fault.T("a rule of this kind has none", "此类规则没有该成员"))
		v.Check(!ok || given, member, "required", fault.T("a rule of this kind needs it", "此类规则必须有该成员"))
	}
	needed(r.Kind != Condition, r.Field != "", "/field")
	needed(r.Kind == Pattern, r.Pattern != "", "/pattern")
	needed(r.Kind == Condition, len(raw) > 0, "/condition")
	if err := v.Err(); err != nil {
		return err
	}
	r.Condition = nil
	switch r.Kind {
	case Condition:
		n, _, err := l.Catalogue.CompileJSON(raw, l.Env)
		if f := fault.Of(err); f != nil {
			return f.Below("/condition")
		}
		if err != nil {
			return err
		}
		r.Condition = n
	case Pattern:
		f, known := l.Catalogue.Field(r.Field)
		_, err := regexp.Compile(anchored(r.Pattern))
		v.Check(err == nil && utf8.RuneCountInString(r.Pattern) <= attribute.MaxPattern, "/pattern", "bad_pattern",
			fault.T("not a regular expression in the syntax of RE2, such as [A-Z]{2}[0-9]+", "不是 RE2 语法的正则表达式，例如 [A-Z]{2}[0-9]+"))
		if known {
			v.Check(f.Type == filter.TypeText && f.Exists.IsZero(), "/field", "not_text", fault.T("only a text has a pattern", "只有文本字段可以使用正则"))
		} else {
			unknownField(&v, "/field", r.Field, l.Catalogue.Names())
		}
	default:
		if _, known := present(l, r.Field); !known {
			unknownField(&v, "/field", r.Field, append(completeness.Names(), l.Catalogue.Names()...))
		}
		kind := l.KindOf(r.Field)
		if f, ok := completeness.Find(r.Field); ok && f.Kind != "" {
			kind = f.Kind
		}
		v.Check(kind == "" || string(r.AppliesTo) == kind || !r.Active, "/applies_to", "never_fulfilled", fault.T(
			"only a "+kind+" has "+r.Field+", so that nobody else could be written any more", "只有"+kinds[kind]+"客户才有 "+r.Field+"，其他客户将无法保存"), kind)
	}
	return v.Err()
}

// kinds are what people call the kinds of customers.
var kinds = map[string]string{"person": "个人", "company": "企业"}

func unknownField(v *fault.Validator, pointer, name string, known []string) {
	if guess := nearest.Of(name, known); guess != "" {
		v.Check(false, pointer, "unknown_field", fault.T("there is no such field; the nearest is "+guess, "没有这个字段，最接近的是 "+guess), guess)
		return
	}
	v.Check(false, pointer, "unknown_field", fault.T("there is no such field that may be absent", "没有这个可为空的字段"))
}

// present is whether a customer has a value in the field of that name.
func present(l condition.Language, name string) (filter.Expr, bool) {
	f, known := l.Catalogue.Field(name)
	if known && f.Nullable {
		if e, err := l.Catalogue.Compile(filter.Leaf{Field: name, Op: filter.IsNotNull}, l.Env); err == nil {
			return e, true
		}
	}
	if c, ok := completeness.Find(name); ok && !strings.HasPrefix(name, "attributes.") {
		return c.Present(), true
	}
	return filter.Expr{}, false
}

// Fields are what the rule reads.
func (r Rule) Fields() []string {
	if r.Condition != nil {
		return r.Condition.Fields()
	}
	return []string{r.Field}
}

// ofTheRest reports whether the rule reads what does not stand in the customer's own row, such as contact points: it is
// asked when everything is written.
func (r Rule) ofTheRest() bool {
	return slices.ContainsFunc(r.Fields(), func(name string) bool {
		head, _, _ := strings.Cut(name, ".")
		return slices.Contains([]string{"contact_points", "addresses", "contacts", "external_ids", "tags", "tiers", "scores"}, head) ||
			condition.NeedsMetrics(filter.Leaf{Field: name})
	})
}

// pointer is where the customer's document is wrong: empty, which is the whole, when the rule reads several places.
func (r Rule) pointer() string {
	names := r.Fields()
	if len(names) != 1 {
		return ""
	}
	if f, ok := completeness.Find(names[0]); ok {
		return f.Pointer
	}
	switch names[0] {
	case "campaign":
		return "/source/campaign"
	case "source":
		return "/source/channel"
	}
	return "/" + strings.ReplaceAll(names[0], ".", "/")
}

// place is what a write that breaks the rule is told.
func (r Rule) place() fault.Field {
	f := fault.Field{Pointer: r.pointer(), Code: "rule_" + string(r.Kind), Rule: r.Name, Detail: r.Message}
	en, zh := "the rule “"+r.Name+"” demands ", "规则“"+r.Name+"”要求"
	switch r.Kind {
	case Required:
		en, zh = en+"a value in "+r.Field, zh+r.Field+" 必须有值"
	case Pattern:
		en, zh = en+r.Field+" to match "+r.Pattern, zh+r.Field+" 符合格式 "+r.Pattern
		f.Accepted = []string{r.Pattern}
	default:
		text := r.Condition.Text()
		en, zh = en+text, zh+text
		f.Accepted = []string{text}
	}
	switch {
	case f.Detail == fault.Text{}:
		f.Detail = fault.T(en, zh)
	case f.Detail.En == "":
		f.Detail.En = f.Detail.Zh
	case f.Detail.Zh == "":
		f.Detail.Zh = f.Detail.En
	}
	return f
}

func anchored(pattern string) string { return "^(?:" + pattern + ")$" }
