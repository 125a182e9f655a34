// Package httpapi is the contract over HTTP: middlewares that hold every request to the document, and one file of
// handlers per resource that unpack, call a service, and pack.
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5emb"

	"github.com/kezi-io/kezi/internal/address"
	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/attribute"
	"github.com/kezi-io/kezi/internal/auth"
	"github.com/kezi-io/kezi/internal/contact"
	"github.com/kezi-io/kezi/internal/contactpoint"
	"github.com/kezi-io/kezi/internal/customer"
	"github.com/kezi-io/kezi/internal/directory"
	"github.com/kezi-io/kezi/internal/importer"
	"github.com/kezi-io/kezi/internal/jobs"
	"github.com/kezi-io/kezi/internal/note"
	"github.com/kezi-io/kezi/internal/page"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/product"
	"github.com/kezi-io/kezi/internal/quality"
	"github.com/kezi-io/kezi/internal/relation"
	"github.com/kezi-io/kezi/internal/score"
	"github.com/kezi-io/kezi/internal/seal"
	"github.com/kezi-io/kezi/internal/segment"
	"github.com/kezi-io/kezi/internal/tag"
	"github.com/kezi-io/kezi/internal/tenant"
	"github.com/kezi-io/kezi/internal/tier"
	"github.com/kezi-io/kezi/internal/transaction"
)

// Services are what the handlers call.
type Services struct {
	DB            *postgres.DB
	Tenants       *tenant.Service
	Customers     *customer.Service
	Finder        *directory.Finder
	Contacts      *contact.Service
	Relations     *relation.Service
	Notes         *note.Service
	ContactPoints *contactpoint.Service
	Addresses     *address.Service
	Transactions  *transaction.Service
	Products      *product.Service
	Jobs          *jobs.Service
	Imports       *importer.Service
	Scores        *score.Service
	Tiers         *tier.Service
	Tags          *tag.Service
	Segments      *segment.Service
	Fields        *attribute.Service
	Quality       *quality.Service
}

// Config is everything else.
type Config struct {
	Log         *slog.Logger
	Verifier    *auth.Verifier
	Cursors     page.Cursors
	Keys        *seal.Keys // of stored answers
	Metrics     prometheus.Registerer
	CORSOrigins []string // origins of browsers' pages that may call; none by default
	Now         func() time.Time
	// OnResponse, when set, hears of every response that the document does not allow. Tests fail on it.
	OnResponse func(r *http.Request, err error)
}

// handlers is the whole contract, one embedded struct per resource.
type handlers struct {
	service
	tenants
	customers
	contactPoints
	addresses
	contacts
	relations
	notes
	timelines
	profiles
	filters
	transactions
	fieldDefinitions
	dataQuality
	products
	tags
	segments
	tiers
	scores
	predictions
	imports
	jobHandlers
	events
}

var _ apigen.StrictServerInterface = handlers{}

// New builds the HTTP handler.
func New(s Services, cfg Config) (*echo.Echo, error) {
	doc, err := Document()
	if err != nil {
		return nil, err
	}
	ops, err := readOperations(doc)
	if err != nil {
		return nil, fmt.Errorf("read the contract: %w", err)
	}
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = answerError(cfg.Log)
	measure, err := measured(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	e.Use(
		identified,
		accessLog(cfg.Log),
		measure,
		recovered(cfg.Log),
		middleware.CORSWithConfig(cors(cfg.CORSOrigins)),
		limitedTime(ops),
	)
	if cfg.OnResponse != nil {
		e.Use(checkResponses(ops, cfg.OnResponse))
	}
	e.Use(
		signIn(ops, cfg.Verifier, s.Tenants),
		contract(ops),
		conditional(ops),
		atomic(ops, s.DB, cfg.Keys, cfg.Now),
	)
	docs(e)
	lists := lister{cfg.Cursors}
	people, conditions := customers{lists, s, cfg.Now}, filters{s, cfg.Now}
	apigen.RegisterHandlers(headToo{e}, apigen.NewStrictHandler(handlers{
		service:          service{s.DB, cfg.Verifier},
		tenants:          tenants{lists, s.Tenants},
		customers:        people,
		contactPoints:    contactPoints{lists, s.ContactPoints, people},
		addresses:        addresses{lists, s.Addresses},
		transactions:     transactions{lists, s.Transactions, s.Customers, s.DB, cfg.Now},
		products:         products{lists, s.Products},
		tags:             tags{lists, s.Tags, conditions},
		tiers:            tiers{lists, s.Tiers, s.DB, cfg.Now},
		scores:           scores{lists, s.Scores, s.DB, cfg.Now},
		predictions:      predictions{s.Scores},
		imports:          imports{lists, s.Imports},
		jobHandlers:      jobHandlers{lists, s.Jobs},
		events:           events{lists, s.DB},
		contacts:         contacts{lists, s.Contacts},
		relations:        relations{lists, s.Relations},
		notes:            notes{lists, s.Notes},
		filters:          conditions,
		segments:         segments{lists, s.Segments, conditions, people},
		timelines:        timelines{lists, s.DB},
		profiles:         profiles{people},
		fieldDefinitions: fieldDefinitions{s.Fields},
		dataQuality:      dataQuality{s.Quality, s.DB, cfg.Now},
	}, nil))
	return e, nil
}

// headToo registers HEAD beside GET: the same answer, whose body net/http leaves away.
type headToo struct{ *echo.Echo }

func (r headToo) GET(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	r.HEAD(path, h, m...)
	return r.Echo.GET(path, h, m...)
}

// Document is the contract, parsed.
func Document() (*openapi3.T, error) {
	raw, err := apigen.GetSpecJSON()
	if err != nil {
		return nil, fmt.Errorf("unpack the contract: %w", err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		return nil, fmt.Errorf("read the contract: %w", err)
	}
	return doc, nil
}

// docs serves the contract itself, Swagger UI over it, and the pages of the problem codes.
func docs(e *echo.Echo) {
	e.GET("/openapi.json", func(c echo.Context) error {
		raw, err := apigen.GetSpecJSON()
		if err != nil {
			return fmt.Errorf("unpack the contract: %w", err)
		}
		return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, raw)
	})
	ui := v5emb.NewHandlerWithConfig(swgui.Config{Title: "kezi 客户资产管理", SwaggerJSON: "/openapi.json", BasePath: "/docs/",
		SettingsUI: map[string]string{"persistAuthorization": "true", "tryItOutEnabled": "true", "docExpansion": `"none"`,
			"displayRequestDuration": "true", "filter": "true"}})
	e.GET("/docs", func(c echo.Context) error { return c.Redirect(http.StatusMovedPermanently, "/docs/") })
	e.GET("/docs/*", echo.WrapHandler(ui), func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			// The page starts itself by an inline script.
			c.Response().Header().Set("Content-Security-Policy",
				"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:")
			return next(c)
		}
	})
	e.GET("/problems/:code", problemPage)
	e.GET("/problems", problemIndex)
	e.GET("/", func(c echo.Context) error { return c.Redirect(http.StatusFound, "/docs/") })
}

func cors(origins []string) middleware.CORSConfig {
	return middleware.CORSConfig{
		Skipper:      func(echo.Context) bool { return len(origins) == 0 },
		AllowOrigins: origins,
		AllowMethods: []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete},
		AllowHeaders: []string{"Authorization", "Content-Type", "Content-Encoding", "If-Match", "If-None-Match", "Idempotency-Key",
			"Accept-Language", "X-Request-Id", "traceparent"},
		ExposeHeaders: []string{"ETag", "Location", "Retry-After", "X-Request-Id", "Idempotent-Replayed"},
		MaxAge:        600,
	}
}

// limitedTime ends a request's context after the time that its operation has, and not before: net/http would end it
// when a client closes its side after a complete request, though that client still reads, and half-done work serves
// nobody.
func limitedTime(ops operations) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			limit := defaultTimeout
			if op := ops.of(c); op != nil {
				limit = op.timeout
			}
			r := c.Request()
			ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), limit)
			defer cancel()
			rc := http.NewResponseController(c.Response())
			deadline := time.Now().Add(limit)
			// A body that trickles in must not outlive the time either. Recorders in tests know no deadlines.
			if err := errors.Join(rc.SetReadDeadline(deadline), rc.SetWriteDeadline(deadline.Add(10*time.Second))); err != nil && !errors.Is(err, http.ErrNotSupported) {
				return fmt.Errorf("limit the request's time: %w", err)
			}
			c.SetRequest(r.WithContext(ctx))
			defer c.SetRequest(r) // whoever answers an error must not find its context ended
			return next(c)
		}
	}
}
