package contactpoint_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/contactpoint"
)

// S4-12, S3-08
func TestEverySpellingOfAValueIsOne(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind       contactpoint.Kind
		want       string
		numberType string
		region     string
		spelt      []string
	}{
		{contactpoint.Phone, "+8613800138000", "mobile", "CN", []string{"13800138000", " 138 0013 8000", "138-0013-8000", "０１３８００１３８０００",
			"+86 138-0013-8000", "0086 13800138000", "8613800138000", "tel:+86-138-0013-8000", "(+86)13800138000", "138–0013–8000", "\u202a13800138000\u202c"}},
		{contactpoint.Phone, "+8657187654321", "landline", "CN", []string{"0571-87654321", "(0571) 8765 4321", "+86 571 8765 4321"}},
		{contactpoint.Phone, "+8657187654321;ext=802", "landline", "CN", []string{"0571-87654321-802", "0571-87654321 转 802", "0571-87654321转802",
			"0571-87654321 ext. 802", "0571-87654321 x802", "0571-87654321#802", "+8657187654321;ext=802", "0571-87654321 分机：802", "0571-87654321,802"[:13] + " Ext 802"}},
		{contactpoint.Phone, "+864008001234", "", "CN", []string{"400-800-1234", "4008001234"}},
		{contactpoint.Phone, "+868008101234", "toll_free", "CN", []string{"800-810-1234"}},
		{contactpoint.Phone, "+12025550100", "landline_or_mobile", "US", []string{"(202) 555-0100", "202.555.0100", "1-202-555-0100", "+1 202 555 0100"}},
		{contactpoint.Phone, "+8613800138000", "mobile", "US", []string{"+86 138 0013 8000", "011 86 138 0013 8000"}},
		{contactpoint.Fax, "+862165432100", "landline", "CN", []string{"021-65432100"}},
		{contactpoint.Email, "Zhang.San@example.com", "", "CN", []string{"Zhang.San@example.com", " Zhang.San@EXAMPLE.COM ", "Zhang.San＠example.com", "mailto:Zhang.San@example.com"}},
		{contactpoint.Email, "info@xn--fsqu00a.xn--0zwm56d", "", "CN", []string{"info@例子.测试", "info@例子。测试"}},
		{contactpoint.WeChat, "zhang_san-88", "", "CN", []string{"zhang_san-88", "ｚｈａｎｇ_san-88"}},
		{contactpoint.QQ, "100001", "", "CN", []string{"100001", " １００００１"}},
		{contactpoint.Weibo, "老张说茶", "", "CN", []string{"@老张说茶", "老张说茶"}},
	} {
		for _, s := range c.spelt {
			n, wrong := contactpoint.Normalize(c.kind, "", s, c.region)
			require.Nil(t, wrong, "%s", s)
			require.Equal(t, c.want, n.Value, "%s", s)
			if c.numberType != "" {
				require.Equal(t, c.numberType, n.NumberType, "%s", s)
			}
		}
	}
}

func TestWhatIsNoContactPointIsRefusedWithoutRepeatingIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind  contactpoint.Kind
		code  string
		given []string
	}{
		{contactpoint.Phone, "bad_phone", []string{"12345", "1390000000", "139000000000", "23800138000", "87654321", "95588", "110", "+999 12345678",
			"1-800-FLOWERS", "手机13800138000", "13800138000'; DROP TABLE customers", "++++", "----------", "0000000000000000000000000000000",
			"+8613800138000+8613800138001", strings.Repeat("1", 300)}},
		{contactpoint.Phone, "required", []string{"", "   ", "\u200b"}},
		{contactpoint.Phone, "bad_text", []string{"138\x00000138000", "1380013\n8000"}},
		{contactpoint.Phone, "too_long", []string{strings.Repeat("1", 400)}},
		{contactpoint.Email, "bad_email", []string{"a", "@example.com", "a@", "a@b", "a@@example.com", "a b@example.com", ".a@example.com", "a..b@example.com",
			"a@-example.com", "a@example..com", "a@127.0.0.1", `"a b"@example.com`, "a@example.com, b@example.com", "<a@example.com>",
			strings.Repeat("a", 65) + "@example.com", "a@" + strings.Repeat("b", 64) + ".com", "a@exa mple.com"}},
		{contactpoint.WeChat, "bad_wechat", []string{"abc", "微信号一二三", "a b c d e", strings.Repeat("a", 65)}},
		{contactpoint.QQ, "bad_qq", []string{"1234", "012345", "12345a", "1234567890123"}},
		{contactpoint.Weibo, "bad_account", []string{"@", "a b", "++"}},
		{contactpoint.Social, "platform_missing", []string{"somebody"}},
	} {
		for _, s := range c.given {
			_, wrong := contactpoint.Normalize(c.kind, "", s, "CN")
			require.NotNil(t, wrong, "%s %q", c.kind, s)
			require.Equal(t, c.code, wrong.Code, "%s %q", c.kind, s)
			if s != "@example.com" && len(strings.TrimSpace(s)) > 3 {
				require.NotContains(t, wrong.Detail.En+wrong.Detail.Zh, strings.TrimSpace(s))
			}
		}
	}
	_, wrong := contactpoint.Normalize(contactpoint.Phone, "", "12345", "CN")
	require.Contains(t, wrong.Detail.En, "131 2345 6789", "it says what is accepted")
	_, wrong = contactpoint.Normalize(contactpoint.Email, "douyin", "a@example.com", "CN")
	require.Equal(t, "not_applicable", wrong.Code)
	n, wrong := contactpoint.Normalize(contactpoint.Social, " DouYin ", "@tea.house", "CN")
	require.Nil(t, wrong)
	require.Equal(t, contactpoint.Normal{Kind: contactpoint.Social, Platform: "douyin", Value: "tea.house"}, n)
}

func TestMasksKeepWhatTellsTwoApartAndNoMore(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind         contactpoint.Kind
		value, shown string
	}{
		{contactpoint.Phone, "+8613800001234", "+86138****1234"},
		{contactpoint.Phone, "+8657187654321;ext=802", "+86571****4321"},
		{contactpoint.Phone, "+12025550100", "+1202****0100"},
		{contactpoint.Phone, "+35312345", "+353****45"},
		{contactpoint.Phone, "+3581234567", "+35812****67"},
		{contactpoint.Email, "zhang@example.com", "z***@example.com"},
		{contactpoint.Email, "z@example.com", "***@example.com"},
		{contactpoint.Email, "张三@example.com", "张***@example.com"},
		{contactpoint.WeChat, "zhang_san", "z***n"},
		{contactpoint.Weibo, "老张说茶", "老***茶"},
		{contactpoint.Social, "abc", "a***"},
		{contactpoint.Social, "a", "***"},
		{contactpoint.QQ, "100001", "1***1"},
	} {
		require.Equal(t, c.shown, contactpoint.Masked(c.kind, c.value))
	}
}

func FuzzNormalize(f *testing.F) {
	for _, s := range []string{"13800138000", "a@example.com", "0571-87654321转802", "@x", "\xff\xfe", "+86"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, kind := range contactpoint.Kinds {
			platform := ""
			if kind == "social" {
				platform = "douyin"
			}
			n, wrong := contactpoint.Normalize(contactpoint.Kind(kind), platform, s, "CN")
			if wrong != nil {
				continue
			}
			again, wrong := contactpoint.Normalize(contactpoint.Kind(kind), platform, n.Value, "CN")
			require.Nil(t, wrong, "%s %q became %q", kind, s, n.Value)
			require.Equal(t, n, again, "normal stays normal")
			require.NotEmpty(t, contactpoint.Masked(n.Kind, n.Value))
		}
	})
}
