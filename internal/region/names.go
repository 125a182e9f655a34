package region

import (
	_ "embed"
	"strings"
	"sync"

	"golang.org/x/text/unicode/norm"
)

// divisions are the official names: a province, a tab and its city, two tabs and their counties. Made by regiongen.
//
//go:embed divisions.txt
var divisions string

type province struct {
	name     string // short
	cities   []*city
	counties map[string][]*county // by every form of the name
}

type city struct {
	name     string // short
	province *province
	counties map[string]string // every form of the name -> the official one; empty where two share it
}

// official is the full name of the county or district that the city knows by this form of it, or empty.
func (c *city) official(form string) string { return c.counties[fold(form)] }

type county struct {
	name string // official
	city *city
}

// municipal reports whether province and city are one: the four municipalities, Hong Kong and Macao.
func (c *city) municipal() bool { return c.name == c.province.name && len(c.province.cities) == 1 }

// names find divisions by the folded forms of their names.
type names struct {
	provinces map[string]*province
	cities    map[string][]*city
	counties  map[string][]*county // only by forms that mean a county anywhere: official names, and 义乌 for 义乌市
}

var index = sync.OnceValue(func() *names {
	x := &names{provinces: map[string]*province{}, cities: map[string][]*city{}, counties: map[string][]*county{}}
	var p *province
	var c *city
	for line := range strings.Lines(divisions) {
		line = strings.TrimSuffix(line, "\n")
		name := strings.TrimLeft(line, "\t")
		switch depth := len(line) - len(name); {
		case strings.HasPrefix(line, "#"):
		case depth == 0:
			p = x.addProvince(name)
		case depth == 1:
			c = x.addCity(p, name)
		default:
			for _, county := range strings.Fields(name) {
				x.addCounty(c, county)
			}
		}
	}
	for latin, name := range latinProvinces {
		x.provinces[latin] = x.provinces[name]
	}
	for latin, name := range latinCities {
		x.cities[latin] = x.cities[name]
	}
	return x
})

func (x *names) addProvince(official string) *province {
	p := &province{name: shortProvince(official), counties: map[string][]*county{}}
	for _, form := range []string{official, p.name, p.name + "省", p.name + "市", p.name + "自治区", p.name + "特别行政区"} {
		// 吉林市 is a city and no way to write the province.
		if !strings.HasSuffix(form, "市") || strings.HasSuffix(official, "市") {
			x.provinces[form] = p
		}
	}
	return p
}

func (x *names) addCity(p *province, official string) *city {
	c := &city{name: shortCity(official), province: p, counties: map[string]string{}}
	if official == "新竹县" || official == "嘉义县" { // a city of the same name lies beside it
		c.name = official
	}
	if shortProvince(official) == p.name { // a municipality, Hong Kong, Macao
		c.name = p.name
	}
	p.cities = append(p.cities, c)
	forms := map[string]bool{official: true, c.name: true}
	if strings.HasSuffix(official, "自治州") {
		forms[c.name+"州"] = true
	}
	for form := range forms {
		x.cities[form] = append(x.cities[form], c)
	}
	return c
}

func (x *names) addCounty(c *city, official string) {
	k := &county{name: official, city: c}
	forms := []string{official}
	if stem := countyStem(official); len([]rune(stem)) > 1 && stem != official {
		forms = append(forms, stem)
		if strings.HasSuffix(official, "自治县") {
			forms = append(forms, stem+"县")
		}
	}
	for i, form := range forms {
		if other, taken := c.counties[form]; !taken || form == official {
			c.counties[form] = official
		} else if other != form { // an official name is never in doubt
			c.counties[form] = ""
		}
		c.province.counties[form] = append(c.province.counties[form], k)
		if i == 0 || strings.HasSuffix(official, "市") {
			x.counties[form] = append(x.counties[form], k)
		}
	}
}

func shortProvince(official string) string {
	for _, suffix := range []string{"特别行政区", "维吾尔自治区", "壮族自治区", "回族自治区", "自治区", "省", "市"} {
		if short, ok := strings.CutSuffix(official, suffix); ok {
			return short
		}
	}
	return official
}

func shortCity(official string) string {
	for _, suffix := range []string{"地区", "林区", "市", "盟"} {
		if short, ok := strings.CutSuffix(official, suffix); ok {
			return short
		}
	}
	for _, suffix := range []string{"自治州", "自治县"} {
		if short, ok := strings.CutSuffix(official, suffix); ok {
			return withoutPeoples(short)
		}
	}
	return strings.TrimSuffix(official, "县")
}

// countyStem is the name without the kind of county; short or unclear stems are no use, callers see to that.
func countyStem(official string) string {
	for _, suffix := range []string{"自治县", "自治旗"} {
		if short, ok := strings.CutSuffix(official, suffix); ok {
			return withoutPeoples(short)
		}
	}
	for _, suffix := range []string{"新区", "林区", "特区", "区", "县", "市"} {
		if short, ok := strings.CutSuffix(official, suffix); ok {
			return short
		}
	}
	return official
}

// withoutPeoples takes the peoples off the name of an autonomous division: 黔西南布依族苗族 is 黔西南.
func withoutPeoples(name string) string {
	for {
		shorter := name
		for _, people := range peoples {
			if s, ok := strings.CutSuffix(shorter, people); ok && len([]rune(s)) > 1 {
				shorter = s
				break
			}
		}
		if shorter == name {
			return name
		}
		name = shorter
	}
}

// peoples are those that autonomous divisions are named by; long forms first where one ends in another.
var peoples = []string{
	"土家族", "苗族", "藏族", "羌族", "彝族", "布依族", "侗族", "哈尼族", "壮族", "傣族", "白族", "景颇族", "傈僳族", "回族",
	"蒙古族", "蒙古", "柯尔克孜", "哈萨克族", "哈萨克", "朝鲜族", "满族", "达斡尔族", "畲族", "瑶族", "各族", "仫佬族", "毛南族", "黎族",
	"仡佬族", "水族", "纳西族", "拉祜族", "佤族", "布朗族", "独龙族", "怒族", "普米族", "裕固族", "东乡族", "保安族", "撒拉族",
	"土族", "塔吉克", "锡伯",
}

// fold is the form that names are compared in: simplified characters, Latin letters small and joined, without the word
// for the kind of division behind them.
func fold(s string) string {
	s = strings.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '\u3000', '\'', '’', '-', '.', ',', '，', '·':
			return -1
		}
		if simple, ok := simplified[r]; ok {
			return simple
		}
		return r
	}, strings.ToLower(norm.NFKC.String(s)))
	for _, kind := range []string{"province", "municipality", "city", "sheng", "shi"} {
		if short, ok := strings.CutSuffix(s, kind); ok && len(short) > 3 && short[len(short)-1] < 0x80 {
			return short
		}
	}
	return s
}
