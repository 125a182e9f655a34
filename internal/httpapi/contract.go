package httpapi

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/mail"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/nearest"
)

var (
	errContract = fault.New(fault.Malformed, "contract_violation",
		"the request does not match the contract; errors says where", "请求不符合接口约定，详见 errors")
	errTooLarge = fault.New(fault.TooLarge, "body_too_large",
		"the body is larger than this operation takes", "请求体超过此操作的上限")
	errMedia = fault.New(fault.Unsupported, "media_type_unsupported",
		"the body's media type is not one that this operation takes", "不支持该请求体的媒体类型")
	errQuery = fault.New(fault.Malformed, "bad_query",
		"the query string is not percent-encoded as it should be", "查询字符串的百分号编码不正确")
)

// defineFormats makes kin-openapi check what it does not by itself. It keeps them for the whole process.
var defineFormats = sync.OnceFunc(func() {
	check := func(name string, f func(string) error) {
		openapi3.DefineStringFormatValidator(name, openapi3.NewCallbackValidator(f))
	}
	check("date", func(s string) error { _, err := time.Parse(time.DateOnly, s); return err })
	check("date-time", moment)
	check("email", func(s string) error { _, err := mail.ParseAddress(s); return err })
	check("uuid", func(s string) error {
		if len(s) != 36 {
			return errors.New("not 36 characters long")
		}
		return uuid.Validate(s)
	})
	for _, media := range []string{"application/json", "application/merge-patch+json"} {
		openapi3filter.RegisterBodyDecoder(media, decodeJSON)
	}
})

// rfc3339 is stricter than time.Parse, which also takes a comma before the fraction and any offset.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

func moment(s string) error {
	if !rfc3339.MatchString(s) {
		return errors.New("not RFC 3339")
	}
	_, err := time.Parse(time.RFC3339, s)
	return err
}

// contract refuses what the document does not allow, before any handler runs.
func contract(ops operations) echo.MiddlewareFunc {
	defineFormats()
	options := &openapi3filter.Options{MultiError: true, KeepValidatedValue: true,
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}
	options.WithCustomSchemaErrorFunc(func(err *openapi3.SchemaError) string { return err.Reason })
	streamed := *options
	streamed.ExcludeRequestBody = true

	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			op := ops.of(c)
			if op == nil {
				return next(c)
			}
			r := c.Request()
			if err := checkQuery(op, r); err != nil {
				return err
			}
			use := options
			if op.media != nil && r.Body != nil && r.Body != http.NoBody {
				if err := checkMedia(op, r); err != nil {
					return err
				}
			}
			if op.raw {
				use = &streamed
				if r.ContentLength > op.bodyLimit {
					return errTooLarge
				}
				r.Body = http.MaxBytesReader(c.Response(), r.Body, op.bodyLimit)
			} else if err := readBody(c, op); err != nil {
				return err
			}
			params := make(map[string]string, len(c.ParamNames()))
			for i, name := range c.ParamNames() {
				params[name] = c.ParamValues()[i]
				if !utf8.ValidString(params[name]) || strings.ContainsRune(params[name], 0) {
					return errContract.AtParameter(name, "bad_text", fault.T("not text in UTF-8", "不是 UTF-8 文本"))
				}
			}
			err := openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
				Request: r, PathParams: params, Route: op.route, Options: use})
			if err != nil {
				if op.itemwise {
					body, _ := c.Get(bodyKey).([]byte)
					if rest := passOver(r, body, err); rest != nil {
						c.SetRequest(rest)
						return next(c)
					}
				}
				return violation(err)
			}
			return next(c)
		}
	}
}

// bodyKey is where the raw body stands in Echo's context, for the fingerprint of an idempotent request.
const bodyKey = "kezi.body"

func readBody(c echo.Context, op *operation) error {
	r := c.Request()
	if r.ContentLength > op.bodyLimit {
		return errTooLarge.Because("the body is larger than "+sizeText(op.bodyLimit), "请求体超过 "+sizeText(op.bodyLimit))
	}
	b, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, op.bodyLimit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return errTooLarge.Because("the body is larger than "+sizeText(op.bodyLimit), "请求体超过 "+sizeText(op.bodyLimit))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errSlow
	case err != nil:
		return errContract.Because("the body broke off", "请求体不完整")
	}
	c.Set(bodyKey, b)
	if len(b) == 0 {
		r.Body = http.NoBody
		return nil
	}
	if op.media == nil {
		return errContract.Because("this operation takes no body", "此操作不接受请求体")
	}
	r.Body = io.NopCloser(bytes.NewReader(plainIntegers(b)))
	return nil
}

// checkMedia lowers the media type, since the generated code compares it to the letter, and refuses foreign ones.
func checkMedia(op *operation, r *http.Request) error {
	given := r.Header.Get("Content-Type")
	media, params, err := mime.ParseMediaType(given)
	accepted := op.media
	// A PATCH as plain JSON can only mean a merge patch.
	if media == "application/json" && slices.Contains(accepted, "application/merge-patch+json") {
		media = "application/merge-patch+json"
	}
	charset, hasCharset := params["charset"]
	if slices.Contains(accepted, "application/merge-patch+json") {
		accepted = append([]string{"application/json"}, accepted...) // what a caller may send; from here on it is the other
	}
	if err != nil || !slices.Contains(op.media, media) || (hasCharset && !strings.EqualFold(charset, "utf-8")) {
		return errMedia.AtParameter("Content-Type", "unsupported",
			fault.T("send "+strings.Join(accepted, " or "), "请使用 "+strings.Join(accepted, " 或 ")), accepted...)
	}
	r.Header.Set("Content-Type", media)
	coding := strings.ToLower(strings.Join(r.Header.Values("Content-Encoding"), ", "))
	switch {
	case coding == "":
	case op.raw:
		r.Header.Set("Content-Encoding", coding) // the contract says which
	case coding != "identity":
		return errMedia.Because("the body's content coding is not one that this operation takes", "不支持该请求体的内容编码").
			AtParameter("Content-Encoding", "unsupported", fault.T("send the body as it is", "请直接发送未压缩的请求体"), "identity")
	}
	return nil
}

// checkQuery refuses unknown parameters, which kin-openapi passes over: a misspelt filter must not list everybody.
func checkQuery(op *operation, r *http.Request) error {
	if r.URL.RawQuery == "" {
		return nil
	}
	f := errContract
	if strings.Contains(r.URL.RawQuery, ";") {
		return errContract.Because("the query string has a bare semicolon", "查询字符串中有裸分号")
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return errQuery
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !op.query[name] {
			f = f.AtParameter(name, "unknown_parameter", unknownParameter(name, op.names), op.names...)
			err = f
			continue
		}
		if len(values[name]) > 1 && !op.lists[name] {
			f = f.AtParameter(name, "repeated_parameter", fault.T("send it once", "只能出现一次"))
			err = f
		}
		for _, v := range values[name] {
			if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
				f = f.AtParameter(name, "bad_text", fault.T("not text in UTF-8", "不是 UTF-8 文本"))
				err = f
			}
			// kin-openapi takes 1 and TRUE as well, which the code behind it takes for false.
			if op.booleans[name] && v != "true" && v != "false" {
				f = f.AtParameter(name, "wrong_type", fault.T("must be true or false", "必须是 true 或 false"), "true", "false")
				err = f
			}
		}
	}
	return err
}

func unknownParameter(name string, known []string) fault.Text {
	if near := nearest.Of(name, known); near != "" {
		return fault.T("there is no such parameter; did you mean "+near+"?", "没有此参数；是否想用 "+near+"？")
	}
	return fault.T("there is no such parameter here", "此操作没有该参数")
}
