package httpapi

import (
	"context"
	"time"

	"github.com/kezi-io/kezi/internal/apigen"
	"github.com/kezi-io/kezi/internal/auth"
	"github.com/kezi-io/kezi/internal/postgres"
)

type service struct {
	db       *postgres.DB
	verifier *auth.Verifier
}

func (h service) GetHealth(context.Context, apigen.GetHealthRequestObject) (apigen.GetHealthResponseObject, error) {
	return apigen.GetHealth200JSONResponse{Status: apigen.HealthStatusOk}, nil
}

// readyWithin bounds a readiness check: a prober wants an answer, not a wait.
const readyWithin = 2 * time.Second

func (h service) GetReadiness(ctx context.Context, _ apigen.GetReadinessRequestObject) (apigen.GetReadinessResponseObject, error) {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	checks := map[string]string{"database": "ok", "migrations": "ok", "keys": "ok"}
	ready := true
	fail := func(name, why string) { checks[name], ready = why, false }
	if err := h.db.Ping(ctx); err != nil {
		fail("database", "unreachable")
		fail("migrations", "unknown")
	} else if n, err := h.db.Pending(ctx); err != nil {
		fail("migrations", "unknown")
	} else if n > 0 {
		fail("migrations", "pending")
	}
	if err := h.verifier.Ready(); err != nil {
		fail("keys", "none to verify tokens with")
	}
	if !ready {
		return apigen.GetReadiness503JSONResponse{Status: apigen.HealthStatusUnready, Checks: &checks}, nil
	}
	return apigen.GetReadiness200JSONResponse{Status: apigen.HealthStatusOk, Checks: &checks}, nil
}
