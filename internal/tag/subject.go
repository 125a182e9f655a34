package tag

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/rule"
	"github.com/kezi-io/kezi/internal/tenant"
)

const (
	// subject is the name of tags in the rule engine and in jobs.
	subject = "tag"

	// deleted is the event of a deletion; what the job of one takes off is a part of it.
	deleted = "tag.deleted"
)

// Rules are the rules of automatic tags: one for each tag, and one for all of an exclusive group.
type Rules struct{ now func() time.Time }

// NewRules works with the time that now tells.
func NewRules(now func() time.Time) Rules { return Rules{now} }

var (
	_ rule.Subject = Rules{}
	_ rule.Ended   = Rules{}
)

// Name implements rule.Subject.
func (Rules) Name() string { return subject }

// byHand is what a tag's rule reads of what people decide.
func byHand(key string) string { return rule.Listed + ".tags." + key }

// ruled is an automatic tag in force, with its compiled condition.
type ruled struct {
	decider
	holds filter.Expr
}

// Rules implements rule.Subject. What a rule decides is the number of the tag that a customer should carry, 1 for the first
// of the rule's, or 0 for none of them.
func (Rules) Rules(ctx context.Context, q postgres.Querier, t tenant.Tenant, language condition.Language) ([]rule.Rule, error) {
	all, err := deciders(ctx, q, t.ID)
	if err != nil {
		return nil, err
	}
	var rules []rule.Rule
	exclusive := map[uuid.UUID][]ruled{}
	var order []uuid.UUID
	suppressed := language.Env.Gather(filter.Source{Name: "suppressions", From: filter.SQL("tag_suppressions ts"), Customer: filter.SQL("ts.customer_id"),
		Own: filter.SQL("ts.tenant_id = c.tenant_id AND ts.customer_id = c.id"), All: filter.SQL("ts.tenant_id = ?::integer", t.ID),
	}, filter.SQL("array_agg(ts.tag_id)"), "'{}'::uuid[]")
	for _, d := range all {
		holds, err := language.Catalogue.Compile(d.condition, language.Env)
		switch {
		case fault.Of(err) != nil: // what it names is gone: its customers stay as they are
			continue
		case err != nil:
			return nil, fmt.Errorf("compile tag %s: %w", d.key, err)
		}
		r := ruled{d, filter.Concat(filter.SQL(`(`), holds, filter.SQL(`) AND ?::uuid <> ALL(`, d.id), suppressed, filter.SQL(`)`))}
		if d.exclusive == nil {
			rules = append(rules, of([]ruled{r}, filter.SQL(`CASE`)))
			continue
		}
		if exclusive[*d.exclusive] == nil {
			order = append(order, *d.exclusive)
		}
		exclusive[*d.exclusive] = append(exclusive[*d.exclusive], r)
	}
	for _, group := range order {
		members := exclusive[group]
		ids := make([]uuid.UUID, len(members))
		for i, m := range members {
			ids[i] = m.id
		}
		// What none of these conditions can take off: put on by hand, or of a tag that is archived or no longer automatic.
		rules = append(rules, of(members, filter.SQL(`CASE WHEN EXISTS (SELECT 1 FROM customer_tags ct JOIN tags t ON t.tenant_id = ct.tenant_id AND t.id = ct.tag_id
			WHERE ct.tenant_id = c.tenant_id AND ct.customer_id = c.id AND t.group_id = ?::uuid
				AND NOT (ct.source = 'rule' AND ct.tag_id = ANY(?::uuid[]))) THEN 0`, group, ids)))
	}
	return rules, nil
}

// of is the rule that decides which of the tags it is, the first whose condition holds.
func of(tags []ruled, decide filter.Expr) rule.Rule {
	first := tags[0]
	r := rule.Rule{ID: first.id, Field: "tags." + first.key, Graded: true}
	parts := []filter.Expr{decide}
	for i, t := range tags {
		if i > 0 {
			r.Also = append(r.Also, rule.Part{ID: t.id, Field: "tags." + t.key})
		}
		r.Reads = append(append(r.Reads, condition.Reads(t.condition)...), byHand(t.key))
		r.Relative = r.Relative || condition.Relative(t.condition)
		r.Graded = r.Graded && condition.Graded(t.condition)
		parts = append(parts, filter.SQL(` WHEN `), t.holds, filter.SQL(` THEN ?::integer`, i+1))
	}
	slices.Sort(r.Reads)
	r.Reads = slices.Compact(r.Reads)
	r.Decide = filter.Concat(append(parts, filter.SQL(` ELSE 0 END`))...)
	return r
}

// Write implements rule.Subject. It touches only what rules have put on: an assignment by hand stays, and one that has
// expired blocks the rule until it is removed, which happens within a minute. Rows are looked up one by one and removed by
// their places, because a plan that was made while the table was small would join the whole of it, or read the tenant's part
// of it by an index, which tenant_id + 0 is not; the locks on the customers keep the places.
func (Rules) Write(rules []rule.Rule, _ func(filter.Leaf) bool) filter.Expr {
	var ids []uuid.UUID
	var fields []string
	var of, number []int32
	for i, r := range rules {
		for n, p := range append([]rule.Part{{ID: r.ID, Field: r.Field}}, r.Also...) {
			ids, fields = append(ids, p.ID), append(fields, p.Field)
			of, number = append(of, int32(i+1)), append(number, int32(n+1)) //nolint:gosec // small numbers
		}
	}
	return filter.SQL(`
		tag_diff AS MATERIALIZED (SELECT j.customer_id, j.gone, r.tag_id, r.field, ct.place IS NULL AS assigned, ct.place, ct.actor, ct.assigned_at
			FROM judged j CROSS JOIN unnest(?::uuid[], ?::text[], ?::integer[], ?::integer[]) r (tag_id, field, rule, number)
				LEFT JOIN LATERAL (SELECT ct.ctid AS place, ct.source, ct.actor, ct.assigned_at FROM customer_tags ct
					WHERE ct.tenant_id = ?::integer AND ct.customer_id = j.customer_id AND ct.tag_id = r.tag_id LIMIT 1) ct ON true
			WHERE CASE WHEN ct.place IS NULL THEN j.tag[r.rule] = r.number ELSE ct.source = 'rule' AND j.tag[r.rule] <> r.number END),
		tag_on AS (INSERT INTO customer_tags (tenant_id, customer_id, tag_id, source, actor, reason, expires_at, assigned_at)
			SELECT ?::integer, customer_id, tag_id, 'rule', ?::text, '', NULL, ?::timestamptz FROM tag_diff WHERE assigned),
		tag_off AS (DELETE FROM customer_tags ct
			WHERE ct.tenant_id + 0 = ?::integer AND ct.ctid = ANY(ARRAY(SELECT place FROM tag_diff WHERE NOT assigned))),
		tag_told AS (INSERT INTO customer_tag_log (tenant_id, customer_id, tag_id, action, source, cause, event, actor, reason, change_set, occurred_at)
			SELECT ?::integer, customer_id, tag_id, CASE WHEN assigned THEN 'assigned' ELSE 'removed' END, 'rule',
				CASE WHEN gone THEN 'gone' ELSE ?::text END, ?::text, ?::text, '', ?::uuid, ?::timestamptz FROM tag_diff),
		tag_changed AS (SELECT customer_id, field, CASE WHEN assigned THEN 'null'::jsonb
				ELSE jsonb_build_object('source', 'rule', 'actor', actor, 'assigned_at', assigned_at) END AS previous FROM tag_diff)`,
		ids, fields, of, number, rule.Tenant, rule.Tenant, rule.Actor, filter.Now{}, rule.Tenant,
		rule.Tenant, rule.Because, rule.Event, rule.Actor, rule.ChangeSet, filter.Now{})
}

// Differs implements rule.Subject.
func (Rules) Differs(tenantID int32, rules []rule.Rule) rule.Difference {
	var ids []uuid.UUID
	var differs []filter.Expr
	for i, r := range rules {
		for n, p := range append([]rule.Part{{ID: r.ID, Field: r.Field}}, r.Also...) {
			ids = append(ids, p.ID)
			differs = append(differs, filter.SQL(`CASE WHEN ?::uuid = ANY(tag_held.ids) THEN ?::uuid = ANY(tag_held.ruled) AND j.tag[?::integer] <> ?::integer
				ELSE j.tag[?::integer] = ?::integer END`, p.ID, p.ID, i+1, n+1, i+1, n+1))
		}
	}
	return rule.Difference{Where: filter.AnyOf(differs...), Join: filter.SQL(` LEFT JOIN (SELECT ct.customer_id, array_agg(ct.tag_id) AS ids,
			array_agg(ct.tag_id) FILTER (WHERE ct.source = 'rule') AS ruled
		FROM customer_tags ct WHERE ct.tenant_id = ?::integer AND ct.tag_id = ANY(?::uuid[]) GROUP BY 1) tag_held
		ON tag_held.customer_id = j.customer_id`, tenantID, ids)}
}

// Ended implements rule.Ended.
func (r Rules) Ended(ctx context.Context, tx postgres.Tx, call tenant.Call, id uuid.UUID) error {
	_, err := tx.Exec(ctx, `UPDATE tags SET evaluated_at = $3 WHERE tenant_id = $1 AND id = $2`, call.Tenant.ID, id, r.now())
	if err != nil {
		return fmt.Errorf("remember that tag %s was evaluated: %w", id, err)
	}
	return nil
}
