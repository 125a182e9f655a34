package synthetic

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/kezi-io/kezi/internal/customer"
)

// ranked is a list whose items come up the less often the later they stand, as names and cities do: the chance of the
// item at rank r is in proportion to 1/(r+shift).
type ranked[T any] struct {
	items []T
	below []float64 // chances added up
}

func rank[T any](items []T, shift float64) ranked[T] {
	r := ranked[T]{items: items, below: make([]float64, len(items))}
	total := 0.0
	for i := range items {
		total += 1 / (float64(i) + shift)
		r.below[i] = total
	}
	return r
}

func (r ranked[T]) pick(rng *rand.Rand) T {
	at := rng.Float64() * r.below[len(r.below)-1]
	low, high := 0, len(r.below)-1
	for low < high {
		if mid := (low + high) / 2; r.below[mid] <= at {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return r.items[low]
}

func words(s string) []string { return strings.Fields(s) }

func letters(s string) []string { return strings.Split(strings.Join(strings.Fields(s), ""), "") }

var (
	// In the order of the census: the first three are a fifth of everybody. The last ones are read in a way of their own
	// as surnames (单 shan, 仇 qiu, 区 ou, 解 xie, 查 zha, 曾 zeng) or have two characters.
	surnames = rank(words(`王 李 张 刘 陈 杨 黄 赵 吴 周 徐 孙 马 朱 胡 郭 何 林 高 罗 郑 梁 谢 宋 唐 许 韩 邓 冯 曹 彭 曾 肖 田 董 潘 袁 蔡
		蒋 余 于 杜 叶 程 魏 苏 吕 丁 任 卢 姚 沈 钟 姜 崔 谭 陆 范 汪 廖 石 金 韦 贾 夏 付 方 邹 熊 白 孟 秦 邱 侯 江 尹 薛 闫 段 雷 龙 黎
		史 陶 贺 毛 郝 顾 龚 邵 万 覃 武 钱 戴 严 莫 孔 向 常 汤 康 易 乔 赖 文 施 洪 辛 牛 温 樊 葛 欧阳 单 仇 区 解 查 司徒 上官 诸葛 尉迟`), 3)
	givenLetters = rank(letters(`伟芳娜敏静丽强磊军洋勇艳杰娟涛明超霞平刚华建国文志海晓玉红春小英兰梅秀桂云生林永金荣德成东立波峰斌宇飞
		浩鑫俊子涵轩梓萱雨欣泽然航思远佳怡琪慧诗一诺鸣辉豪哲天佑嘉庆栋燕新群福珍淑凤美玲婷倩丹莹雪莲冬宝家乐承振世昊逸若曦语嫣可馨
		梦洁安康宁庭彬礼义信仁忠良善祥瑞吉贤达智睿博学书墨画琴棋音韵舒畅悦欢喜爱情意念怀恩惠蕾薇蓉莉菲菁芝芸茜荷菊松柏桐楠枫杨柳`), 12)
	latinGiven = rank(words(`James Mary John Linda Robert Susan Michael Karen David Lisa William Nancy Richard Anna Thomas Emma Daniel Laura
		Paul Sarah Mark Julia George Maria Kevin Helen Brian Sophie Edward Olivia Jason Grace Ryan Chloe Jacob Alice Eric Rachel Stephen
		Hannah Jonas Elena Lukas Ingrid Pierre Claire Antonio Isabel Marco Giulia Sergei Natalia Kenji Yuki Minh Priya Arjun Fatima Omar José`), 6)
	latinSurnames = rank(words(`Smith Johnson Williams Brown Jones Garcia Miller Davis Wilson Anderson Thomas Taylor Moore Jackson Martin Lee
		Thompson White Harris Clark Lewis Robinson Walker Young Allen King Wright Scott Nguyen Hill Green Adams Nelson Baker Hall Campbell
		Mitchell Carter Roberts Müller Schmidt Schneider Fischer Weber Dubois Leroy Moreau Rossi Russo Ferrari Ivanov Petrov Tanaka Suzuki
		Kim Park Patel Singh Khan Hansen Larsen Nilsson Johansson O'Brien Murphy van-Dijk de-Vries Kowalski Novak Richardson Stevenson`), 8)
	brandLetters = rank(letters(`华信鼎盛恒通瑞丰金桥汇源博远宏达天成嘉禾万福同德新东方长江海纳中启明云帆致卓越和顺永兴祥锦程立众诚凯联创智优品百川航正
		泰星河青聚贤悦来雅集安康大富贵隆昌茂盈利鑫亿佳美乐宝龙凤山水光明`), 15)
	trades = rank([]trade{{"科技", "信息技术"}, {"商贸", "批发零售"}, {"贸易", "批发零售"}, {"电子商务", "批发零售"}, {"建筑工程", "建筑"},
		{"餐饮管理", "餐饮"}, {"文化传媒", "文化传媒"}, {"信息技术", "信息技术"}, {"物流", "交通运输"}, {"机械制造", "制造业"}, {"电子", "制造业"},
		{"教育咨询", "教育"}, {"医疗器械", "医疗健康"}, {"生物医药", "医疗健康"}, {"食品", "食品饮料"}, {"置业", "房地产"}, {"新能源", "能源"},
		{"服饰", "纺织服装"}, {"酒店管理", "住宿"}, {"进出口", "外贸"}}, 3)
	forms = rank(words("有限公司 有限责任公司 股份有限公司 集团有限公司 （集团）有限公司"), 0.4)
)

// trade is what a company does: how its name says it, and its industry.
type trade struct{ says, industry string }

// name is a customer's name with what came with it: a company's industry, and the city that is a part of its name.
type name struct {
	kind     customer.Kind
	text     string
	latin    bool
	industry string
	place    place
}

// Person is the name of somebody in China, the surname first.
func Person(rng *rand.Rand) string {
	surname := surnames.pick(rng)
	if rng.Float64() < 0.14 {
		return surname + givenLetters.pick(rng)
	}
	return surname + givenLetters.pick(rng) + givenLetters.pick(rng)
}

// Latin is the name of somebody elsewhere.
func Latin(rng *rand.Rand) string {
	given := latinGiven.pick(rng)
	if rng.Float64() < 0.08 {
		given += " " + string(rune('A'+rng.IntN(26))) + "."
	}
	return given + " " + strings.ReplaceAll(latinSurnames.pick(rng), "-", " ")
}

// Company is the name of a company of city, as registers have it, and its industry.
func Company(rng *rand.Rand, city string) (text, industry string) {
	brand := brandLetters.pick(rng) + brandLetters.pick(rng)
	if rng.Float64() < 0.35 {
		brand += brandLetters.pick(rng)
	}
	t := trades.pick(rng)
	form := forms.pick(rng)
	if rng.Float64() < 0.12 { // 华信商贸（上海）有限公司
		return fmt.Sprintf("%s%s（%s）%s", brand, t.says, city, strings.TrimPrefix(form, "（集团）")), t.industry
	}
	return city + brand + t.says + form, t.industry
}

// named draws a name: seven of ten are persons in China, one is a company there, two have Latin names.
func named(rng *rand.Rand) name {
	switch at := rng.Float64(); {
	case at < 0.7:
		return name{kind: customer.Person, text: Person(rng), place: places.pick(rng)}
	case at < 0.8:
		n := name{kind: customer.Company, place: places.pick(rng)}
		n.text, n.industry = Company(rng, n.place.city)
		return n
	}
	n := name{kind: customer.Person, text: Latin(rng), latin: true, place: abroad.pick(rng)}
	if rng.Float64() < 0.3 {
		n.place = places.pick(rng)
	}
	return n
}
