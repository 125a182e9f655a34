package condition

import (
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/filter"
	"github.com/kezi-io/kezi/internal/tenant"
)

func example(s string) *filter.Value {
	v := filter.String(s)
	return &v
}

func number(s string) *filter.Value {
	v := filter.Number(s)
	return &v
}

// record are the fields of what is known of a customer beyond the basics.
var record = []filter.Field{
	{Name: "aliases", Type: filter.TypeText, Label: fault.T("Other names", "别名"), Nullable: true, Column: filter.SQL("x.v"),
		Exists: filter.SQL("EXISTS (SELECT 1 FROM unnest(c.aliases) x (v) WHERE %s)"), Example: example("西湖茶叶")},
	{Name: "departments", Type: filter.TypeTags, Label: fault.T("Departments", "所属部门"), Nullable: true, Column: filter.SQL("x.v"),
		Exists: filter.SQL("EXISTS (SELECT 1 FROM unnest(c.departments) x (v) WHERE %s)"), Example: example("华东大区")},
	{Name: "source_detail", Type: filter.TypeText, Label: fault.T("Source in detail", "来源明细"), Nullable: true, Column: filter.SQL("c.source_detail")},
	{Name: "district", Type: filter.TypeText, Label: fault.T("District", "区县"), Nullable: true, Column: filter.SQL("c.district"), Example: example("西湖区")},
	{Name: "industry_scheme", Type: filter.TypeChoice, Label: fault.T("Classification of the industry", "行业分类标准"), Choices: customer.IndustrySchemes,
		Nullable: true, Column: filter.SQL("c.industry_scheme")},
	{Name: "industry_code", Type: filter.TypeText, Label: fault.T("Industry code", "行业代码"), Nullable: true, Column: filter.SQL("c.industry_code"), Example: example("6510")},

	{Name: "gender", Type: filter.TypeChoice, Label: fault.T("Gender", "性别"), Choices: customer.Genders, Nullable: true, Column: filter.SQL("c.gender")},
	{Name: "born_on", Type: filter.TypeDate, Label: fault.T("Born (solar)", "出生日期（公历）"), Nullable: true, Column: filter.SQL("c.born_on"), Example: example("1988-09-25")},
	{Name: "next_birthday_on", Type: filter.TypeDate, Label: fault.T("Next birthday (solar)", "下一个生日（公历）"), Nullable: true, Column: filter.SQL("c.next_birthday_on"), Example: example("today+7d")},
	{Name: "income_band", Type: filter.TypeChoice, Label: fault.T("Income band", "收入档次"), Choices: customer.IncomeBands, Nullable: true, Column: filter.SQL("c.income_band")},
	{Name: "education", Type: filter.TypeChoice, Label: fault.T("Education", "学历"), Choices: customer.Educations, Nullable: true, Column: filter.SQL("c.education")},
	{Name: "occupation", Type: filter.TypeText, Label: fault.T("Occupation", "职业"), Nullable: true, Column: filter.SQL("c.occupation"), Example: example("教师")},
	{Name: "interests", Type: filter.TypeTags, Label: fault.T("Interests", "兴趣爱好"), Nullable: true, Column: filter.SQL("x.v"),
		Exists: filter.SQL("EXISTS (SELECT 1 FROM unnest(c.interests) x (v) WHERE %s)"), Example: example("茶")},

	{Name: "legal_name", Type: filter.TypeText, Label: fault.T("Legal name", "法定名称"), Nullable: true, Column: filter.SQL("c.legal_name"), Example: example("杭州西湖茶叶有限公司")},
	{Name: "registration_scheme", Type: filter.TypeText, Label: fault.T("Kind of registration number", "登记号类别"), Nullable: true, Column: filter.SQL("c.registration_scheme"), Example: example("uscc")},
	{Name: "registration_number", Type: filter.TypeText, Label: fault.T("Registration number", "登记号"), Nullable: true, Column: filter.SQL("c.registration_number"), Example: example("91440300708461136T")},
	{Name: "employees", Type: filter.TypeInteger, Label: fault.T("Employees", "员工人数"), Nullable: true, Column: filter.SQL("c.employees")},
	{Name: "annual_revenue", Type: filter.TypeMoney, Label: fault.T("Annual revenue", "年营业额"), Nullable: true, Column: filter.SQL("c.annual_revenue")},
	{Name: "registered_on", Type: filter.TypeDate, Label: fault.T("Registered", "注册日期"), Nullable: true, Column: filter.SQL("c.registered_on")},
}

// aged is the field age: years completed on a day, by the same rule that shows it. Who was born on 29 February is a year older on 28
// February of a common year, as PostgreSQL adds years to a day.
type aged struct{ today tenant.Day }

func (aged) Names() []string { return []string{"age"} }

func (a aged) Resolve(name string) (filter.Field, bool) {
	day := a.today.Time
	return filter.Field{Name: "age", Type: filter.TypeInteger, Label: fault.T("Age", "年龄"), Unit: "years", Nullable: true,
		Column: filter.SQL(`(extract(year FROM ?::date) - extract(year FROM c.born_on) - (c.born_on
			+ make_interval(years => (extract(year FROM ?::date) - extract(year FROM c.born_on))::integer) > ?::date)::integer)::bigint`,
			day, day, day)}, name == "age"
}
