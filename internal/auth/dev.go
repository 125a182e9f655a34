package auth

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// What tokens of the dev sign-in carry.
const (
	DevIssuer   = "kezi-dev"
	DevAudience = "kezi"
)

const devKeyFile = "dev-signing-key.pem"

// DevKey signs tokens where no provider is configured: on the machine of whoever tries kezi, never in production.
type DevKey struct {
	Now func() time.Time // the clock of Verifier and Sign; nil is time.Now

	private ed25519.PrivateKey
}

// Claims is what a dev token says.
type Claims struct {
	Subject string
	Tenant  string // name
	Scopes  []string
	TTL     time.Duration // from Now; more than 0
	Now     time.Time     // zero is the key's clock
}

// LoadOrCreateDevKey reads the key under dir, made on first use; processes that start at once agree on one. Whoever
// can read the file can sign in as anyone, so a file that others may read is refused.
func LoadOrCreateDevKey(dir string) (*DevKey, error) {
	path := filepath.Join(dir, devKeyFile)
	key, err := loadDevKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = createDevKey(dir, path); err == nil {
			key, err = loadDevKey(path) // maybe another process's
		}
	}
	if err != nil {
		return nil, fmt.Errorf("dev key: %w", err)
	}
	return key, nil
}

func loadDevKey(path string) (*DevKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %#o, so others can use it: chmod 600 it, or remove it to get a new one", path, mode)
	}
	document, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(document); block != nil && block.Type == "PRIVATE KEY" {
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if private, ok := key.(ed25519.PrivateKey); ok {
				return &DevKey{private: private}, nil
			}
		}
	}
	return nil, fmt.Errorf("%s holds no Ed25519 key (PKCS#8, PEM): remove it to get a new one; tokens of the old one end with it", path)
}

// createDevKey puts a complete file in place by a hard link, which fails where the name exists already.
func createDevKey(dir, path string) (err error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	// The folder may hold the data of a database that runs as another user, who has to pass through it.
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(dir, devKeyFile+".*") // 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(temporary.Name())) }()
	_, err = temporary.Write(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	if err := os.Link(temporary.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Verifier accepts what the key signs, and nothing else.
func (k *DevKey) Verifier() *Verifier {
	public := ed25519.PublicKey(k.private[ed25519.SeedSize:])
	return newVerifier(pinned{"EdDSA": {public}}, DevIssuer, DevAudience, k.Now)
}

// Sign is a token for c.
func (k *DevKey) Sign(c Claims) (string, error) {
	switch {
	case !validText(c.Subject):
		return "", errors.New("sign dev token: the subject must be a text of 1 to 255 bytes")
	case !validText(c.Tenant):
		return "", errors.New("sign dev token: the tenant must be a text of 1 to 255 bytes")
	case c.TTL <= 0:
		return "", errors.New("sign dev token: the time to live must be more than 0")
	}
	now := c.Now
	if now.IsZero() {
		now = time.Now()
		if k.Now != nil {
			now = k.Now()
		}
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return "", fmt.Errorf("sign dev token: %w", err)
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"iss":    DevIssuer,
		"aud":    DevAudience,
		"sub":    c.Subject,
		"tenant": c.Tenant,
		"scope":  NewScopes(c.Scopes...).String(),
		"jti":    id.String(),
		"iat":    now.Unix(),
		"exp":    now.Add(c.TTL).Unix(),
	}).SignedString(k.private)
	if err != nil {
		return "", fmt.Errorf("sign dev token: %w", err)
	}
	if len(token) > maxToken {
		return "", fmt.Errorf("sign dev token: it would be %d bytes, longer than the %d that are accepted", len(token), maxToken)
	}
	return token, nil
}
