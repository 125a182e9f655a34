package httpapi

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/idempotency"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/seal"
)

var errKey = fault.New(fault.Malformed, "idempotency_key_invalid",
	"the Idempotency-Key must have 1 to 255 printable characters", "Idempotency-Key 必须是 1 到 255 个可打印字符")

// atomic runs a whole request in one transaction where its answer promises something about the effect: a stored
// answer exists exactly when the effect does, and a validation leaves nothing behind.
func atomic(ops operations, db *postgres.DB, keys *seal.Keys, now func() time.Time) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			op := ops.of(c)
			if op == nil {
				return next(c)
			}
			header := c.Request().Header.Get("Idempotency-Key")
			dry := op.dryRuns && c.QueryParam("validate_only") == "true"
			keyed := op.retryable && header != "" && !dry
			if !dry && !keyed {
				return next(c)
			}
			var request idempotency.Request
			if keyed {
				key, ok := parseKey(header)
				if !ok {
					return errKey.AtParameter("Idempotency-Key", "bad_format", errKey.Message)
				}
				var err error
				if request, err = fingerprint(c, keys, op, key); err != nil {
					return err
				}
			}
			return inOneTransaction(c, db, keys, next, request, dry, now())
		}
	}
}

func inOneTransaction(c echo.Context, db *postgres.DB, keys *seal.Keys, next echo.HandlerFunc, request idempotency.Request, dry bool, now time.Time) error {
	outer := c.Request()
	answer := &held{ResponseWriter: c.Response().Writer}
	c.Response().Writer = answer
	defer func() { c.Response().Writer = answer.ResponseWriter }()

	err := db.RequestTx(outer.Context(), func(ctx context.Context, tx postgres.Tx) (bool, error) {
		if !dry {
			stored, err := idempotency.Claim(ctx, tx, keys, request, now)
			if err != nil {
				return false, err
			}
			if stored != nil {
				answer.replay(*stored)
				return false, nil
			}
		}
		c.SetRequest(outer.WithContext(ctx))
		if err := next(c); err != nil {
			return false, err
		}
		success := answer.status >= 200 && answer.status < 300
		if dry || !success {
			return false, nil
		}
		return true, idempotency.Store(ctx, tx, keys, request, idempotency.Answer{Status: answer.status,
			Header: kept(answer.Header()), Body: answer.body.Bytes()})
	})
	c.SetRequest(outer)
	if err != nil {
		c.Response().Committed = false // nothing was sent yet: the error is the answer
		return err
	}
	c.Response().Status = answer.status
	c.Response().Committed = true
	return answer.send()
}

// held keeps an answer back until its transaction has committed.
type held struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (h *held) WriteHeader(status int) { h.status = status }

func (h *held) Write(b []byte) (int, error) {
	if h.status == 0 {
		h.status = http.StatusOK
	}
	return h.body.Write(b)
}

func (h *held) send() error {
	h.ResponseWriter.WriteHeader(h.status)
	_, err := h.ResponseWriter.Write(h.body.Bytes())
	return err
}

func (h *held) replay(a idempotency.Answer) {
	for name, value := range a.Header {
		h.Header().Set(name, value)
	}
	h.Header().Set("Idempotent-Replayed", "true")
	h.status = a.Status
	h.body.Write(a.Body)
}

// kept are the headers that belong to the answer itself, not to the request that got it.
func kept(h http.Header) map[string]string {
	keep := map[string]string{}
	for _, name := range []string{"Content-Type", "ETag", "Location"} {
		if v := h.Get(name); v != "" {
			keep[name] = v
		}
	}
	return keep
}

// parseKey takes the draft's quoted form (a structured-field string) and the bare one that most clients send.
func parseKey(header string) (string, bool) {
	key := header
	if len(key) >= 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(key[1 : len(key)-1])
	}
	printable := !strings.ContainsFunc(key, func(r rune) bool { return r < 0x20 || r > 0x7e })
	return key, printable && key != "" && len(key) <= 255
}

// fingerprint tells a retry from another request under the same key: the same caller, operation, target and body.
//
// What the caller is shown is part of it: an answer with contact values is not replayed to who may not see them any more.
func fingerprint(c echo.Context, keys *seal.Keys, op *operation, key string) (idempotency.Request, error) {
	call := callOf(c.Request().Context())
	body, _ := c.Get(bodyKey).([]byte)
	print, err := keys.Digest("idempotency", c.Request().URL.RequestURI(), strconv.FormatBool(unmasked(c.Request().Context())), string(body))
	return idempotency.Request{TenantID: call.Tenant.ID, Principal: call.Actor, Operation: op.id, Key: key, Fingerprint: print}, err
}
