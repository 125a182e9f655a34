package region

// simplified are the traditional characters in the names of provinces and cities.
var simplified = func() map[rune]rune {
	const traditional = "臺廣東雲貴陝肅寧遼龍蘇灣門內慶爾漢長廈濟鄭瀋陽連島無錫紹興溫縣區義烏蘭贛關懷陰鹽儀滄萊蕪濰棗許開馬銅蕩達廬淪棲麗諸閩歸齊雞鶴雙撫順營錦葉號薩師華樂劍與蕭麥吳張莊黃駐騰園業維壯濱煙嶽衛鳳巖來賓賀欽資瀘綿畢節臨紅寶隴樹銀魯瑪澤峽岡荊婁蘆盤鐵嶺鄲晉呂運倫貝綏鎮揚遷鄉鷹饒蓮國澗橋湧"
	const simple = "台广东云贵陕肃宁辽龙苏湾门内庆尔汉长厦济郑沈阳连岛无锡绍兴温县区义乌兰赣关怀阴盐仪沧莱芜潍枣许开马铜荡达庐沦栖丽诸闽归齐鸡鹤双抚顺营锦叶号萨师华乐剑与萧麦吴张庄黄驻腾园业维壮滨烟岳卫凤岩来宾贺钦资泸绵毕节临红宝陇树银鲁玛泽峡冈荆娄芦盘铁岭郸晋吕运伦贝绥镇扬迁乡鹰饶莲国涧桥涌"
	m := map[rune]rune{}
	to := []rune(simple)
	for i, from := range []rune(traditional) {
		m[from] = to[i]
	}
	return m
}()

// latinProvinces are the provinces as passports, maps and English letters write them.
var latinProvinces = map[string]string{
	"beijing": "北京", "peking": "北京", "tianjin": "天津", "hebei": "河北", "shanxi": "山西", "innermongolia": "内蒙古",
	"neimenggu": "内蒙古", "neimongol": "内蒙古", "liaoning": "辽宁", "jilin": "吉林", "heilongjiang": "黑龙江", "shanghai": "上海",
	"jiangsu": "江苏", "zhejiang": "浙江", "anhui": "安徽", "fujian": "福建", "jiangxi": "江西", "shandong": "山东",
	"henan": "河南", "hubei": "湖北", "hunan": "湖南", "guangdong": "广东", "canton": "广东", "guangxi": "广西", "hainan": "海南",
	"chongqing": "重庆", "sichuan": "四川", "guizhou": "贵州", "yunnan": "云南", "tibet": "西藏", "xizang": "西藏",
	"shaanxi": "陕西", "gansu": "甘肃", "qinghai": "青海", "ningxia": "宁夏", "xinjiang": "新疆", "taiwan": "台湾",
	"hongkong": "香港", "xianggang": "香港", "macao": "澳门", "macau": "澳门", "aomen": "澳门",
}

// latinCities are the well-known cities. Of those that share their pinyin (苏州 and 宿州) it is the one that letters from
// abroad mean.
var latinCities = map[string]string{
	"beijing": "北京", "peking": "北京", "tianjin": "天津", "shanghai": "上海", "chongqing": "重庆", "hongkong": "香港", "macao": "澳门",
	"macau": "澳门", "taipei": "台北", "taibei": "台北", "newtaipei": "新北", "taichung": "台中", "tainan": "台南", "kaohsiung": "高雄",
	"taoyuan": "桃园", "hsinchu": "新竹", "keelung": "基隆",
	"guangzhou": "广州", "shenzhen": "深圳", "dongguan": "东莞", "foshan": "佛山", "zhuhai": "珠海", "zhongshan": "中山", "huizhou": "惠州",
	"shantou": "汕头", "jiangmen": "江门", "zhanjiang": "湛江", "zhaoqing": "肇庆", "hangzhou": "杭州", "ningbo": "宁波", "wenzhou": "温州",
	"jiaxing": "嘉兴", "huzhou": "湖州", "shaoxing": "绍兴", "jinhua": "金华", "taizhou": "台州", "zhoushan": "舟山", "quzhou": "衢州",
	"lishui": "丽水", "nanjing": "南京", "nanking": "南京", "suzhou": "苏州", "wuxi": "无锡", "changzhou": "常州", "nantong": "南通",
	"xuzhou": "徐州", "yangzhou": "扬州", "zhenjiang": "镇江", "yancheng": "盐城", "lianyungang": "连云港", "hefei": "合肥", "wuhu": "芜湖",
	"fuzhou": "福州", "xiamen": "厦门", "amoy": "厦门", "quanzhou": "泉州", "zhangzhou": "漳州", "nanchang": "南昌", "ganzhou": "赣州",
	"jinan": "济南", "qingdao": "青岛", "tsingtao": "青岛", "yantai": "烟台", "weifang": "潍坊", "weihai": "威海", "linyi": "临沂", "zibo": "淄博",
	"zhengzhou": "郑州", "luoyang": "洛阳", "kaifeng": "开封", "wuhan": "武汉", "yichang": "宜昌", "xiangyang": "襄阳", "changsha": "长沙",
	"zhuzhou": "株洲", "nanning": "南宁", "guilin": "桂林", "liuzhou": "柳州", "beihai": "北海", "haikou": "海口", "sanya": "三亚",
	"chengdu": "成都", "mianyang": "绵阳", "guiyang": "贵阳", "zunyi": "遵义", "kunming": "昆明", "lijiang": "丽江", "lhasa": "拉萨", "lasa": "拉萨",
	"xian": "西安", "xianyang": "咸阳", "lanzhou": "兰州", "xining": "西宁", "yinchuan": "银川", "urumqi": "乌鲁木齐", "wulumuqi": "乌鲁木齐",
	"shijiazhuang": "石家庄", "tangshan": "唐山", "baoding": "保定", "qinhuangdao": "秦皇岛", "langfang": "廊坊", "handan": "邯郸",
	"taiyuan": "太原", "datong": "大同", "hohhot": "呼和浩特", "huhehaote": "呼和浩特", "baotou": "包头", "ordos": "鄂尔多斯",
	"shenyang": "沈阳", "dalian": "大连", "anshan": "鞍山", "changchun": "长春", "jilin": "吉林", "harbin": "哈尔滨", "haerbin": "哈尔滨",
	"daqing": "大庆",
}
