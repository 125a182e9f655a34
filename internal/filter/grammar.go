package filter

import (
	"strings"

	"github.com/kezi-io/kezi/internal/fault"
)

// How many values an operator takes.
const (
	NoValue    = "none"
	OneValue   = "one"
	ManyValues = "many"
)

// Operator describes an operator to those who build user interfaces.
type Operator struct {
	Op    Op
	Label fault.Text
	Takes string // NoValue, OneValue or ManyValues
	Text  string // how it is written in text after the field, with … where values go
}

var opLabels = map[Op]fault.Text{
	Eq: fault.T("is", "等于"), Ne: fault.T("is not", "不等于"), Lt: fault.T("is below", "小于"), Lte: fault.T("is at most", "小于或等于"),
	Gt: fault.T("is above", "大于"), Gte: fault.T("is at least", "大于或等于"), In: fault.T("is one of", "属于其中之一"),
	NotIn: fault.T("is none of", "不属于其中任何一个"), Has: fault.T("has", "包含"), Contains: fault.T("contains", "文字中含有"),
	StartsWith: fault.T("begins with", "开头是"), IsNull: fault.T("is absent", "为空"), IsNotNull: fault.T("is present", "不为空"),
}

// Operators are all there are.
func Operators() []Operator {
	all := make([]Operator, len(ops))
	for i, op := range ops {
		o := Operator{Op: op, Label: opLabels[op], Takes: OneValue, Text: strings.TrimSpace(signs[op]) + " …"}
		switch {
		case op.null():
			o.Takes, o.Text = NoValue, strings.TrimSpace(signs[op])
		case op.list():
			o.Takes, o.Text = ManyValues, strings.TrimSpace(signs[op])+" (…, …)"
		case op == Has:
			o.Text = ":…"
		case op == Contains:
			o.Text = `= "*…*"`
		case op == StartsWith:
			o.Text = `= "…*"`
		}
		all[i] = o
	}
	return all
}

// TypeForm describes how the values of a type are written.
type TypeForm struct {
	Type Type
	JSON []string   // what a value is in a tree: string, number, boolean
	Form fault.Text // how it is written
	Days bool       // whether days relative to today are values
}

// TypeForms are those of all types.
func TypeForms() []TypeForm {
	number, text := []string{"number", "string"}, []string{"string"}
	key := fault.T("the key of one of the field's choices", "该字段某个可选值的标识")
	forms := []TypeForm{
		{Type: TypeText, JSON: text, Form: fault.T("any text; to contain and to begin with take upper and lower case alike", "任意文本；“含有”与“开头是”不区分大小写")},
		{Type: TypeNumber, JSON: number, Form: fault.T("a number such as 1000.5, without exponent", "数字，例如 1000.5，不使用指数")},
		{Type: TypeInteger, JSON: number, Form: fault.T("a whole number such as 3", "整数，例如 3")},
		{Type: TypeMoney, JSON: number, Form: fault.T("an amount in major units of the field's currency, such as 1000.00", "以字段币种的主单位计的金额，例如 1000.00")},
		{Type: TypeScore, JSON: number, Form: fault.T("a number such as 80 or 0.8, in the field's unit", "数字，例如 80 或 0.8，以字段的单位计")},
		{Type: TypeDate, JSON: text, Days: true, Form: fault.T("a day such as 2026-01-31, or one relative to today", "日期，例如 2026-01-31，或相对于今天的日期")},
		{Type: TypeTime, JSON: text, Days: true, Form: fault.T("a day, which means the whole local day, one relative to today, or an instant such as 2026-01-31T08:00:00Z",
			"日期（表示当地整天）、相对于今天的日期，或时刻，例如 2026-01-31T08:00:00Z")},
		{Type: TypeBoolean, JSON: []string{"boolean"}, Form: fault.T("true or false", "true 或 false")},
		{Type: TypeChoice, JSON: text, Form: key},
		{Type: TypeTier, JSON: text, Form: fault.T("the key of a tier; choices are from the lowest to the highest", "层级的标识；可选值由低到高排列")},
		{Type: TypeTags, JSON: text, Form: fault.T("a key, or a text where the field has no choices", "标识；字段没有可选值时为文本")},
		{Type: TypeUUID, JSON: text, Form: fault.T("a UUID", "UUID")},
	}
	return forms
}

// FunctionForm describes a function to those who build user interfaces.
type FunctionForm struct {
	Function  Function
	Label     fault.Text
	Measures  bool // of a measure of a source, else of the source itself
	Type      Type // of what it makes; empty for the type of the measure
	Operators []Op
}

var functionLabels = map[Function]fault.Text{
	Count: fault.T("Number", "笔数"), Days: fault.T("Number of different days", "天数（去重）"), Sum: fault.T("Sum", "合计"), Avg: fault.T("Average", "平均"),
	Min: fault.T("Smallest", "最小值"), Max: fault.T("Largest", "最大值"), First: fault.T("Day of the first", "首次日期"), Last: fault.T("Day of the last", "最近日期"),
}

// FunctionForms are those of all functions.
func FunctionForms() []FunctionForm {
	all := make([]FunctionForm, len(Functions))
	for i, f := range Functions {
		form := FunctionForm{Function: f, Label: functionLabels[f], Measures: f.measures(), Operators: f.operators()}
		switch f {
		case Count, Days:
			form.Type = TypeInteger
		case First, Last:
			form.Type = TypeDate
		}
		all[i] = form
	}
	return all
}

// WindowForm describes one of the ways to say which days count.
type WindowForm struct {
	Name    string
	Label   fault.Text
	Pattern string // a regular expression; empty where there is nothing to write
	Example string // empty where there is nothing to write
}

// WindowForms are all ways.
func WindowForms() []WindowForm {
	day := `(?:\d{4}-\d\d-\d\d|` + unanchored(relative.String()) + `)`
	return []WindowForm{
		{Name: allTime, Label: fault.T("Ever", "不限时间"), Pattern: "^" + allTime + "$", Example: allTime},
		{Name: "last", Label: fault.T("The last days (d), weeks (w), months (m) or years (y), today included", "最近若干天 (d)、周 (w)、月 (m) 或年 (y)，含今天"),
			Pattern: `^[0-9]{1,5}[dwmy]$`, Example: "90d"},
		{Name: "between", Label: fault.T("From one day to another, both included; either may be relative to today", "从某日到某日（含首尾），均可相对于今天"),
			Pattern: `^` + day + `\.\.` + day + `$`, Example: "today-2y..today-1y"},
		{Name: Qualification, Label: fault.T("The qualification window of the tier scheme, in its conditions alone", "层级方案的资格统计期，仅用于层级条件"),
			Pattern: "^" + Qualification + "$", Example: Qualification},
	}
}

// RelativeDay is the form of days relative to today, as a regular expression.
func RelativeDay() string { return relative.String() }

func unanchored(pattern string) string {
	return strings.TrimSuffix(strings.TrimPrefix(pattern, "^"), "$")
}
