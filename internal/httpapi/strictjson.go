package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
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

// errJSON is a body that is not one JSON value in UTF-8.
type errJSON struct{ detail fault.Text }

func (e errJSON) Error() string { return e.detail.En }

// decodeJSON is stricter than encoding/json: nothing after the value, no member twice, UTF-8 only, no half of a
// surrogate pair, and no NUL, which PostgreSQL does not store.
func decodeJSON(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
	b, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(b) {
		return nil, errJSON{fault.T("the body is not UTF-8", "请求体不是 UTF-8 编码")}
	}
	if halfPair(b) {
		return nil, errJSON{fault.T("a text holds half of a surrogate pair", "文本中含有不成对的代理项转义")}
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	v, err := readValue(dec, 0)
	if err != nil {
		var own errJSON
		if errors.As(err, &own) {
			return nil, own
		}
		return nil, errJSON{fault.T("the body is not JSON", "请求体不是合法的 JSON")}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errJSON{fault.T("something follows the JSON value", "JSON 之后还有多余内容")}
	}
	return v, nil
}

// halfPair reports whether an escape is one half of a surrogate pair without the other: encoding/json would store
// U+FFFD in its place and say nothing. A backslash stands in strings only.
func halfPair(b []byte) bool {
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
			return true
		case u >= 0xd800 && u <= 0xdbff:
			if low := unit(i + 6); low < 0xdc00 || low > 0xdfff {
				return true
			}
			i += 11
		default:
			i++ // past what is escaped, which may be a backslash itself
		}
	}
	return false
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

func readValue(dec *json.Decoder, depth int) (any, error) {
	if depth > maxJSONDepth {
		return nil, errJSON{fault.T("the JSON is nested too deeply", "JSON 嵌套过深")}
	}
	t, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '[' {
			return readArray(dec, depth)
		}
		return readObject(dec, depth)
	case string:
		return checkText(t)
	default:
		return t, nil
	}
}

func readArray(dec *json.Decoder, depth int) (any, error) {
	list := []any{}
	for dec.More() {
		v, err := readValue(dec, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := dec.Token()
	return list, err
}

func readObject(dec *json.Decoder, depth int) (any, error) {
	object := map[string]any{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, err := checkText(t.(string))
		if err != nil {
			return nil, err
		}
		if _, twice := object[name]; twice {
			return nil, errJSON{fault.T("an object has a member twice", "JSON 对象中有重复的成员")}
		}
		if object[name], err = readValue(dec, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := dec.Token()
	return object, err
}

func checkText(s string) (string, error) {
	if strings.ContainsRune(s, 0) {
		return "", errJSON{fault.T("a text holds the character U+0000, which cannot be stored", "文本中含有无法保存的字符 U+0000")}
	}
	return s, nil
}
