package tier

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

// ruleSubject is the name of tiers in the rule engine and in its jobs.
const ruleSubject = "tier"

// Rules are the rules of tier schemes.
type Rules struct{ now func() time.Time }

// NewRules works with the time that now tells.
func NewRules(now func() time.Time) Rules { return Rules{now} }

var (
	_ rule.Subject = Rules{}
	_ rule.Ended   = Rules{}
)

// Name implements rule.Subject.
func (Rules) Name() string { return ruleSubject }

// Rules implements rule.Subject. What a rule decides is a Judgement, see decide; 0 when a condition no longer means
// anything: then customers stay where the rules have put them, and only hands move them.
func (Rules) Rules(ctx context.Context, q postgres.Querier, t tenant.Tenant, language condition.Language) ([]rule.Rule, error) {
	schemes, err := list(ctx, q, t.ID)
	if err != nil {
		return nil, err
	}
	ending, err := endingByHand(ctx, q, t.ID)
	if err != nil {
		return nil, err
	}
	var rules []rule.Rule
	for _, s := range schemes {
		if !s.Active() {
			continue
		}
		j := judge{definition: s.Definition, scheme: s.ID, tenant: t, today: t.Today(language.Env.Now), language: language}
		decide, err := j.decide()
		switch {
		case fault.Of(err) != nil:
			decide = filter.SQL(`0`)
		case err != nil:
			return nil, fmt.Errorf("compile tier scheme %s: %w", s.Key, err)
		}
		rules = append(rules, rule.Rule{ID: s.ID, Field: "tiers." + s.Key, Decide: decide, Reads: s.reads(s.Key), Terms: j,
			Relative: s.relative() || slices.Contains(ending, s.ID), Graded: !slices.ContainsFunc(s.conditions(), notGraded)})
	}
	return rules, nil
}

func notGraded(n filter.Node) bool { return !condition.Graded(n) }

// reads is what the definition's judgements depend on.
func (d Definition) reads(key string) []string {
	names := []string{rule.Placed + "." + key}
	for _, n := range d.conditions() {
		names = append(names, condition.Reads(n)...)
	}
	if d.Window == Anniversary {
		names = append(names, "first_purchase_on")
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// relative reports whether customers move as days pass.
func (d Definition) relative() bool {
	waits := d.Downgrade == OneStep || d.Downgrade == Direct && (d.GraceDays > 0 || d.DowngradeAt == PeriodEnd)
	return waits || slices.ContainsFunc(d.conditions(), condition.Relative)
}

// judge is a definition that is put to customers on some day.
type judge struct {
	definition Definition
	scheme     uuid.UUID
	tenant     tenant.Tenant
	today      tenant.Day
	language   condition.Language
}

// A Judgement is packed in one integer: now * byNow + then * byThen + keeps, with 0 for a then that is the same as now.
const (
	byNow  = 20_000
	byThen = 2
)

// decide is SQL for a Judgement over c and m. Where it says keeps, the customer may still fail to be in the scheme.
func (j judge) decide() (filter.Expr, error) {
	now, err := j.entry(j.current())
	if err != nil {
		return filter.Expr{}, err
	}
	p := j.definition.policy()
	packed := filter.Concat(now, filter.SQL(` * ?::integer`, byNow))
	switch {
	case p.Downgrade == Never:
		return filter.Concat(packed, filter.SQL(` + 1`)), nil
	case !p.Periodic:
		keeps, err := j.keeps(j.current())
		return filter.Concat(packed, filter.SQL(` + `), keeps), err
	}
	keeps, err := j.keeps(j.ended())
	if err != nil {
		return filter.Expr{}, err
	}
	then := filter.SQL(`0`)
	if j.definition.qualifies() {
		if then, err = j.entry(j.ended()); err != nil {
			return filter.Expr{}, err
		}
	}
	return filter.Concat(packed, filter.SQL(` + CASE WHEN `), j.placement(filter.SQL(`p.period_ends_on < ?::date`, j.today)), filter.SQL(` THEN `),
		then, filter.SQL(` * ?::integer + `, byThen), keeps, filter.SQL(` ELSE 1 END`)), nil
}

// placement is SQL for a value of the customer's placement in the scheme.
func (j judge) placement(value filter.Expr) filter.Expr {
	return filter.Concat(filter.SQL(`(SELECT `), value, filter.SQL(` FROM tier_placements p
		WHERE p.tenant_id = c.tenant_id AND p.customer_id = c.id AND p.scheme_id = ?::uuid)`, j.scheme))
}

// earned is the tier that the rules have given to a placement p.
var earned = filter.SQL(`CASE WHEN p.manual_tier_id IS NULL THEN coalesce(p.earned_tier_id, p.tier_id) ELSE p.earned_tier_id END`)

// entry is SQL for the rank of the highest tier that can be entered.
func (j judge) entry(span filter.Span) (filter.Expr, error) {
	if n, ok := j.rungs(span); ok {
		return filter.Concat(filter.SQL(`(?::integer - `, len(j.definition.Tiers)), n, filter.SQL(`)`)), nil
	}
	parts := []filter.Expr{filter.SQL(`CASE`)}
	for i, t := range j.definition.Tiers[:len(j.definition.Tiers)-1] {
		holds, err := j.compile(t.Condition, span)
		if f := fault.Of(err); f != nil {
			return filter.Expr{}, f.Below(pointer(i) + "/condition")
		}
		if err != nil {
			return filter.Expr{}, err
		}
		parts = append(parts, filter.SQL(` WHEN `), holds, filter.SQL(` THEN ?::integer`, i+1))
	}
	return filter.Concat(append(parts, filter.SQL(` ELSE ?::integer END`, len(j.definition.Tiers)))...), nil
}

// rungs is SQL for how many tiers could be entered, of a scheme whose conditions are steps of one value.
func (j judge) rungs(span filter.Span) (filter.Expr, bool) {
	var leaves []filter.Leaf
	for _, t := range j.definition.Tiers[:len(j.definition.Tiers)-1] {
		l, ok := t.Condition.(filter.Leaf)
		if !ok {
			return filter.Expr{}, false
		}
		leaves = append(leaves, l)
	}
	env := j.language.Env
	env.Qualification = &span
	return j.language.Catalogue.Rungs(leaves, env)
}

// keeps is SQL for 1 where a condition for staying in the earned tier holds that is not the one for entering it.
func (j judge) keeps(span filter.Span) (filter.Expr, error) {
	parts := []filter.Expr{filter.SQL(`CASE `), j.placement(earned)}
	for i, t := range j.definition.Tiers {
		if t.Keep == nil {
			continue
		}
		holds, err := j.compile(t.Keep, span)
		if f := fault.Of(err); f != nil {
			return filter.Expr{}, f.Below(pointer(i) + "/keep")
		}
		if err != nil {
			return filter.Expr{}, err
		}
		parts = append(parts, filter.SQL(` WHEN ?::uuid THEN CASE WHEN `, t.ID), holds, filter.SQL(` THEN 1 ELSE 0 END`))
	}
	if len(parts) == 2 {
		return filter.SQL(`0`), nil
	}
	return filter.Concat(append(parts, filter.SQL(` ELSE 0 END`))...), nil
}

func (j judge) compile(n filter.Node, span filter.Span) (filter.Expr, error) {
	env := j.language.Env
	env.Qualification = &span
	return j.language.Catalogue.Compile(n, env)
}

// current is the window up to today.
func (j judge) current() filter.Span {
	d := j.definition
	from := PeriodStart(century, 12, 0, j.today, 0)
	switch d.Window {
	case Rolling:
		from = plus(plusMonths(plus(j.today, -d.Days), -d.Months), 1)
	case Anniversary:
		return filter.Span{From: filter.Concat(filter.SQL(`kezi_period_start(`), j.anniversary(), filter.SQL(`, 12, 0, ?::date, 0)`, j.today)),
			To: filter.SQL(`?::date`, j.today)}
	}
	return filter.Span{From: filter.SQL(`?::date`, from), To: filter.SQL(`?::date`, j.today), Fixed: true}
}

// anniversary is SQL for the day from which a customer's years are counted, over c and m.
func (j judge) anniversary() filter.Expr {
	return filter.SQL(`coalesce(m.first_purchase_on, (c.created_at AT TIME ZONE ?::text)::date)`, j.tenant.Zone.String())
}

// ended is the period that has ended, with the days of grace after it.
func (j judge) ended() filter.Span {
	d := j.definition
	anchor := filter.SQL(`coalesce(p.earned_on, (p.placed_at AT TIME ZONE ?::text)::date)`, j.tenant.Zone.String())
	switch d.Window {
	case CalendarYear:
		anchor = filter.SQL(`?::date`, century)
	case Anniversary:
		anchor = j.anniversary()
	}
	return filter.Span{
		From: j.placement(filter.Concat(filter.SQL(`kezi_period_start(`), anchor, filter.SQL(`, ?::integer, ?::integer, p.period_ends_on, 0)`, d.Months, d.Days))),
		To:   j.placement(filter.SQL(`least(p.period_ends_on + ?::integer, ?::date)`, d.GraceDays, j.today)),
	}
}

// Differs implements rule.Subject. Only who rests in a tier certainly stays: whoever is placed by hand or about to leave one
// differs, and Write finds what there is to write.
func (Rules) Differs(tenantID int32, rules []rule.Rule) rule.Difference {
	ids, differs := make([]uuid.UUID, len(rules)), make([]filter.Expr, len(rules))
	join, grouped := filter.SQL(` LEFT JOIN (SELECT p.customer_id, ARRAY[`), filter.SQL(``)
	for i, r := range rules {
		ids[i] = r.ID
		rank := r.Terms.(judge).resting() //nolint:errcheck // Rules made it
		if len(rules) > 1 {
			rank = filter.Concat(filter.SQL(`max(`), rank, filter.SQL(`) FILTER (WHERE p.scheme_id = ?::uuid)`, r.ID))
			grouped = filter.SQL(` GROUP BY 1`)
		}
		if i > 0 {
			join = filter.Concat(join, filter.SQL(`, `))
		}
		join = filter.Concat(join, rank)
		differs[i] = filter.Concat(filter.SQL(`NOT j.gone AND `), leaves(filter.SQL(`j.tier[?::integer]`, i+1), filter.SQL(`tier_held.ranks[?::integer]`, i+1)))
	}
	return rule.Difference{Where: filter.AnyOf(differs...), Join: filter.Concat(join, filter.SQL(`] AS ranks FROM tier_placements p
		WHERE p.tenant_id = ?::integer AND p.scheme_id = ANY(?::uuid[])`, tenantID, ids), grouped, filter.SQL(` OFFSET 0) tier_held
		ON tier_held.customer_id = j.customer_id`))}
}

// resting is SQL for the rank of a placement p of a customer for whom nothing is due, and 0 for others.
func (j judge) resting() filter.Expr {
	ids, _ := j.definition.names()
	period := filter.SQL(`p.period_ends_on IS NULL`)
	if j.definition.policy().Periodic {
		period = filter.SQL(`CASE WHEN p.tier_id = ?::uuid THEN p.period_ends_on IS NULL ELSE p.period_ends_on >= ?::date END`, ids[len(ids)-1], j.today)
	}
	return filter.Concat(filter.SQL(`CASE WHEN p.manual_tier_id IS NULL AND coalesce(p.earned_tier_id, p.tier_id) = p.tier_id AND p.downgrade_on IS NULL AND `),
		period, filter.SQL(` THEN array_position(?::uuid[], p.tier_id) ELSE 0 END`, ids))
}

// leaves is SQL for whether a Judgement takes somebody out of the tier of that rank, which is NULL for who has none yet and 0
// for who does not rest. What is no Judgement leaves placements as they are, but for those by hand, which end. The first
// comparison tells most of a million customers apart without unpacking anything.
func leaves(decided, rank filter.Expr) filter.Expr {
	now, then := ranks(decided)
	return filter.Concat(filter.SQL(`CASE WHEN `), rank, filter.SQL(` > 0 AND `), decided, filter.SQL(` - ?::integer * `, byNow), rank, filter.SQL(` IN (0, 1) THEN false
		WHEN `), decided, filter.SQL(` = 0 THEN `), rank, filter.SQL(` = 0 ELSE (`), rank, filter.SQL(` > 0 AND `),
		now, filter.SQL(` >= `), rank, filter.SQL(` AND `), then, filter.SQL(` >= `), rank, filter.SQL(` AND (`), then, filter.SQL(` = `), rank, filter.SQL(` OR `), decided,
		filter.SQL(` % ?::integer = 1)) IS NOT TRUE END`, byThen))
}

// ranks are SQL for the tiers of a Judgement: the highest that can be entered now, and for the period that is judged.
func ranks(decided filter.Expr) (now, then filter.Expr) {
	now = filter.Concat(decided, filter.SQL(` / ?::integer`, byNow))
	return now, filter.Concat(filter.SQL(`coalesce(nullif(`), decided, filter.SQL(` % ?::integer / ?::integer, 0), `, byNow, byThen), now, filter.SQL(`)`))
}

// Write implements rule.Subject. Who is gone keeps the tier, which counts for nothing until the customer returns. Placements
// that change are found by their places, which the locks on the customers keep, and by no index of a plan from when there were
// few: that is why tenant_id + 0.
func (Rules) Write(rules []rule.Rule, _ func(filter.Leaf) bool) filter.Expr {
	return filter.Concat(next(rules, false), filter.SQL(`,
		tier_diff AS MATERIALIZED (SELECT x.*, x.ids[x.shown] AS next_tier_id, x.ids[x.rank] AS next_earned_id,
				x.ids[x.shown] IS DISTINCT FROM x.tier_id AS seen, x.manual_tier_id IS NOT NULL AND NOT x.by_hand AS expired,
				CASE WHEN x.ids[x.shown] IS DISTINCT FROM x.tier_id THEN CASE WHEN x.showed IS NULL THEN 'placed' WHEN x.shown < x.showed THEN 'up' ELSE 'down' END
					WHEN x.move = 'fails' AND x.downgrade_on IS NULL THEN 'grace'
					WHEN x.move = 'keeps' AND x.downgrade_on IS NOT NULL THEN 'recovered' END AS change
			FROM tier_next x WHERE `), differs, filter.SQL(`),
		tier_placed AS (INSERT INTO tier_placements (tenant_id, customer_id, scheme_id, tier_id, change_set, placed_at, earned_tier_id, earned_on,
				downgrade_on, period_ends_on, stepped_on)
			SELECT ?::integer, customer_id, scheme_id, next_tier_id, ?::uuid, ?::timestamptz, next_earned_id, next_since, next_downgrade_on,
				next_period_ends_on, next_stepped_on
			FROM tier_diff WHERE NOT had),
		tier_moved AS (UPDATE tier_placements p SET tier_id = d.next_tier_id, earned_tier_id = d.next_earned_id, earned_on = d.next_since,
				change_set = CASE WHEN d.seen THEN ?::uuid ELSE p.change_set END, placed_at = CASE WHEN d.seen THEN ?::timestamptz ELSE p.placed_at END,
				downgrade_on = d.next_downgrade_on, period_ends_on = d.next_period_ends_on, stepped_on = d.next_stepped_on,
				manual_tier_id = CASE WHEN NOT d.expired THEN p.manual_tier_id END, manual_until = CASE WHEN NOT d.expired THEN p.manual_until END,
				manual_reason = CASE WHEN NOT d.expired THEN p.manual_reason END, manual_actor = CASE WHEN NOT d.expired THEN p.manual_actor END,
				manual_at = CASE WHEN NOT d.expired THEN p.manual_at END
			FROM tier_diff d WHERE d.had AND p.tenant_id + 0 = ?::integer AND p.ctid = d.place),
		tier_told AS (INSERT INTO tier_history (tenant_id, customer_id, scheme_id, change, from_tier, to_tier, cause, event, reason, downgrade_on, actor, change_set, occurred_at)
			SELECT ?::integer, customer_id, scheme_id, change, keys[showed], keys[shown], CASE WHEN expired AND seen THEN 'expiry'
					WHEN ?::text IN ('customer.tier_placed', 'customer.tier_lifted') THEN 'manual'
					WHEN move = 'down' AND seen AND grace > 0 THEN 'grace_end' WHEN move = 'down' AND seen AND periodic THEN 'period_end'
					WHEN ?::text = 'import.rows' THEN 'import' ELSE ?::text END,
				?::text, CASE WHEN seen AND by_hand THEN coalesce(manual_reason, '') ELSE '' END, CASE WHEN change = 'grace' THEN next_downgrade_on END,
				?::text, ?::uuid, ?::timestamptz
			FROM tier_diff WHERE change IS NOT NULL),
		tier_changed AS (SELECT customer_id, field, to_jsonb(keys[showed]) AS previous FROM tier_diff WHERE seen
			UNION ALL SELECT customer_id, field || '.downgrade_on', to_jsonb(downgrade_on) FROM tier_diff WHERE change IN ('grace', 'recovered'))`,
		rule.Tenant, rule.ChangeSet, filter.Now{}, rule.ChangeSet, filter.Now{}, rule.Tenant, rule.Tenant, rule.Event, rule.Event, rule.Because, rule.Event,
		rule.Actor, rule.ChangeSet, filter.Now{}))
}

// Ended implements rule.Ended.
func (r Rules) Ended(ctx context.Context, tx postgres.Tx, call tenant.Call, id uuid.UUID) error {
	_, err := tx.Exec(ctx, `UPDATE tier_schemes SET evaluated_at = $3 WHERE tenant_id = $1 AND id = $2`, call.Tenant.ID, id, r.now())
	if err != nil {
		return fmt.Errorf("remember that tier scheme %s was evaluated: %w", id, err)
	}
	return nil
}
