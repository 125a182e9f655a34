package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
	"golang.org/x/text/language"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/postgres"
)

var (
	errInternal = fault.New(fault.Internal, "internal",
		"something went wrong inside; quote the request id when asking for help", "内部错误；请提供 request_id 以便排查")
	errNoRoute  = fault.New(fault.NotFound, "no_such_path", "there is nothing at this path", "此路径不存在")
	errNoMethod = fault.New(fault.NotAllowed, "method_not_allowed", "the path does not take this method", "此路径不支持该方法")
	errTimeout  = fault.New(fault.Unavailable, "timeout", "the request took too long and changed nothing", "请求超时，未做任何更改").Retry(1)
	errBusy     = fault.New(fault.Unavailable, "unavailable", "the service is busy; try again", "服务繁忙，请稍后重试").Retry(1)
	errSlow     = fault.New(fault.Timeout, "request_timeout",
		"the body did not arrive in the time that this operation has", "请求体未在规定时间内送达")
	errStored = fault.New(fault.Malformed, "bad_value", "a value cannot be stored", "有值无法保存")
	errNumber = fault.New(fault.Invalid, "number_too_large",
		"a number, or a sum that it is part of, is larger than can be kept", "有数字（或包含它的合计）超出可保存的范围")
)

var statusOf = map[fault.Kind]int{
	fault.Malformed: http.StatusBadRequest, fault.Unauthenticated: http.StatusUnauthorized, fault.Forbidden: http.StatusForbidden,
	fault.NotFound: http.StatusNotFound, fault.NotAllowed: http.StatusMethodNotAllowed, fault.Conflict: http.StatusConflict,
	fault.Precondition: http.StatusPreconditionFailed, fault.Timeout: http.StatusRequestTimeout, fault.TooLarge: http.StatusRequestEntityTooLarge,
	fault.Unsupported: http.StatusUnsupportedMediaType, fault.Invalid: http.StatusUnprocessableEntity,
	fault.Required: http.StatusPreconditionRequired, fault.TooMany: http.StatusTooManyRequests,
	fault.Unavailable: http.StatusServiceUnavailable, fault.Internal: http.StatusInternalServerError,
}

// classify is the fault that err is answered with. What nobody classified is internal.
func classify(err error) *fault.Fault {
	if f := fault.Of(err); f != nil {
		return f
	}
	var he *echo.HTTPError
	switch {
	case errors.As(err, &he):
		switch he.Code {
		case http.StatusNotFound:
			return errNoRoute
		case http.StatusMethodNotAllowed:
			return errNoMethod
		case http.StatusRequestEntityTooLarge:
			return errTooLarge
		case http.StatusBadRequest, http.StatusUnsupportedMediaType:
			// The generated code could not bind what the contract let through, such as 1e2 for an integer.
			return errContract.Because("a value does not have the type that the contract names", "有值的类型与接口约定不符")
		}
	case errors.Is(err, context.DeadlineExceeded):
		return errTimeout
	}
	switch postgres.Code(err) {
	case "22021", "22P05": // text that is not text, past every check before
		return errStored
	case "22003": // a number out of range
		return errNumber
	case "40P01", "40001", "55P03", "57014":
		return errBusy
	}
	if postgres.Unavailable(err) {
		return errBusy
	}
	return errInternal
}

// toProblem is err as callers see it, in the language they asked for.
func toProblem(err error, zh bool, requestID, path string) apigen.Problem {
	f := classify(err)
	text := func(t fault.Text) string {
		if zh {
			return t.Zh
		}
		return t.En
	}
	status := statusOf[f.Kind]
	p := apigen.Problem{Type: "/problems/" + f.Code, Title: http.StatusText(status), Status: status, Code: f.Code,
		Detail: text(f.Message), RequestID: requestID}
	if path != "" {
		p.Instance = &path
	}
	if len(f.Fields) > 0 {
		places := each(f.Fields, func(field fault.Field) apigen.ProblemPlace { return placeToAPI(field, zh) })
		p.Errors = &places
	}
	return p
}

// placeToAPI is one wrong or odd place, in the language asked for.
func placeToAPI(f fault.Field, zh bool) apigen.ProblemPlace {
	p := apigen.ProblemPlace{Code: f.Code, Detail: f.Detail.En, Rule: set(f.Rule)}
	if zh {
		p.Detail = f.Detail.Zh
	}
	if f.Parameter != "" {
		p.Parameter = &f.Parameter
	} else {
		p.Pointer = &f.Pointer
	}
	if f.Character > 0 {
		offset := f.Character - 1
		p.Offset = &offset
	}
	if len(f.Accepted) > 0 {
		p.Accepted = &f.Accepted
	}
	return p
}

var languages = language.NewMatcher([]language.Tag{language.English, language.Chinese, language.TraditionalChinese})

// chinese reports whether the caller asked for Chinese.
func chinese(r *http.Request) bool {
	header := r.Header.Get("Accept-Language")
	if header == "" {
		return false
	}
	_, i := language.MatchStrings(languages, header)
	return i > 0
}

// answerError is Echo's error handler and the only code that makes a response of an error.
func answerError(log *slog.Logger) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		if c.Response().Committed {
			return
		}
		r := c.Request()
		zh := chinese(r)
		p := toProblem(err, zh, requestID(c), r.URL.Path)
		if p.Status >= http.StatusInternalServerError {
			log.ErrorContext(r.Context(), "a request failed", "request_id", p.RequestID, "route", c.Path(), "method", r.Method,
				"code", p.Code, "error", err)
		}
		h := c.Response().Header()
		f := classify(err)
		if f.RetryAfter > 0 {
			h.Set("Retry-After", strconv.Itoa(f.RetryAfter))
		}
		if f.Kind == fault.Unauthenticated {
			h.Set("WWW-Authenticate", challenge(f))
		}
		h.Del("ETag")
		h.Del("Location")
		h.Set(echo.HeaderContentType, "application/problem+json")
		h.Set("Content-Language", "en")
		if zh {
			h.Set("Content-Language", "zh")
		}
		h.Add(echo.HeaderVary, "Accept-Language")
		c.Response().WriteHeader(p.Status)
		json.NewEncoder(c.Response()).Encode(p) //nolint:errcheck // the caller is gone; net/http drops it for HEAD
	}
}

// challenge tells what is wrong with the token (RFC 6750, section 3).
func challenge(f *fault.Fault) string {
	if f.Code == "token_missing" {
		return `Bearer realm="kezi"`
	}
	return `Bearer realm="kezi", error="invalid_token", error_description="` + f.Message.En + `"`
}
