package demo

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/kezi-io/kezi/internal/birthday"
	"github.com/kezi-io/kezi/internal/creditcode"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/money"
	"github.com/kezi-io/kezi/internal/tenant"
)

// describe tells what people are like and fills the cards of companies. It draws from a source of its own, so that
// what else is drawn stays as it is.
func (w *world) describe() {
	rng := rand.New(rand.NewPCG(20260101, 3))
	for i := range w.people {
		p := &w.people[i]
		if p.Kind == customer.Company {
			p.Company = drawCard(rng, p.Name)
			continue
		}
		p.Person = drawDetails(rng, p.Name)
	}
	ada, tea := &w.people[0], &w.people[1]
	ada.Person = customer.PersonDetails{Gender: "female", Birthday: birthday.Birthday{Calendar: birthday.Lunar, Year: 1988, Month: 8, Day: 15},
		IncomeBand: "upper_middle", Education: "bachelor", Occupation: "中学教师", Interests: []string{"茶", "登山", "书法"},
		Preferences: customer.Preferences{"style": {Texts: []string{"简约"}}, "colour": {Texts: []string{"藏青", "米白"}, List: true},
			"size": {Texts: []string{"M"}}, "channel": {Texts: []string{"微信"}}}}
	ada.Departments, ada.Aliases = []string{"华东零售部"}, []string{"芳姐"}
	tea.Aliases, tea.Departments, tea.District = []string{"西湖茶叶", "杭州西湖茶厂"}, []string{"大客户部", "华东零售部"}, "西湖区"
	tea.Industry = customer.Industry{Label: "食品饮料", Scheme: customer.GBT4754, Code: "1530"}
	employees := int32(126)
	tea.Company = customer.CompanyDetails{RegistrationScheme: customer.USCC, RegistrationNumber: creditCode("91330106143", 25580), LegalName: tea.Name,
		BusinessScope: "茶叶制品生产；食品销售；茶具销售；食品互联网销售；货物进出口。", Employees: &employees,
		AnnualRevenue: &money.Money{Minor: 38_600_000_00, Currency: "CNY"}, RegisteredOn: day(1998, 11, 9)}
}

// creditCode is a unified social credit code with those first eleven characters: it looks for the check characters.
func creditCode(begins string, number int) string {
	const characters = "0123456789ABCDEFGHJKLMNPQRTUWXY"
	begins += fmt.Sprintf("%05d", number%100_000)
	for _, organisation := range characters {
		for _, check := range characters {
			if code, err := creditcode.Parse(begins + string(organisation) + string(check)); err == nil {
				return string(code)
			}
		}
	}
	return ""
}

func day(year, month, d int) *tenant.Day {
	return &tenant.Day{Time: time.Date(year, time.Month(month), d, 0, 0, 0, 0, time.UTC)}
}

var (
	occupations = strings.Fields("教师 医生 工程师 会计 销售 设计师 公务员 店主 程序员 律师 护士 司机 厨师 自由职业 退休 学生")
	interests   = strings.Fields("茶 登山 书法 摄影 跑步 钓鱼 烹饪 旅行 阅读 瑜伽 羽毛球 园艺 电影 音乐 亲子")
	styles      = strings.Fields("简约 中式 新中式 轻奢 传统 时尚")
	colours     = strings.Fields("藏青 米白 墨绿 酒红 浅灰 驼色")
)

// feminine are characters that given names of women have.
const feminine = "芳娜敏静丽艳娟霞英兰梅燕红萱欣琪怡慧涵诗春珍芬凤玲婷倩丹莹雪莲冬宝曦嫣馨梦洁美小金"

func drawDetails(rng *rand.Rand, name string) (d customer.PersonDetails) {
	if rng.Float64() < 0.8 {
		d.Gender = "male"
		if strings.ContainsAny(string([]rune(name)[1:]), feminine) {
			d.Gender = "female"
		}
	}
	if rng.Float64() < 0.7 {
		d.Birthday = birthday.Birthday{Calendar: birthday.Solar, Month: 1 + rng.IntN(12), Day: 1 + rng.IntN(28)}
		if rng.Float64() < 0.85 {
			d.Birthday.Year = 1948 + rng.IntN(58)
		}
		if rng.Float64() < 0.2 {
			d.Birthday.Calendar = birthday.Lunar
		}
	}
	if rng.Float64() < 0.5 {
		d.IncomeBand, d.Education = pick(rng, customer.IncomeBands), pick(rng, customer.Educations[1:8])
	}
	if rng.Float64() < 0.6 {
		d.Occupation = pick(rng, occupations)
	}
	for rng.Float64() < 0.5 && len(d.Interests) < 4 {
		d.Interests = append(d.Interests, pick(rng, interests))
	}
	if rng.Float64() < 0.3 {
		d.Preferences = customer.Preferences{"style": {Texts: []string{pick(rng, styles)}}, "colour": {Texts: []string{pick(rng, colours)}}}
	}
	return d
}

func drawCard(rng *rand.Rand, name string) customer.CompanyDetails {
	employees := int32(3 * (1 + rng.IntN(8)) * (1 + rng.IntN(8)) * (1 + rng.IntN(8)))
	d := customer.CompanyDetails{Employees: &employees, RegisteredOn: day(1985+rng.IntN(38), 1+rng.IntN(12), 1+rng.IntN(28))}
	if rng.Float64() < 0.9 {
		d.LegalName, d.RegistrationNumber = name, creditCode("91310000MA1", rng.IntN(100_000))
	}
	if rng.Float64() < 0.7 {
		d.AnnualRevenue = &money.Money{Minor: int64(employees) * int64(150_000+rng.IntN(850_000)) * 100, Currency: "CNY"}
	}
	return d
}
