package synthetic

import (
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/kezi-io/kezi/internal/customer"
)

// place is where a customer lives.
type place struct{ country, province, city string }

var (
	places = rank(chinese(`上海/上海 北京/北京 广东/广州 广东/深圳 浙江/杭州 四川/成都 重庆/重庆 江苏/苏州 湖北/武汉 江苏/南京 陕西/西安 湖南/长沙 天津/天津
		河南/郑州 山东/青岛 浙江/宁波 广东/佛山 广东/东莞 江苏/无锡 山东/济南 安徽/合肥 福建/厦门 福建/福州 辽宁/沈阳 辽宁/大连 云南/昆明
		浙江/温州 福建/泉州 江苏/常州 江苏/南通 黑龙江/哈尔滨 吉林/长春 河北/石家庄 江西/南昌 广西/南宁 贵州/贵阳 山西/太原 浙江/嘉兴
		浙江/金华 浙江/绍兴 江苏/徐州 山东/烟台 山东/潍坊 广东/惠州 广东/珠海 广东/中山 新疆/乌鲁木齐 甘肃/兰州 海南/海口 内蒙古/呼和浩特
		浙江/台州 河北/唐山 河北/保定 江苏/扬州 江苏/盐城 山东/临沂 广东/汕头 河南/洛阳 湖北/宜昌 湖北/襄阳 安徽/芜湖 江西/赣州 湖南/岳阳
		宁夏/银川 青海/西宁 四川/绵阳 广西/柳州 广西/桂林 贵州/遵义 海南/三亚 西藏/拉萨 浙江/丽水 甘肃/敦煌 云南/大理 云南/丽江`), 4)
	abroad = rank([]place{{"US", "", "New York"}, {"SG", "", "Singapore"}, {"GB", "", "London"}, {"US", "", "Los Angeles"}, {"AU", "", "Sydney"},
		{"DE", "", "Berlin"}, {"CA", "", "Toronto"}, {"JP", "", "Tokyo"}, {"FR", "", "Paris"}, {"MY", "", "Kuala Lumpur"}, {"TH", "", "Bangkok"},
		{"NL", "", "Amsterdam"}, {"IT", "", "Milano"}, {"ES", "", "Madrid"}, {"VN", "", "Hà Nội"}, {"IN", "", "Mumbai"}, {"SE", "", "Stockholm"}}, 3)
	owners     = rank(makeOwners(), 6)
	channels   = rank(words("store website social third_party referral advertising import event phone visit exhibition"), 2)
	campaigns  = rank(words("双十一大促 618年中购物节 春茶节 中秋礼盒 年货节 新客礼遇 老友推荐计划 会员日"), 2)
	industries = rank(words("批发零售 信息技术 制造业 教育 医疗健康 金融 公共管理 自由职业"), 2)
	details    = map[string]ranked[string]{
		"store":       rank(words("南京东路店 西湖店 天河城店 春熙路店 王府井店"), 3),
		"website":     rank(words("官网首页 官网礼品页"), 1),
		"social":      rank(words("微信公众号 小红书 抖音直播间 视频号"), 2),
		"third_party": rank(words("天猫旗舰店 京东自营"), 2),
		"advertising": rank(words("朋友圈广告 地铁广告"), 2),
		"exhibition":  rank(words("广交会 上海食品展"), 2),
	}
)

func chinese(pairs string) []place {
	var all []place
	for _, p := range words(pairs) {
		for i, r := range p {
			if r == '/' {
				all = append(all, place{"CN", p[:i], p[i+1:]})
			}
		}
	}
	return all
}

// makeOwners names the 60 people who look after customers; a few have most of them.
func makeOwners() []string {
	rng := rand.New(rand.NewPCG(60, 60)) //nolint:gosec // made-up data, the same every time
	all := make([]string, 60)
	for i := range all {
		all[i] = Person(rng)
	}
	return all
}

// someone is a customer as the generator knows it, without what follows from purchases.
type someone struct {
	customer.Customer
	deleted bool
}

// streams of random numbers, so that a subject added later changes nothing in the others.
const (
	streamPerson = iota + 1
	streamJoined
	streamRate
	streamCount
	streamTimes
	streamStage
	streamLevel
	streamOrder
	streamOrderID
	streamTags
	streamTagIDs
	streamTierIDs
	streamCustomerEvent
	streamOrderEvent
	streamPhone
)

// rng is the stream of random numbers about one thing of one customer or order. It depends on the seed and the two
// numbers alone, so that every subject can be made again without the others.
func (w *World) rng(stream, of uint64) *rand.Rand {
	return rand.New(rand.NewPCG(w.Seed<<8|stream, of)) //nolint:gosec // made-up data, the same every time
}

// someone makes the i-th customer. Their number grows over the years, so the later half of the time has most of them.
func (w *World) someone(i int) someone {
	rng := w.rng(streamPerson, uint64(i))
	n := named(rng)
	c := customer.Customer{Version: 1, Kind: n.kind, Name: n.text, Country: n.place.country, Province: n.place.province, City: n.place.city,
		Industry: customer.Industry{Label: n.industry}}
	c.CreatedAt = w.joined(i)
	c.ID = w.id(c.CreatedAt, rng)
	c.UpdatedAt = c.CreatedAt
	if rng.Float64() < 0.6 {
		c.Version = 2 + int64(rng.ExpFloat64()*2)
		c.UpdatedAt = c.CreatedAt.Add(time.Duration(rng.Float64() * float64(w.Until.Sub(c.CreatedAt)))).Truncate(time.Microsecond)
	}
	if rng.Float64() < 0.93 {
		c.Source.Channel = channels.pick(rng)
		if d, ok := details[c.Source.Channel]; ok && rng.Float64() < 0.7 {
			c.Source.Detail = d.pick(rng)
		}
		if rng.Float64() < 0.3 {
			c.Source.Campaign = campaigns.pick(rng)
		}
	}
	if rng.Float64() < 0.8 {
		c.Owner = owners.pick(rng)
	}
	if c.Industry.Label == "" && rng.Float64() < 0.25 {
		c.Industry.Label = industries.pick(rng)
	}
	if rng.Float64() < 0.08 { // nobody asked where they live
		c.Country, c.Province, c.City = "", "", ""
	}
	if rng.Float64() < 0.9 {
		c.ExternalIDs = append(c.ExternalIDs, customer.ExternalID{Source: "crm", ID: "C-" + pad(i+1, 8)})
	}
	if rng.Float64() < 0.4 {
		c.ExternalIDs = append(c.ExternalIDs, customer.ExternalID{Source: "shop", ID: strconv.FormatUint(rng.Uint64()>>20, 10)})
	}
	return someone{c, rng.Float64() < 0.005}
}

// joined is when the i-th customer came.
func (w *World) joined(i int) time.Time {
	span := w.Until.Sub(w.since)
	at := math.Sqrt((float64(i) + w.rng(streamJoined, uint64(i)).Float64()) / float64(w.Customers))
	return w.since.Add(time.Duration(at * float64(span))).Truncate(time.Microsecond)
}

// id is a UUIDv7 of that time.
func (w *World) id(at time.Time, rng *rand.Rand) uuid.UUID {
	var id uuid.UUID
	ms := uint64(at.UnixMilli())
	for b := range 6 {
		id[b] = byte(ms >> (40 - 8*b))
	}
	random := [2]uint64{rng.Uint64(), rng.Uint64()}
	for b := 6; b < 16; b++ {
		id[b] = byte(random[b/8] >> (8 * (b % 8)))
	}
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id
}

// pad writes n with leading zeros.
func pad(n, width int) string {
	s := strconv.Itoa(n)
	for len(s) < width {
		s = "0" + s
	}
	return s
}
