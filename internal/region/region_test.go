package region_test

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/region"
)

type place = region.Place

func TestStandardNames(t *testing.T) { // S3-09
	t.Parallel()
	for _, c := range []struct{ given, want place }{
		// official and short names
		{place{"CN", "上海市", "上海市", "浦东新区"}, place{"CN", "上海", "上海", "浦东新区"}},
		{place{"CN", "浙江省", "杭州市", "西湖区"}, place{"CN", "浙江", "杭州", "西湖区"}},
		{place{"CN", "浙江", "杭州", "西湖"}, place{"CN", "浙江", "杭州", "西湖区"}},
		{place{"CN", "广西壮族自治区", "南宁市", ""}, place{"CN", "广西", "南宁", ""}},
		{place{"CN", "内蒙古自治区", "锡林郭勒盟", ""}, place{"CN", "内蒙古", "锡林郭勒", ""}},
		{place{"CN", "新疆维吾尔自治区", "伊犁哈萨克自治州", "察布查尔县"}, place{"CN", "新疆", "伊犁", "察布查尔锡伯自治县"}},
		{place{"CN", "", "延边朝鲜族自治州", ""}, place{"CN", "吉林", "延边", ""}},
		{place{"CN", "", "西双版纳州", ""}, place{"CN", "云南", "西双版纳", ""}},
		{place{"CN", "", "黔西南布依族苗族自治州", ""}, place{"CN", "贵州", "黔西南", ""}},
		{place{"CN", "", "克孜勒苏柯尔克孜自治州", ""}, place{"CN", "新疆", "克孜勒苏", ""}},
		{place{"CN", "", "大兴安岭地区", ""}, place{"CN", "黑龙江", "大兴安岭", ""}},
		{place{"CN", "重庆市", "县", "石柱县"}, place{"CN", "重庆", "重庆", "石柱土家族自治县"}},
		{place{"CN", "广东省", "东莞市", "虎门镇"}, place{"CN", "广东", "东莞", "虎门镇"}},
		// what follows from the parts that are given
		{place{"", "", "杭州", ""}, place{"CN", "浙江", "杭州", ""}},
		{place{"", "", "", "浦东新区"}, place{"CN", "上海", "上海", "浦东新区"}},
		{place{"", "北京", "", ""}, place{"CN", "北京", "北京", ""}},
		{place{"", "北京市", "市辖区", "东城区"}, place{"CN", "北京", "北京", "东城区"}},
		{place{"", "", "天津", ""}, place{"CN", "天津", "天津", ""}},
		{place{"", "河南省", "省直辖县级行政区划", "济源市"}, place{"CN", "河南", "济源", ""}},
		{place{"", "", "仙桃市", ""}, place{"CN", "湖北", "仙桃", ""}},
		{place{"", "", "神农架林区", ""}, place{"CN", "湖北", "神农架", ""}},
		{place{"", "江苏", "", "昆山"}, place{"CN", "江苏", "苏州", "昆山市"}},
		// one name, several places
		{place{"", "吉林省", "", ""}, place{"CN", "吉林", "", ""}},
		{place{"", "吉林", "吉林", ""}, place{"CN", "吉林", "吉林", ""}},
		{place{"", "", "吉林", ""}, place{"CN", "吉林", "吉林", ""}},
		{place{"", "", "吉林市", ""}, place{"CN", "吉林", "吉林", ""}},
		{place{"", "", "吉林省", ""}, place{"CN", "吉林", "", ""}},
		{place{"", "吉林省", "长春市", "朝阳区"}, place{"CN", "吉林", "长春", "朝阳区"}},
		{place{"", "北京", "朝阳", ""}, place{"CN", "北京", "北京", "朝阳区"}},
		{place{"", "辽宁", "朝阳", ""}, place{"CN", "辽宁", "朝阳", ""}},
		{place{"", "", "朝阳市", ""}, place{"CN", "辽宁", "朝阳", ""}},
		{place{"CN", "", "朝阳区", ""}, place{"CN", "", "", "朝阳区"}}, // of Beijing or of Changchun
		{place{"", "海南", "", ""}, place{"CN", "海南", "", ""}},
		{place{"", "", "海南", ""}, place{"CN", "海南", "", ""}},
		{place{"", "青海", "海南", ""}, place{"CN", "青海", "海南", ""}},
		{place{"", "", "海南州", ""}, place{"CN", "青海", "海南", ""}},
		{place{"", "云南", "大理市", ""}, place{"CN", "云南", "大理", "大理市"}},
		{place{"", "", "大理", ""}, place{"CN", "云南", "大理", ""}},
		{place{"", "辽宁", "抚顺", "抚顺县"}, place{"CN", "辽宁", "抚顺", "抚顺县"}},
		{place{"", "湖南", "", "鼓楼区"}, place{"CN", "湖南", "", "鼓楼区"}},
		{place{"CN", "", "苏州", ""}, place{"CN", "江苏", "苏州", ""}},
		{place{"CN", "", "宿州", ""}, place{"CN", "安徽", "宿州", ""}},
		// the wrong field
		{place{"", "", "昆山市", ""}, place{"CN", "江苏", "苏州", "昆山市"}},
		{place{"", "", "义乌", ""}, place{"CN", "浙江", "金华", "义乌市"}},
		{place{"", "浙江", "萧山", ""}, place{"CN", "浙江", "杭州", "萧山区"}},
		{place{"", "", "浙江省杭州市", ""}, place{"CN", "浙江", "杭州", ""}},
		{place{"", "浙江省 杭州市", "", "西湖区"}, place{"CN", "浙江", "杭州", "西湖区"}},
		{place{"", "", "杭州市西湖区", ""}, place{"CN", "浙江", "杭州", "西湖区"}},
		{place{"", "", "上海浦东新区", ""}, place{"CN", "上海", "上海", "浦东新区"}},
		{place{"", "深圳", "", "南山"}, place{"CN", "广东", "深圳", "南山区"}},
		// other ways of writing
		{place{"China", "Zhejiang Province", "hangzhou", ""}, place{"CN", "浙江", "杭州", ""}},
		{place{"cn", "", "Shanghai", ""}, place{"CN", "上海", "上海", ""}},
		{place{"CN", "Inner Mongolia", "Hohhot", ""}, place{"CN", "内蒙古", "呼和浩特", ""}},
		{place{"CN", "Shaanxi", "Xi'an", ""}, place{"CN", "陕西", "西安", ""}},
		{place{"CN", "", "Guangzhou City", ""}, place{"CN", "广东", "广州", ""}},
		{place{"中国", " 廣東省", "廣州市　", "天河區"}, place{"CN", "广东", "广州", "天河区"}},
		{place{"", "", "哈爾濱", ""}, place{"CN", "黑龙江", "哈尔滨", ""}},
		// Hong Kong, Macao, Taiwan
		{place{"HK", "", "", "湾仔区"}, place{"HK", "香港", "香港", "湾仔区"}},
		{place{"hk", "", "Hong Kong", ""}, place{"HK", "香港", "香港", ""}},
		{place{"HK", "", "Kowloon", ""}, place{"HK", "香港", "Kowloon", ""}},
		{place{"", "香港特别行政区", "", ""}, place{"CN", "香港", "香港", ""}},
		{place{"CN", "澳门", "", ""}, place{"CN", "澳门", "澳门", ""}},
		{place{"TW", "", "Taipei", ""}, place{"TW", "台湾", "台北", ""}},
		{place{"TW", "", "臺北市", "大安區"}, place{"TW", "台湾", "台北", "大安区"}},
		{place{"TW", "", "新竹县", "竹北市"}, place{"TW", "台湾", "新竹县", "竹北市"}},
		{place{"TW", "", "新竹", ""}, place{"TW", "台湾", "新竹", ""}},
		{place{"TW", "台湾省", "花莲县", ""}, place{"TW", "台湾", "花莲", ""}},
		// unknown, contradictory or abroad: as given
		{place{"", "", "", ""}, place{"", "", "", ""}},
		{place{"", "California", "San Jose", ""}, place{"", "California", "San Jose", ""}},
		{place{"", "", "Springfield", ""}, place{"", "", "Springfield", ""}},
		{place{"DE", "北京", "上海市", ""}, place{"DE", "北京", "上海市", ""}},
		{place{"CN", "江苏省", "杭州市", ""}, place{"CN", "江苏", "杭州市", ""}},
		{place{"CN", "广东省", "桃花源", "某区"}, place{"CN", "广东", "桃花源", "某区"}},
		{place{"CN", "不存在省", "杭州市", ""}, place{"CN", "不存在省", "杭州市", ""}},
	} {
		got, changed := region.Normalize(c.given)
		require.Equal(t, c.want, got, "%+v", c.given)
		require.Equal(t, c.want != c.given, changed, "%+v", c.given)
	}
}

// official reads the file of names itself: every province with its cities and their counties.
func official(t *testing.T) []place {
	t.Helper()
	text, err := os.ReadFile("divisions.txt")
	require.NoError(t, err)
	var all []place
	var p place
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		name := strings.TrimLeft(line, "\t")
		switch depth := len(line) - len(name); {
		case strings.HasPrefix(line, "#"):
		case depth == 0:
			p = place{Country: "CN", Province: name}
		case depth == 1:
			p.City = name
			all = append(all, p)
		default:
			for _, d := range strings.Fields(name) {
				all = append(all, place{"CN", p.Province, p.City, d})
			}
		}
	}
	return all
}

func TestEveryDivisionHasItsPlace(t *testing.T) { // S3-09
	t.Parallel()
	provinces, cities := map[string]bool{}, map[string]string{}
	for _, given := range official(t) {
		got, _ := region.Normalize(given)
		require.Equal(t, given.District, got.District, "a district keeps its official name: %+v", given)
		provinces[got.Province] = true
		key := got.Province + " " + got.City
		if before, ok := cities[key]; ok {
			require.Equal(t, before, given.City, "two cities under one name")
		}
		cities[key] = given.City
		require.NotContains(t, got.Province, "自治区")
		require.NotContains(t, got.City, "族", "%+v", given)
		require.NotContains(t, got.City, "自治")
		require.GreaterOrEqual(t, len([]rune(got.City)), 2)

		again, changed := region.Normalize(got)
		require.False(t, changed, "%+v became %+v", got, again)

		// The city alone tells the province, but for names that are a province's too.
		alone, _ := region.Normalize(place{City: given.City})
		require.Equal(t, place{"CN", got.Province, got.City, ""}, alone, given.City)
	}
	require.Len(t, provinces, 34)
	require.Greater(t, len(cities), 370)
}

// Places put together of anything: a second time changes nothing, and no part that was given is lost without being
// understood.
func TestNormalizingTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 5)) //nolint:gosec // reproducible test data
	all := official(t)
	words := []string{"", "", "", "吉林", "海南", "朝阳区", "市辖区", "县", "Suzhou", "火星", "浙江省杭州市", "杭州市西湖区"}
	word := func(of func(place) string) string {
		w := words[r.IntN(len(words))]
		if r.IntN(3) > 0 {
			w = of(all[r.IntN(len(all))])
		}
		if runes := []rune(w); len(runes) > 2 && r.IntN(3) == 0 {
			w = string(runes[:len(runes)-1])
		}
		return w
	}
	for range 20_000 {
		given := place{
			Country:  []string{"", "CN", "HK", "TW"}[r.IntN(4)],
			Province: word(func(p place) string { return p.Province }),
			City:     word(func(p place) string { return []string{p.City, p.District}[r.IntN(2)] }),
			District: word(func(p place) string { return p.District }),
		}
		got, changed := region.Normalize(given)
		require.Equal(t, got != given, changed)
		again, changed := region.Normalize(got)
		require.False(t, changed, "%+v became %+v became %+v", given, got, again)
	}
}

func FuzzNormalize(f *testing.F) {
	f.Add("CN", "浙江省", "杭州市", "西湖区")
	f.Add("", "", strings.Repeat("浙江省", 60), "\xff")
	f.Add("HK", "", "㍿", "İ")
	f.Fuzz(func(t *testing.T, country, province, city, district string) {
		given := place{country, province, city, district}
		got, changed := region.Normalize(given)
		require.Equal(t, got != given, changed)
		again, changed := region.Normalize(got)
		require.False(t, changed, "%+v became %+v became %+v", given, got, again)
	})
}

func BenchmarkNormalize(b *testing.B) {
	given := place{"CN", "浙江省", "杭州市", "西湖区"}
	for b.Loop() {
		region.Normalize(given)
	}
}
