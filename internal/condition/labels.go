package condition

import (
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
)

// labels are what people call the values of choices, by field and value.
var labels = map[string]map[string]fault.Text{
	"kind": {"person": fault.T("Person", "个人"), "company": fault.T("Company", "企业")},
	"stage": {"lead": fault.T("Lead", "线索"), "prospect": fault.T("Prospect", "意向客户"), "active": fault.T("Active", "活跃客户"),
		"dormant": fault.T("Dormant", "沉睡客户"), "lost": fault.T("Lost", "流失客户")},
	"source": {"website": fault.T("Website", "官网"), "event": fault.T("Event", "活动"), "social": fault.T("Social media", "社交媒体"),
		"third_party": fault.T("Third party", "第三方平台"), "referral": fault.T("Referral", "转介绍"), "advertising": fault.T("Advertising", "广告"),
		"visit": fault.T("Visit", "拜访"), "exhibition": fault.T("Exhibition", "展会"), "phone": fault.T("Phone", "电话"),
		"store": fault.T("Store", "门店"), "email": fault.T("Email", "邮件"), "form": fault.T("Form", "表单"),
		"research": fault.T("Research", "市场调研"), "system": fault.T("Another system", "其他系统"), "import": fault.T("Import", "批量导入"),
		"other": fault.T("Other", "其他")},
	"gender": {"male": fault.T("Male", "男"), "female": fault.T("Female", "女"), "other": fault.T("Other", "其他"),
		"unknown": fault.T("Unknown", "未知")},
	"income_band": {"low": fault.T("Low", "低"), "lower_middle": fault.T("Lower middle", "中低"), "middle": fault.T("Middle", "中等"),
		"upper_middle": fault.T("Upper middle", "中高"), "high": fault.T("High", "高")},
	"education": {"primary": fault.T("Primary school", "小学"), "junior_high": fault.T("Junior high school", "初中"),
		"senior_high": fault.T("Senior high school", "高中"), "vocational": fault.T("Vocational school", "中专或职高"),
		"associate": fault.T("Associate degree", "大专"), "bachelor": fault.T("Bachelor", "本科"), "master": fault.T("Master", "硕士"),
		"doctorate": fault.T("Doctorate", "博士"), "other": fault.T("Other", "其他")},
	"industry_scheme": {"gbt4754": fault.T("GB/T 4754", "国民经济行业分类（GB/T 4754）"), "isic": fault.T("ISIC", "国际标准行业分类（ISIC）")},
	"status": {"pending": fault.T("Pending", "待付款"), "paid": fault.T("Paid", "已付款"), "to_ship": fault.T("To ship", "待发货"),
		"shipped": fault.T("Shipped", "已发货"), "completed": fault.T("Completed", "已完成"), "cancelled": fault.T("Cancelled", "已取消"),
		"refunded": fault.T("Refunded", "已退款")},
	"payment_method": {"card": fault.T("Card", "银行卡"), "cash": fault.T("Cash", "现金"), "wechat_pay": fault.T("WeChat Pay", "微信支付"),
		"alipay": fault.T("Alipay", "支付宝"), "bank_transfer": fault.T("Bank transfer", "银行转账"), "credit": fault.T("Credit", "赊账"),
		"other": fault.T("Other", "其他")},
	// Of models, by their kind.
	"scores.rfm.label": {"champions": fault.T("Champions", "冠军客户"), "loyal": fault.T("Loyal", "忠诚客户"),
		"potential_loyal": fault.T("Potentially loyal", "潜在忠诚客户"), "new": fault.T("New", "新客户"),
		"promising": fault.T("Promising", "有潜力的客户"), "need_attention": fault.T("In need of attention", "需要关注"),
		"about_to_sleep": fault.T("About to sleep", "即将沉睡"), "at_risk": fault.T("At risk", "有流失风险"),
		"cannot_lose": fault.T("Not to be lost", "不能失去"), "hibernating": fault.T("Hibernating", "沉睡客户"), "lost": fault.T("Lost", "已流失")},
	"scores.potential.label": {"high_value": fault.T("High value", "高价值客户"), "potential": fault.T("Potential", "潜力客户"),
		"ordinary": fault.T("Ordinary", "普通客户")},
}

// labelled gives choices the labels of their values.
func labelled(fields []filter.Field) []filter.Field {
	for i, f := range fields {
		if f.Choices != nil {
			fields[i].ChoiceLabels = labels[f.Name]
		}
	}
	return fields
}
