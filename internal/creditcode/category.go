package creditcode

import "github.com/kezi-io/kezi/internal/fault"

// Category is what kind of organisation the first two characters stand for: 91 is an enterprise. The second result is
// false for a pair that the standard of 2015 does not list; later amendments open more, so that is no error.
func (c Code) Category() (fault.Text, bool) {
	name, ok := categories[string(c[:2])]
	return name, ok
}

// categories are the registration authorities and the kinds of organisation at each. Source: GB 32100-2015, table 1.
var categories = map[string]fault.Text{
	"11": fault.T("government body", "机关"),
	"12": fault.T("public institution", "事业单位"),
	"13": fault.T("mass organisation", "群众团体"),
	"19": fault.T("other body of the establishment administration", "机构编制部门登记的其他机构"),
	"21": fault.T("resident foreign news agency", "外国常驻新闻机构"),
	"29": fault.T("other body of the foreign affairs administration", "外交部门登记的其他机构"),
	"31": fault.T("law firm", "律师执业机构"),
	"32": fault.T("notary office", "公证处"),
	"33": fault.T("grassroots legal service", "基层法律服务所"),
	"34": fault.T("forensic institution", "司法鉴定机构"),
	"35": fault.T("arbitration commission", "仲裁委员会"),
	"39": fault.T("other body of the justice administration", "司法行政部门登记的其他机构"),
	"41": fault.T("foreign cultural centre", "外国在华文化中心"),
	"49": fault.T("other body of the culture administration", "文化部门登记的其他机构"),
	"51": fault.T("social association", "社会团体"),
	"52": fault.T("private non-enterprise unit", "民办非企业单位"),
	"53": fault.T("foundation", "基金会"),
	"59": fault.T("other body of the civil affairs administration", "民政部门登记的其他机构"),
	"61": fault.T("representative office of a foreign tourism administration", "外国旅游部门常驻代表机构"),
	"62": fault.T("representative office of a tourism administration of Hong Kong, Macao or Taiwan", "港澳台地区旅游部门常驻内地（大陆）代表机构"),
	"69": fault.T("other body of the tourism administration", "旅游部门登记的其他机构"),
	"71": fault.T("place of religious activity", "宗教活动场所"),
	"72": fault.T("religious school", "宗教院校"),
	"79": fault.T("other body of the religious affairs administration", "宗教部门登记的其他机构"),
	"81": fault.T("grassroots trade union", "基层工会"),
	"89": fault.T("other trade union body", "工会登记的其他机构"),
	"91": fault.T("enterprise", "企业"),
	"92": fault.T("individual business", "个体工商户"),
	"93": fault.T("farmers' cooperative", "农民专业合作社"),
	"A1": fault.T("military public institution", "军队事业单位"),
	"A9": fault.T("other military body", "军队登记的其他机构"),
	"N1": fault.T("collective economic organisation of a group", "组级集体经济组织"),
	"N2": fault.T("collective economic organisation of a village", "村级集体经济组织"),
	"N3": fault.T("collective economic organisation of a township", "乡镇级集体经济组织"),
	"N9": fault.T("other body of the agriculture administration", "农业部门登记的其他机构"),
	"Y1": fault.T("other organisation", "其他机构"),
}
