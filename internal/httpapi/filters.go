package httpapi

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
)

type filters struct {
	Services
	now func() time.Time
}

var (
	errBothFilters = fault.New(fault.Invalid, "filter_twice", "give filter or filter_text, not both", "filter 与 filter_text 只能二选一")
	errNoFilter    = fault.New(fault.Invalid, "filter_missing", "give filter or filter_text", "请提供 filter 或 filter_text")
)

// readCondition reads a condition from the one form that it was given in, or answers nil for neither. parameter is the query
// parameter that text came from; empty for a body's filter_text.
func readCondition(language condition.Language, text string, tree []byte, parameter string) (filter.Node, error) {
	switch {
	case text != "" && tree != nil:
		return nil, errBothFilters.At("/filter_text", "filter_twice", errBothFilters.Message)
	case text != "":
		node, _, err := language.Catalogue.CompileText(text, language.Env)
		if err != nil && parameter != "" {
			return nil, filter.InParameter(err, parameter)
		}
		return node, below(err, "/filter_text")
	case tree != nil:
		node, _, err := language.Catalogue.CompileJSON(tree, language.Env)
		return node, below(err, "/filter")
	}
	return nil, nil
}

// below puts the places of a fault below a member of the body.
func below(err error, prefix string) error {
	if f := fault.Of(err); f != nil {
		return f.Below(prefix)
	}
	return err
}

// asGiven points into the form in which a condition was given, where a service that knows but one form found something wrong.
func asGiven(err error, text *string) error {
	if text == nil {
		return err
	}
	return instead(err, "/filter", "/filter_text")
}

// instead replaces the place of a condition, and all places in it, by another.
func instead(err error, place, by string) error {
	f := fault.Of(err)
	if f == nil {
		return err
	}
	moved := *f
	moved.Fields = slices.Clone(f.Fields)
	for i, x := range moved.Fields {
		if x.Pointer == place || strings.HasPrefix(x.Pointer, place+"/") {
			moved.Fields[i].Pointer = by
		}
	}
	return &moved
}

// read is a condition that must be there, in a body.
func (h filters) read(ctx context.Context, text *string, tree *apigen.Condition) (condition.Language, filter.Node, error) {
	language, node, err := h.asked(ctx, text, tree)
	return language, node, required(node, err)
}

// required refuses that no condition was given.
func required(node filter.Node, err error) error {
	if err == nil && node == nil {
		return errNoFilter.At("/filter", "filter_missing", errNoFilter.Message)
	}
	return err
}

// asked is the condition of a body, which the caller may ask about; nil for none.
func (h filters) asked(ctx context.Context, text *string, tree *apigen.Condition) (condition.Language, filter.Node, error) {
	return h.understood(ctx, text, tree, false)
}

// ruling is asked for a condition that is kept and decides about customers.
func (h filters) ruling(ctx context.Context, text *string, tree *apigen.Condition) (filter.Node, error) {
	_, node, err := h.understood(ctx, text, tree, true)
	return node, err
}

func (h filters) understood(ctx context.Context, text *string, tree *apigen.Condition, rule bool) (condition.Language, filter.Node, error) {
	language, err := condition.For(ctx, h.DB, callOf(ctx).Tenant, h.now())
	if err != nil {
		return condition.Language{}, nil, err
	}
	if rule {
		language = language.ForRules()
	}
	read := func() (filter.Node, error) { return readCondition(language, or(text, ""), or(tree, nil), "") }
	node, err := read()
	if err != nil || node == nil {
		return language, nil, err
	}
	if err := mayAsk(ctx, language, node); err != nil {
		return language, nil, err
	}
	if condition.NamesKeys(node) { // what there is to name is told only to those who may read it
		if language, err = language.Naming(ctx, h.DB); err != nil {
			return language, nil, err
		}
		node, err = read()
	}
	return language, node, err
}

func (h filters) ParseFilter(ctx context.Context, req apigen.ParseFilterRequestObject) (apigen.ParseFilterResponseObject, error) {
	_, node, err := h.read(ctx, req.Body.FilterText, req.Body.Filter)
	if err != nil {
		return nil, err
	}
	tree, err := conditionToAPI(node)
	return apigen.ParseFilter200JSONResponse{Filter: or(tree, nil), FilterText: node.Text(), Fields: node.Fields()}, err
}

func (h filters) ExplainFilter(ctx context.Context, req apigen.ExplainFilterRequestObject) (apigen.ExplainFilterResponseObject, error) {
	language, node, err := h.read(ctx, req.Body.FilterText, req.Body.Filter)
	if err != nil {
		return nil, err
	}
	t := callOf(ctx).Tenant
	c, err := h.Customers.Get(ctx, t, req.Body.CustomerID)
	if err != nil {
		return nil, err
	}
	e, err := language.Explain(ctx, h.DB, t.ID, c.ID, node)
	if err != nil {
		return nil, err
	}
	tree, err := conditionToAPI(node)
	return apigen.ExplainFilter200JSONResponse{Matches: e.Matches, Filter: or(tree, nil), Leaves: each(e.Leaves, filterReasonToAPI)}, err
}

func filterReasonToAPI(l condition.Leaf) apigen.FilterReason {
	return apigen.FilterReason{Pointer: l.Pointer, Text: l.Text, Holds: l.Holds, Seen: l.Seen}
}

func (h filters) ListFilterFields(ctx context.Context, _ apigen.ListFilterFieldsRequestObject) (apigen.ListFilterFieldsResponseObject, error) {
	language, err := condition.For(ctx, h.DB, callOf(ctx).Tenant, h.now())
	if err != nil {
		return nil, err
	}
	describe := func(c *filter.Catalogue) []apigen.FilterField {
		return each(c.Describe(language.Env), func(e filter.Entry) apigen.FilterField { return filterFieldToAPI(ctx, e) })
	}
	items := describe(language.Catalogue)
	if err := h.nameExamples(ctx, language, items); err != nil {
		return nil, err
	}
	functions := each(filter.Functions, func(f filter.Function) string { return string(f) })
	return apigen.ListFilterFields200JSONResponse{Items: items,
		Operators: each(filter.Operators(), func(o filter.Operator) apigen.FilterOperator {
			return apigen.FilterOperator{Name: string(o.Op), Label: preferred(ctx, o.Label), Takes: apigen.FilterOperatorTakes(o.Takes), Text: o.Text}
		}),
		Types: each(filter.TypeForms(), func(f filter.TypeForm) apigen.FilterType {
			return apigen.FilterType{Name: string(f.Type), Form: preferred(ctx, f.Form), RelativeDays: f.Days,
				JSON: each(f.JSON, func(s string) apigen.FilterTypeJSON { return apigen.FilterTypeJSON(s) })}
		}),
		Functions: each(filter.FunctionForms(), func(f filter.FunctionForm) apigen.FilterFunction { return filterFunctionToAPI(ctx, f) }),
		Windows: each(filter.WindowForms(), func(w filter.WindowForm) apigen.FilterWindow {
			return apigen.FilterWindow{Name: apigen.FilterWindowName(w.Name), Label: preferred(ctx, w.Label), Pattern: w.Pattern, Example: w.Example}
		}),
		Limits: apigen.FilterLimits{Depth: filter.MaxDepth, Comparisons: filter.MaxLeaves, Values: filter.MaxValues, Text: filter.MaxText,
			RelativeDay: filter.RelativeDay()},
		Sources: each(language.Catalogue.Sources(), func(s filter.Source) apigen.FilterSource {
			return apigen.FilterSource{Name: s.Name, Label: preferred(ctx, s.Label), Functions: functions, Fields: describe(s.Fields),
				Measures: each(s.Measures(), func(m string) string { return s.Name + "." + m })}
		})}, nil
}

func filterFunctionToAPI(ctx context.Context, f filter.FunctionForm) apigen.FilterFunction {
	out := apigen.FilterFunction{Name: string(f.Function), Label: preferred(ctx, f.Label), Of: apigen.FilterFunctionOfSource, Type: set(string(f.Type)),
		Operators: each(f.Operators, func(o filter.Op) string { return string(o) })}
	if f.Measures {
		out.Of = apigen.FilterFunctionOfMeasure
	}
	return out
}

// nameExamples tells where the tags and segments are that there are, and lets the examples name one, to callers who may read them.
func (h filters) nameExamples(ctx context.Context, language condition.Language, items []apigen.FilterField) error {
	language, err := language.Naming(ctx, h.DB)
	if err != nil {
		return err
	}
	for i, f := range items {
		if f.Name != condition.Tags && f.Name != condition.Segments || mayRead(ctx, f.Name) != nil {
			continue
		}
		items[i].Example, items[i].ChoicesAt = nil, ptr("/v1/"+f.Name)
		if named, _ := language.Catalogue.Field(f.Name); len(named.Choices) > 0 {
			items[i].Example = ptr(filter.Leaf{Field: f.Name, Op: filter.Has, Values: []filter.Value{filter.String(named.Choices[0])}}.Text())
		}
	}
	return nil
}

// unitLabels are what people call units that are words.
var unitLabels = map[string]fault.Text{"days": fault.T("days", "天"), "years": fault.T("years", "岁"),
	"points": fault.T("points", "分"), "probability": fault.T("probability, from 0 to 1", "概率（0 到 1）")}

func filterFieldToAPI(ctx context.Context, e filter.Entry) apigen.FilterField {
	f := apigen.FilterField{Name: e.Name, Type: string(e.Type), Label: preferred(ctx, e.Label), Unit: set(e.Unit),
		Operators: each(e.Operators, func(o filter.Op) string { return string(o) })}
	if e.Choices != nil {
		f.Choices = &e.Choices
	}
	if e.ChoiceLabels != nil {
		labels := make(map[string]string, len(e.Choices))
		for c, label := range e.ChoiceLabels {
			labels[c] = preferred(ctx, label)
		}
		f.ChoiceLabels = &labels
	}
	if unit, ok := unitLabels[e.Unit]; ok {
		f.UnitLabel = ptr(preferred(ctx, unit))
	}
	if len(e.Operators) > 0 && e.Example != filter.String("") {
		f.Example = ptr(filter.Leaf{Field: e.Name, Op: e.Operators[0], Values: []filter.Value{e.Example}}.Text())
	}
	return f
}
