// Package condition knows what conditions can be about: it joins the filter language with the columns, metrics, tags,
// tiers and scores of one tenant. Lists, tier rules and searches all read their conditions through it.
package condition

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/attribute"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/metric"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/search"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Language is the filter language of one tenant at one moment: its catalogue, sort keys and what values mean.
type Language struct {
	Catalogue *filter.Catalogue
	Env       filter.Env
	models    []model
	own       attribute.Fields // of customers
	ofOrders  attribute.Fields // of transactions
	schemes   []scheme
	tenantID  int32
}

// model is a score model that conditions may name.
type model struct {
	Key        string
	Name       string
	Kind       string
	CurrentRun *int64
}

type scheme struct {
	Key   string
	Name  string
	ID    uuid.UUID
	Tiers []struct{ Key, Name string } // lowest first

	TenantID int32
}

// For reads the language of a tenant, to ask now.
func For(ctx context.Context, q postgres.Querier, t tenant.Tenant, now time.Time) (Language, error) {
	return read(ctx, q, t, now, now)
}

// ForLater is For with expressions that are good for the rest of now's local day: whoever executes them puts the instant
// in the place of each [filter.Now].
func ForLater(ctx context.Context, q postgres.Querier, t tenant.Tenant, now time.Time) (Language, error) {
	return read(ctx, q, t, now, filter.Now{})
}

// Strict is For conditions that somebody writes down: they can't name a tag that does not exist, or a segment that is not
// in force, nor contradict themselves. An archived tag stays on customers, and in conditions.
func Strict(ctx context.Context, q postgres.Querier, t tenant.Tenant, now time.Time) (Language, error) {
	return strict(ctx, q, t, now, "")
}

// StrictHeld is Strict that keeps the tags and segments from being deleted until the transaction ends. Who changes rules
// needs no such thing: rules and what they name change one after the other.
func StrictHeld(ctx context.Context, tx postgres.Tx, t tenant.Tenant, now time.Time) (Language, error) {
	return strict(ctx, tx, t, now, " FOR KEY SHARE")
}

func strict(ctx context.Context, q postgres.Querier, t tenant.Tenant, now time.Time, hold string) (Language, error) {
	l, err := For(ctx, q, t, now)
	if err != nil {
		return Language{}, err
	}
	return l.ForRules().naming(ctx, q, hold)
}

// ForRules is l for conditions that decide about customers, see filter.Env.
func (l Language) ForRules() Language {
	l.Env.Rule = true
	return l
}

// Naming is l that knows tags and segments by name, as Strict does: for conditions that are asked once and for which
// NamesKeys holds. The others need no reading of keys.
func (l Language) Naming(ctx context.Context, q postgres.Querier) (Language, error) {
	return l.naming(ctx, q, "")
}

// NamesKeys reports whether a condition compares tags or segments.
func NamesKeys(n filter.Node) bool {
	return slices.ContainsFunc(n.Fields(), func(f string) bool { return f == Tags || f == Segments })
}

func (l Language) naming(ctx context.Context, q postgres.Querier, hold string) (Language, error) {
	for field, sql := range map[string]string{
		Tags:     `SELECT key FROM tags WHERE tenant_id = $1 ORDER BY id`,
		Segments: `SELECT key FROM segments WHERE tenant_id = $1 AND archived_at IS NULL ORDER BY id`,
	} {
		rows, err := q.Query(ctx, sql+hold, l.tenantID)
		if err != nil {
			return Language{}, fmt.Errorf("read the keys of %s: %w", field, err)
		}
		keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return Language{}, fmt.Errorf("read the keys of %s: %w", field, err)
		}
		l.Catalogue = l.Catalogue.Choosing(field, keys)
	}
	return l, nil
}

func read(ctx context.Context, q postgres.Querier, t tenant.Tenant, now time.Time, at any) (Language, error) {
	l := Language{tenantID: t.ID, Env: filter.Env{Now: now, Zone: t.Zone, Currency: t.Currency, Digits: money.Digits(t.Currency)}}
	// One round trip for all families.
	var models, placed, own, ofOrders []byte
	err := q.QueryRow(ctx, `SELECT
			(SELECT coalesce(json_agg(json_build_object('Key', key, 'Name', name, 'Kind', kind, 'CurrentRun', current_run) ORDER BY key), '[]')
				FROM score_models WHERE tenant_id = $1),
			(SELECT coalesce(json_agg(json_build_object('Key', s.key, 'Name', s.name, 'ID', s.id, 'TenantID', s.tenant_id, 'Tiers',
				(SELECT json_agg(json_build_object('Key', r.key, 'Name', r.name) ORDER BY r.rank DESC) FROM tiers r
					WHERE r.tenant_id = s.tenant_id AND r.scheme_id = s.id)) ORDER BY s.key), '[]') FROM tier_schemes s WHERE s.tenant_id = $1),
			(SELECT coalesce(json_agg(json_build_object('Key', key, 'Label', label, 'Type', type, 'Unit', unit, 'Choices', choices,
				'Validation', validation, 'Default', default_value, 'Sensitivity', sensitivity, 'Archived', archived, 'AppliesTo', applies_to) ORDER BY position, label, id), '[]')
				FROM field_definitions WHERE tenant_id = $1 AND subject = 'customer' AND removed_at IS NULL),
			(SELECT coalesce(json_agg(json_build_object('Key', key, 'Label', label, 'Type', type, 'Unit', unit, 'Choices', choices,
				'Validation', validation, 'Default', default_value, 'Sensitivity', sensitivity, 'Archived', archived) ORDER BY position, label, id), '[]')
				FROM field_definitions WHERE tenant_id = $1 AND subject = 'transaction' AND removed_at IS NULL)`, t.ID).
		Scan(&models, &placed, &own, &ofOrders)
	if err != nil {
		return Language{}, fmt.Errorf("read the filter fields: %w", err)
	}
	if err := json.Unmarshal(models, &l.models); err != nil {
		return Language{}, fmt.Errorf("read the filter fields: %w", err)
	}
	if err := json.Unmarshal(placed, &l.schemes); err != nil {
		return Language{}, fmt.Errorf("read the filter fields: %w", err)
	}
	if err := json.Unmarshal(own, &l.own); err != nil {
		return Language{}, fmt.Errorf("read the filter fields: %w", err)
	}
	if err := json.Unmarshal(ofOrders, &l.ofOrders); err != nil {
		return Language{}, fmt.Errorf("read the filter fields: %w", err)
	}
	l.Catalogue = catalogue.With(carried{t.ID, at}, aged{t.Today(now)}, owed{t.Today(now)}, scores{t.ID, l.models, t.Currency}, tiers(l.schemes), l.own).WithSources(facts(t.ID, l.ofOrders)...)
	return l, nil
}

// Searching is l for lists: text within names is looked for by the terms that searches use, as they stood when the
// customer was last written.
func (l Language) Searching() Language {
	l.Catalogue = l.Catalogue.Matching("name", func(op filter.Op, needle string) filter.Expr {
		like := filter.SQL("lower(c.name) LIKE lower(?::text)", filter.EscapeLike(needle)+"%")
		if op == filter.Contains {
			// Not LIKE, which the planner takes for rare, whatever it knows of the terms.
			like = filter.SQL("position(lower(?::text) IN lower(c.name)) > 0", needle)
		}
		terms := search.Within(l.tenantID, needle)
		if len(terms) == 0 {
			return like
		}
		return filter.AllOf(filter.SQL(`c.id IN (SELECT n.customer_id FROM customer_search n WHERE n.tenant_id = ? AND n.terms @> ?::bigint[])`,
			l.tenantID, search.Array(terms)), like)
	})
	return l
}

// Guarded reports whether one of the fields is personal or secret: who asks about it has to have pii:read.
func (l Language) Guarded(names ...string) bool {
	return l.own.Guarded(names...) || slices.ContainsFunc(names, func(name string) bool {
		source, field, _ := strings.Cut(name, ".")
		return Family(source) == Transactions && l.ofOrders.Guarded(field)
	})
}

// KindOf is the one kind of customers that have the field of that name; empty when customers of any kind have it.
func (l Language) KindOf(name string) string {
	switch {
	case slices.Contains([]string{"gender", "born_on", "age", "next_birthday_on", "income_band", "education", "occupation", "interests"}, name):
		return string(customer.Person)
	case slices.Contains([]string{"legal_name", "registration_scheme", "registration_number", "employees", "annual_revenue", "registered_on"}, name):
		return string(customer.Company)
	}
	return l.own.KindOf(name)
}

// Hold keeps what conditions name from being deleted until the transaction ends: whoever stores a condition holds
// first, so that a deletion sees it.
func Hold(ctx context.Context, tx postgres.Tx, tenantID int32) error {
	for _, sql := range []string{
		`SELECT FROM score_models WHERE tenant_id = $1 ORDER BY id FOR KEY SHARE`,
		`SELECT FROM tier_schemes WHERE tenant_id = $1 ORDER BY id FOR KEY SHARE`,
		`SELECT FROM field_definitions WHERE tenant_id = $1 ORDER BY id FOR KEY SHARE`,
	} {
		if _, err := tx.Exec(ctx, sql, tenantID); err != nil {
			return fmt.Errorf("hold what conditions name: %w", err)
		}
	}
	return nil
}

// NeedsMetrics reports whether a condition reads m, the customer's metrics.
func NeedsMetrics(n filter.Node) bool {
	return n != nil && slices.ContainsFunc(n.Fields(), func(f string) bool {
		return slices.Contains(owed{}.Names(), f) || slices.ContainsFunc(metrics, func(m filter.Field) bool { return m.Name == f })
	})
}

// Sort reads a sort parameter: a field of the customer, a metric, or a score.
func (l Language) Sort(text string) (customer.Sort, error) {
	sorts := customer.Sorts()
	for _, f := range metrics {
		if !sortable[f.Name] {
			continue
		}
		s := customer.Sort{Column: f.Column, ID: filter.SQL("m.customer_id"), Metrics: true, Nullable: f.Nullable, Type: "bigint"}
		if f.Type == filter.TypeDate {
			s.Type = "date"
		}
		sorts[f.Name] = s
	}
	// Who returned nothing comes last either way, so that the index has only those who did.
	sorts["returns_total"] = customer.Sort{Column: filter.SQL("nullif(m.returns_total, 0)"), ID: filter.SQL("m.customer_id"),
		Metrics: true, Nullable: true, Type: "bigint"}
	byScore := func(run int64) customer.Sort {
		return customer.Sort{Column: filter.SQL("s.value"), ID: filter.SQL("s.customer_id"), Type: "float8", Nullable: true,
			Join: filter.SQL("scores s ON s.tenant_id = c.tenant_id AND s.customer_id = c.id AND s.run_no = ?", filter.Part(run))}
	}
	sorts[AtRisk] = byScore(0) // no run: nobody has a score
	for _, m := range l.models {
		s := byScore(0)
		if m.CurrentRun != nil {
			s = byScore(*m.CurrentRun)
		}
		sorts["scores."+m.Key] = s
		if m.Key == AtRisk {
			sorts[AtRisk] = s
		}
	}
	names := make([]string, 0, len(sorts))
	for name := range sorts {
		names = append(names, name)
	}
	return customer.ParseSort(text, sorts, names)
}

// metrics are the fields over m.
var metrics = []filter.Field{
	{Name: "spend_total", Type: filter.TypeMoney, Label: fault.T("Total spend", "累计消费"), Column: filter.SQL("m.spend_total")},
	{Name: "purchase_count", Type: filter.TypeInteger, Label: fault.T("Purchases", "购买次数"), Column: filter.SQL("m.purchase_count")},
	{Name: "purchase_days", Type: filter.TypeInteger, Label: fault.T("Days with a purchase", "购买天数"), Unit: "days", Column: filter.SQL("m.purchase_days")},
	{Name: "units_total", Type: filter.TypeInteger, Label: fault.T("Units bought", "购买件数"), Column: filter.SQL("m.units_total")},
	{Name: "first_purchase_on", Type: filter.TypeDate, Label: fault.T("First purchase", "首次购买日"), Nullable: true, Column: filter.SQL("m.first_purchase_on")},
	{Name: "completeness", Type: filter.TypeInteger, Label: fault.T("Completeness", "完整度"), Unit: "%", Nullable: true, Column: filter.SQL("m.completeness")},
	{Name: "last_purchase_on", Type: filter.TypeDate, Label: fault.T("Last purchase", "最近购买日"), Nullable: true, Column: filter.SQL("m.last_purchase_on")},
	{Name: "return_count", Type: filter.TypeInteger, Label: fault.T("Returns", "退货次数"), Column: filter.SQL("m.return_count")},
	{Name: "returns_total", Type: filter.TypeMoney, Label: fault.T("Total returned", "累计退货金额"), Column: filter.SQL("m.returns_total")},
	{Name: "on_time_payments", Type: filter.TypeInteger, Label: fault.T("Payments on time", "按时付款笔数"), Column: filter.SQL("m.on_time_payments")},
	{Name: "late_payments", Type: filter.TypeInteger, Label: fault.T("Late payments", "逾期后付清笔数"), Column: filter.SQL("m.late_payments")},
	{Name: "open_payments", Type: filter.TypeInteger, Label: fault.T("Open payments", "未付清笔数"), Column: filter.SQL("m.open_payments")},
	{Name: "open_amount", Type: filter.TypeMoney, Label: fault.T("Open amount", "未付金额"), Column: filter.SQL("m.open_amount")},
	{Name: "open_due_on", Type: filter.TypeDate, Label: fault.T("Earliest open due day", "最早未付到期日"), Nullable: true, Column: filter.SQL("m.open_due_on")},
	{Name: "last_payment_on", Type: filter.TypeDate, Label: fault.T("Last payment", "最近付款日"), Nullable: true, Column: filter.SQL("m.last_payment_on")},
}

// sortable are the metrics with an index of their own. What is owed is sorted by open_due_on: the longest overdue first.
var sortable = map[string]bool{"spend_total": true, "purchase_count": true, "purchase_days": true, "units_total": true,
	"completeness": true, "first_purchase_on": true, "last_purchase_on": true, "open_due_on": true, "last_payment_on": true}

// owed are the metrics that change as days pass: what is open and was due before today. m tells who owes anything, and only
// theirs is added up.
type owed struct{ today tenant.Day }

func (owed) Names() []string { return []string{"overdue_payments", "overdue_amount", "days_overdue"} }

func (o owed) Resolve(name string) (filter.Field, bool) {
	switch name {
	case "overdue_payments":
		return filter.Field{Name: name, Type: filter.TypeInteger, Label: fault.T("Overdue payments", "逾期未付笔数"),
			Column: filter.SQL("CASE WHEN m.open_due_on < ? THEN (SELECT count(*)"+metric.Late+") ELSE 0 END", o.today.Time, o.today.Time)}, true
	case "overdue_amount":
		return filter.Field{Name: name, Type: filter.TypeMoney, Label: fault.T("Overdue amount", "逾期未付金额"), Column: filter.SQL(
			"CASE WHEN m.open_due_on < ? THEN (SELECT sum(p.base_open)::bigint"+metric.Late+") ELSE 0 END", o.today.Time, o.today.Time)}, true
	case "days_overdue":
		return filter.Field{Name: name, Type: filter.TypeInteger, Label: fault.T("Days overdue", "逾期天数"), Unit: "days",
			Column: filter.SQL("CASE WHEN m.open_due_on < ? THEN ?::date - m.open_due_on ELSE 0 END", o.today.Time, o.today.Time)}, true
	}
	return filter.Field{}, false
}

var catalogue = filter.NewCatalogue(labelled(append([]filter.Field{
	{Name: "id", Type: filter.TypeUUID, Label: fault.T("Id", "编号"), Column: filter.SQL("c.id")},
	{Name: "kind", Type: filter.TypeChoice, Label: fault.T("Kind", "客户类型"), Choices: customer.Kinds, Column: filter.SQL("c.kind")},
	{Name: "name", Type: filter.TypeText, Label: fault.T("Name", "名称"), Column: filter.SQL("c.name")},
	{Name: "stage", Type: filter.TypeChoice, Label: fault.T("Stage", "阶段"), Choices: customer.Stages, Column: filter.SQL("c.stage")},
	{Name: "source", Type: filter.TypeChoice, Label: fault.T("Source", "来源"), Choices: customer.Channels, Nullable: true, Column: filter.SQL("c.source_channel")},
	{Name: "campaign", Type: filter.TypeText, Label: fault.T("Campaign", "来源活动"), Nullable: true, Column: filter.SQL("c.source_campaign")},
	{Name: "owner", Type: filter.TypeText, Label: fault.T("Owner", "负责人"), Nullable: true, Column: filter.SQL("c.owner")},
	{Name: "country", Type: filter.TypeText, Label: fault.T("Country", "国家"), Nullable: true, Column: filter.SQL("c.country"), Example: example("CN")},
	{Name: "province", Type: filter.TypeText, Label: fault.T("Province", "省份"), Nullable: true, Column: filter.SQL("c.province")},
	{Name: "city", Type: filter.TypeText, Label: fault.T("City", "城市"), Nullable: true, Column: filter.SQL("c.city")},
	{Name: "industry", Type: filter.TypeText, Label: fault.T("Industry", "行业"), Nullable: true, Column: filter.SQL("c.industry")},
	{Name: "created_at", Type: filter.TypeTime, Label: fault.T("Created", "创建时间"), Column: filter.SQL("c.created_at")},
	{Name: "updated_at", Type: filter.TypeTime, Label: fault.T("Updated", "更新时间"), Column: filter.SQL("c.updated_at")},
	{Name: Segments, Type: filter.TypeTags, Label: fault.T("Segments", "客户细分"), Column: filter.SQL("sg.key"),
		Exists: filter.SQL(`EXISTS (SELECT 1 FROM segment_members sm JOIN segments sg ON sg.tenant_id = sm.tenant_id AND sg.id = sm.segment_id
			WHERE sm.tenant_id = c.tenant_id AND sm.customer_id = c.id AND sg.archived_at IS NULL AND %s)`)},
}, slices.Concat(record, metrics)...))...)

// carried is the field tags: what a customer carries at that moment, expired assignments left out.
type carried struct {
	tenantID int32
	at       any
}

func (carried) Names() []string { return []string{"tags"} }

func (c carried) Resolve(name string) (filter.Field, bool) {
	return filter.Field{Name: "tags", Type: filter.TypeTags, Label: fault.T("Tags", "标签"), Column: filter.SQL("g.key"),
		Exists: filter.SQL(`EXISTS (SELECT 1 FROM customer_tags ct JOIN tags g ON g.tenant_id = ct.tenant_id AND g.id = ct.tag_id
			WHERE ct.tenant_id = c.tenant_id AND ct.customer_id = c.id AND (ct.expires_at IS NULL OR ct.expires_at > ?) AND %s)`, c.at),
		Known: filter.SQL(`ct.tag_id = ANY(kezi_tag_ids(?::integer, %s))`, c.tenantID)}, name == "tags"
}

// AtRisk is a field of every tenant: the score of the model of that key, which nobody has where there is none.
const AtRisk = "value_at_risk"

// scores is the family scores.<key>, its band and, for kinds that name what they find, its label.
type scores struct {
	tenantID int32
	models   []model
	currency string
}

// ScoreUnit is what the values of a kind of scores count: the currency, a probability or points.
func ScoreUnit(kind, currency string) string {
	switch kind {
	case "clv", "potential", AtRisk:
		return currency
	case "churn":
		return "probability"
	}
	return "points"
}

func (s scores) Names() []string {
	names := []string{AtRisk}
	for _, m := range s.models {
		names = append(names, "scores."+m.Key, "scores."+m.Key+".band")
		if labels["scores."+m.Kind+".label"] != nil {
			names = append(names, "scores."+m.Key+".label")
		}
	}
	return names
}

func (s scores) Resolve(name string) (filter.Field, bool) {
	rest, ok := strings.CutPrefix(name, "scores.")
	if name == AtRisk {
		rest, ok = AtRisk, true
	}
	if !ok {
		return filter.Field{}, false
	}
	key, part, _ := strings.Cut(rest, ".")
	i := slices.IndexFunc(s.models, func(m model) bool { return m.Key == key })
	if i < 0 && name != AtRisk {
		return filter.Field{}, false
	}
	run, m := int64(0), model{Key: key} // no run: nobody has a score
	if i >= 0 {
		m = s.models[i]
	}
	if m.CurrentRun != nil {
		run = *m.CurrentRun
	}
	called := cmp.Or(m.Name, key)
	f := filter.Field{Name: name, Nullable: true, One: true, Exists: filter.SQL(`EXISTS (SELECT 1 FROM scores s
		WHERE s.tenant_id = c.tenant_id AND s.customer_id = c.id AND s.run_no = ? AND %s)`, filter.Part(run)),
		Whole: filter.Source{Name: fmt.Sprint("scores ", run), From: filter.SQL("scores s"), Customer: filter.SQL("s.customer_id"),
			All: filter.SQL("s.tenant_id = ?::integer AND s.run_no = ?", s.tenantID, filter.Part(run))}}
	switch part {
	case "":
		if key == AtRisk {
			f.Type, f.Label, f.Column, f.Unit = filter.TypeScore, fault.T("Value at risk", "风险价值"), filter.SQL("s.value"), s.currency
			break
		}
		f.Type, f.Label, f.Column, f.Unit = filter.TypeScore, fault.T(called, called), filter.SQL("s.value"), ScoreUnit(m.Kind, s.currency)
		if m.Kind == "churn" { // a probability
			f.Example = number("0.8")
		}
	case "band":
		f.Type, f.Label, f.Column = filter.TypeInteger, fault.T("Band of "+called, called+"档位"), filter.SQL("s.band")
	case "label":
		f.Type, f.Label, f.Column = filter.TypeText, fault.T("Segment by "+called, called+"：客群"), filter.SQL("s.label")
		if named := labels["scores."+m.Kind+".label"]; named != nil {
			f.Type, f.Choices, f.ChoiceLabels = filter.TypeChoice, slices.Sorted(maps.Keys(named)), named
		}
	default:
		return filter.Field{}, false
	}
	return f, true
}

// tiers is the family tiers.<scheme>.
type tiers []scheme

const placements = `tier_placements p JOIN tiers r ON r.tenant_id = p.tenant_id AND r.scheme_id = p.scheme_id AND r.id = p.tier_id`

func (s tiers) Names() []string {
	names := make([]string, len(s))
	for i, x := range s {
		names[i] = "tiers." + x.Key
	}
	return names
}

func (s tiers) Resolve(name string) (filter.Field, bool) {
	key, ok := strings.CutPrefix(name, "tiers.")
	i := slices.IndexFunc(s, func(x scheme) bool { return x.Key == key })
	if !ok || i < 0 {
		return filter.Field{}, false
	}
	var keys []string
	called := cmp.Or(s[i].Name, key)
	names := make(map[string]fault.Text, len(s[i].Tiers))
	for _, t := range s[i].Tiers {
		keys = append(keys, t.Key)
		names[t.Key] = fault.T(t.Name, t.Name)
	}
	return filter.Field{Name: name, Type: filter.TypeTier, Label: fault.T(called, called), Choices: keys, ChoiceLabels: names,
		Nullable: true, One: true, Column: filter.SQL("r.key"), Exists: filter.SQL("EXISTS (SELECT 1 FROM "+placements+
			" WHERE p.tenant_id = c.tenant_id AND p.customer_id = c.id AND p.scheme_id = ? AND %s)", s[i].ID),
		Whole: filter.Source{Name: name, From: filter.SQL(placements), Customer: filter.SQL("p.customer_id"),
			All: filter.SQL("p.tenant_id = ?::integer AND p.scheme_id = ?::uuid", s[i].TenantID, s[i].ID)},
		Known: filter.SQL(`p.tier_id = ANY(kezi_tier_ids(?::integer, ?::uuid, %s))`, s[i].TenantID, s[i].ID)}, true
}
