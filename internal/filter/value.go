package filter

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/nearest"
)

// Env is what the meaning of values depends on.
type Env struct {
	Now      time.Time      // what today is
	Zone     *time.Location // the tenant's
	Currency string         // the tenant's base currency, ISO 4217
	Digits   int            // decimals of its major unit: 2 for CNY, 0 for JPY

	Qualification *Span // what Qualification means; nil where it means nothing

	// Rule compiles a condition that is kept and decides about customers: one that nobody can ever fulfil is a mistake. Asked
	// once, it has the answer that it deserves.
	Rule bool

	// Facts is how the statement comes to facts; whoever does not take them Apart joins Expr.Gathered.
	Facts Gathering
}

// operand is a value as it is bound: a string, int64, bool or time.Time. A day compared with instants is the time from
// arg up to, and without, until.
type operand struct{ arg, until any }

// operand converts a value to the field's type, and answers false when it does not fit.
func (f Field) operand(v Value, env Env) (operand, bool) {
	switch f.Type {
	case TypeBoolean:
		return operand{arg: v.Text == "true"}, v.Kind == KindBool
	case TypeNumber, TypeScore:
		return operand{arg: v.Text}, v.Kind != KindBool && isNumber(v.Text)
	case TypeInteger:
		n, err := strconv.ParseInt(v.Text, 10, 64)
		return operand{arg: n}, err == nil && v.Kind != KindBool && isNumber(v.Text)
	case TypeMoney:
		n, ok := minorUnits(v.Text, env.Digits)
		return operand{arg: n}, ok && v.Kind != KindBool
	}
	if v.Kind != KindString {
		return operand{}, false
	}
	switch f.Type {
	case TypeDate:
		d, ok := env.parseDay(v.Text)
		return operand{arg: d.String()}, ok
	case TypeTime:
		if t, ok := parseInstant(v.Text); ok {
			return operand{arg: t}, true
		}
		d, ok := env.parseDay(v.Text)
		if !ok {
			return operand{}, false
		}
		return operand{arg: d.start(env.Zone).UTC(), until: d.plus(1).start(env.Zone).UTC()}, true
	case TypeUUID:
		id, err := uuid.Parse(v.Text)
		return operand{arg: id.String()}, err == nil && len(v.Text) == 36
	case TypeText:
		return operand{arg: v.Text}, true
	}
	return operand{arg: v.Text}, f.Choices == nil || slices.Contains(f.Choices, v.Text)
}

// minorUnits reads an amount in major units exactly.
func minorUnits(s string, digits int) (int64, bool) {
	whole, decimals, _ := strings.Cut(s, ".")
	if !isNumber(s) || len(decimals) > digits {
		return 0, false
	}
	n, err := strconv.ParseInt(whole+decimals+strings.Repeat("0", digits-len(decimals)), 10, 64)
	return n, err == nil
}

// maxChoices is how many choices an error lists.
const maxChoices = 20

// accepted says what values fit the field, where v does not.
func (f Field) accepted(env Env, v Value) (detail fault.Text, choices []string) {
	example := text(Leaf{Values: []Value{f.example(env)}})
	switch f.Type {
	case TypeBoolean:
		return fault.T("expected true or false, without quotes", "应为不带引号的 true 或 false"), nil
	case TypeNumber, TypeScore:
		return fault.T("expected a number such as "+example, "应为数字，例如 "+example), nil
	case TypeInteger:
		return fault.T("expected a whole number such as "+example, "应为整数，例如 "+example), nil
	case TypeMoney:
		return fault.T(fmt.Sprintf("expected an amount in %s with at most %d decimals, such as %s", env.Currency, env.Digits, example),
			fmt.Sprintf("应为以 %s 计、最多 %d 位小数的金额，例如 %s", env.Currency, env.Digits, example)), nil
	case TypeDate:
		return fault.T("expected a day such as "+example+", or today, today-90d, today+1m",
			"应为日期，例如 "+example+"，或 today、today-90d、today+1m"), nil
	case TypeTime:
		return fault.T(`expected a day such as `+example+` or today-90d, or an instant to the microsecond such as "2026-01-31T08:00:00Z"`,
			`应为日期，例如 `+example+` 或 today-90d，或精确到微秒的时刻，例如 "2026-01-31T08:00:00Z"`), nil
	case TypeUUID:
		return fault.T("expected a UUID such as "+example, "应为 UUID，例如 "+example), nil
	}
	if f.Choices == nil {
		return fault.T("expected text in quotes, such as "+example, "应为带引号的文本，例如 "+example), nil
	}
	if len(f.Choices) == 0 {
		return fault.T("there is no such choice; the field has none yet", "没有这个可选值，该字段目前没有任何可选值"), nil
	}
	near := nearest.Of(v.Text, f.Choices)
	switch {
	case near != "" && len(f.Choices) > maxChoices:
		return fault.T("there is no such choice; the nearest is "+near, "没有这个可选值，最接近的是 "+near), []string{near}
	case near != "":
		return fault.T("there is no such choice; the nearest is "+near, "没有这个可选值，最接近的是 "+near), f.Choices
	}
	return fault.T("expected one of the field's choices, in quotes, such as "+example, "应为该字段的可选值之一并加引号，例如 "+example),
		f.Choices[:min(len(f.Choices), maxChoices)]
}

func (f Field) example(env Env) Value {
	switch {
	case f.Example != nil:
		return *f.Example
	case len(f.Choices) > 0:
		return String(f.Choices[0])
	}
	switch f.Type {
	case TypeNumber:
		return Number("1000.5")
	case TypeInteger:
		return Number("3")
	case TypeScore:
		return Number("80")
	case TypeMoney:
		if env.Digits == 0 {
			return Number("1000")
		}
		return Number("1000." + strings.Repeat("0", env.Digits))
	case TypeDate, TypeTime:
		return String("2026-01-31")
	case TypeBoolean:
		return Bool(true)
	case TypeTier:
		return String("high")
	case TypeTags:
		return String("vip")
	case TypeUUID:
		return String("01890a5d-ac96-774b-bcce-b302099a8057")
	}
	return String("上海")
}
