package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"

	"github.com/kezi-io/kezi/internal/fault"
)

// errJSON is a body that is not one JSON value in UTF-8.
type errJSON struct{ detail fault.Text }

func (e errJSON) Error() string { return e.detail.En }

// decodeJSON is stricter than encoding/json: nothing after the value, no member twice, UTF-8 only, and no NUL, which
// PostgreSQL does not store.
func decodeJSON(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
	b, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(b) {
		return nil, errJSON{fault.T("the body is not UTF-8", "请求体不是 UTF-8 编码")}
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
