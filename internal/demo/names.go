package demo

import (
	"math/rand/v2"
	"strings"
)

// The lists repeat what is frequent, which makes it so here.
var (
	surnames = strings.Fields(`王 王 王 李 李 李 张 张 张 刘 刘 陈 陈 杨 杨 黄 黄 赵 吴 周 徐 孙 马 朱 胡 郭 何 林 高 罗 郑 梁
		谢 宋 唐 许 韩 邓 冯 曹 彭 曾 肖 田 董 潘 袁 蔡 蒋 余 于 杜 叶 程 魏 苏 吕 丁 任 卢 姚 沈 钟 姜 崔 谭 陆 范 汪 廖 石 金
		韦 贾 夏 付 方 邹 熊 白 孟 秦 邱 侯 江 尹 薛 闫 段 雷 龙 黎 史 陶 贺 毛 郝 顾 龚 邵 万 覃 武 钱 戴 严 莫 孔 向 常 欧阳 司徒`)
	given = strings.Fields(`伟 芳 娜 敏 静 丽 强 磊 军 洋 勇 艳 杰 娟 涛 明 超 霞 平 刚 建国 建华 建平 志强 志明 志远 秀英 秀兰
		桂英 玉兰 玉梅 海燕 海涛 晓东 晓红 晓燕 晓峰 文博 文静 文杰 子涵 子轩 子墨 梓萱 梓涵 雨桐 雨欣 雨泽 浩然 浩宇 宇轩 宇航
		思远 思琪 思涵 佳怡 佳琪 佳慧 欣怡 欣然 诗涵 诗雨 一诺 一鸣 俊杰 俊辉 俊豪 明轩 明哲 天宇 天佑 嘉豪 嘉欣 嘉怡 春梅
		春华 国强 国庆 国栋 国华 小红 小军 小燕 立新 立群 永强 永福 德华 德明 红梅 红霞 丽华 丽娟 丽萍 淑珍 淑芬 凤英 美玲 美华
		婷婷 倩倩 丹丹 莹莹 慧敏 雪梅 雪莲 冬梅 金凤 宝珠 家豪 家乐 承志 振华 振宇 少华 世杰 泽宇 昊天 逸飞 若曦 语嫣 可馨 梦洁`)
	words = strings.Fields(`华信 鼎盛 恒通 瑞丰 金桥 汇丰源 博远 宏达 天成 嘉禾 万福 同德 新世纪 东方 长江 海纳 中天 盛世 启明 云帆
		致远 卓越 和顺 永兴 德盛 福瑞 祥云 锦程 立信 众诚 凯达 联创 智汇 优品 百川 远航 正泰源 星河 青禾 泰和 兴业源 聚贤 悦来 雅集`)
	owners    = strings.Fields("陈晓明 林婉如 周志豪 赵敏 黄国华 孙丽君 吴海涛 何静")
	sectors   = strings.Fields("教育 医疗健康 信息技术 金融 制造业 批发零售 公共管理 自由职业")
	campaigns = strings.Fields("双十一大促 618年中购物节 春茶节 中秋礼盒 年货节 新客礼遇 老友推荐计划 会员日")
)

// trade is what companies do, how their names say it, and the division of GB/T 4754 that it is.
type trade struct{ says, industry, division string }

var trades = []trade{
	{"商贸", "批发零售", "51"}, {"贸易", "批发零售", "51"}, {"超市连锁", "批发零售", "52"}, {"餐饮管理", "餐饮", "62"}, {"酒店管理", "住宿", "61"},
	{"茶业", "食品饮料", "15"}, {"食品", "食品饮料", "14"}, {"科技", "信息技术", "65"}, {"信息技术", "信息技术", "65"}, {"软件", "信息技术", "65"},
	{"文化传媒", "文化传媒", "87"}, {"广告", "文化传媒", "72"}, {"精密机械", "制造业", "34"}, {"电子", "制造业", "39"}, {"医疗器械", "医疗健康", "35"},
	{"生物医药", "医疗健康", "27"}, {"教育科技", "教育", "83"}, {"物流", "交通运输", "54"}, {"建筑工程", "建筑", "47"}, {"置业", "房地产", "70"},
	{"新能源", "能源", "44"}, {"服饰", "纺织服装", "18"},
}

// exporter is the trade of those who pay in dollars.
var exporter = trade{"进出口", "外贸", "51"}

// place is a city; region is the key of its tag.
type place struct {
	province, city, region string
	weight                 int
}

var places = []place{
	{"上海", "上海", "east", 16}, {"北京", "北京", "north", 14}, {"广东", "广州", "south", 10}, {"广东", "深圳", "south", 11},
	{"广东", "佛山", "south", 4}, {"浙江", "杭州", "east", 10}, {"浙江", "宁波", "east", 5}, {"浙江", "温州", "east", 3}, {"江苏", "南京", "east", 7},
	{"江苏", "苏州", "east", 8}, {"江苏", "无锡", "east", 4}, {"四川", "成都", "west", 9}, {"重庆", "重庆", "west", 6}, {"湖北", "武汉", "west", 7},
	{"湖南", "长沙", "west", 5}, {"陕西", "西安", "west", 5}, {"山东", "青岛", "north", 5}, {"山东", "济南", "north", 4}, {"福建", "厦门", "south", 5},
	{"福建", "福州", "south", 4}, {"河南", "郑州", "north", 4}, {"天津", "天津", "north", 4}, {"安徽", "合肥", "east", 4}, {"辽宁", "大连", "north", 3},
	{"辽宁", "沈阳", "north", 3}, {"云南", "昆明", "west", 3}, {"海南", "海口", "south", 2},
}

// origin is where customers come from: a channel, what it was in detail, and whether campaigns run there.
type origin struct {
	channel  string
	details  []string
	campaign bool
}

var personOrigins = []origin{
	{"store", strings.Fields("南京东路店 西湖店 天河城店 春熙路店 王府井店"), false},
	{"website", strings.Fields("官网首页 官网礼品页"), true},
	{"social", strings.Fields("微信公众号 小红书 抖音直播间"), true},
	{"social", strings.Fields("微信小程序 视频号"), true},
	{"third_party", strings.Fields("天猫旗舰店 京东自营"), true},
	{"referral", strings.Fields("老客户介绍"), true},
	{"advertising", strings.Fields("地铁广告 朋友圈广告"), true},
	{"event", strings.Fields("品茶会 社区体验日"), true},
}

var companyOrigins = []origin{
	{"visit", strings.Fields("销售拜访"), false},
	{"exhibition", strings.Fields("广交会 上海食品展 杭州茶博会"), false},
	{"phone", strings.Fields("电话营销"), false},
	{"referral", strings.Fields("合作伙伴介绍 老客户介绍"), false},
	{"website", strings.Fields("企业采购页"), true},
	{"third_party", strings.Fields("1688 阿里国际站"), false},
}

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }

// weighted draws an index with chances in proportion to weights.
func weighted(rng *rand.Rand, weights []int) int {
	total := 0
	for _, w := range weights {
		total += w
	}
	at := rng.IntN(total)
	for i, w := range weights {
		if at -= w; at < 0 {
			return i
		}
	}
	return len(weights) - 1
}

func placeOf(rng *rand.Rand) place {
	weights := make([]int, len(places))
	for i, p := range places {
		weights[i] = p.weight
	}
	return places[weighted(rng, weights)]
}
