package filter_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
)

// shanghai has no summer time now, so days are plain; other zones are tested with the days themselves.
var shanghai = mustZone("Asia/Shanghai")

func mustZone(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return zone
}

// env says it is 02:00 of 2026-03-31 in Shanghai, which is still the 30th in UTC.
var env = filter.Env{Now: time.Date(2026, 3, 30, 18, 0, 0, 0, time.UTC), Zone: shanghai, Currency: "CNY", Digits: 2}

var people = filter.NewCatalogue(
	filter.Field{Name: "city", Type: filter.TypeText, Label: fault.T("City", "城市"), Column: filter.SQL("c.city"), Nullable: true},
	filter.Field{Name: "name", Type: filter.TypeText, Label: fault.T("Name", "姓名"), Column: filter.SQL("c.name"), Folded: filter.SQL("c.name_folded")},
	filter.Field{Name: "nick", Type: filter.TypeText, Label: fault.T("Nickname", "昵称"), Column: filter.SQL("c.name"),
		Match: func(op filter.Op, needle string) filter.Expr {
			if op == filter.StartsWith {
				return filter.SQL("starts_with(c.name_folded, lower(?))", needle)
			}
			return filter.SQL("strpos(c.name_folded, lower(?)) > 0", needle)
		}},
	filter.Field{Name: "spend_total", Type: filter.TypeMoney, Label: fault.T("Total spend", "累计消费"), Column: filter.SQL("c.spend"), Nullable: true},
	filter.Field{Name: "orders", Type: filter.TypeInteger, Label: fault.T("Orders", "订单数"), Unit: "orders", Column: filter.SQL("c.orders"), Nullable: true},
	filter.Field{Name: "ratio", Type: filter.TypeNumber, Label: fault.T("Ratio", "比例"), Column: filter.SQL("c.ratio"), Nullable: true},
	filter.Field{Name: "birthday", Type: filter.TypeDate, Label: fault.T("Birthday", "生日"), Column: filter.SQL("c.birthday"), Nullable: true},
	filter.Field{Name: "created_at", Type: filter.TypeTime, Label: fault.T("Created", "创建时间"), Column: filter.SQL("c.created_at"), Nullable: true},
	filter.Field{Name: "subscribed", Type: filter.TypeBoolean, Label: fault.T("Subscribed", "已订阅"), Column: filter.SQL("c.subscribed"), Nullable: true},
	filter.Field{Name: "stage", Type: filter.TypeChoice, Label: fault.T("Stage", "阶段"), Choices: []string{"new", "active", "lost"},
		Column: filter.SQL("c.stage"), Nullable: true},
	filter.Field{Name: "owner", Type: filter.TypeUUID, Label: fault.T("Owner", "负责人"), Column: filter.SQL("c.owner"), Nullable: true},
	filter.Field{Name: "tags", Type: filter.TypeTags, Label: fault.T("Tags", "标签"), Nullable: true, Column: filter.SQL("ct.tag"),
		Exists: filter.SQL("EXISTS (SELECT 1 FROM person_tags ct WHERE ct.person_id = c.id AND %s)")},
).With(scores{"clv": 7, "churn": 8}, tiers{}).WithSources(filter.Source{Name: "visits", Label: fault.T("Visit", "到访"),
	From: filter.SQL("person_visits v"), Own: filter.SQL("v.person_id = c.id"), Day: filter.SQL("v.day"), Fields: visits,
	Customer: filter.SQL("v.person_id"), All: filter.SQL("v.person_id >= ?::bigint", 0)})

var visits = filter.NewCatalogue(
	filter.Field{Name: "amount", Type: filter.TypeMoney, Label: fault.T("Amount", "金额"), Column: filter.SQL("v.amount")},
	filter.Field{Name: "guests", Type: filter.TypeInteger, Label: fault.T("Guests", "人数"), Column: filter.SQL("v.guests"), Nullable: true},
	filter.Field{Name: "channel", Type: filter.TypeText, Label: fault.T("Channel", "渠道"), Column: filter.SQL("v.channel")},
)

// visit is a row of the source visits as Go sees it.
type visit struct {
	day     string
	amount  int64
	guests  *int64
	channel string
}

// scores is a family whose fields bind the id of a model.
type scores map[string]int32

func (s scores) Resolve(name string) (filter.Field, bool) {
	rest, ok := strings.CutPrefix(name, "scores.")
	key, band := strings.CutSuffix(rest, ".band")
	id, known := s[key]
	f := filter.Field{Name: name, Type: filter.TypeScore, Label: fault.T(key, key), Nullable: true, Column: filter.SQL("s.value"),
		Exists: filter.SQL("EXISTS (SELECT 1 FROM person_scores s WHERE s.person_id = c.id AND s.model_id = ? AND %s AND s.model_id <> ?)", id, -id)}
	if band {
		f.Type, f.Choices, f.Column = filter.TypeChoice, []string{"a", "b", "c"}, filter.SQL("s.band")
	}
	return f, ok && known
}

func (s scores) Names() []string {
	return []string{"scores.churn", "scores.churn.band", "scores.clv", "scores.clv.band"}
}

type tiers struct{}

func (tiers) Resolve(name string) (filter.Field, bool) {
	return filter.Field{Name: name, Type: filter.TypeTier, Label: fault.T("Value tier", "价值等级"), Nullable: true,
		Choices: []string{"ordinary", "potential", "high"}, Column: filter.SQL("c.tier")}, name == "tiers.value"
}

func (tiers) Names() []string { return []string{"tiers.value"} }

// person is a row as Go sees it; an absent key is NULL.
type person struct {
	id     int
	values map[string]any // string, int64 (minor units), float64, bool, time.Time; days as string
	tags   []string
	visits []visit
}

// Pools are small so that random values meet.
var (
	texts   = []string{"", "上海", "杭州", "a", "A", "aB", "é", "É", "100%", "100x", "a_b", `a\b`, "a*b", "*", `"`, "'", "today", "?", "$1", "x\ny", "张伟", "; DROP"}
	days    = []string{"2024-02-29", "2025-12-31", "2026-02-28", "2026-03-30", "2026-03-31", "2026-04-01", "2026-04-30"}
	owners  = []string{"01890a5d-ac96-774b-bcce-b302099a8057", "01890a5d-ac96-774b-bcce-b302099a8058"}
	amounts = []string{"-1.00", "0", "0.01", "10", "10.5", "10.50", "90071992547409.93"}
	wholes  = []string{"-1", "0", "1", "2", "9007199254740993", "9223372036854775807"}
	ratios  = []string{"-0.5", "0", "0.1", "0.10", "2", "2.25"}
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// randomValue is one that fits the field; strings stand for numbers at times.
func randomValue(r *rand.Rand, f filter.Field) filter.Value {
	number := func(s string) filter.Value {
		if r.IntN(2) == 0 {
			return filter.String(s)
		}
		return filter.Number(s)
	}
	switch f.Type {
	case filter.TypeMoney:
		return number(pick(r, amounts))
	case filter.TypeInteger:
		return number(pick(r, wholes))
	case filter.TypeNumber, filter.TypeScore:
		return number(pick(r, ratios))
	case filter.TypeDate:
		return filter.String(pick(r, append([]string{"today", "today-1d", "today-1m", "today+1m", "today-25m"}, days...)))
	case filter.TypeTime:
		return filter.String(pick(r, append([]string{"today", "today-1w", "2026-03-30T16:00:00Z", "2026-03-31T23:59:59.999999+08:00"}, days...)))
	case filter.TypeBoolean:
		return filter.Bool(r.IntN(2) == 0)
	case filter.TypeUUID:
		return filter.String(pick(r, owners))
	case filter.TypeTags:
		return filter.String(pick(r, texts[1:]))
	}
	if len(f.Choices) > 0 {
		return filter.String(pick(r, f.Choices))
	}
	return filter.String(pick(r, texts))
}

var entries = people.Describe(env)

// plainAmounts are those that a float64 keeps, so that the reference may add them up.
var plainAmounts = amounts[:len(amounts)-1]

// randomFact is a comparison of a function of visits.
func randomFact(r *rand.Rand) filter.Leaf {
	f := &filter.Fact{Function: pick(r, filter.Functions), Of: "visits",
		Window: pick(r, []string{"", "1d", "90d", "1w", "3m", "2y", "2026-02-28..2026-03-30", "today-1m..today", "2024-02-29..2024-02-29"})}
	field := filter.Field{Type: filter.TypeInteger}
	switch f.Function {
	case filter.Sum, filter.Avg, filter.Min, filter.Max:
		measure := pick(r, []string{"amount", "guests"})
		f.Of += "." + measure
		field, _ = visits.Field(measure)
	case filter.First, filter.Last:
		field.Type = filter.TypeDate
	}
	switch r.IntN(4) {
	case 0:
		f.Where = filter.Leaf{Field: "channel", Op: filter.Eq, Values: []filter.Value{filter.String(pick(r, texts))}}
	case 1:
		f.Where = filter.Or{filter.Leaf{Field: "guests", Op: filter.IsNull},
			filter.Leaf{Field: "amount", Op: filter.Gte, Values: []filter.Value{filter.String(pick(r, amounts))}}}
	}
	l := filter.Leaf{Fact: f, Op: pick(r, []filter.Op{filter.Eq, filter.Ne, filter.Lt, filter.Lte, filter.Gt, filter.Gte})}
	v := randomValue(r, field)
	switch field.Type {
	case filter.TypeMoney:
		v = filter.String(pick(r, plainAmounts))
	case filter.TypeInteger:
		v = filter.Number(pick(r, []string{"0", "1", "2", "3"}))
	}
	l.Values = []filter.Value{v}
	return l
}

func randomLeaf(r *rand.Rand) filter.Leaf {
	if r.IntN(5) == 0 {
		return randomFact(r)
	}
	entry := pick(r, entries)
	f, _ := people.Field(entry.Name)
	l := filter.Leaf{Field: f.Name, Op: pick(r, entry.Operators)}
	n := 1
	switch l.Op {
	case filter.IsNull, filter.IsNotNull:
		n = 0
	case filter.In, filter.NotIn:
		n = 1 + r.IntN(3)
	}
	for range n {
		v := randomValue(r, f)
		for v.Text == "" && (l.Op == filter.Has || l.Op == filter.Contains || l.Op == filter.StartsWith) {
			v = randomValue(r, f)
		}
		l.Values = append(l.Values, v)
	}
	return l
}

func randomNode(r *rand.Rand, depth int) filter.Node {
	kind := r.IntN(6)
	if depth == 0 || kind >= 4 {
		return randomLeaf(r)
	}
	if kind == 3 {
		return filter.Not{Node: randomNode(r, depth-1)}
	}
	nodes := make([]filter.Node, 2+r.IntN(2))
	for i := range nodes {
		nodes[i] = randomNode(r, depth-1)
	}
	if kind == 0 {
		return filter.Or(nodes)
	}
	return filter.And(nodes)
}

func randomPerson(r *rand.Rand, id int) person {
	p := person{id: id, values: map[string]any{}}
	for _, name := range people.Names() {
		f, _ := people.Field(name)
		if name == "tags" || name == "nick" || name != "name" && r.IntN(4) == 0 {
			continue
		}
		v := randomValue(r, f)
		switch f.Type {
		case filter.TypeMoney:
			p.values[name] = minor(v.Text)
		case filter.TypeInteger:
			p.values[name] = whole(v.Text)
		case filter.TypeNumber, filter.TypeScore:
			p.values[name] = decimal(v.Text)
		case filter.TypeBoolean:
			p.values[name] = v.Text == "true"
		case filter.TypeDate:
			p.values[name] = pick(r, days)
		case filter.TypeTime:
			at, _ := time.ParseInLocation(time.DateOnly, pick(r, days), shanghai)
			p.values[name] = at.Add(pick(r, []time.Duration{0, -time.Microsecond, time.Microsecond, 5 * time.Hour, 24*time.Hour - time.Microsecond}))
		default:
			p.values[name] = v.Text
		}
	}
	p.values["nick"] = p.values["name"]
	for _, tag := range texts[1:] {
		if r.IntN(10) == 0 {
			p.tags = append(p.tags, tag)
		}
	}
	for range r.IntN(5) {
		v := visit{day: pick(r, days), amount: minor(pick(r, plainAmounts)), channel: pick(r, texts)}
		if r.IntN(2) == 0 {
			guests := int64(r.IntN(3))
			v.guests = &guests
		}
		p.visits = append(p.visits, v)
	}
	return p
}

func decimal(s string) float64 {
	var f float64
	_, _ = fmt.Sscan(s, &f)
	return f
}

func whole(s string) int64 {
	var n int64
	_, _ = fmt.Sscan(s, &n)
	return n
}

func minor(s string) int64 {
	major, cents, _ := strings.Cut(s, ".")
	return whole(major + (cents + "00")[:2])
}
