package httpapi

import (
	"bytes"
	"io"
	"net/http"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/labstack/echo/v4"
)

// checkResponses reports every response that the document does not allow, so that the contract can't lie.
func checkResponses(ops operations, report func(*http.Request, error)) echo.MiddlewareFunc {
	options := &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			op := ops.of(c)
			if op == nil {
				return next(c)
			}
			copied := &copying{ResponseWriter: c.Response().Writer}
			c.Response().Writer = copied
			if err := next(c); err != nil {
				c.Error(err) // the problem is an answer too
			}
			r := c.Request()
			status := c.Response().Status
			if status == http.StatusNotModified || status == http.StatusInternalServerError {
				return nil // without a body; or a bug that the test sees for itself
			}
			err := openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
				RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, Route: op.route},
				Status:                 status, Header: c.Response().Header(), Body: io.NopCloser(&copied.body), Options: options})
			if err != nil {
				report(r, err)
			}
			return nil
		}
	}
}

type copying struct {
	http.ResponseWriter
	body bytes.Buffer
}

func (w *copying) Write(b []byte) (int, error) {
	w.body.Write(b)
	return w.ResponseWriter.Write(b)
}

func (w *copying) Unwrap() http.ResponseWriter { return w.ResponseWriter }
