package httpapi

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/auth"
	"github.com/kezi-io/kezi/internal/bulk"
	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/rule"
	"github.com/kezi-io/kezi/internal/segment"
)

type segments struct {
	lister
	svc       *segment.Service
	filters   filters
	customers customers
}

func (h segments) ListSegments(ctx context.Context, req apigen.ListSegmentsRequestObject) (apigen.ListSegmentsResponseObject, error) {
	p := req.Params
	q := segment.Query{Basis: segment.Basis(or(p.Basis, "")), Archived: or(p.Archived, false)}
	found, next, err := paged(ctx, h.lister, p.Limit, p.Cursor, func(r page.Request) (page.Of[segment.Segment], error) {
		q.Page = r
		return h.svc.List(ctx, callOf(ctx).Tenant, q)
	}, "segments", string(q.Basis), fmt.Sprint(q.Archived))
	if err != nil {
		return nil, err
	}
	items, err := h.pack(ctx, or(p.Counts, false), found.Items...)
	return apigen.ListSegments200JSONResponse{Items: items, NextCursor: next, HasMore: next != nil}, err
}

func (h segments) CreateSegment(ctx context.Context, req apigen.CreateSegmentRequestObject) (apigen.CreateSegmentResponseObject, error) {
	b := req.Body
	node, err := h.filters.ruling(ctx, b.FilterText, b.Filter)
	if err != nil {
		return nil, err
	}
	call := callOf(ctx)
	draft, err := h.svc.Complete(ctx, call.Tenant, segment.Draft{Key: or(b.Key, ""), Name: or(b.Name, ""), Description: or(b.Description, ""),
		Basis: segment.Basis(or(b.Basis, "")), Strategy: or(b.Strategy, ""), Benefits: each(or(b.Benefits, nil), benefitFromAPI),
		Static: or(b.Static, false), Condition: node, Preset: string(or(b.Preset, ""))})
	if err != nil {
		return nil, err
	}
	if draft.Condition != nil {
		if err := mayRead(ctx, draft.Condition.Fields()...); err != nil {
			return nil, err
		}
	}
	x, _, err := h.svc.Create(ctx, call, draft)
	if err != nil {
		return nil, asGiven(err, b.FilterText)
	}
	items, err := h.pack(ctx, true, x)
	if err != nil {
		return nil, err
	}
	return apigen.CreateSegment201JSONResponse{Body: items[0], Headers: apigen.CreateSegment201ResponseHeaders{
		ETag: segmentETag(items[0]), Location: ptr("/v1/segments/" + x.Key)}}, nil
}

func (h segments) GetSegment(ctx context.Context, req apigen.GetSegmentRequestObject) (apigen.GetSegmentResponseObject, error) {
	x, err := h.svc.Get(ctx, callOf(ctx).Tenant, req.SegmentKey)
	if err != nil {
		return nil, err
	}
	items, err := h.pack(ctx, true, x)
	if err != nil {
		return nil, err
	}
	return apigen.GetSegment200JSONResponse{Body: items[0], Headers: apigen.GetSegment200ResponseHeaders{ETag: segmentETag(items[0])}}, nil
}

func (h segments) PatchSegment(ctx context.Context, req apigen.PatchSegmentRequestObject) (apigen.PatchSegmentResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	b := req.Body
	node, err := h.filters.ruling(ctx, b.FilterText, b.Filter)
	if err != nil {
		return nil, err
	}
	change := segment.Change{Name: b.Name, Description: b.Description, Strategy: b.Strategy, Condition: node, Archived: b.Archived}
	if b.Basis != nil {
		change.Basis = ptr(segment.Basis(*b.Basis))
	}
	if b.Benefits != nil {
		change.Benefits = ptr(each(*b.Benefits, benefitFromAPI))
	}
	x, _, err := h.svc.Update(ctx, callOf(ctx), req.SegmentKey, expected, change)
	if err != nil {
		return nil, asGiven(err, b.FilterText)
	}
	items, err := h.pack(ctx, true, x)
	if err != nil {
		return nil, err
	}
	return apigen.PatchSegment200JSONResponse{Body: items[0], Headers: apigen.PatchSegment200ResponseHeaders{ETag: segmentETag(items[0])}}, nil
}

func (h segments) DeleteSegment(ctx context.Context, req apigen.DeleteSegmentRequestObject) (apigen.DeleteSegmentResponseObject, error) {
	expected, err := ifMatch(req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	return apigen.DeleteSegment204Response{}, h.svc.Delete(ctx, callOf(ctx), req.SegmentKey, expected)
}

func (h segments) ListSegmentDependents(ctx context.Context, req apigen.ListSegmentDependentsRequestObject) (apigen.ListSegmentDependentsResponseObject, error) {
	found, err := h.svc.Dependents(ctx, callOf(ctx).Tenant, req.SegmentKey)
	return apigen.ListSegmentDependents200JSONResponse{Items: each(found, dependentToAPI)}, err
}

func (h segments) PreviewSegment(ctx context.Context, req apigen.PreviewSegmentRequestObject) (apigen.PreviewSegmentResponseObject, error) {
	b := req.Body
	language, node, err := h.filters.asked(ctx, b.FilterText, b.Filter)
	if err := required(node, err); err != nil {
		return nil, err
	}
	found, err := h.svc.Preview(ctx, callOf(ctx).Tenant, language, node, auth.From(ctx).Scopes.Has("tiers:read"))
	if err != nil {
		return nil, err
	}
	out := apigen.PreviewSegment200JSONResponse{Customers: found.Customers, Sample: []apigen.Customer{}}
	if found.Tiers != nil {
		out.Tiers = ptr(each(found.Tiers, func(d segment.Distribution) apigen.SegmentTiers {
			return apigen.SegmentTiers{Scheme: d.Scheme, Name: d.Name, Unplaced: d.Unplaced, Items: each(d.Tiers, func(t segment.TierCount) apigen.TierCount {
				return apigen.TierCount{Key: t.Key, Name: t.Name, Customers: t.Customers}
			})}
		}))
	}
	if n := or(b.Sample, 10); n > 0 && found.Customers > 0 {
		sample, err := h.customers.search(ctx, search{limit: &n, sort: "-created_at", total: page.TotalNone, within: node, expand: or(b.Expand, nil)})
		if err != nil {
			return nil, err
		}
		out.Sample = sample.Items
	}
	return out, nil
}

func (h segments) OverlapSegments(ctx context.Context, req apigen.OverlapSegmentsRequestObject) (apigen.OverlapSegmentsResponseObject, error) {
	o, err := h.svc.Overlap(ctx, callOf(ctx).Tenant, req.Body.Keys)
	if err != nil {
		return nil, err
	}
	out := apigen.OverlapSegments200JSONResponse{Any: o.Any, All: o.All, Items: make([]apigen.SegmentOverlapRow, len(o.Segments))}
	for i, x := range o.Segments {
		out.Items[i] = apigen.SegmentOverlapRow{Key: x.Key, Name: x.Name, Customers: o.Counts[i][i], Only: o.Only[i], Common: o.Counts[i]}
	}
	return out, nil
}

func (h segments) ListSegmentMembers(ctx context.Context, req apigen.ListSegmentMembersRequestObject) (apigen.ListSegmentMembersResponseObject, error) {
	t, p := callOf(ctx).Tenant, req.Params
	x, err := h.svc.Get(ctx, t, req.SegmentKey)
	if err != nil {
		return nil, err
	}
	at, err := h.svc.Evaluations(ctx, t, x)
	if err != nil {
		return nil, err
	}
	found, err := h.customers.search(ctx, search{limit: p.Limit, cursor: p.Cursor, sort: or(p.Sort, "-created_at"), fields: or(p.Fields, nil),
		expand: or(p.Expand, nil), total: page.Total(or(p.Total, apigen.ListSegmentMembersParamsTotalNone)), text: or(p.Filter, ""),
		parameter: "filter", within: condition.AnyOf(condition.Segments, []string{x.Key})})
	return apigen.ListSegmentMembers200JSONResponse{Items: found.Items, HasMore: found.HasMore, NextCursor: found.NextCursor, Total: found.Total,
		TotalIsEstimate: found.TotalIsEstimate, Evaluation: evaluationToAPI(at[x.ID])}, err
}

func (h segments) ChangeSegmentMembers(ctx context.Context, req apigen.ChangeSegmentMembersRequestObject) (apigen.ChangeSegmentMembersResponseObject, error) {
	b, call := req.Body, callOf(ctx)
	_, node, err := h.filters.asked(ctx, b.FilterText, b.Filter)
	if err != nil {
		return nil, err
	}
	r, job, err := h.svc.Pick(ctx, call, req.SegmentKey, segment.Bulk{Adding: b.Action == apigen.SegmentMembersChangeActionAdd,
		Target: bulk.Target{Customers: or(b.CustomerIds, nil), Condition: node}, Reason: or(b.Reason, "")})
	if err != nil {
		return nil, err
	}
	if job != nil {
		return apigen.ChangeSegmentMembers202JSONResponse{Body: jobToAPI(*job),
			Headers: apigen.ChangeSegmentMembers202ResponseHeaders{Location: jobLocation(job.ID.String())}}, nil
	}
	return apigen.ChangeSegmentMembers200JSONResponse{Changed: r.Changed, Unchanged: r.Unchanged, Missing: r.Missing, ChangeSet: call.ChangeSet}, nil
}

func (h segments) ListSegmentLog(ctx context.Context, req apigen.ListSegmentLogRequestObject) (apigen.ListSegmentLogResponseObject, error) {
	found, err := h.log(ctx, req.Params.Limit, req.Params.Cursor, "segment-log "+req.SegmentKey, func(r page.Request) (page.Of[segment.Passage], error) {
		return h.svc.Log(ctx, callOf(ctx).Tenant, req.SegmentKey, r)
	})
	return apigen.ListSegmentLog200JSONResponse(found), err
}

func (h segments) ListCustomerSegmentLog(ctx context.Context, req apigen.ListCustomerSegmentLogRequestObject) (apigen.ListCustomerSegmentLogResponseObject, error) {
	found, err := h.log(ctx, req.Params.Limit, req.Params.Cursor, "segment-log "+req.CustomerID.String(), func(r page.Request) (page.Of[segment.Passage], error) {
		return h.svc.LogOfCustomer(ctx, callOf(ctx).Tenant, req.CustomerID, r)
	})
	return apigen.ListCustomerSegmentLog200JSONResponse(found), err
}

func (h segments) log(ctx context.Context, limit *int, cursor *string, scope string, read func(page.Request) (page.Of[segment.Passage], error)) (apigen.SegmentLogPage, error) {
	found, next, err := paged(ctx, h.lister, limit, cursor, read, scope)
	return apigen.SegmentLogPage{NextCursor: next, HasMore: next != nil, Items: each(found.Items, func(p segment.Passage) apigen.SegmentPassage {
		return passageToAPI(ctx, p)
	})}, err
}

func (h segments) ExplainSegment(ctx context.Context, req apigen.ExplainSegmentRequestObject) (apigen.ExplainSegmentResponseObject, error) {
	t := callOf(ctx).Tenant
	x, err := h.svc.Get(ctx, t, req.SegmentKey)
	if err != nil {
		return nil, err
	}
	if x.Condition != nil {
		language, err := condition.For(ctx, h.filters.DB, t, h.filters.now())
		if err != nil {
			return nil, err
		}
		if err := mayAsk(ctx, language, x.Condition); err != nil {
			return nil, err
		}
	}
	e, err := h.svc.Explain(ctx, t, x.Key, req.Params.CustomerID)
	if err != nil {
		return nil, err
	}
	out := apigen.ExplainSegment200JSONResponse{CustomerID: e.CustomerID, Member: e.Member, Since: e.Since, Matches: e.Matches,
		Leaves: each(e.Leaves, filterReasonToAPI)}
	if e.Picked != nil {
		out.Listed = &apigen.SegmentListed{Actor: e.Picked.Actor, Reason: set(e.Picked.Reason), ListedAt: e.Picked.At}
	}
	out.Filter, err = conditionToAPI(e.Condition)
	return out, err
}

func (h segments) GetSegmentValue(ctx context.Context, req apigen.GetSegmentValueRequestObject) (apigen.GetSegmentValueResponseObject, error) {
	model := or(req.Params.Score, "")
	if model != "" {
		if err := mayRead(ctx, "scores"); err != nil {
			return nil, err
		}
	}
	v, err := h.svc.Value(ctx, callOf(ctx).Tenant, req.SegmentKey, auth.From(ctx).Scopes.Has("scores:read"), model)
	if err != nil {
		return nil, err
	}
	out := apigen.GetSegmentValue200JSONResponse{Customers: v.Customers, Buyers: v.Buyers, Purchases: v.Purchases, SpendTotal: moneyToAPI(v.Spend)}
	if v.Expected != nil {
		out.Expected = &apigen.SegmentExpected{Score: v.Expected.Model, Customers: v.Expected.Customers, Value: moneyToAPI(v.Expected.Value)}
	}
	return out, nil
}

func (h segments) ListCustomerSegments(ctx context.Context, req apigen.ListCustomerSegmentsRequestObject) (apigen.ListCustomerSegmentsResponseObject, error) {
	found, err := h.svc.OfCustomer(ctx, callOf(ctx).Tenant, req.CustomerID)
	return apigen.ListCustomerSegments200JSONResponse{Items: each(found, customerSegmentToAPI)}, err
}

// pack shows segments, with how many customers they have when that is asked for.
func (h segments) pack(ctx context.Context, counts bool, list ...segment.Segment) ([]apigen.Segment, error) {
	t := callOf(ctx).Tenant
	at, err := h.svc.Evaluations(ctx, t, list...)
	if err != nil {
		return nil, err
	}
	customers := map[uuid.UUID]int64{}
	if counts {
		if customers, err = h.svc.Counts(ctx, t, list...); err != nil {
			return nil, err
		}
	}
	items := make([]apigen.Segment, len(list))
	for i, x := range list {
		if items[i], err = segmentToAPI(x, at[x.ID]); err != nil {
			return nil, err
		}
		if counts {
			items[i].Customers = ptr(customers[x.ID])
		}
	}
	return items, nil
}

// segmentETag covers what is shown beside the segment's own fields too, which changes without raising the version.
func segmentETag(s apigen.Segment) *string {
	evaluated := or(s.Evaluation.EvaluatedAt, time.Time{}).UnixMicro()
	return ptr(fmt.Sprintf(`"%d.%d.%s.%d.%t"`, s.Version, or(s.Customers, 0), s.Evaluation.AsOf, evaluated, s.Evaluation.JobID != nil))
}

func segmentToAPI(x segment.Segment, at rule.Evaluation) (apigen.Segment, error) {
	out := apigen.Segment{ID: x.ID, Version: x.Version, Key: x.Key, Name: x.Name, Description: x.Description, Basis: apigen.SegmentBasis(x.Basis),
		Strategy: x.Strategy, Benefits: each(x.Benefits, benefitToAPI), Static: x.Static(), Relative: x.Relative(), Archived: x.ArchivedAt != nil,
		ArchivedAt: x.ArchivedAt, Evaluation: evaluationToAPI(at), CreatedAt: x.CreatedAt, UpdatedAt: x.UpdatedAt}
	if x.Preset != "" {
		out.Preset = ptr(apigen.SegmentPreset(x.Preset))
	}
	if x.Condition == nil {
		return out, nil
	}
	out.FilterText = ptr(x.Condition.Text())
	var err error
	out.Filter, err = conditionToAPI(x.Condition)
	return out, err
}

func benefitFromAPI(b apigen.SegmentBenefit) segment.Benefit {
	return segment.Benefit{Kind: string(b.Kind), Name: b.Name, Details: or(b.Details, ""), Reference: or(b.Reference, "")}
}

func benefitToAPI(b segment.Benefit) apigen.SegmentBenefit {
	return apigen.SegmentBenefit{Kind: apigen.SegmentBenefitKind(b.Kind), Name: b.Name, Details: set(b.Details), Reference: set(b.Reference)}
}

// passageToAPI leaves away a comparison that the caller may not read.
func passageToAPI(ctx context.Context, p segment.Passage) apigen.SegmentPassage {
	out := apigen.SegmentPassage{CustomerID: p.CustomerID, SegmentKey: p.Key, Name: p.Name, Entered: p.Entered,
		Cause: apigen.SegmentPassageCause(p.Cause), EventType: set(p.Event), Actor: p.Actor, ChangeSet: p.ChangeSet, OccurredAt: p.At}
	if p.Leaf != nil && mayRead(ctx, p.Leaf.Fields()...) == nil {
		out.DecidedBy = ptr(p.Leaf.Text())
	}
	return out
}

func customerSegmentToAPI(m segment.Membership) apigen.CustomerSegment {
	return apigen.CustomerSegment{Key: m.Key, Name: m.Name, Basis: apigen.SegmentBasis(m.Basis), Static: m.Static, Since: m.Since,
		Strategy: set(m.Strategy), Benefits: filled(each(m.Benefits, benefitToAPI))}
}
