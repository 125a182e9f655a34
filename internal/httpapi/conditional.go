package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/patch"
)

var errIfMatch = fault.New(fault.Malformed, "if_match_invalid",
	`If-Match takes strong ETags as this service gave them, such as "3", or *`, `If-Match 须为本服务给出的强 ETag（如 "3"）或 *`)

// etag is a resource's version as a strong validator (RFC 9110, section 8.8.3).
func etag(version int64) *string {
	s := `"` + strconv.FormatInt(version, 10) + `"`
	return &s
}

var errIfNoneMatch = fault.New(fault.Malformed, "if_none_match_unsupported",
	"If-None-Match is for reading; a change takes If-Match", "If-None-Match 只用于读取；更改请使用 If-Match")

// ifMatch reads If-Match: absent accepts anything, * whatever exists.
func ifMatch(header *string) (patch.Expected, error) {
	if header == nil {
		return nil, nil
	}
	if strings.TrimSpace(*header) == "*" {
		return patch.Existing(), nil
	}
	versions := patch.Expected{}
	for _, part := range strings.Split(*header, ",") {
		part = strings.TrimSpace(part)
		if strings.HasPrefix(part, "W/") {
			continue // a weak validator never matches here, section 13.1.1
		}
		inner := strings.TrimSuffix(strings.TrimPrefix(part, `"`), `"`)
		if len(part) != len(inner)+2 {
			return nil, errIfMatch.AtParameter("If-Match", "bad_format", errIfMatch.Message)
		}
		// Behind a point stands what is shown beside the resource's own fields; it does not bar a change of those. A
		// validator of another shape is none of ours: it matches nothing.
		inner, _, _ = strings.Cut(inner, ".")
		if v, err := strconv.ParseInt(inner, 10, 64); err == nil && v > 0 {
			versions = append(versions, v)
		}
	}
	return versions, nil
}

// conditional answers a GET by 304 when If-None-Match has the ETag that the answer would carry. On a write it refuses
// the header: done all the same, the write would be what the caller meant to prevent.
func conditional(ops operations) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			seen := strings.Join(c.Request().Header.Values("If-None-Match"), ",")
			op := ops.of(c)
			if op == nil || seen == "" {
				return next(c)
			}
			if op.method != http.MethodGet {
				return errIfNoneMatch.AtParameter("If-None-Match", "unsupported", errIfNoneMatch.Message)
			}
			w := &unlessSeen{ResponseWriter: c.Response().Writer, seen: seen}
			c.Response().Writer = w
			err := next(c)
			c.Response().Writer = w.ResponseWriter
			if w.unchanged {
				c.Response().Status = http.StatusNotModified
			}
			return err
		}
	}
}

type unlessSeen struct {
	http.ResponseWriter
	seen      string
	unchanged bool
}

func (w *unlessSeen) WriteHeader(status int) {
	tag := w.Header().Get("ETag")
	if status == http.StatusOK && tag != "" && matches(w.seen, tag) {
		w.unchanged = true
		w.Header().Del("Content-Type")
		w.Header().Del("Content-Length")
		status = http.StatusNotModified
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *unlessSeen) Write(b []byte) (int, error) {
	if w.unchanged {
		return len(b), nil
	}
	return w.ResponseWriter.Write(b)
}

// matches compares weakly, as If-None-Match does (section 13.1.2).
func matches(header, tag string) bool {
	for _, part := range strings.Split(header, ",") {
		part = strings.TrimSpace(part)
		if part == "*" || strings.TrimPrefix(part, "W/") == tag {
			return true
		}
	}
	return false
}

// shownTag is the ETag of what is masked for some callers: the masked form has another one, or a caller who gains or
// loses the scope would be told that nothing changed. Behind the point it does not matter for If-Match.
func shownTag(ctx context.Context, version int64) *string {
	if unmasked(ctx) {
		return etag(version)
	}
	return ptr(fmt.Sprintf(`"%d.masked"`, version))
}
