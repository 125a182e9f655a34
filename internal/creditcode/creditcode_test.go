package creditcode_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/creditcode"
)

const alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"

// published are codes that well-known companies and institutions print on their websites and in their reports.
var published = []struct{ code, who string }{
	{"914403001922038216", "华为技术有限公司"},
	{"91330100799655058B", "阿里巴巴（中国）有限公司"},
	{"9144030071526726XG", "深圳市腾讯计算机系统有限公司"},
	{"91110000802100433B", "百度在线网络技术（北京）有限公司"},
	{"91110108551385082Q", "小米科技有限责任公司"},
	{"91440400192548256N", "珠海格力电器股份有限公司"},
	{"91440300192317458F", "比亚迪股份有限公司"},
	{"9152000071430580XT", "贵州茅台酒股份有限公司"},
	{"91110000710925462X", "中国石油天然气股份有限公司"},
	{"91100000100003962T", "中国工商银行股份有限公司"},
	{"91110000100017643K", "中国石油天然气集团有限公司"},
	{"12100000400000624D", "清华大学"},
}

func reason(t *testing.T, err error) *creditcode.Error {
	t.Helper()
	var e *creditcode.Error
	require.ErrorAs(t, err, &e)
	return e
}

func TestPublishedCodesAreAccepted(t *testing.T) { // S2-31
	t.Parallel()
	for _, p := range published {
		c, err := creditcode.Parse(p.code)
		require.NoError(t, err, p.who)
		require.Equal(t, creditcode.Code(p.code), c)
	}
}

func TestPartsAreNamed(t *testing.T) {
	t.Parallel()
	c, err := creditcode.Parse("914403001922038216")
	require.NoError(t, err)
	require.Equal(t, "440300", c.Region())
	name, known := c.Category()
	require.True(t, known)
	require.Equal(t, "企业", name.Zh)
	c, err = creditcode.Parse("12100000400000624D")
	require.NoError(t, err)
	name, _ = c.Category()
	require.Equal(t, "事业单位", name.Zh)
}

func TestWrittenAsPeopleWriteIt(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"9144030071526726xg", " 9144 0300 7152 6726 XG ", "91-440300-71526726-X-G", "９１４４０３００７１５２６７２６ＸＧ",
		"９１４４０３００　７１５２６７２６－ｘｇ", "914403–0071526726XG", "\u200b9144030071526726XG\r\n", "91440300\u00a071526726XG",
	} {
		c, err := creditcode.Parse(s)
		require.NoError(t, err, "%q", s)
		require.Equal(t, creditcode.Code("9144030071526726XG"), c)
	}
}

func TestRefusalsSayWhatIsWrong(t *testing.T) { // S2-31
	t.Parallel()
	for _, c := range []struct {
		code     string
		reason   creditcode.Reason
		position int
		en, zh   string
	}{
		{"", creditcode.Len, 0, "has 0", "当前为 0 位"},
		{"91440300192203821", creditcode.Len, 0, "has 17", "17 位"},
		{"9144030019220382160", creditcode.Len, 0, "has 19", "19 位"},
		{"440301103097413", creditcode.Len, 0, "has 15", "15 位"}, // a register number from before 2015
		{strings.Repeat("9", 1_000_000), creditcode.Len, 0, "18 characters", "18 位"},
		{"91440300192203821O", creditcode.Character, 18, "perhaps 0 or Q", "可能是 0 或 Q"},
		{"I14403001922038216", creditcode.Character, 1, "perhaps 1", "可能是 1"},
		{"9144O3001922038216", creditcode.Character, 5, "are digits", "只能是数字"},
		{"9144A3001922038216", creditcode.Character, 5, "are digits", "只能是数字"},
		{"91440300192203821中", creditcode.Character, 18, "position 18", "第 18 位"},
		{"91440300\x00922038216", creditcode.Character, 9, "position 9", "第 9 位"},
		{"914403001922038217", creditcode.Check, 18, "call for 6", "应为 6"},
	} {
		_, err := creditcode.Parse(c.code)
		e := reason(t, err)
		require.Equal(t, c.reason, e.Reason, "%.40q", c.code)
		require.Equal(t, c.position, e.Position, "%.40q", c.code)
		require.Contains(t, e.Detail().En, c.en)
		require.Contains(t, e.Detail().Zh, c.zh)
	}
}

func TestWrongOrganisationCodeUnderARightCheckCharacter(t *testing.T) { // S2-31
	t.Parallel()
	// The register's own mistake: the organisation code is wrong, the whole is checked rightly. Of the 31 last characters
	// exactly one fits.
	fitting := 0
	for _, last := range alphabet {
		c, err := creditcode.Parse("91440300192203822" + string(last))
		e := reason(t, err)
		require.True(t, e.Checked())
		require.NotEmpty(t, c, "what is well formed is kept beside the error")
		if e.Reason == creditcode.OrganisationCheck {
			fitting++
			require.Equal(t, 17, e.Position)
			require.Equal(t, "1", e.Expected)
			require.Contains(t, e.Detail().Zh, "组织机构代码")
		}
	}
	require.Equal(t, 1, fitting)
}

func TestEveryMistypedCharacterIsRefused(t *testing.T) { // S2-31
	t.Parallel()
	for _, p := range published {
		for i := range p.code {
			for _, r := range alphabet + "IOSVZ" {
				if wrong := p.code[:i] + string(r) + p.code[i+1:]; wrong != p.code {
					_, err := creditcode.Parse(wrong)
					require.Error(t, err, "%s for %s", wrong, p.code)
				}
			}
		}
	}
}

func TestEverySwapOfNeighboursIsRefused(t *testing.T) {
	t.Parallel()
	for _, p := range published {
		for i := range len(p.code) - 1 {
			b := []byte(p.code)
			b[i], b[i+1] = b[i+1], b[i]
			if string(b) != p.code {
				_, err := creditcode.Parse(string(b))
				require.Error(t, err, "%s for %s", b, p.code)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, p := range published {
		f.Add(p.code)
	}
	f.Add("９１４４０３００１９２２０３８２１７")
	f.Add("ﬃ\xff İ")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := creditcode.Parse(s)
		if err != nil {
			e := reason(t, err)
			require.NotEmpty(t, e.Detail().En)
			require.NotEmpty(t, e.Detail().Zh)
			require.Equal(t, e.Checked(), c != "")
		}
		if c == "" {
			return
		}
		require.Len(t, string(c), creditcode.Length)
		require.Empty(t, strings.Trim(string(c), alphabet))
		again, errAgain := creditcode.Parse(string(c))
		require.Equal(t, c, again, "reading what was read changes nothing")
		require.Equal(t, err == nil, errAgain == nil)
		_, _ = c.Category()
		require.Len(t, c.Region(), 6)
	})
}
