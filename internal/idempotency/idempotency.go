// Package idempotency remembers the first success of a request under its caller's key, in the transaction of its effect.
//
// Source: draft-ietf-httpapi-idempotency-key-header-07.
package idempotency

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/kezi-io/kezi/internal/fault"
	"github.com/kezi-io/kezi/internal/postgres"
	"github.com/kezi-io/kezi/internal/seal"
)

// Retention is how long a success is replayed.
const Retention = 72 * time.Hour

var (
	ErrReused = fault.New(fault.Invalid, "idempotency_key_reused",
		"this Idempotency-Key was used for another request", "该 Idempotency-Key 已用于另一个请求")
	ErrRunning = fault.New(fault.Conflict, "idempotency_key_running",
		"the first request with this Idempotency-Key is still running; ask again", "使用该 Idempotency-Key 的首个请求仍在执行，请稍后再试").Retry(1)
)

// Request names a request: the key means something only for one caller and one operation.
type Request struct {
	TenantID    int32
	Principal   string
	Operation   string
	Key         string
	Fingerprint []byte // of target and body, keyed: a plain hash of a phone number could be found by trying
}

// place binds a stored body to its key.
func (r Request) place() string {
	return fmt.Sprintf("idempotency_keys:%d:%q:%q:%q:body", r.TenantID, r.Principal, r.Operation, r.Key)
}

// Answer is a stored success.
type Answer struct {
	Status int
	Header map[string]string
	Body   []byte
}

// Claim reserves the key in tx, or answers what was stored under it, opened by keys. While another transaction holds the key it waits
// up to 5 s. Fails with ErrReused or ErrRunning.
func Claim(ctx context.Context, tx postgres.Tx, keys *seal.Keys, r Request, now time.Time) (*Answer, error) {
	if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '5s'`); err != nil {
		return nil, fmt.Errorf("bound the wait for an idempotency key: %w", err)
	}
	tag, err := tx.Exec(ctx, `INSERT INTO idempotency_keys AS k (tenant_id, principal, operation, key, fingerprint, created_at)
		VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT ON CONSTRAINT idempotency_keys_pkey DO UPDATE SET fingerprint = excluded.fingerprint, status = NULL,
			header = NULL, body = NULL, created_at = excluded.created_at
		WHERE k.created_at < $7`, r.TenantID, r.Principal, r.Operation, r.Key, r.Fingerprint, now, now.Add(-Retention))
	switch {
	case postgres.Code(err) == "55P03":
		return nil, ErrRunning
	case err != nil:
		return nil, fmt.Errorf("claim an idempotency key: %w", err)
	}
	if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = 0`); err != nil {
		return nil, fmt.Errorf("unbound the wait: %w", err)
	}
	if tag.RowsAffected() == 1 {
		return nil, nil
	}
	var a Answer
	var header, print []byte
	var sealed bool
	err = tx.QueryRow(ctx, `SELECT fingerprint, status, header, body, sealed FROM idempotency_keys
		WHERE tenant_id = $1 AND principal = $2 AND operation = $3 AND key = $4`,
		r.TenantID, r.Principal, r.Operation, r.Key).Scan(&print, &a.Status, &header, &a.Body, &sealed)
	if err != nil {
		return nil, fmt.Errorf("read a stored answer: %w", err)
	}
	if !bytes.Equal(print, r.Fingerprint) {
		return nil, ErrReused
	}
	if err := json.Unmarshal(header, &a.Header); err != nil {
		return nil, fmt.Errorf("read a stored answer: %w", err)
	}
	if sealed { // others are from before bodies were
		body, err := keys.Open(a.Body, r.place())
		if err != nil {
			return nil, fmt.Errorf("read a stored answer: %w", err)
		}
		a.Body = []byte(body)
	}
	return &a, nil
}

// Store keeps the answer under the key that Claim reserved in the same transaction. The body is sealed: it repeats what
// was written, contact values included.
func Store(ctx context.Context, tx postgres.Tx, keys *seal.Keys, r Request, a Answer) error {
	header, err := json.Marshal(a.Header)
	if err != nil {
		return fmt.Errorf("store an answer: %w", err)
	}
	body, err := keys.Seal(string(a.Body), r.place())
	if err != nil {
		return fmt.Errorf("store an answer: %w", err)
	}
	_, err = tx.Exec(ctx, `UPDATE idempotency_keys SET status = $5, header = $6, body = $7, sealed = true
		WHERE tenant_id = $1 AND principal = $2 AND operation = $3 AND key = $4`,
		r.TenantID, r.Principal, r.Operation, r.Key, a.Status, header, []byte(body))
	if err != nil {
		return fmt.Errorf("store an answer: %w", err)
	}
	return nil
}

// Forget removes what is older than Retention, for all tenants.
func Forget(ctx context.Context, q postgres.Querier, now time.Time) error {
	_, err := q.Exec(postgres.ForAllTenants(ctx), `DELETE FROM idempotency_keys WHERE created_at < $1`, now.Add(-Retention))
	if err != nil {
		return fmt.Errorf("forget old answers: %w", err)
	}
	return nil
}
