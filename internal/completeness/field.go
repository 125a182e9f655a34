package completeness

import (
	"strings"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
)

// Field is what a record can have or lack.
type Field struct {
	Name    string // as the contract names it: company.legal_name, contact_points.phone, attributes.member_card
	Label   fault.Text
	Kind    string      // person or company, when only these have it
	Pointer string      // where the customer's document has it
	present filter.Expr // whether a value is there, over c; never NULL
}

// Present is whether a customer has a value, as a predicate over c that is never NULL.
func (f Field) Present() filter.Expr { return f.present }

const (
	person  = "person"
	company = "company"
)

// fields are all but a tenant's own.
var fields = []Field{
	column("source", "", "Source", "来源", filter.SQL("c.source_channel IS NOT NULL")),
	column("owner", "", "Owner", "负责人", filter.SQL("c.owner IS NOT NULL")),
	column("departments", "", "Departments", "部门", filter.SQL("c.departments IS NOT NULL")),
	column("country", "", "Country", "国家", filter.SQL("c.country IS NOT NULL")),
	column("province", "", "Province", "省份", filter.SQL("c.province IS NOT NULL")),
	column("city", "", "City", "城市", filter.SQL("c.city IS NOT NULL")),
	column("district", "", "District", "区县", filter.SQL("c.district IS NOT NULL")),
	column("industry", "", "Industry", "行业", filter.SQL("c.industry IS NOT NULL OR c.industry_code IS NOT NULL")),
	column("external_ids", "", "External ids", "外部编号", filter.SQL(
		"EXISTS (SELECT FROM external_ids e WHERE e.tenant_id = c.tenant_id AND e.customer_id = c.id)")),
	column("person.gender", person, "Gender", "性别", filter.SQL("c.gender IS NOT NULL AND c.gender <> 'unknown'")),
	column("person.birthday", person, "Birthday", "生日", filter.SQL("(c.details -> 'birthday') IS NOT NULL")),
	column("person.income_band", person, "Income band", "收入水平", filter.SQL("c.income_band IS NOT NULL")),
	column("person.education", person, "Education", "学历", filter.SQL("c.education IS NOT NULL")),
	column("person.occupation", person, "Occupation", "职业", filter.SQL("c.occupation IS NOT NULL")),
	column("person.interests", person, "Interests", "兴趣", filter.SQL("c.interests IS NOT NULL")),
	column("company.legal_name", company, "Legal name", "企业全称", filter.SQL("c.legal_name IS NOT NULL")),
	column("company.registration_number", company, "Registration number", "统一社会信用代码", filter.SQL("c.registration_number IS NOT NULL")),
	column("company.registered_on", company, "Registration date", "注册日期", filter.SQL("c.registered_on IS NOT NULL")),
	column("company.business_scope", company, "Business scope", "经营范围", filter.SQL("(c.details -> 'business_scope') IS NOT NULL")),
	column("company.employees", company, "Employees", "员工人数", filter.SQL("c.employees IS NOT NULL")),
	column("company.annual_revenue", company, "Annual revenue", "年营业额", filter.SQL("c.annual_revenue IS NOT NULL")),
	part("contact_points", "", "A way to reach them", "联系方式", filter.SQL(reached+")")),
	part("contact_points.phone", "", "Phone", "电话", filter.SQL(reached+" AND p.kind = 'phone')")),
	part("contact_points.email", "", "Email", "邮箱", filter.SQL(reached+" AND p.kind = 'email')")),
	part("contact_points.wechat", "", "WeChat", "微信", filter.SQL(reached+" AND p.kind = 'wechat')")),
	part("contact_points.qq", "", "QQ", "QQ", filter.SQL(reached+" AND p.kind = 'qq')")),
	part("contact_points.weibo", "", "Weibo", "微博", filter.SQL(reached+" AND p.kind = 'weibo')")),
	part("addresses", "", "Address", "地址", filter.SQL("EXISTS (SELECT FROM addresses a WHERE a.tenant_id = c.tenant_id AND a.customer_id = c.id)")),
	part("contacts", company, "Contact person", "联系人", filter.SQL("EXISTS (SELECT FROM contacts k WHERE k.tenant_id = c.tenant_id AND k.customer_id = c.id)")),
}

// reached is a contact point of the customer that is not known to be wrong; those of a company's contacts count.
const reached = "EXISTS (SELECT FROM contact_points p WHERE p.tenant_id = c.tenant_id AND p.customer_id = c.id AND p.valid"

func column(name, kind, en, zh string, present filter.Expr) Field {
	return Field{name, fault.T(en, zh), kind, "/" + strings.ReplaceAll(name, ".", "/"), present}
}

// part is a field that stands in a list of its own: the pointer is the list's.
func part(name, kind, en, zh string, present filter.Expr) Field {
	list, _, _ := strings.Cut(name, ".")
	return Field{name, fault.T(en, zh), kind, "/" + list, present}
}

const own = "attributes."

// Find is the field of that name. A tenant's own is taken at its word: whether it is defined, the caller knows.
func Find(name string) (Field, bool) {
	if key, ok := strings.CutPrefix(name, own); ok {
		return Field{name, fault.T(key, key), "", "/attributes/" + key, filter.SQL("(c.attributes ->> ?::text) IS NOT NULL", key)}, true
	}
	for _, f := range fields {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}

// Names are all fields but a tenant's own.
func Names() []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names
}
