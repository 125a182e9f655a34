package segment

import (
	"context"
	"fmt"

	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/tenant"
)

// Presets are the segments that can be made by name.
var Presets = []string{"high_value", "prospects", "loyal", "high_frequency", "low_frequency", "dormant", "new", "one_time"}

type preset struct {
	name, description string
	basis             Basis
	text              string // %s of high_value are what three in ten buyers reach: days with a purchase, and the average of one
	strategy          string
}

var presets = map[string]preset{
	"high_value": {"高价值客户", "购买频次与平均单笔金额都处于购买客户前 30%", ByValue, `purchase_days >= %d AND avg(transactions.net_amount) >= "%s"`,
		"专人服务，优先响应；以专属权益和新品优先体验留住客户。"},
	"prospects": {"潜在客户", "尚未购买的线索与意向客户", Behavioural, `purchase_count = 0 AND stage IN ("lead", "prospect")`,
		"了解需求，提供首单优惠与试用，推动首次购买。"},
	"loyal": {"忠诚客户", "至少在四个不同日期购买，首次购买已满 180 天，且最近 180 天内仍在购买", Behavioural,
		`purchase_days >= 4 AND first_purchase_on <= today-180d AND last_purchase_on >= today-180d`,
		"奖励忠诚，邀请推荐新客户，参与共创和会员活动。"},
	"high_frequency": {"高频客户", "最近一年至少在六个不同日期购买", Behavioural, `days(transactions, "365d") >= 6`,
		"提供订阅、套装和便捷复购，提升客单价。"},
	"low_frequency": {"低频客户", "最近一年购买一至两天", Behavioural, `days(transactions, "365d") >= 1 AND days(transactions, "365d") <= 2`,
		"结合购买周期提醒复购，以场景化内容提升频次。"},
	"dormant": {"沉睡客户", "曾经购买，但最近 180 天没有购买", Behavioural, `purchase_count >= 1 AND last_purchase_on < today-180d`,
		"用唤醒优惠与关怀回访了解流失原因，争取回流。"},
	"new": {"新客户", "最近 30 天内首次购买", Behavioural, `first_purchase_on >= today-30d`,
		"做好首购体验和使用指导，在 30 天内促成第二次购买。"},
	"one_time": {"一次性客户", "只在一个日期购买过，且已超过 30 天", Behavioural, `purchase_days = 1 AND first_purchase_on < today-30d`,
		"了解首购满意度，推荐搭配商品，争取第二单。"},
}

// complete fills what a draft leaves away from its preset.
func complete(ctx context.Context, q postgres.Querier, t tenant.Tenant, d Draft) (Draft, error) {
	p, ok := presets[d.Preset]
	if !ok {
		return d, nil
	}
	d.Key, d.Name, d.Description = orElse(d.Key, d.Preset), orElse(d.Name, p.name), orElse(d.Description, p.description)
	d.Strategy, d.Basis = orElse(d.Strategy, p.strategy), orElse(d.Basis, p.basis)
	if d.Condition != nil {
		return d, nil
	}
	text := p.text
	if d.Preset == "high_value" {
		days, average, err := often(ctx, q, t)
		if err != nil {
			return Draft{}, err
		}
		text = fmt.Sprintf(text, days, average)
	}
	var err error
	d.Condition, err = filter.Parse(text)
	return d, err
}

// often is on how many days three in ten buyers have bought at least, and to how much, in major units, the average purchase of
// three in ten comes at least. Once is not often: two days or more; without buyers six days and 1,000.
func often(ctx context.Context, q postgres.Querier, t tenant.Tenant) (days int64, average string, err error) {
	var some, minor *int64
	err = q.QueryRow(ctx, `SELECT percentile_disc(0.7) WITHIN GROUP (ORDER BY purchase_days), percentile_disc(0.7) WITHIN GROUP (ORDER BY spend_total / purchase_count)
		FROM customer_metrics WHERE tenant_id = $1 AND purchase_count > 0`, t.ID).Scan(&some, &minor)
	switch {
	case err != nil:
		return 0, "", fmt.Errorf("look for what the best customers buy: %w", err)
	case some == nil || minor == nil || *minor <= 0:
		return 6, "1000", nil
	}
	return max(*some, 2), money.Money{Minor: *minor, Currency: t.Currency}.Decimal(), nil
}

func orElse[T ~string](s, otherwise T) T {
	if s == "" {
		return otherwise
	}
	return s
}
