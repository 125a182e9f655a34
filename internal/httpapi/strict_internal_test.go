package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/kezi-io/kezi/internal/fault"
)

// A body that trickles in longer than the operation has is answered 408, and one that breaks off 400: nothing that was
// not done may look like a success.
func TestBodyThatDoesNotArrive(t *testing.T) {
	t.Parallel()
	ops := operations{"POST /x": {method: http.MethodPost, path: "/x", open: true, media: []string{"application/json"},
		bodyLimit: 100, timeout: 200 * time.Millisecond}}
	e := echo.New()
	e.HTTPErrorHandler = answerError(slog.New(slog.DiscardHandler))
	e.Use(identified, limitedTime(ops))
	e.POST("/x", func(c echo.Context) error {
		if err := readBody(c, ops.of(c)); err != nil {
			return err
		}
		return c.NoContent(http.StatusOK)
	})
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	for name, test := range map[string]struct {
		closes bool
		status int
	}{"Slow": {false, http.StatusRequestTimeout}, "BrokenOff": {true, http.StatusBadRequest}} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String()) //nolint:noctx // closed below
		require.NoError(t, err)
		_, err = io.WriteString(conn, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
		require.NoError(t, err)
		if test.closes {
			require.NoError(t, conn.(*net.TCPConn).CloseWrite())
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err, name)
		require.Equal(t, test.status, res.StatusCode, name)
		require.Equal(t, "application/problem+json", res.Header.Get("Content-Type"))
		require.NoError(t, res.Body.Close())
		require.NoError(t, conn.Close())
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	for want, errs := range map[string][]error{
		"unavailable": {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, syscall.EPIPE, io.ErrUnexpectedEOF,
			&pgconn.PgError{Code: "57P01"}, &pgconn.PgError{Code: "57P02"}, &pgconn.PgError{Code: "08006"}, &pgconn.PgError{Code: "40001"}},
		"timeout":          {context.DeadlineExceeded},
		"number_too_large": {&pgconn.PgError{Code: "22003"}},
		"bad_value":        {&pgconn.PgError{Code: "22021"}},
		"internal":         {context.Canceled, &pgconn.PgError{Code: "23505"}},
	} {
		for _, err := range errs {
			require.Equal(t, want, classify(fmt.Errorf("somewhere: %w", err)).Code, "%v", err)
		}
	}
	require.Positive(t, errBusy.RetryAfter)
	require.Equal(t, http.StatusUnprocessableEntity, statusOf[errNumber.Kind])
}

func TestChinese(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{"": false, "en": false, "fr": false, "zh": true, "zh-CN,en;q=0.5": true,
		"zh-TW,en;q=0.5": true, "zh-HK,zh;q=0.9,en;q=0.8": true, "en,zh-TW;q=0.5": false} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept-Language", header)
		require.Equal(t, want, chinese(r), header)
	}
}

func TestPlainIntegers(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"a":1e2,"b":[1.0,-2.50e1],"c":"1e2","d":"\"1e2"}`: `{"a":100,"b":[1,-25],"c":"1e2","d":"\"1e2"}`,
		`1.5`: `1.5`, `1e-1`: `1e-1`, `1e400`: `1e400`, `1e19`: `1e19`, `01.0`: `01.0`, `1.0.0`: `1.0.0`, `1e18`: `1000000000000000000`,
		`-0.0`: `0`, `7`: `7`, `"open 1e2`: `"open 1e2`,
		"0." + strings.Repeat("0", 100): "0." + strings.Repeat("0", 100),
	} {
		require.Equal(t, want, string(plainIntegers([]byte(in))))
	}
}

func TestHalfPair(t *testing.T) {
	t.Parallel()
	const none = -1
	for in, want := range map[string]int{`"\ud83d\ude00"`: none, `"\\ud800"`: none, `"\n\u00e9"`: none, `"\ud800"`: 1,
		`"\udc00"`: 1, `"\uD800x"`: 1, `"\ud800\ud800\udc00"`: 1, `"\\\ud800"`: 3, `"\u`: none, `\`: none} {
		if want == none {
			want = len(in)
		}
		require.EqualValues(t, want, halfPair([]byte(in)), in)
	}
}

func TestMoment(t *testing.T) {
	t.Parallel()
	for in, ok := range map[string]bool{"2026-02-14T08:30:00+08:00": true, "2026-02-14T08:30:00.123Z": true,
		"2026-02-14T08:30:00,5Z": false, "2026-02-14T08:30:00+24:00": false, "2026-02-30T08:30:00Z": false, "2026-02-14 08:30:00Z": false} {
		require.Equal(t, ok, moment(in) == nil, in)
	}
}

// The type of a panic is logged, its text is not: that may hold personal data.
func TestPanicIsAnsweredAndLoggedByType(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, nil))
	e := echo.New()
	e.HTTPErrorHandler = answerError(log)
	e.Use(identified, recovered(log))
	e.GET("/", func(echo.Context) error { panic(io.ErrShortWrite) })
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.Contains(t, out.String(), "panic=*errors.errorString")
	require.NotContains(t, out.String(), io.ErrShortWrite.Error())
}

func TestExplain(t *testing.T) {
	t.Parallel()
	one := uint64(1)
	code, detail, _ := explain(&openapi3.SchemaError{SchemaField: "minProperties", Schema: &openapi3.Schema{MinProps: 1}})
	require.Equal(t, "too_few", code)
	require.Equal(t, fault.T("must have at least 1 member", "至少 1 个成员"), detail)
	_, detail, _ = explain(&openapi3.SchemaError{SchemaField: "maxLength", Schema: &openapi3.Schema{MaxLength: &one}})
	require.Equal(t, "must have at most 1 character", detail.En)
	_, detail, _ = explain(&openapi3.SchemaError{SchemaField: "pattern", Schema: &openapi3.Schema{Pattern: "^a$", Description: "One letter."}})
	require.Equal(t, fault.T("does not match ^a$", "不符合格式 ^a$"), detail)
}

func TestEveryPatternIsToldInWords(t *testing.T) {
	t.Parallel()
	var parts map[string]any
	doc, err := Document()
	require.NoError(t, err)
	raw, err := json.Marshal(doc)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &parts))
	var walk func(v any, at string)
	walk = func(v any, at string) {
		switch v := v.(type) {
		case map[string]any:
			if p, ok := v["pattern"].(string); ok && v["type"] == "string" {
				require.Contains(t, patterns, p, at)
			}
			for name, member := range v {
				if !strings.HasPrefix(name, "example") {
					walk(member, at+"/"+name)
				}
			}
		case []any:
			for _, member := range v {
				walk(member, at)
			}
		}
	}
	walk(parts, "")
}
