package httpapi

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const (
	requestIDHeader = "X-Request-Id"
	tenantKey       = "kezi.tenant" // the tenant's name in Echo's context, for the access log
)

var goodRequestID = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,64}$`)

// identified gives every answer a request id: the caller's, when it is harmless, or that of the trace which the request is
// part of (traceparent, W3C Trace Context), or a new one. It stands in problems, events and logs.
func identified(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := c.Request().Header.Get(requestIDHeader)
		if !goodRequestID.MatchString(id) {
			id = traceID(c.Request())
		}
		if id == "" {
			id = uuid.NewString()
		}
		c.Response().Header().Set(requestIDHeader, id)
		c.Response().Header().Set("X-Content-Type-Options", "nosniff")
		c.Response().Header().Set("Cache-Control", "no-store")
		return next(c)
	}
}

// traceID is the trace that a request is part of; empty for none.
func traceID(r *http.Request) string {
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	if of := trace.SpanContextFromContext(ctx); of.IsValid() {
		return of.TraceID().String()
	}
	return ""
}

func requestID(c echo.Context) string { return c.Response().Header().Get(requestIDHeader) }

// accessLog writes a line per request: the route's pattern, never the path or the query, which hold personal data.
func accessLog(log *slog.Logger) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			start := time.Now()
			if err := next(c); err != nil {
				c.Error(err)
			}
			name, _ := c.Get(tenantKey).(string)
			log.InfoContext(c.Request().Context(), "request", "method", c.Request().Method, "route", c.Path(),
				"status", c.Response().Status, "ms", float64(time.Since(start).Microseconds())/1000,
				"bytes", c.Response().Size, "tenant", name, "request_id", requestID(c), "trace_id", traceID(c.Request()))
			return nil
		}
	}
}

// measured counts and times requests by route.
func measured(reg prometheus.Registerer) (echo.MiddlewareFunc, error) {
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "kezi", Name: "http_request_duration_seconds",
		Help: "Time to answer a request.", Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}},
		[]string{"method", "route", "status"})
	if err := reg.Register(duration); err != nil {
		return nil, fmt.Errorf("register the request metrics: %w", err)
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			start := time.Now()
			if err := next(c); err != nil {
				c.Error(err)
			}
			duration.WithLabelValues(c.Request().Method, c.Path(), strconv.Itoa(c.Response().Status)).
				Observe(time.Since(start).Seconds())
			return nil
		}
	}, nil
}

// recovered answers a panic as an internal error. http.ErrAbortHandler breaks the connection on purpose.
func recovered(log *slog.Logger) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) (err error) {
			defer func() {
				p := recover()
				if p == nil {
					return
				}
				if e, ok := p.(error); ok && errors.Is(e, http.ErrAbortHandler) {
					panic(p)
				}
				log.ErrorContext(c.Request().Context(), "a handler panicked", "request_id", requestID(c), "route", c.Path(),
					"panic", fmt.Sprintf("%T", p), // its text may hold personal data
					"stack", string(debug.Stack()))
				err = errInternal
			}()
			return next(c)
		}
	}
}
