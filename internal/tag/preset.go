package tag

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/kezi-io/kezi/internal/condition"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/industry"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Preset is a group of automatic tags that can be made by name.
type Preset string

// The presets.
const (
	ByIndustry        Preset = "industry"
	ByRegion          Preset = "region"
	ByBuyingBehaviour Preset = "buying_behaviour"
)

// plan is a preset's group and tags, as one tenant gets them.
type plan struct {
	GroupDraft
	tags []planned
}

type planned struct {
	key  string
	name fault.Text
	text string // the condition
}

// Presets makes the group and the tags of a preset and answers both. What is there already, by its key, stays as it is: to
// call it again adds only what is missing.
func (s *Service) Presets(ctx context.Context, call tenant.Call, p Preset) (Group, []Tag, error) {
	var g Group
	var tags []Tag
	err := s.db.InTx(ctx, func(tx postgres.Tx) error {
		tags = []Tag{}
		if err := condition.Hold(ctx, tx, call.Tenant.ID); err != nil {
			return err
		}
		// Two who make the same preset at once come one after the other.
		if err := s.engine.Alone(ctx, tx, call.Tenant); err != nil {
			return err
		}
		made, err := s.plan(ctx, tx, call.Tenant, p)
		if err != nil {
			return err
		}
		drafts, err := made.drafts(call.Tenant)
		if err != nil {
			return err
		}
		if g, err = s.groupOf(ctx, tx, call, made.GroupDraft); err != nil {
			return err
		}
		for _, d := range drafts {
			d.GroupID = &g.ID
			id, err := idOf(ctx, tx, call.Tenant.ID, d.Key)
			var one Tag
			switch {
			case errors.Is(err, ErrNotFound):
				one, _, err = s.create(ctx, tx, call, d)
			case err == nil:
				one, err = get(ctx, tx, call.Tenant.ID, id, unlocked, s.now())
			}
			if err != nil {
				return err
			}
			tags = append(tags, one)
		}
		return nil
	})
	return g, tags, err
}

func (s *Service) groupOf(ctx context.Context, tx postgres.Tx, call tenant.Call, d GroupDraft) (Group, error) {
	all, err := groups(ctx, tx, call.Tenant.ID)
	if err != nil {
		return Group{}, err
	}
	for _, g := range all {
		if g.Key == d.Key {
			return g, nil
		}
	}
	return s.createGroup(ctx, tx, call, d)
}

func (p plan) drafts(t tenant.Tenant) ([]Draft, error) {
	drafts := make([]Draft, len(p.tags))
	for i, x := range p.tags {
		n, err := filter.Parse(x.text)
		if err != nil {
			return nil, fmt.Errorf("read the condition of the preset tag %s: %w", x.key, err)
		}
		drafts[i] = Draft{Key: x.key, Name: inLanguage(t, x.name), Description: n.Text(), Position: i + 1, Condition: n}
	}
	return drafts, nil
}

// inLanguage is a name in the language of the tenant's region.
func inLanguage(t tenant.Tenant, name fault.Text) string {
	if t.Region == "CN" {
		return name.Zh
	}
	return name.En
}

func (s *Service) plan(ctx context.Context, q postgres.Querier, t tenant.Tenant, p Preset) (plan, error) {
	group := func(key string, name fault.Text, color string, exclusive bool) GroupDraft {
		return GroupDraft{Key: key, Name: inLanguage(t, name), Color: color, Exclusive: exclusive, Position: 100}
	}
	switch p {
	case ByIndustry:
		return plan{group("industries", fault.T("Industries", "行业"), "#0369a1", true), sections(t)}, nil
	case ByRegion:
		g := group("regions", fault.T("Regions", "地区"), "#15803d", true)
		if t.Region == "CN" {
			return plan{g, chineseRegions}, nil
		}
		found, err := provinces(ctx, q, t)
		return plan{g, found}, err
	}
	ticket, err := bigTicket(ctx, q, t)
	if err != nil {
		return plan{}, err
	}
	tags := append([]planned{{"big_ticket", fault.T("Big ticket", "大额客单"), fmt.Sprintf(`max(transactions.amount, "365d") >= %q`, ticket)}}, behaviours...)
	return plan{group("buying_behaviour", fault.T("Buying behaviour", "购买行为"), "#7c3aed", false), tags}, nil
}

var behaviours = []planned{
	{"high_frequency", fault.T("High frequency", "高频购买"), `days(transactions, "365d") >= 6`},
	{"repeat_buyer", fault.T("Repeat buyer", "复购客户"), `purchase_days >= 2`},
	{"first_time_buyer", fault.T("First-time buyer", "首购客户"), `purchase_days = 1 AND first_purchase_on >= today-30d`},
	{"lapsed_buyer", fault.T("Lapsed buyer", "沉睡买家"), `purchase_count >= 1 AND last_purchase_on < today-180d`},
	{"discount_driven", fault.T("Discount driven", "优惠敏感"), `count(transactions, "365d", "discount = true") >= 3 AND count(transactions, "365d", "discount = false") <= 1`},
	{"night_shopper", fault.T("Night shopper", "夜间购物"), `count(transactions, "365d", "hour >= 22 OR hour < 5") >= 3`},
	{"weekend_shopper", fault.T("Weekend shopper", "周末购物"), `count(transactions, "365d", "weekday >= 6") >= 3 AND count(transactions, "365d", "weekday < 6") <= 1`},
	{"large_basket", fault.T("Large basket", "大批量采购"), `max(transactions.units, "365d") >= 40`},
	{"returns_often", fault.T("Returns often", "退货偏多"), `return_count >= 3`},
}

// chineseRegions are the seven geographical regions of the mainland, and beyond. Provinces are written as addresses keep them.
var chineseRegions = []planned{
	{"region_north", fault.T("North China", "华北"), `province IN ("北京", "天津", "河北", "山西", "内蒙古")`},
	{"region_northeast", fault.T("Northeast China", "东北"), `province IN ("辽宁", "吉林", "黑龙江")`},
	{"region_east", fault.T("East China", "华东"), `province IN ("上海", "江苏", "浙江", "安徽", "福建", "江西", "山东")`},
	{"region_central", fault.T("Central China", "华中"), `province IN ("河南", "湖北", "湖南")`},
	{"region_south", fault.T("South China", "华南"), `province IN ("广东", "广西", "海南")`},
	{"region_southwest", fault.T("Southwest China", "西南"), `province IN ("重庆", "四川", "贵州", "云南", "西藏")`},
	{"region_northwest", fault.T("Northwest China", "西北"), `province IN ("陕西", "甘肃", "青海", "宁夏", "新疆")`},
	{"region_hk_mo_tw", fault.T("Hong Kong, Macao, Taiwan", "港澳台"), `province IN ("香港", "澳门", "台湾") OR country IN ("HK", "MO", "TW")`},
	{"region_overseas", fault.T("Overseas", "海外"), `country != null AND country NOT IN ("CN", "HK", "MO", "TW")`},
}

// sections are the sections of the industrial classification that the tenant's country uses.
func sections(t tenant.Tenant) []planned {
	scheme := industry.ISIC4
	if t.Region == "CN" {
		scheme = industry.GBT4754
	}
	var tags []planned
	for _, s := range industry.Sections(scheme) {
		codes := []string{fmt.Sprintf(`industry_code = %q`, s.Code)}
		for _, d := range industry.Divisions(scheme, s.Code) {
			codes = append(codes, fmt.Sprintf(`industry_code = "%s*"`, d.Code))
		}
		tags = append(tags, planned{"industry_" + strings.ToLower(s.Code), fault.T(s.English, s.Chinese),
			fmt.Sprintf(`industry_scheme = %q AND (%s)`, string(scheme), strings.Join(codes, " OR "))})
	}
	return tags
}

// mostProvinces bounds how many tags of provinces or states a preset makes, those with the most customers.
const mostProvinces = 50

func provinces(ctx context.Context, q postgres.Querier, t tenant.Tenant) ([]planned, error) {
	rows, err := q.Query(ctx, `SELECT province FROM customers WHERE tenant_id = $1 AND province <> '' AND deleted_at IS NULL AND merged_into IS NULL
		GROUP BY province ORDER BY count(*) DESC, province LIMIT $2`, t.ID, mostProvinces)
	if err != nil {
		return nil, fmt.Errorf("look for provinces: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for provinces: %w", err)
	}
	var tags []planned
	for _, name := range names {
		n := filter.Leaf{Field: "province", Op: filter.Eq, Values: []filter.Value{filter.String(name)}}
		// Names are anything; the key is told from others by a digest where letters are not enough.
		key := "region_" + uuid.NewSHA1(uuid.NameSpaceOID, []byte(name)).String()[:8]
		tags = append(tags, planned{key, fault.T(name, name), n.Text()})
	}
	return tags, nil
}

// bigTicket is what the average purchase of one of the best tenth of the buyers comes to at least, in major units; without
// buyers 1,000.
func bigTicket(ctx context.Context, q postgres.Querier, t tenant.Tenant) (string, error) {
	var minor *int64
	err := q.QueryRow(ctx, `SELECT percentile_disc(0.9) WITHIN GROUP (ORDER BY spend_total / purchase_count) FROM customer_metrics
		WHERE tenant_id = $1 AND purchase_count > 0`, t.ID).Scan(&minor)
	switch {
	case err != nil:
		return "", fmt.Errorf("look for what big purchases come to: %w", err)
	case minor == nil || *minor <= 0:
		return "1000", nil
	}
	return money.Money{Minor: *minor, Currency: t.Currency}.Decimal(), nil
}
