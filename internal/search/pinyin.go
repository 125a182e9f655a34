package search

import (
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/mozillazg/go-pinyin"
)

// surnames are the readings of characters that are read otherwise when they are somebody's surname.
//
// Source: 通用规范汉字字典 and 现代汉语词典 (7th edition), the readings marked 姓.
var surnames = table(`曾 zeng|单 shan|仇 qiu|区 ou|解 xie|查 zha|朴 piao|盖 ge gai|翟 zhai|缪 miao|冼 xian|任 ren|宁 ning|尉 wei|葛 ge
	|柏 bai bo|卜 bu|贾 jia|纪 ji|种 chong|覃 qin tan|祭 zhai|折 she|员 yun|隗 wei kui|秘 bi|繁 po|乜 nie|洗 xian|相 xiang|郇 xun huan
	|乐 yue le|车 che|能 nai|黑 he|逄 pang|召 shao|黄 huang|牟 mu mou|晁 chao|佴 nai|谌 chen shen|妫 gui|郗 xi chi|句 gou|过 guo
	|哈 ha|华 hua|间 jian|靓 jing|厘 li|闵 min|那 na|粘 nian|宓 mi fu|适 kuo|沈 shen|石 shi|燕 yan|应 ying|於 yu|臧 zang|占 zhan|訾 zi
	|重 chong|祝 zhu|幺 yao|教 jiao|曲 qu|强 qiang jiang|行 xing|长 chang zhang|俞 yu|都 du|酆 feng|阚 kan|亓 qi|璩 qu|麴 qu|鲜 xian
	|冯 feng|石 shi|万 wan|藏 zang|哥 ge|令 ling|莘 shen|六 lu|亢 kang|邸 di|郄 qie|虢 guo|仉 zhang|爨 cuan`)

// compound are the surnames of two characters, the longest that fits is taken; the readings are joined by a dash.
var compound = table(`欧阳 ou-yang|尉迟 yu-chi|万俟 mo-qi|长孙 zhang-sun|单于 chan-yu|司马 si-ma|上官 shang-guan|诸葛 zhu-ge|东方 dong-fang
	|皇甫 huang-fu|令狐 ling-hu|澹台 tan-tai|公孙 gong-sun|慕容 mu-rong|宇文 yu-wen|夏侯 xia-hou|轩辕 xuan-yuan|端木 duan-mu|百里 bai-li
	|呼延 hu-yan|南宫 nan-gong|西门 xi-men|独孤 du-gu|司徒 si-tu|司空 si-kong|鲜于 xian-yu|闾丘 lv-qiu|太史 tai-shi|申屠 shen-tu
	|公冶 gong-ye|宗政 zong-zheng|濮阳 pu-yang|淳于 chun-yu|钟离 zhong-li|拓跋 tuo-ba|赫连 he-lian|纳兰 na-lan|子车 zi-ju|亓官 qi-guan
	|乐正 yue-zheng|宰父 zai-fu|谷梁 gu-liang|公羊 gong-yang|羊舌 yang-she|微生 wei-sheng|梁丘 liang-qiu|左丘 zuo-qiu|东郭 dong-guo|第五 di-wu
	|巫马 wu-ma|公西 gong-xi|漆雕 qi-diao|壤驷 rang-si|段干 duan-gan|夹谷 jia-gu|仲孙 zhong-sun|叔孙 shu-sun|贺兰 he-lan|哥舒 ge-shu`)

// polyphones are characters of given names and companies that are read in more than one way, the usual one first.
var polyphones = table(`乐 le yue|行 xing hang|重 chong zhong|长 chang zhang|朝 chao zhao|曾 zeng ceng|单 dan shan|仇 qiu chou|区 qu ou|解 jie xie
	|查 cha zha|盖 gai ge|朴 pu piao|翟 zhai di|葛 ge|柏 bai bo|晟 sheng cheng|茜 qian xi|莘 shen xin|嬛 huan xuan|厦 xia sha|会 hui kuai
	|都 du dou|藏 cang zang|传 chuan zhuan|强 qiang jiang|沈 shen|卜 bu|贾 jia gu|种 zhong chong|覃 qin tan|员 yuan yun|隗 wei kui|车 che ju
	|缪 miao mou|尉 wei yu|奇 qi ji|参 can shen|石 shi dan|调 diao tiao|弹 dan tan|角 jiao jue|觉 jue jiao|率 lv shuai|绿 lv lu|兴 xing
	|朝 chao zhao|降 jiang xiang|露 lu lou|漂 piao|曲 qu|省 sheng xing|盛 sheng cheng|识 shi zhi|宿 su xiu|提 ti di|尾 wei yi|系 xi ji
	|校 xiao jiao|薄 bo bao|蔓 man wan|咖 ka ga|炮 pao bao|卡 ka qia|百 bai|谷 gu yu|和 he|广 guang|大 da|什 shi shen|血 xue xie|琢 zhuo zuo
	|俊 jun|峙 zhi shi|洱 er|六 liu lu|蚌 bang beng|牟 mou mu|宁 ning|尧 yao|允 yun|俞 yu|阿 a e|蕃 fan bo|馨 xin|娜 na nuo|婼 ruo
	|番 fan pan|丽 li|涌 yong chong|浦 pu|埔 pu bu|泌 mi bi|沓 ta da|畜 chu xu|差 cha chai|处 chu|当 dang|倒 dao|得 de|发 fa|分 fen|干 gan
	|个 ge|供 gong|号 hao|好 hao|几 ji|间 jian|将 jiang|尽 jin|劲 jin jing|给 gei ji|场 chang|据 ju|看 kan|空 kong|累 lei|了 le liao|量 liang
	|模 mo mu|难 nan|宁 ning|便 bian pian|铺 pu|期 qi|切 qie|散 san|少 shao|舍 she|数 shu|似 si shi|为 wei|相 xiang|压 ya|要 yao|应 ying
	|与 yu|予 yu|载 zai|着 zhe zhuo|正 zheng|中 zhong|转 zhuan|桦 hua|纶 lun guan|熨 yun yu|龟 gui|粘 zhan nian|拓 tuo ta|秘 mi bi|禅 chan shan
	|澄 cheng deng|繁 fan|虹 hong jiang|荷 he|颉 jie xie|虑 lv|儿 er|的 de di|地 di de|亲 qin|佛 fo fu|伽 jia qie|合 he|红 hong|核 he|洞 dong|巷 xiang hang`)

func table(s string) map[string][]string {
	m := map[string][]string{}
	for entry := range strings.SplitSeq(s, "|") {
		f := strings.Fields(entry)
		m[f[0]] = f[1:]
	}
	return m
}

// untoned is a reading of the dictionary as it is typed: without tones, ü as v.
var untoned = strings.NewReplacer("ā", "a", "á", "a", "ǎ", "a", "à", "a", "ō", "o", "ó", "o", "ǒ", "o", "ò", "o",
	"ē", "e", "é", "e", "ě", "e", "è", "e", "ê", "e", "ī", "i", "í", "i", "ǐ", "i", "ì", "i", "ū", "u", "ú", "u", "ǔ", "u", "ù", "u",
	"ü", "v", "ǖ", "v", "ǘ", "v", "ǚ", "v", "ǜ", "v", "ń", "n", "ň", "n", "ǹ", "n", "\u0300", "", "\u0301", "", "\u0304", "", "\u030c", "")

// syllables are all that a character can be read as, sorted.
var syllables = sync.OnceValue(func() []string {
	seen := map[string]bool{}
	for _, readings := range pinyin.PinyinDict {
		first, _, _ := strings.Cut(readings, ",")
		if s := untoned.Replace(first); strings.ContainsAny(s, "aeiouv") {
			seen[s] = true
		}
	}
	all := make([]string, 0, len(seen))
	for s := range seen {
		all = append(all, s)
	}
	slices.Sort(all)
	return all
})

// reading is how a character is read, the likely way first; nil when it is not Chinese or nobody knows.
func reading(r rune) []string {
	if known := polyphones[string(r)]; known != nil {
		return known
	}
	first, _, _ := strings.Cut(pinyin.PinyinDict[int(r)], ",")
	if s := untoned.Replace(first); strings.ContainsAny(s, "aeiouv") {
		return []string{s}
	}
	return nil
}

// The limits of what one name may be read as: more costs every write and finds nobody.
const (
	maxReadings  = 8  // lines of one name
	maxSyllables = 24 // characters of one name
)

// readings are the ways to read the Chinese part of a folded name: for each character its syllables.
func readings(folded string, person bool) [][]string {
	var all [][]string
	runes := make([]rune, 0, len(folded))
	for _, r := range folded {
		if unicode.Is(unicode.Han, r) {
			runes = append(runes, r)
		}
	}
	runes = runes[:min(len(runes), maxSyllables)]
	if person && len(runes) > 1 {
		if two, ok := compound[string(runes[:2])]; ok {
			for s := range strings.SplitSeq(two[0], "-") {
				all = append(all, []string{s})
			}
			runes = runes[2:]
		} else if one, ok := surnames[string(runes[:1])]; ok {
			all = append(all, one)
			runes = runes[1:]
		}
	}
	for _, r := range runes {
		if s := reading(r); s != nil {
			all = append(all, s)
		}
	}
	return all
}

// lines are the readings written out, at most maxReadings: " zhang jian guo". Where there are more, later characters
// keep their usual reading.
func lines(of [][]string) []string {
	all := []string{""}
	for _, choices := range of {
		if len(all)*len(choices) > maxReadings {
			choices = choices[:1]
		}
		longer := make([]string, 0, len(all)*len(choices))
		for _, s := range choices {
			for _, line := range all {
				longer = append(longer, line+" "+s)
			}
		}
		all = longer
	}
	return all
}

// segment is a part of a needle that stands for one character.
type segment struct {
	text string
	kind segmentKind
}

type segmentKind int

const (
	whole   segmentKind = iota // a full syllable
	initial                    // the beginning of a syllable, z or zh
	open                       // the beginning of a syllable at the needle's end, zhan
)

const (
	maxNeedle        = 60 // letters of a needle that are read as pinyin
	maxSegmentations = 12
	maxSteps         = 2000 // tries: a needle that nobody can read must not cost more for being long
)

// segmentations are the ways to read a needle of letters a to z as pinyin: full syllables of which the last may be cut
// off (zhangjiang, zhangj), initials alone (zjg), or syllables and then initials (zhangjg).
func segmentations(needle string) [][]segment {
	if len(needle) > maxNeedle {
		return nil
	}
	var all [][]segment
	steps := 0
	var walk func(rest string, before []segment)
	walk = func(rest string, before []segment) {
		if steps++; steps > maxSteps || len(all) == maxSegmentations {
			return
		}
		if rest == "" {
			all = append(all, slices.Clone(before))
			return
		}
		cut := len(before) > 0 && before[len(before)-1].kind == initial
		if !cut {
			for n := min(len(rest), 6); n > 0; n-- {
				for _, s := range variants(rest[:n]) {
					switch {
					case n == len(rest) && begins(s):
						walk("", append(before, segment{s, open}))
					case n < len(rest) && isSyllable(s):
						walk(rest[n:], append(before, segment{s, whole}))
					}
				}
			}
		}
		// A single letter at the end was read as an open syllable above.
		if n := initialOf(rest); n > 0 && (cut || n < len(rest)) && len(rest) <= 8 {
			if n == 2 {
				walk(rest[2:], append(before, segment{rest[:2], initial}))
				n = 1
			}
			walk(rest[n:], append(before, segment{rest[:n], initial}))
		}
	}
	walk(needle, nil)
	return all
}

// variants are the spellings of a syllable with ü, which keyboards and passports write differently.
func variants(s string) []string {
	switch s {
	case "lyu", "nyu":
		return []string{s[:1] + "v"}
	case "lyue", "nyue":
		return []string{s[:1] + "ve"}
	case "lu", "nu":
		return []string{s, s[:1] + "v"}
	case "lue", "nue":
		return []string{s[:1] + "ve", s[:1] + "ue"}
	}
	return []string{s}
}

func isSyllable(s string) bool {
	_, ok := slices.BinarySearch(syllables(), s)
	return ok
}

// begins tells whether a syllable begins with s.
func begins(s string) bool {
	i, _ := slices.BinarySearch(syllables(), s)
	return i < len(syllables()) && strings.HasPrefix(syllables()[i], s)
}

// completions are the syllables that begin with s.
func completions(s string) []string {
	i, _ := slices.BinarySearch(syllables(), s)
	j := i
	for j < len(syllables()) && strings.HasPrefix(syllables()[j], s) {
		j++
	}
	return syllables()[i:j]
}

// initialOf is how many letters of s stand for a character by themselves: 2 for zh, ch and sh, 0 for none.
func initialOf(s string) int {
	switch {
	case strings.HasPrefix(s, "zh"), strings.HasPrefix(s, "ch"), strings.HasPrefix(s, "sh"):
		return 2
	case strings.ContainsRune("abcdefghjklmnopqrstwxyz", rune(s[0])):
		return 1
	}
	return 0
}
