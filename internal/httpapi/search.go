package httpapi

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/oapi-codegen/runtime/types"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/directory"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/region"
)

func (h customers) ListCustomers(ctx context.Context, req apigen.ListCustomersRequestObject) (apigen.ListCustomersResponseObject, error) {
	p := req.Params
	found, err := h.search(ctx, search{q: strings.TrimSpace(or(p.Q, "")), limit: p.Limit, cursor: p.Cursor, sort: or(p.Sort, "-created_at"), fields: or(p.Fields, nil),
		expand: or(p.Expand, nil), facets: or(p.Facets, nil), total: page.Total(or(p.Total, apigen.ListCustomersParamsTotalNone)),
		deleted: or(p.Deleted, false), text: or(p.Filter, ""), parameter: "filter", narrowed: narrowings(p)})
	return apigen.ListCustomers200JSONResponse(found), err
}

func (h customers) SearchCustomers(ctx context.Context, req apigen.SearchCustomersRequestObject) (apigen.SearchCustomersResponseObject, error) {
	b := req.Body
	found, err := h.search(ctx, search{q: strings.TrimSpace(or(b.Q, "")), limit: b.Limit, cursor: b.Cursor, sort: or(b.Sort, "-created_at"), expand: or(b.Expand, nil),
		fields: or(b.Fields, nil), facets: or(b.Facets, nil), total: page.Total(or(b.Total, apigen.CustomerSearchTotalNone)),
		text: or(b.FilterText, ""), tree: or(b.Filter, nil)})
	return apigen.SearchCustomers200JSONResponse(found), err
}

// search is a list call in either form.
type search struct {
	q         string
	limit     *int
	cursor    *string
	sort      string
	total     page.Total
	deleted   bool
	text      string // the condition as text,
	tree      []byte // or as JSON
	parameter string // the query parameter that text came from; empty for the body's filter_text
	narrowed  []narrowing
	within    filter.Node // of whom, which the call need not check
	fields    []apigen.CustomerField
	expand    []apigen.CustomerExpansion
	facets    []apigen.CustomerFacetField
}

// narrowing is a query parameter that stands for a condition; nil for one that cannot be read.
type narrowing struct {
	parameter string
	node      filter.Node
}

// written are names of provinces or cities with the standard names that writes give them: 上海市 is kept as 上海.
func written(names []string, as func(string) region.Place) []string {
	all := slices.Clone(names)
	for _, n := range names {
		p := as(n)
		standard, _ := region.Normalize(p)
		name := standard.City
		if p.City == "" {
			name = standard.Province
		}
		// A district that was given as a city is less than its city.
		if standard.District == "" && name != "" && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

func narrowings(p apigen.ListCustomersParams) []narrowing {
	var all []narrowing
	anyOf := func(parameter, field string, values []string) {
		if values != nil {
			all = append(all, narrowing{parameter, condition.AnyOf(field, values)})
		}
	}
	if p.Kind != nil {
		anyOf("kind", "kind", []string{string(*p.Kind)})
	}
	anyOf("stage", "stage", texts(p.Stage))
	anyOf("source", "source", texts(p.Source))
	anyOf("owner", "owner", or(p.Owner, nil))
	anyOf("department", "departments", or(p.Department, nil))
	anyOf("province", "province", written(or(p.Province, nil), func(v string) region.Place { return region.Place{Province: v} }))
	anyOf("city", "city", written(or(p.City, nil), func(v string) region.Place { return region.Place{City: v} }))
	anyOf("industry", "industry", or(p.Industry, nil))
	anyOf("tag", "tags", or(p.Tag, nil))
	if p.Segment != nil {
		anyOf("segment", "segments", []string{*p.Segment})
	}
	if p.Tier != nil {
		node, _ := condition.InTiers(*p.Tier)
		all = append(all, narrowing{"tier", node})
	}
	day := func(parameter, field string, op filter.Op, d *types.Date) {
		if d != nil {
			all = append(all, narrowing{parameter, filter.Leaf{Field: field, Op: op, Values: []filter.Value{filter.String(d.String())}}})
		}
	}
	day("created_from", "created_at", filter.Gte, p.CreatedFrom)
	day("created_to", "created_at", filter.Lte, p.CreatedTo)
	day("updated_from", "updated_at", filter.Gte, p.UpdatedFrom)
	day("updated_to", "updated_at", filter.Lte, p.UpdatedTo)
	day("last_purchase_from", "last_purchase_on", filter.Gte, p.LastPurchaseFrom)
	day("last_purchase_to", "last_purchase_on", filter.Lte, p.LastPurchaseTo)
	return all
}

// texts are the values of a list of enums.
func texts[T ~string](list *[]T) []string {
	if list == nil {
		return nil
	}
	return each(*list, func(v T) string { return string(v) })
}

func (h customers) search(ctx context.Context, s search) (apigen.CustomerPage, error) {
	var out apigen.CustomerPage
	t := callOf(ctx).Tenant
	language, err := condition.For(ctx, h.DB, t, h.now())
	if err != nil {
		return out, err
	}
	language = language.Searching()
	q := customer.Query{Deleted: s.deleted}
	if q.Sort, err = language.Sort(s.sort); err != nil {
		return out, err
	}
	if err := mayUse(ctx, language, append(texts(&s.facets), strings.TrimPrefix(s.sort, "-"))...); err != nil {
		return out, err
	}
	node, where, err := h.condition(ctx, language, s)
	if err != nil {
		return out, err
	}
	q.Where, q.Metrics = where, condition.NeedsMetrics(node)
	canonical := ""
	if node != nil {
		canonical = node.Text()
	}
	scope := []string{"customers", canonical, s.sort, strconv.FormatBool(s.deleted), s.q}
	if q.Page, err = h.request(ctx, s.limit, s.cursor, scope...); err != nil {
		return out, err
	}
	q.Page.Total = s.total
	var found directory.Found
	if s.q != "" {
		if found, err = h.Finder.Find(ctx, t, s.q, unmasked(ctx)); err != nil {
			return out, err
		}
		q.Search = &found.Search
	}
	p, err := h.Customers.List(ctx, t, q)
	if err != nil {
		return out, err
	}
	if out.Items, err = h.pack(ctx, p.Items, s.fields, s.expand); err != nil {
		return out, err
	}
	if s.q != "" && len(p.Items) == 0 && q.Page.After == nil {
		unmatched, err := h.Finder.Unmatched(ctx, t, found, s.deleted)
		if err != nil {
			return out, err
		}
		out.Unmatched = ptr(each(unmatched, func(u directory.Unmatched) apigen.UnmatchedWord { return unmatchedToAPI(ctx, u) }))
	}
	if s.facets != nil {
		if err := h.addFacets(ctx, &out, language, q, s.facets); err != nil {
			return out, err
		}
	}
	out.NextCursor, err = h.next(ctx, p.Next, scope...)
	out.HasMore, out.Total = out.NextCursor != nil, p.Total
	if p.Total != nil {
		out.TotalIsEstimate = &p.Estimate
	}
	return out, err
}

var errTier = fault.T("expected scheme:tier, such as value:high", "应为“分层方案:层级”，例如 value:high")

// condition is whom a call asks for, which the caller may ask about; nil for everybody.
func (h customers) condition(ctx context.Context, language condition.Language, s search) (filter.Node, filter.Expr, error) {
	node, err := s.asked(language)
	if err != nil {
		return nil, filter.Expr{}, err
	}
	if node != nil {
		if err := mayAsk(ctx, language, node); err != nil {
			return nil, filter.Expr{}, err
		}
		if condition.NamesKeys(node) { // what there is to name is told only to those who may read it
			named, err := language.Naming(ctx, h.DB)
			if err != nil {
				return nil, filter.Expr{}, err
			}
			if _, err := s.asked(named); err != nil {
				return nil, filter.Expr{}, err
			}
		}
	}
	switch {
	case node == nil && s.within == nil:
		return nil, filter.Expr{}, nil
	case node == nil:
		node = s.within
	case s.within != nil:
		node = filter.And{node, s.within}
	}
	where, err := language.Catalogue.Compile(node, language.Env)
	return node, where, err
}

// asked joins the condition given and the parameters that narrow; nil for neither.
func (s search) asked(language condition.Language) (filter.Node, error) {
	node, err := readCondition(language, s.text, s.tree, s.parameter)
	if err != nil {
		return nil, err
	}
	var all filter.And
	if node != nil {
		all = append(all, node)
	}
	for _, n := range s.narrowed {
		if n.node == nil {
			return nil, fault.ErrInvalid.AtParameter(n.parameter, "bad_tier", errTier)
		}
		if _, err := language.Catalogue.Compile(n.node, language.Env); err != nil {
			return nil, filter.InParameter(err, n.parameter)
		}
		all = append(all, n.node)
	}
	if len(all) > 1 {
		return all, nil
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return nil, nil
}

func (h customers) addFacets(ctx context.Context, out *apigen.CustomerPage, language condition.Language, q customer.Query, names []apigen.CustomerFacetField) error {
	facets := language.Facets(texts(&names))
	panel, err := h.Customers.Facets(ctx, callOf(ctx).Tenant, q, each(facets, func(f condition.Facet) customer.Facet { return f.Facet }))
	if err != nil {
		return err
	}
	counted := make([]apigen.CustomerFacet, len(facets))
	for i, f := range facets {
		counts := panel.Facets[i]
		counted[i] = apigen.CustomerFacet{Field: f.Field, Label: preferred(ctx, f.Label), Missing: counts.Missing, Other: counts.Other,
			Values: each(counts.Values, func(c customer.Count) apigen.CustomerFacetValue {
				v := apigen.CustomerFacetValue{Value: c.Value, Label: c.Label, Count: c.Customers}
				if known, ok := f.Values[c.Value]; ok {
					v.Label = preferred(ctx, known)
				}
				if v.Label == "" {
					v.Label = v.Value
				}
				return v
			})}
	}
	out.Facets, out.FacetsAreEstimates = &counted, &panel.Estimate
	return nil
}

var unmatchedDetails = map[directory.Reason]fault.Text{
	directory.NotFound:    fault.T("no customer is found by this", "没有客户与此匹配"),
	directory.NotTogether: fault.T("customers are found by this, but none by all words together", "有客户与此匹配，但没有客户同时匹配所有关键词"),
	directory.LeftOut:     fault.T("customers are found, but the other conditions leave them out", "有匹配的客户，但被其他筛选条件排除"),
	directory.TooShort:    fault.T("too many numbers contain this; type more of it", "包含此内容的号码过多，请输入更多位数"),
}

func unmatchedToAPI(ctx context.Context, u directory.Unmatched) apigen.UnmatchedWord {
	return apigen.UnmatchedWord{Token: u.Text, Reason: apigen.UnmatchedWordReason(u.Reason), Detail: preferred(ctx, unmatchedDetails[u.Reason])}
}
