package segment

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/rule"
	"github.com/kezi-io/kezi/internal/tenant"
)

// subject is the name of segments in the rule engine and in jobs.
const subject = "segment"

// Rules are the rules of segments.
type Rules struct{ now func() time.Time }

// NewRules works with the time that now tells.
func NewRules(now func() time.Time) Rules { return Rules{now} }

var (
	_ rule.Subject = Rules{}
	_ rule.Ended   = Rules{}
)

// Name implements rule.Subject.
func (Rules) Name() string { return subject }

// Rules implements rule.Subject. What a rule decides is 1 for in and 0 for out.
func (Rules) Rules(ctx context.Context, q postgres.Querier, t tenant.Tenant, language condition.Language) ([]rule.Rule, error) {
	segments, err := all(ctx, q, t.ID)
	if err != nil {
		return nil, err
	}
	rules := make([]rule.Rule, 0, len(segments))
	for _, s := range segments {
		r, err := s.rule(language)
		switch {
		case fault.Of(err) != nil: // what it names is gone: its customers stay as they are
			continue
		case err != nil:
			return nil, fmt.Errorf("compile segment %s: %w", s.Key, err)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func (s Segment) rule(language condition.Language) (rule.Rule, error) {
	r := rule.Rule{ID: s.ID, Field: "segments." + s.Key}
	switch {
	case s.ArchivedAt != nil:
		r.Decide = filter.SQL(`0`)
		return r, nil
	case s.Static():
		r.Reads = []string{rule.Listed + "." + s.Key}
		r.Decide = filter.SQL(`CASE WHEN EXISTS (SELECT 1 FROM segment_picks sp
			WHERE sp.tenant_id = c.tenant_id AND sp.customer_id = c.id AND sp.segment_id = ?::uuid) THEN 1 ELSE 0 END`, s.ID)
		return r, nil
	}
	holds, err := language.Catalogue.Compile(s.Condition, language.Env)
	if err != nil {
		return rule.Rule{}, err
	}
	r.Decide = filter.Concat(filter.SQL(`CASE WHEN `), holds, filter.SQL(` THEN 1 ELSE 0 END`))
	r.Reads, r.Relative, r.Graded = condition.Reads(s.Condition), condition.Relative(s.Condition), condition.Graded(s.Condition)
	apart := language.Env
	apart.Facts = filter.Apart // it is asked of few, beside what decided
	r.Why = func(holds bool, prefer func(filter.Leaf) bool) filter.Expr {
		e, err := language.Catalogue.Deciding(s.Condition, apart, holds, prefer)
		if err != nil { // it compiled a moment ago
			return filter.SQL(`NULL`)
		}
		return e
	}
	return r, nil
}

// Write implements rule.Subject. Rows are looked up one by one and removed by their places, because a plan that was made while
// the table was small would join the whole of it, or read the tenant's part of it by an index, which tenant_id + 0 is not; the
// locks on the customers keep the places.
func (Rules) Write(rules []rule.Rule, prefer func(filter.Leaf) bool) filter.Expr {
	ids, fields := make([]uuid.UUID, len(rules)), make([]string, len(rules))
	// The deciding leaf, by twice the rule's number for who comes in and one more for who goes out.
	fixed := make([]*int32, 2*len(rules)+1)
	why, facts := filter.SQL(``), filter.SQL(``)
	for i, r := range rules {
		ids[i], fields[i] = r.ID, r.Field
		if r.Why == nil {
			continue
		}
		for n, in := range []bool{true, false} {
			at, leaf := 2*(i+1)+n, r.Why(in, prefer)
			if n, always := leaf.Leaf(); always {
				fixed[at-1] = new(int32(n)) //nolint:gosec // at most 200
				continue
			}
			why = filter.Concat(why, filter.SQL(` WHEN ?::integer THEN `, at), leaf)
			facts = filter.SQL(`
				CROSS JOIN LATERAL (SELECT * FROM customers c WHERE c.tenant_id = ?::integer AND c.id = d.customer_id LIMIT 1) c
				CROSS JOIN LATERAL (SELECT * FROM customer_metrics m WHERE m.tenant_id = c.tenant_id AND m.customer_id = c.id LIMIT 1) m`, rule.Tenant)
		}
	}
	leaf := filter.SQL(`(?::integer[])[d.at]`, fixed)
	if !why.IsZero() {
		leaf = filter.Concat(filter.SQL(`CASE d.at`), why, filter.SQL(` ELSE `), leaf, filter.SQL(` END`))
	}
	return filter.Concat(filter.SQL(`
		segment_diff AS MATERIALIZED (SELECT j.customer_id, j.gone, r.segment_id, r.field, s.place IS NULL AS entered, s.place,
				(2 * r.n)::integer + (s.place IS NOT NULL)::integer AS at
			FROM judged j CROSS JOIN unnest(?::uuid[], ?::text[]) WITH ORDINALITY r (segment_id, field, n)
				LEFT JOIN LATERAL (SELECT s.ctid AS place FROM segment_members s
					WHERE s.tenant_id = ?::integer AND s.customer_id = j.customer_id AND s.segment_id = r.segment_id LIMIT 1) s ON true
			WHERE (j.segment[r.n] > 0) <> (s.place IS NOT NULL)),
		segment_in AS (INSERT INTO segment_members (tenant_id, customer_id, segment_id, since)
			SELECT ?::integer, customer_id, segment_id, ?::timestamptz FROM segment_diff WHERE entered),
		segment_out AS (DELETE FROM segment_members s
			WHERE s.tenant_id + 0 = ?::integer AND s.ctid = ANY(ARRAY(SELECT place FROM segment_diff WHERE NOT entered))),
		segment_told AS (INSERT INTO segment_log (tenant_id, customer_id, segment_id, entered, cause, event, revision, leaf, actor, change_set, occurred_at)
			SELECT ?::integer, d.customer_id, d.segment_id, d.entered, CASE WHEN d.gone THEN 'gone' WHEN x.archived_at IS NOT NULL THEN 'archived'
					WHEN x.condition IS NULL AND ?::text IN ('segment.listed', 'segment.unlisted') THEN 'list' ELSE ?::text END,
				?::text, x.revision, CASE WHEN NOT d.gone THEN `, ids, fields, rule.Tenant, rule.Tenant, filter.Now{}, rule.Tenant, rule.Tenant,
		rule.Event, rule.Because, rule.Event), leaf, filter.SQL(` END, ?::text, ?::uuid, ?::timestamptz
			FROM segment_diff d JOIN segments x ON x.tenant_id = ?::integer AND x.id = d.segment_id`, rule.Actor, rule.ChangeSet, filter.Now{}, rule.Tenant),
		facts, filter.SQL(`),
		segment_changed AS (SELECT customer_id, field, to_jsonb(NOT entered) AS previous FROM segment_diff)`))
}

// Differs implements rule.Subject.
func (Rules) Differs(tenantID int32, rules []rule.Rule) rule.Difference {
	ids, differs := make([]uuid.UUID, len(rules)), make([]filter.Expr, len(rules))
	for i, r := range rules {
		ids[i] = r.ID
		differs[i] = filter.SQL(`(j.segment[?::integer] > 0) <> coalesce(?::uuid = ANY(segment_held.ids), false)`, i+1, r.ID)
	}
	return rule.Difference{Where: filter.AnyOf(differs...), Join: filter.SQL(` LEFT JOIN (SELECT s.customer_id, array_agg(s.segment_id) AS ids
		FROM segment_members s WHERE s.tenant_id = ?::integer AND s.segment_id = ANY(?::uuid[]) GROUP BY 1) segment_held
		ON segment_held.customer_id = j.customer_id`, tenantID, ids)}
}

// Ended implements rule.Ended.
func (r Rules) Ended(ctx context.Context, tx postgres.Tx, call tenant.Call, id uuid.UUID) error {
	_, err := tx.Exec(ctx, `UPDATE segments SET evaluated_at = $3 WHERE tenant_id = $1 AND id = $2`, call.Tenant.ID, id, r.now())
	if err != nil {
		return fmt.Errorf("remember that segment %s was evaluated: %w", id, err)
	}
	return nil
}
