package search_test

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/search"
)

// found evaluates a query by the texts alone, as whoever reads the rules would.
func found(q search.Query, row search.Row) bool {
	for _, t := range q.Tokens {
		if !slices.ContainsFunc(t.Clauses, func(c search.Clause) bool {
			return like(c.Like, row.Names) && regexp.MustCompile(c.Pinyin).MatchString(row.Pinyin)
		}) {
			return false
		}
	}
	return len(q.Tokens) > 0
}

func like(pattern, s string) bool {
	plain := strings.NewReplacer(`\\`, `\`, `\%`, `%`, `\_`, `_`).Replace(strings.Trim(pattern, "%"))
	return strings.Contains(s, plain)
}

// nominated tells whether the terms let the row through, as the index does.
func nominated(q search.Query, row search.Row) bool {
	has := func(t int64) bool { return slices.Contains(row.Terms, t) }
	for _, t := range q.Tokens {
		if !slices.ContainsFunc(t.Clauses, func(c search.Clause) bool {
			return !slices.ContainsFunc(c.All, func(t int64) bool { return !has(t) }) && (c.Any == nil || slices.ContainsFunc(c.Any, has)) &&
				like(c.Like, row.Names) && regexp.MustCompile(c.Pinyin).MatchString(row.Pinyin)
		}) {
			return false
		}
	}
	return len(q.Tokens) > 0
}

func TestWhatFindsWhom(t *testing.T) { // S3-03
	t.Parallel()
	for _, c := range []struct {
		name    string
		company bool
		finds   string // needles separated by |
		not     string
	}{
		{"张建国", false, "张|建|国|建国|张建国|张建|zhangjianguo|zhangj|zhang|zha|z|zjg|jg|jianguo|zhangjg|ZhangJianGuo|張建國|張|张 国|张 jg|guo", "张国|王|建张|angji|zgj|hang|izhang"},
		{"曾国藩", false, "zengguofan|zgf|zeng|曾國藩", "cengguofan"},
		{"单田芳", false, "shantianfang|stf", "dantianfang"},
		{"仇英", false, "qiuying|qy", "chouying"},
		{"区文诗", false, "ouwenshi|ows", "quwenshi"},
		{"解晓东", false, "xiexiaodong", "jiexiaodong"},
		{"查良镛", false, "zhaliangyong", "chaliangyong"},
		{"尉迟恭", false, "yuchigong|ycg", "weichigong"},
		{"万俟卨", false, "moqi", "wanqi|wansi"},
		{"长孙无忌", false, "zhangsunwuji|zswj", "changsun"},
		{"欧阳娜娜", false, "ouyangnana|ouyang|oynn", ""},
		{"张乐", false, "zhangle|zhangyue", ""},
		{"吕布", false, "lvbu|lyubu|lubu|lv", ""},
		{"西安", false, "xian|xi", ""},
		{"華為技術有限公司", true, "华为|华为技术|華為|huawei|hwjs|有限|有限公司|华为有限公司|华为技术股份有限公司|华为 有限公司", "华技术"},
		{"上海华信（集团）股份有限公司", true, "上海华信|上海华信有限公司|上海华信集团有限公司|华信集团|华信（集团）|shhx|shanghaihuaxin", "北京华信有限公司"},
		{"阿里巴巴（中国）有限公司", true, "阿里巴巴中国|阿里巴巴(中国)|阿里巴巴 中国", ""},
		{"Johnson & Sons Ltd.", true, "son|john|jo|j|johnson sons|JOHNSON|s|hnso|johnson limited|& sons", "&|hn|on|ohn son x"},
		{"Sonia O'Brien", false, "son|obrien|o'brien|O’Brien|brien|ob|nia sonia|sonia obrien|so", "ia"},
		{"José Núñez", false, "jose|nunez|NÚÑEZ|josé", ""},
		{"Ｆｕｌｌ　Ｗｉｄｔｈ", false, "full|width|full width", ""},
		{"iPhone维修部", true, "iphone|phone|维修|iphone维修|phone维|wxb", "ne维"},
		{"阿卜杜拉·买买提", false, "阿卜杜拉买买提|买买提|阿卜杜拉·买买提", ""},
		{"김철수", false, "김|철수|김철수", "수김"},
		{"張　偉", false, "张伟|zhangwei|zw|张 伟", ""},
		{"★", false, "★", "☆"},
	} {
		for tenant := int32(1); tenant < 3; tenant++ {
			row := search.Index(tenant, []search.Name{{Text: c.name, Person: !c.company}})
			for needle := range strings.SplitSeq(c.finds, "|") {
				q := search.Parse(tenant, needle)
				require.True(t, found(q, row), "%s should find %s: %q %q", needle, c.name, row.Names, row.Pinyin)
				require.True(t, nominated(q, row), "the terms of %s should find %s", needle, c.name)
				require.False(t, nominated(search.Parse(tenant+2, needle), row), "another tenant's terms find nothing")
			}
			for needle := range strings.SplitSeq(c.not, "|") {
				require.False(t, needle != "" && found(search.Parse(tenant, needle), row), "%s should not find %s: %q %q", needle, c.name, row.Names, row.Pinyin)
			}
		}
	}
}

func TestTermsNeverHideWhatTheTextsFind(t *testing.T) { // S3-03
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		name := randomName(random)
		row := search.Index(7, []search.Name{{Text: name, Person: random.IntN(2) == 0}, {Text: randomName(random), Person: true}})
		require.True(t, slices.IsSorted(row.Terms))
		for range 8 {
			needle := randomNeedle(random, name, row)
			q := search.Parse(7, needle)
			require.Equal(t, found(q, row), nominated(q, row), "%q in %q", needle, name)
		}
	}
}

func TestTermsWithinNeverHideANameThatContainsThem(t *testing.T) { // S3-03
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	some := 0
	for range 3000 {
		name := randomName(random)
		row := search.Index(7, []search.Name{{Text: name, Person: random.IntN(2) == 0}})
		for range 8 {
			from := []rune(strings.ToUpper(name))
			i := random.IntN(len(from))
			needle := string(from[i : i+1+random.IntN(len(from)-i)])
			if !strings.Contains(strings.ToLower(name), strings.ToLower(needle)) {
				continue // such as SS of ß
			}
			terms := search.Within(7, needle)
			some += len(terms)
			for _, term := range terms {
				require.Contains(t, row.Terms, term, "%q in %q", needle, name)
			}
		}
	}
	require.NotZero(t, some)
}

var pieces = []string{"张", "王", "建", "国", "曾", "单", "乐", "长", "张伟", "有限公司", "集团", "（集团）", "股份", "上海", "華", "Jo", "son", "John", "son ", "é", "O'",
	" ", "·", "3M", "ab", "x", "★", "ｱ", "길동", "％", "_", `\`, "Ltd", "i̇", "Ω", "й", "欧阳", "西安", "绿"}

func randomName(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(5) {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return b.String()
}

func randomNeedle(r *rand.Rand, name string, row search.Row) string {
	from := []rune(name)
	switch r.IntN(4) {
	case 0:
		from = []rune(strings.ReplaceAll(row.Pinyin, " ", ""))
	case 1:
		from = []rune(row.Names)
	case 2:
		from = []rune(randomName(r))
	}
	if len(from) == 0 {
		return ""
	}
	i := r.IntN(len(from))
	return strings.TrimSpace(string(from[i : i+1+r.IntN(len(from)-i)]))
}

func FuzzFold(f *testing.F) {
	for _, p := range pieces {
		f.Add(p)
	}
	f.Add("İ\u0307ﬁ①㈱ǅ")
	f.Fuzz(func(t *testing.T, s string) {
		once := search.Fold(s)
		require.Equal(t, once, search.Fold(once), "%q", s)
		row := search.Index(1, []search.Name{{Text: s, Person: true}, {Text: s}})
		if q := search.Parse(1, s); len(q.Tokens) > 0 {
			require.Equal(t, found(q, row), nominated(q, row), "%q", s)
		}
	})
}

func TestCore(t *testing.T) { // S3-03
	t.Parallel()
	for name, core := range map[string]string{
		"华为技术有限公司": "华为技术", "上海华信（集团）股份有限公司": "上海华信", "中国石油化工集团有限公司": "中国石油化工", "Acme Co., Ltd.": "acme",
		"Johnson & Sons Limited": "johnson sons", "杭州西湖茶叶有限责任公司上海分公司": "杭州西湖茶叶上海", "有限公司": "有限公司", "公司": "公司", "张建国": "张建国"} {
		require.Equal(t, core, search.Core(search.Fold(name)), name)
	}
}

func TestDigits(t *testing.T) { // S3-03
	t.Parallel()
	for text, digits := range map[string][]string{"138 0013 8000": {"13800138000"}, "+86 138-0013-8000": {"8613800138000"}, "8000": {"8000"},
		"张伟 138 0013 8000": {"", "13800138000"}, "800": {""}, "(021) 6888 1234": {"02168881234"}, "3M": {""}, "a 8000": {"", "8000"}} {
		var got []string
		for _, tok := range search.Parse(1, text).Tokens {
			got = append(got, tok.Digits)
		}
		require.Equal(t, digits, got, text)
	}
}

func TestHugeTextsEnd(t *testing.T) {
	t.Parallel()
	for _, s := range []string{strings.Repeat("a", 200), strings.Repeat("an", 100), strings.Repeat("xian", 15), strings.Repeat("张乐", 100), strings.Repeat("a ", 100)} {
		q := search.Parse(1, s)
		require.LessOrEqual(t, len(q.Tokens), 10)
		for _, tok := range q.Tokens {
			require.LessOrEqual(t, len(tok.Clauses), 15)
		}
		search.Index(1, []search.Name{{Text: s, Person: true}})
	}
}
