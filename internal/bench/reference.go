package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kezi-io/kezi/internal/auth"
)

// reference answers GET /v1/customers/{id} the way one would write it by hand for nothing else: net/http, one prepared
// statement by pgx, one struct to JSON. It verifies the same tokens by the same verifier, cache included, and knows its
// tenants from their first call on, as the service does for two seconds at a time.
type reference struct {
	pool     *pgxpool.Pool
	verifier *auth.Verifier
	tenants  sync.Map // name to id
}

func serveReference(ctx context.Context, listener net.Listener, dsn string, verifier *auth.Verifier) error {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return err
	}
	config.MaxConns = maxConns
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	r := &reference{pool: pool, verifier: verifier}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/customers/{id}", r.customer)
	return serveUntil(ctx, &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}, listener)
}

type customerBody struct {
	Aliases     []string        `json:"aliases"`
	Attributes  json.RawMessage `json:"attributes"`
	City        *string         `json:"city,omitempty"`
	Country     *string         `json:"country,omitempty"`
	CreatedAt   time.Time       `json:"created_at"`
	Departments []string        `json:"departments"`
	ExternalIDs json.RawMessage `json:"external_ids"`
	ID          uuid.UUID       `json:"id"`
	Industry    *string         `json:"industry,omitempty"`
	Kind        string          `json:"kind"`
	Name        string          `json:"name"`
	Owner       *string         `json:"owner,omitempty"`
	Province    *string         `json:"province,omitempty"`
	Source      *sourceBody     `json:"source,omitempty"`
	Stage       string          `json:"stage"`
	UpdatedAt   time.Time       `json:"updated_at"`
	Version     int64           `json:"version"`
}

type sourceBody struct {
	Campaign *string `json:"campaign,omitempty"`
	Channel  string  `json:"channel"`
	Detail   *string `json:"detail,omitempty"`
}

const customerSQL = `SELECT coalesce(c.aliases, '{}'), coalesce(c.departments, '{}'), c.attributes, c.city, c.country, c.created_at, c.industry, c.kind, c.name, c.owner, c.province, c.source_campaign,
		c.source_channel, c.source_detail, c.stage, c.updated_at, c.version,
		coalesce((SELECT json_agg(json_build_object('external_id', e.external_id, 'source', e.source) ORDER BY e.source, e.external_id)
			FROM external_ids e WHERE e.tenant_id = c.tenant_id AND e.customer_id = c.id), '[]')
	FROM customers c WHERE c.tenant_id = $1 AND c.id = $2 AND c.deleted_at IS NULL`

func (r *reference) customer(w http.ResponseWriter, req *http.Request) {
	ctx := req.Context()
	caller, err := r.verifier.Verify(ctx, auth.Bearer(req.Header.Get("Authorization")))
	if err != nil {
		http.Error(w, "no good token", http.StatusUnauthorized)
		return
	}
	if !caller.Scopes.Has("customers:read") {
		http.Error(w, "no scope", http.StatusForbidden)
		return
	}
	tenantID, err := r.tenant(ctx, caller.Tenant)
	if err != nil {
		http.Error(w, "no tenant", http.StatusForbidden)
		return
	}
	c := customerBody{}
	if c.ID, err = uuid.Parse(req.PathValue("id")); err != nil {
		http.Error(w, "no id", http.StatusBadRequest)
		return
	}
	var s sourceBody
	var channel *string
	err = r.pool.QueryRow(ctx, customerSQL, tenantID, c.ID).Scan(&c.Aliases, &c.Departments, &c.Attributes, &c.City, &c.Country, &c.CreatedAt, &c.Industry, &c.Kind, &c.Name,
		&c.Owner, &c.Province, &s.Campaign, &channel, &s.Detail, &c.Stage, &c.UpdatedAt, &c.Version, &c.ExternalIDs)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		http.Error(w, "no such customer", http.StatusNotFound)
		return
	case err != nil:
		slog.ErrorContext(ctx, "read a customer", "error", err)
		http.Error(w, "no answer", http.StatusInternalServerError)
		return
	}
	if channel != nil {
		s.Channel = *channel
		c.Source = &s
	}
	c.CreatedAt, c.UpdatedAt = c.CreatedAt.UTC(), c.UpdatedAt.UTC()
	body, err := json.Marshal(c)
	if err != nil {
		http.Error(w, "no JSON", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("ETag", `"`+strconv.FormatInt(c.Version, 10)+`"`)
	w.Write(append(body, '\n')) //nolint:errcheck // the caller is gone
}

func (r *reference) tenant(ctx context.Context, name string) (int32, error) {
	if id, ok := r.tenants.Load(name); ok {
		return id.(int32), nil
	}
	var id int32
	if err := r.pool.QueryRow(ctx, `SELECT id FROM tenants WHERE name = $1`, name).Scan(&id); err != nil {
		return 0, err
	}
	r.tenants.Store(name, id)
	return id, nil
}
