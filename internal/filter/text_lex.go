package filter

import (
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/kezi-io/kezi/internal/fault"
)

// tokenKind is the sort of a token.
type tokenKind int

const (
	tokenEnd    tokenKind = iota
	tokenWord             // keyword or field
	tokenString           // text without quotes and escapes
	tokenNumber
	tokenDay  // today, today-90d
	tokenSign // ( ) , = != < <= > >= : *
	tokenBad  // what cannot be read; detail says why
)

type token struct {
	kind   tokenKind
	text   string
	at     int // character, counted from 1
	stars  []star
	detail fault.Text

	// Of a string: its characters with the stars, and where each stands in the text, with the end as the last.
	runes  []rune
	places []int
}

// star is a wildcard character in a string.
type star struct {
	index int // in bytes of the token's text, where the star itself is left out
	at    int // character, counted from 1
}

// word is the keyword in upper case that the token may be.
func (t token) word() string {
	if t.kind != tokenWord {
		return ""
	}
	return strings.ToUpper(t.text)
}

// lookalikes are the characters that a Chinese keyboard or a word processor gives in place of the ASCII one.
var lookalikes = map[rune]string{
	'“': `"`, '”': `"`, '„': `"`, '‟': `"`, '＂': `"`, '「': `"`, '」': `"`, '『': `"`, '』': `"`, '《': `"`, '》': `"`, '«': `"`, '»': `"`,
	'‘': `'`, '’': `'`, '＇': `'`, '`': `'`, '（': "(", '）': ")", '，': ",", '、': ",", '：': ":", '＝': "=", '＜': "<", '＞': ">",
	'！': "!", '≠': "!=", '≤': "<=", '≥': ">=", '＊': "*", '－': "-", '＋': "+",
}

// habits are what other languages write for our signs.
var habits = map[string]string{"==": "=", "<>": "!=", "&&": "AND", "||": "OR", "=<": "<=", "=>": ">=", "!": "NOT", "&": "AND", "|": "OR", "-": "NOT"}

type lexer struct {
	src    []rune
	pos    int
	start  int   // of the last token
	places []int // of the characters of src, and its end, when it stands in quotes within another text
}

// char is the character, counted from 1, that stands at pos.
func (x *lexer) char(pos int) int {
	if x.places != nil {
		return x.places[min(pos, len(x.src))]
	}
	return pos + 1
}

func (x *lexer) peek(ahead int) rune {
	if x.pos+ahead < len(x.src) {
		return x.src[x.pos+ahead]
	}
	return 0
}

func (x *lexer) bad(at int, en, zh string) token {
	return token{kind: tokenBad, at: x.char(at), detail: fault.T(en, zh)}
}

func (x *lexer) next() token {
	for unicode.IsSpace(x.peek(0)) {
		x.pos++
	}
	start := x.pos
	x.start = start
	if start == len(x.src) {
		return token{kind: tokenEnd, at: x.char(start)}
	}
	r := x.src[start]
	switch {
	case r == '"' || r == '\'':
		return x.string(r)
	case isNameStart(r):
		return x.name()
	case isDigit(r), (r == '-' || r == '+') && isDigit(x.peek(1)):
		return x.number()
	case r < unicode.MaxASCII && strings.ContainsRune("(),=!<>:*&|-", r):
		return x.sign()
	}
	if ascii, ok := lookalikes[r]; ok {
		return x.bad(start, "this is a full-width or typographic character; write the ASCII "+ascii,
			"这是全角或排版符号，请改用半角 "+ascii)
	}
	return x.bad(start, "this character means nothing here; text stands in quotes", "此处不允许该字符；文本须加引号")
}

func isDigit(r rune) bool { return r >= '0' && r <= '9' }

func (x *lexer) sign() token {
	start := x.pos
	two := string(x.src[start:min(start+2, len(x.src))])
	if instead, ok := habits[two]; ok {
		return x.bad(start, "write "+instead, "请写 "+instead)
	}
	switch two {
	case "!=", "<=", ">=":
		x.pos += 2
		return token{kind: tokenSign, text: two, at: x.char(start)}
	}
	one := two[:1]
	if instead, ok := habits[one]; ok {
		return x.bad(start, "write "+instead, "请写 "+instead)
	}
	x.pos++
	return token{kind: tokenSign, text: one, at: x.char(start)}
}

func (x *lexer) name() token {
	start := x.pos
	for isNamePart(x.peek(0)) || x.peek(0) == '.' && isNamePart(x.peek(1)) {
		x.pos++
	}
	word := string(x.src[start:x.pos])
	if strings.EqualFold(word, "today") {
		return x.day(start)
	}
	return token{kind: tokenWord, text: word, at: x.char(start)}
}

func (x *lexer) day(start int) token {
	day := "today"
	mark := x.pos
	for unicode.IsSpace(x.peek(0)) {
		x.pos++
	}
	if sign := x.peek(0); sign == '-' || sign == '+' {
		x.pos++
		for unicode.IsSpace(x.peek(0)) {
			x.pos++
		}
		count := x.pos
		for isNamePart(x.peek(0)) {
			x.pos++
		}
		day += string(sign) + strings.ToLower(string(x.src[count:x.pos]))
	} else {
		x.pos = mark
	}
	if !relative.MatchString(day) {
		return x.bad(start, "a relative day is today, or today with + or -, a whole number and d, w, m or y, such as today-90d",
			"相对日期写作 today，或 today 加减整数与 d、w、m、y，例如 today-90d")
	}
	return token{kind: tokenDay, text: day, at: x.char(start)}
}

// span is a number of days, weeks, months or years.
var span = regexp.MustCompile(`^[0-9]{1,5}[dwmy]$`)

func (x *lexer) number() token {
	start := x.pos
	x.pos++
	for isNamePart(x.peek(0)) || x.peek(0) == '.' {
		x.pos++
	}
	sign, digits := "", string(x.src[start:x.pos])
	switch digits[0] {
	case '-':
		sign, digits = "-", digits[1:]
	case '+':
		digits = digits[1:]
	}
	whole, rest, point := strings.Cut(digits, ".")
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	if point {
		rest = "." + rest
	}
	number := sign + whole + rest
	switch {
	case span.MatchString(digits):
		return x.bad(start, `a number has no unit; write a relative day as today-`+digits+` and a window in quotes, "`+digits+`"`,
			`数字不带单位；相对日期写作 today-`+digits+`，时间窗口须加引号："`+digits+`"`)
	case dateForm.MatchString(string(x.src[start:min(start+len(time.DateOnly), len(x.src))])):
		day := string(x.src[start : start+len(time.DateOnly)])
		return x.bad(start, `a day stands in quotes; write "`+day+`"`, `日期须加引号，请写 "`+day+`"`)
	}
	if !isDigit(rune(digits[0])) || !isNumber(number) {
		return x.bad(start, "a number is digits with an optional sign and decimals, such as -1000.5; text, days and identifiers stand in quotes",
			"数字由可选的正负号、数字和小数组成，例如 -1000.5；文本、日期和标识须加引号")
	}
	return token{kind: tokenNumber, text: number, at: x.char(start)}
}

// controls are the control characters that have an escape.
var controls = map[rune]byte{'n': '\n', 'r': '\r', 't': '\t'}

func (x *lexer) string(quote rune) token {
	start := x.pos
	t := token{kind: tokenString, at: x.char(start)}
	var b strings.Builder
	character := func(r rune) {
		t.runes, t.places = append(t.runes, r), append(t.places, x.char(x.pos))
	}
	for x.pos++; x.pos < len(x.src); x.pos++ {
		switch r := x.src[x.pos]; r {
		case quote:
			t.text, t.places = b.String(), append(t.places, x.char(x.pos))
			x.pos++
			return t
		case '*':
			t.stars = append(t.stars, star{b.Len(), x.char(x.pos)})
			character(r)
		case '\\':
			x.pos++
			switch e := x.peek(0); e {
			case '"', '\'', '\\', '*':
				b.WriteRune(e)
				character(e)
			case 'n', 'r', 't':
				b.WriteByte(controls[e])
				character(rune(controls[e]))
			default:
				return x.bad(x.pos-1, `after \ comes ", ', \, *, n, r or t; the character \ itself is written \\`,
					`\ 之后只能是 "、'、\、*、n、r 或 t；字符 \ 本身写作 \\`)
			}
		default:
			b.WriteRune(r)
			character(r)
		}
	}
	return x.bad(start, "this quote is never closed by the same one", "引号没有以相同的引号结束")
}
