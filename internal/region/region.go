// Package region writes the names of Chinese provinces, cities and districts in one way, so that filters find them.
//
// The standard form is the everyday one for provinces and cities: 浙江, 杭州, 上海, 内蒙古, 延边. Counties and districts
// keep their full official names (西湖区, 昆山市, 石柱土家族自治县), because without the last character many of them could
// not be told apart from their city or from each other. A city is what stands at that level in GB/T 2260: a prefecture,
// one of the four municipalities (province and city at once), or a county right below its province (济源).
//
// Only addresses in China are touched, and only what is known and unambiguous; everything else stays as it was given.
package region

import (
	"strings"

	"golang.org/x/text/language"

	"github.com/kezi-io/kezi/internal/fault"
)

// NoCountry is what is wrong with a code that is not IsCountry.
var NoCountry = fault.T("not an ISO 3166-1 alpha-2 code, such as CN", "不是 ISO 3166-1 两位国家代码，例如 CN")

// Place is the part of an address that names regions. Country is an ISO 3166-1 alpha-2 code. Any part may be empty.
type Place struct{ Country, Province, City, District string }

// Normalize is the place in standard names, and whether that differs from what was given.
//
// It reads official and short names, traditional characters and the pinyin or English names of provinces and well-known
// cities; names in the wrong field (a district as the city of a municipality, 杭州市西湖区 as the city); and it fills
// what follows: the province from the city, the city from the district, the country from any of them. An empty country
// becomes CN for all 34 provincial units; HK, MO and TW stay where they are given, with 香港, 澳门 and 台湾 as province.
func Normalize(given Place) (Place, bool) {
	country, chinese := chineseCountry(given.Country)
	if !chinese {
		return given, false
	}
	p := Place{
		Country: country, Province: strings.TrimSpace(given.Province),
		City: strings.TrimSpace(given.City), District: strings.TrimSpace(given.District),
	}
	if home, ok := homes[country]; ok && p.Province == "" {
		p.Province = home
	}
	if placeholders[p.City] {
		p.City = ""
	}
	if len(p.Province)+len(p.City)+len(p.District) > maxBytes {
		return given, false
	}
	standard, known := index().resolve(p)
	if !known { // nothing here is a name of ours: without a country it may be anywhere
		standard = given
		standard.Country = country
	} else if standard.Country == "" {
		standard.Country = "CN"
	}
	return standard, standard != given
}

// Moved is the place now, which was another before, where a change may have named the city alone: the province follows
// the city, and a district of the city before goes unless the new one has it too.
func Moved(was, now Place) Place {
	if now.City == was.City || now.City == "" {
		return now
	}
	if now.Province == was.Province {
		alone := now
		alone.Province = ""
		if found, _ := Normalize(alone); found.Province != "" {
			now = alone
		}
	}
	if now.District == was.District && was.inDistrict() && !now.inDistrict() {
		now.District = ""
	}
	return now
}

// inDistrict reports whether the city is one of ours and has the district.
func (p Place) inDistrict() bool {
	if _, chinese := chineseCountry(p.Country); !chinese {
		return false
	}
	x := index()
	c := x.cityNamed(fold(p.City), x.provinces[fold(p.Province)])
	return c != nil && c.official(p.District) != ""
}

// IsCountry reports whether code is an alpha-2 code of ISO 3166-1.
func IsCountry(code string) bool {
	r, err := language.ParseRegion(code)
	return err == nil && len(code) == 2 && r.String() == code && r.IsCountry()
}

// maxBytes bounds what is looked at; the longest official names together take half of it.
const maxBytes = 600

// homes are the provinces that countries of their own code stand for.
var homes = map[string]string{"HK": "香港", "MO": "澳门", "TW": "台湾"}

// placeholders stand in registers where a county has no city above it.
var placeholders = map[string]bool{"市辖区": true, "县": true, "省直辖县级行政区划": true, "自治区直辖县级行政区划": true, "省直辖": true}

// chineseCountry is the code that the country is given by; false for other countries.
func chineseCountry(country string) (string, bool) {
	switch key := fold(country); key {
	case "", "cn", "chn", "prc", "china", "peoplesrepublicofchina", "中国", "中国大陆", "中华人民共和国":
		if key == "" {
			return "", true
		}
		return "CN", true
	case "hk", "hkg", "hongkong", "香港", "中国香港":
		return "HK", true
	case "mo", "mac", "macao", "macau", "澳门", "中国澳门":
		return "MO", true
	case "tw", "twn", "taiwan", "台湾", "中国台湾":
		return "TW", true
	}
	return "", false
}

// resolve answers false when no part of the place is known.
func (x *names) resolve(p Place) (Place, bool) {
	province := x.provinces[fold(p.Province)]
	if p.Province != "" && province == nil {
		if p.City == "" { // a city, or a province and a city in one
			if found, ok := x.resolve(Place{Country: p.Country, City: p.Province, District: p.District}); ok {
				return found, true
			}
		}
		return p, false
	}
	if province != nil {
		p.Province = province.name
	}
	city := x.city(&p, province)
	if city == nil {
		if d := x.district(p, province); d != "" { // which of them it is nobody can tell; a city it is not
			p.City, p.District = "", d
			return p, true
		}
		return p, p.Province != ""
	}
	p.Province, p.City = city.province.name, city.name
	if official := city.official(p.District); official != "" {
		p.District = official
	}
	return p, true
}

// city finds the city of the place; where that takes the name out of the wrong field, it moves it.
func (x *names) city(p *Place, province *province) *city {
	key := fold(p.City)
	if key == "" {
		return x.cityOfDistrict(p, province)
	}
	if c := x.cityNamed(key, province); c != nil {
		return c
	}
	if whole := x.provinces[key]; whole != nil && province == nil { // a province in the city's place
		p.Province, p.City = whole.name, ""
		return x.cityOfDistrict(p, whole)
	}
	if c := x.countyNamed(key, province); c != nil && (p.District == "" || fold(p.District) == key) {
		p.District = c.name
		return c.city
	}
	return x.split(p, key, province)
}

// district is the name of the districts that the city's field names instead: 朝阳区 is in Beijing and in Changchun.
func (x *names) district(p Place, province *province) string {
	if homes[p.Country] != "" || p.District != "" || !strings.HasSuffix(p.City, "区") && !strings.HasSuffix(p.City, "县") {
		return ""
	}
	candidates := x.counties[fold(p.City)]
	if province != nil {
		candidates = province.counties[fold(p.City)]
	}
	if len(candidates) < 2 {
		return ""
	}
	return candidates[0].name
}

// Elsewhere is the province of the city of a place in standard names, where the place names another province.
func Elsewhere(p Place) string {
	x := index()
	province := x.provinces[fold(p.Province)]
	if _, chinese := chineseCountry(p.Country); !chinese || province == nil || p.City == "" || x.cityNamed(fold(p.City), province) != nil {
		return ""
	}
	if c := x.cityNamed(fold(p.City), nil); c != nil {
		return c.province.name
	}
	return ""
}

func (x *names) cityNamed(key string, province *province) *city {
	var found *city
	for _, c := range x.cities[key] {
		if province != nil && c.province != province {
			continue
		}
		if found != nil {
			return nil
		}
		found = c
	}
	if found != nil && province == nil {
		// 海南 alone is the province, not the prefecture of that name in 青海; 吉林 is the city, in the province of that name.
		if whole := x.provinces[key]; whole != nil && whole != found.province {
			return nil
		}
	}
	return found
}

func (x *names) cityOfDistrict(p *Place, province *province) *city {
	key := fold(p.District)
	if key != "" {
		if c := x.countyNamed(key, province); c != nil {
			return c.city
		}
		if c := x.cityNamed(key, province); c != nil && !c.municipal() { // 济源市 below the province
			p.District = ""
			return c
		}
	}
	if province != nil && province.cities[0].municipal() {
		return province.cities[0]
	}
	return nil
}

// countyNamed is the only county of that name, in the province where there is one.
func (x *names) countyNamed(key string, province *province) *county {
	candidates := x.counties[key]
	if province != nil {
		candidates = province.counties[key]
	}
	if len(candidates) == 1 {
		return candidates[0]
	}
	return nil
}

// Bounds of what split looks at, in characters: 新疆维吾尔自治区克孜勒苏柯尔克孜自治州塔什库尔干塔吉克自治县 is the longest of its kind.
const (
	longestTogether = 48
	longestAlone    = 20
)

// split reads a city's field that holds more than the city: 浙江省杭州市, 杭州市西湖区.
func (x *names) split(p *Place, key string, province *province) *city {
	runes := []rune(key)
	if len(runes) > longestTogether {
		return nil
	}
	for n := min(len(runes)-1, longestAlone); n >= 2; n-- {
		head, rest := string(runes[:n]), string(runes[n:])
		if whole := x.provinces[head]; whole != nil && (province == nil || province == whole) {
			inner := Place{City: rest, District: p.District}
			if c := x.city(&inner, whole); c != nil {
				p.District = inner.District
				return c
			}
		}
		c := x.cityNamed(head, province)
		if c == nil {
			continue
		}
		if official := c.official(rest); official != "" && (p.District == "" || c.official(p.District) == official) {
			p.District = official
			return c
		}
	}
	return nil
}
