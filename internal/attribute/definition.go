// Package attribute is the fields that a tenant adds to customers and transactions: their definitions, and the check
// of every value that is written under them.
package attribute

import (
	"bytes"
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/patch"
	"github.com/kezi-io/kezi/internal/tenant"
)

var (
	ErrNotFound = fault.New(fault.NotFound, "field_definition_not_found", "no such field definition", "没有这个字段定义")
	ErrKeyTaken = fault.New(fault.Conflict, "field_definition_key_taken",
		"another field definition already has this key, or the values of a deleted one are still being removed",
		"该键已被另一个字段定义使用，或已删除字段的数据仍在清除中")
	ErrInUse = fault.New(fault.Conflict, "field_definition_in_use",
		"values are stored under the field; archive it first, then deleting removes them", "该字段下已有数据；请先归档，再删除时会清除这些数据")
	ErrRead = fault.New(fault.Conflict, "field_definition_in_condition",
		"conditions, rules or weights name the field; change them first", "有条件、规则或权重引用了该字段，请先修改")
	ErrTooMany = fault.New(fault.Conflict, "field_definition_limit",
		"there are too many field definitions", "字段定义数量已达上限")
)

// MaxDefinitions is how many fields customers, or transactions, of one tenant may have.
const MaxDefinitions = 1000

// AppliesTo is what a field is of.
type AppliesTo string

// What fields are of. Customers are people and companies alike.
const (
	Customers    AppliesTo = "customer"
	People       AppliesTo = "person"
	Companies    AppliesTo = "company"
	Transactions AppliesTo = "transaction"
)

// Subject is whose rows hold the values: Customers or Transactions.
func (a AppliesTo) Subject() AppliesTo {
	if a == Transactions {
		return a
	}
	return Customers
}

// names are what conditions call the field: of a customer's, or within functions of their facts.
func (d Definition) names() []string {
	if d.AppliesTo.Subject() == Customers {
		return []string{prefix + d.Key}
	}
	return []string{"transactions." + prefix + d.Key, "orders." + prefix + d.Key, "items." + prefix + d.Key}
}

// covers reports whether rows of that kind have the field; the kind of a transaction is Transactions.
func (a AppliesTo) covers(kind string) bool { return a == Customers || string(a) == kind }

// Type is what a field's values are.
type Type string

// The types, with their values in JSON.
const (
	Text        Type = "text"         // a string
	Number      Type = "number"       // a number, or the same digits as a string
	Money       Type = "money"        // {"amount": "12.50", "currency": "CNY"}
	Date        Type = "date"         // "2026-01-31", a local day
	Boolean     Type = "boolean"      // true or false
	Choice      Type = "choice"       // the key of a choice
	MultiChoice Type = "multi_choice" // an array of such keys
	Reference   Type = "reference"    // the id of another customer
)

// Sensitivity is who may see a field's values.
type Sensitivity string

// The sensitivities. Values of personal and secret fields are left out of answers to callers without pii:read, and of
// events.
const (
	Public   Sensitivity = "public"
	Internal Sensitivity = "internal"
	Personal Sensitivity = "personal"
	Secret   Sensitivity = "secret"
)

// Guarded reports whether values need pii:read and stay out of events.
func (s Sensitivity) Guarded() bool { return s == Personal || s == Secret }

// Option is one of the values of a choice.
type Option struct {
	Key      string `json:"key"`
	Label    string `json:"label"`
	Archived bool   `json:"archived"` // kept where it is stored, not accepted for new values
}

// Validation narrows what a type accepts; empty members narrow nothing.
type Validation struct {
	Pattern   string `json:"pattern,omitempty"` // RE2, of the whole text
	Min       string `json:"min,omitempty"`     // a number, an amount in the base currency, or a day
	Max       string `json:"max,omitempty"`
	MinLength int    `json:"min_length,omitempty"` // characters of a text, or choices of a multi_choice
	MaxLength int    `json:"max_length,omitempty"`
}

// Definition is one field.
type Definition struct {
	ID          uuid.UUID // UUIDv7; unique within its tenant
	Version     int64     // raised by each change of the fields below
	AppliesTo   AppliesTo
	Key         string // what values and conditions name; never changes
	Label       string
	Type        Type
	Required    bool            // demanded when a row is made, and cannot be cleared
	Default     json.RawMessage // given to new rows that say nothing, in canonical form; nil for none
	Unit        string          // what a number counts; for money the one currency accepted, empty for any
	Validation  Validation
	Choices     []Option // of choice and multi_choice, in their display order; never nil
	Purpose     string   // why the field is collected
	Sensitivity Sensitivity
	Description string
	Position    int  // among the fields, ascending
	Archived    bool // values stay readable, new ones are refused
	CreatedAt   time.Time
	UpdatedAt   time.Time

	removed bool           // deleted, and its values are being removed
	pattern *regexp.Regexp // compiled on first use
}

// Draft is what a caller says of a new field. Without a sensitivity it is internal.
type Draft struct {
	AppliesTo                  AppliesTo
	Key, Label                 string
	Type                       Type
	Required                   bool
	Default                    json.RawMessage
	Unit, Purpose, Description string
	Validation                 Validation
	Choices                    []Option
	Sensitivity                Sensitivity
	Position                   int
}

// ValidationChange is a merge patch of a validation.
type ValidationChange struct {
	Pattern, Min, Max    patch.Field[string]
	MinLength, MaxLength patch.Field[int]
}

// Change is a merge patch of a field; choices are replaced as a whole.
type Change struct {
	Label, Purpose, Description *string
	Type                        *Type
	Required, Archived          *bool
	Default                     patch.Field[json.RawMessage]
	Unit                        patch.Field[string]
	Validation                  patch.Field[ValidationChange]
	Choices                     []Option // nil keeps
	Sensitivity                 *Sensitivity
	Position                    *int
}

// apply makes the change, which check has still to accept.
func (c Change) apply(to *Definition) {
	patch.Keep(&to.Label, c.Label)
	patch.Keep(&to.Purpose, c.Purpose)
	patch.Keep(&to.Description, c.Description)
	patch.Keep(&to.Type, c.Type)
	patch.Keep(&to.Required, c.Required)
	patch.Keep(&to.Archived, c.Archived)
	c.Default.Into(&to.Default)
	c.Unit.Into(&to.Unit)
	if v := c.Validation; v.Given && v.Value == nil {
		to.Validation = Validation{}
	} else if v.Given {
		v.Value.Pattern.Into(&to.Validation.Pattern)
		v.Value.Min.Into(&to.Validation.Min)
		v.Value.Max.Into(&to.Validation.Max)
		v.Value.MinLength.Into(&to.Validation.MinLength)
		v.Value.MaxLength.Into(&to.Validation.MaxLength)
	}
	if c.Choices != nil {
		to.Choices = slices.Clone(c.Choices)
	}
	patch.Keep(&to.Sensitivity, c.Sensitivity)
	patch.Keep(&to.Position, c.Position)
	to.pattern = nil
}

// document is the field as the contract shows what may change, for events.
func (d Definition) document() map[string]any {
	return map[string]any{"applies_to": d.AppliesTo, "key": d.Key, "label": d.Label, "type": d.Type, "required": d.Required,
		"default": d.Default, "unit": d.Unit, "validation": d.Validation, "choices": d.Choices, "purpose": d.Purpose,
		"sensitivity": d.Sensitivity, "description": d.Description, "position": d.Position, "archived": d.Archived}
}

// difference are the members of before that after has other values for. The default of a guarded field is left out.
func difference(before, after Definition) map[string]any {
	previous := map[string]any{}
	now := after.document()
	for name, value := range before.document() {
		if reflect.DeepEqual(value, now[name]) {
			continue
		}
		if name == "default" && (before.Sensitivity.Guarded() || after.Sensitivity.Guarded()) {
			value = nil
		}
		previous[name] = value
	}
	return previous
}

// Limits of a definition.
const (
	MaxPattern = 500     // characters of a pattern
	MaxText    = 5000    // characters of a text value
	MaxChoices = 500     // choices of a field
	MaxSize    = 1 << 18 // bytes of all values of a row
)

var keyForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// reserved are the names of what every customer or transaction has: a field of the same name would be taken for it in
// files and forms.
var reserved = map[AppliesTo][]string{
	Customers: strings.Fields(`id version kind name names aliases stage source owner departments country province city industry
		external_ids created_at updated_at deleted_at merged_into metrics scores tiers tags segments attributes person company
		contact_points addresses contacts relations notes consents completeness warnings quality external_id campaign`),
	Transactions: strings.Fields(`id version customer_id customer source external_id status occurred_at date_only day amount currency
		base_amount units channel created_at updated_at items payments returns attributes store payment_method`),
}

func (d *Definition) check(t tenant.Tenant) error {
	var v fault.Validator
	d.Label = strings.TrimSpace(d.Label)
	v.Check(keyForm.MatchString(d.Key), "/key", "bad_key", fault.T("a lower case letter, then lower case letters, digits and _", "以小写字母开头，仅含小写字母、数字和下划线"))
	v.Check(!slices.Contains(reserved[d.AppliesTo.Subject()], d.Key), "/key", "reserved",
		fault.T("every record has a member of this name already", "该名称是内置字段"))
	v.Check(d.Label != "", "/label", "required", fault.T("a label is needed", "必须有显示名称"))
	d.checkValidation(&v, t.Currency)
	d.checkChoices(&v)
	v.Check(d.Type != Money || d.Unit == "" || money.Known(d.Unit), "/unit", "currency_unknown", money.UnknownCurrency)
	v.Check(d.Type == Money || d.Type == Number || d.Unit == "", "/unit", "not_allowed",
		fault.T("only a number has a unit, and money a currency", "只有数字有单位、金额有币种"))
	return v.Err()
}

// only records that a member is there which the type has no use for.
func (d *Definition) only(v *fault.Validator, given bool, member string, types ...Type) bool {
	if !given {
		return false
	}
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = string(t)
	}
	list := strings.Join(names, ", ")
	return v.Check(slices.Contains(types, d.Type), member, "not_allowed", fault.T("only for the types "+list, "仅适用于类型 "+list), names...)
}

func (d *Definition) checkValidation(v *fault.Validator, base string) {
	w := d.Validation
	if d.only(v, w.Pattern != "", "/validation/pattern", Text) {
		_, err := regexp.Compile(anchored(w.Pattern))
		v.Check(err == nil && utf8.RuneCountInString(w.Pattern) <= MaxPattern, "/validation/pattern", "bad_pattern",
			fault.T("not a regular expression in the syntax of RE2, such as [A-Z]{2}[0-9]+", "不是 RE2 语法的正则表达式，例如 [A-Z]{2}[0-9]+"))
	}
	low := d.checkBound(v, w.Min, "/validation/min", base)
	high := d.checkBound(v, w.Max, "/validation/max", base)
	if low && high {
		v.Check(d.compareBounds(base) <= 0, "/validation/max", "out_of_order", fault.T("must not be less than min", "不能小于 min"))
	}
	d.only(v, w.MinLength != 0, "/validation/min_length", Text, MultiChoice)
	d.only(v, w.MaxLength != 0, "/validation/max_length", Text, MultiChoice)
	v.Check(w.MinLength >= 0 && w.MinLength <= MaxText, "/validation/min_length", "out_of_range",
		fault.T("must be between 0 and "+strconv.Itoa(MaxText), "必须在 0 到 "+strconv.Itoa(MaxText)+" 之间"))
	v.Check(w.MaxLength >= 0 && w.MaxLength <= MaxText, "/validation/max_length", "out_of_range",
		fault.T("must be between 1 and "+strconv.Itoa(MaxText), "必须在 1 到 "+strconv.Itoa(MaxText)+" 之间"))
	v.Check(w.MaxLength == 0 || w.MinLength <= w.MaxLength, "/validation/max_length", "out_of_order",
		fault.T("must not be less than min_length", "不能小于 min_length"))
}

// checkBound reports whether there is a bound that can be compared.
func (d *Definition) checkBound(v *fault.Validator, bound, member, base string) bool {
	if !d.only(v, bound != "", member, Number, Money, Date) {
		return false
	}
	switch d.Type {
	case Number:
		_, ok := parseNumber(bound)
		return v.Check(ok, member, "bad_number", badNumber)
	case Money:
		_, wrong, detail := money.Parse(bound, base)
		return v.Check(wrong == "", member, wrong, detail)
	}
	day, err := tenant.ParseDay(bound)
	return v.Check(err == nil && day.Plausible(), member, "bad_date", badDay)
}

func (d *Definition) compareBounds(base string) int {
	switch d.Type {
	case Number:
		low, _ := parseNumber(d.Validation.Min)
		high, _ := parseNumber(d.Validation.Max)
		return low.Cmp(high)
	case Money:
		low, _, _ := money.Parse(d.Validation.Min, base)
		high, _, _ := money.Parse(d.Validation.Max, base)
		return int(max(-1, min(1, low.Minor-high.Minor)))
	}
	return strings.Compare(d.Validation.Min, d.Validation.Max)
}

func (d *Definition) checkChoices(v *fault.Validator) {
	if d.Type != Choice && d.Type != MultiChoice {
		d.only(v, len(d.Choices) > 0, "/choices", Choice, MultiChoice)
		return
	}
	v.Check(len(d.Choices) > 0, "/choices", "required", fault.T("a choice needs one choice or more", "选项字段至少需要一个选项"))
	v.Check(len(d.Choices) <= MaxChoices, "/choices", "too_many",
		fault.T("at most "+strconv.Itoa(MaxChoices)+" choices", "最多 "+strconv.Itoa(MaxChoices)+" 个选项"))
	seen := map[string]bool{}
	for i := range d.Choices {
		o, at := &d.Choices[i], "/choices/"+strconv.Itoa(i)
		o.Label = strings.TrimSpace(o.Label)
		v.Check(!seen[o.Key], at+"/key", "repeated", fault.T("a choice above has the same key", "与上方选项的键重复"))
		v.Check(o.Label != "", at+"/label", "required", fault.T("a label is needed", "必须有显示名称"))
		seen[o.Key] = true
	}
}

// option is the choice of that key, or nil.
func (d *Definition) option(key string) *Option {
	for i := range d.Choices {
		if d.Choices[i].Key == key {
			return &d.Choices[i]
		}
	}
	return nil
}

// open are the keys of the choices that new values may have.
func (d *Definition) open() []string {
	keys := []string{}
	for _, o := range d.Choices {
		if !o.Archived {
			keys = append(keys, o.Key)
		}
	}
	return keys
}

func anchored(pattern string) string { return "^(?:" + pattern + ")$" }

// matches reports whether the whole text is what the pattern describes.
func (d *Definition) matches(s string) bool {
	if d.pattern == nil {
		d.pattern = regexp.MustCompile(anchored(d.Validation.Pattern)) // it compiled when it was stored
	}
	return d.pattern.MatchString(s)
}

// null reports whether raw says that there is no value.
func null(raw json.RawMessage) bool {
	return len(raw) == 0 || bytes.Equal(bytes.TrimSpace(raw), []byte("null"))
}
