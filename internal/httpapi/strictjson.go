package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"

	"github.com/kezi-io/kezi/internal/fault"
)

// errJSON is a body that is not one JSON value in UTF-8, or a place of it that cannot be kept.
type errJSON struct {
	pointer string // empty for the whole body
	detail  fault.Text
}

func (e errJSON) Error() string { return e.detail.En }

// decodeJSON is stricter than encoding/json: nothing after the value, no member twice, UTF-8 only, no half of a
// surrogate pair, and no NUL, which PostgreSQL does not store.
func decodeJSON(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
	b, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(b) {
		return nil, errJSON{"", fault.T("the body is not UTF-8", "请求体不是 UTF-8 编码")}
	}
	r := jsonReader{json.NewDecoder(bytes.NewReader(b)), halfPair(b)}
	r.UseNumber()
	v, err := r.value("", 0)
	if err != nil {
		var own errJSON
		if errors.As(err, &own) {
			return nil, own
		}
		read := utf8.RuneCount(b[:r.InputOffset()])
		return nil, errJSON{"", fault.T(fmt.Sprintf("the body is not JSON; it cannot be read after character %d", read),
			fmt.Sprintf("请求体不是合法的 JSON；第 %d 个字符之后无法读取", read))}
	}
	if _, err := r.Token(); !errors.Is(err, io.EOF) {
		return nil, errJSON{"", fault.T("something follows the JSON value", "JSON 之后还有多余内容")}
	}
	return v, nil
}

// halfPair is where an escape is one half of a surrogate pair without the other, or past the end: encoding/json would store
// U+FFFD in its place and say nothing. A backslash stands in strings only.
func halfPair(b []byte) int64 {
	unit := func(i int) uint64 {
		if i+6 > len(b) || b[i] != '\\' || b[i+1] != 'u' {
			return 0
		}
		n, err := strconv.ParseUint(string(b[i+2:i+6]), 16, 16)
		if err != nil {
			return 0 // the decoder refuses it
		}
		return n
	}
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		switch u := unit(i); {
		case u >= 0xdc00 && u <= 0xdfff:
			return int64(i)
		case u >= 0xd800 && u <= 0xdbff:
			if low := unit(i + 6); low < 0xdc00 || low > 0xdfff {
				return int64(i)
			}
			i += 11
		default:
			i++ // past what is escaped, which may be a backslash itself
		}
	}
	return int64(len(b))
}

var wholeNumber = regexp.MustCompile(`^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?0*(?:\d|1[0-8]))?$`)

// maxNumber bounds the digits that plainIntegers looks at; more fit no integer here.
const maxNumber = 64

// plainIntegers writes whole numbers such as 1e2 and 1.0 as digits alone: JSON Schema takes them for integers, the
// generated code does not.
func plainIntegers(b []byte) []byte {
	var out []byte
	copied, inString := 0, false
	for i := 0; i < len(b); i++ {
		switch {
		case inString && b[i] == '\\':
			i++
		case b[i] == '"':
			inString = !inString
		case !inString && strings.IndexByte("-0123456789", b[i]) >= 0:
			start := i
			for i < len(b) && strings.IndexByte("+-.0123456789eE", b[i]) >= 0 {
				i++
			}
			if digits, ok := plainInteger(b[start:i]); ok {
				out = append(append(out, b[copied:start]...), digits...)
				copied = i
			}
			i--
		}
	}
	if copied == 0 {
		return b
	}
	return append(out, b[copied:]...)
}

func plainInteger(number []byte) (string, bool) {
	if len(number) > maxNumber || !bytes.ContainsAny(number, ".eE") || !wholeNumber.Match(number) {
		return "", false
	}
	n, ok := new(big.Rat).SetString(string(number))
	if !ok || !n.IsInt() {
		return "", false
	}
	return n.Num().String(), true
}

const maxJSONDepth = 64

// jsonReader reads values with the pointers to them.
type jsonReader struct {
	*json.Decoder
	half int64 // see halfPair
}

func (r jsonReader) value(at string, depth int) (any, error) {
	if depth > maxJSONDepth {
		return nil, errJSON{at, fault.T("the JSON is nested too deeply", "JSON 嵌套过深")}
	}
	t, err := r.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '[' {
			return r.array(at, depth)
		}
		return r.object(at, depth)
	case string:
		return r.text(at, t)
	default:
		return t, nil
	}
}

func (r jsonReader) array(at string, depth int) (any, error) {
	list := []any{}
	for r.More() {
		v, err := r.value(at+"/"+strconv.Itoa(len(list)), depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := r.Token()
	return list, err
}

func (r jsonReader) object(at string, depth int) (any, error) {
	object := map[string]any{}
	for r.More() {
		t, err := r.Token()
		if err != nil {
			return nil, err
		}
		name, err := r.text(at, t.(string))
		if err != nil {
			return nil, err
		}
		member := at + "/" + fault.Escape(name)
		if _, twice := object[name]; twice {
			return nil, errJSON{member, fault.T("the object has this member twice", "对象中有重复的成员")}
		}
		if object[name], err = r.value(member, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := r.Token()
	return object, err
}

// text checks the string that was read last.
func (r jsonReader) text(at, s string) (string, error) {
	switch {
	case r.InputOffset() > r.half:
		return "", errJSON{at, fault.T("the text holds half of a surrogate pair", "文本中含有不成对的代理项转义")}
	case strings.ContainsRune(s, 0):
		return "", errJSON{at, fault.T("the text holds the character U+0000, which cannot be stored", "文本中含有无法保存的字符 U+0000")}
	}
	return s, nil
}
