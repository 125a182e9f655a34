package auth

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

const (
	minSecret = 32   // bytes: the output of SHA-256 (RFC 7518, 3.2)
	minRSA    = 2048 // bits (RFC 7518, 3.3)
)

// pinned is keys without ids, by the one algorithm that each type of key may be used with. HS256 stands alone: it is
// never beside a public key, which an attacker could otherwise use as its secret.
type pinned map[string][]jwt.VerificationKey

func (p pinned) algorithms() []string { return slices.Sorted(maps.Keys(p)) }

func (p pinned) key(_ context.Context, t *jwt.Token) (any, error) {
	return jwt.VerificationKeySet{Keys: p[t.Method.Alg()]}, nil
}

func (pinned) generation() uint64 { return 0 }

func (pinned) ready() error { return nil }

// identified is keys with ids: a token must name the one that signed it. Trying every key instead would accept a
// key under another's name and would make each forged token cost as many verifications as there are keys.
type identified struct {
	keyfunc keyfunc.Keyfunc
	storage jwkset.Storage
}

func newIdentified(storage jwkset.Storage) (identified, error) {
	k, err := keyfunc.New(keyfunc.Options{Storage: storage})
	return identified{keyfunc: k, storage: storage}, err
}

func (identified) algorithms() []string { return []string{"EdDSA", "ES256", "RS256"} }

func (i identified) key(ctx context.Context, t *jwt.Token) (any, error) {
	if kid, ok := t.Header[jwkset.HeaderKID].(string); !ok || kid == "" {
		return nil, errors.New("the header has no kid")
	}
	return i.keyfunc.KeyfuncCtx(ctx)(t)
}

func (identified) generation() uint64 { return 0 }

func (identified) ready() error { return nil }

// algorithmOf is the algorithm that key is used with.
func algorithmOf(key any) (string, error) {
	switch key := key.(type) {
	case ed25519.PublicKey:
		return "EdDSA", nil
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return "", errors.New("an ECDSA key on another curve than P-256")
		}
		if _, err := key.ECDH(); err != nil {
			return "", fmt.Errorf("an ECDSA key that is no point of its curve: %w", err)
		}
		return "ES256", nil
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSA {
			return "", fmt.Errorf("an RSA key of %d bits, fewer than %d", key.N.BitLen(), minRSA)
		}
		return "RS256", nil
	default:
		return "", fmt.Errorf("a key of type %T", key)
	}
}

// parseSet is the keys of a JWKS that can be used here. Others, which providers publish for other purposes, are
// reported and left out; a set without any usable key is an error.
func parseSet(document []byte, log *slog.Logger) ([]jwkset.JWK, error) {
	var set jwkset.JWKSMarshal
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, fmt.Errorf("parse JWKS: %w", err)
	}
	var usable []jwkset.JWK
	for i, marshal := range set.Keys {
		jwk, err := parseKey(marshal)
		if err != nil {
			log.Warn("a key of the JWKS is left out", "position", i, "kid", marshal.KID, "error", err)
			continue
		}
		usable = append(usable, jwk)
	}
	if len(usable) == 0 {
		return nil, fmt.Errorf("none of the %d keys of the JWKS can be used", len(set.Keys))
	}
	return usable, nil
}

func parseKey(marshal jwkset.JWKMarshal) (jwkset.JWK, error) {
	if marshal.KID == "" {
		return jwkset.JWK{}, errors.New("it has no kid")
	}
	if marshal.USE != "" && marshal.USE != jwkset.UseSig {
		return jwkset.JWK{}, fmt.Errorf("its use is %s", marshal.USE)
	}
	if len(marshal.KEYOPS) > 0 && !slices.Contains(marshal.KEYOPS, jwkset.KeyOpsVerify) {
		return jwkset.JWK{}, fmt.Errorf("its key_ops are %v", marshal.KEYOPS)
	}
	jwk, err := jwkset.NewJWKFromMarshal(marshal, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return jwkset.JWK{}, err
	}
	algorithm, err := algorithmOf(jwk.Key())
	if err != nil {
		return jwkset.JWK{}, err
	}
	if marshal.ALG != "" && marshal.ALG.String() != algorithm {
		return jwkset.JWK{}, fmt.Errorf("its alg is %s", marshal.ALG)
	}
	return jwk, nil
}

func keysFromFile(ctx context.Context, path string, log *slog.Logger) (keys, error) {
	document, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	if bytes.HasPrefix(bytes.TrimSpace(document), []byte("{")) {
		set, err := parseSet(document, log)
		if err != nil {
			return nil, fmt.Errorf("key file %s: %w", path, err)
		}
		storage := jwkset.NewMemoryStorage()
		if err := storage.KeyReplaceAll(ctx, set); err != nil {
			return nil, fmt.Errorf("key file %s: %w", path, err)
		}
		return newIdentified(storage)
	}
	p, err := parsePEM(document)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return p, nil
}

// parsePEM reads every block, and refuses the file for one that is no key for verifying.
func parsePEM(document []byte) (pinned, error) {
	p := pinned{}
	for block, rest := pem.Decode(document); block != nil; block, rest = pem.Decode(rest) {
		key, err := parseBlock(block)
		if err != nil {
			return nil, err
		}
		algorithm, err := algorithmOf(key)
		if err != nil {
			return nil, fmt.Errorf("it holds %w", err)
		}
		p[algorithm] = append(p[algorithm], key)
	}
	if len(p) == 0 {
		return nil, errors.New("it holds neither a PEM block nor a JWKS")
	}
	return p, nil
}

func parseBlock(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		// Only a container for its key: neither its dates nor its signer are looked at.
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return certificate.PublicKey, nil
	default:
		return nil, fmt.Errorf("it holds a block %q where a public key belongs", block.Type)
	}
}

func secretFromFile(path string) (keys, error) {
	secret, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read secret file: %w", err)
	}
	secret = bytes.TrimRight(secret, "\r\n")
	if len(secret) < minSecret {
		return nil, fmt.Errorf("secret file %s: %d bytes are too few, at least %d are needed", path, len(secret), minSecret)
	}
	if block, _ := pem.Decode(secret); block != nil || json.Valid(secret) && secret[0] == '{' {
		return nil, fmt.Errorf("secret file %s: it holds a key, which may be public; the key file setting is for those", path)
	}
	return pinned{"HS256": {secret}}, nil
}
