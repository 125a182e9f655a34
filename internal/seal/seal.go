// Package seal keeps secrets at rest: values are encrypted with Tink's AEAD and bound to where they stand, and looked
// up by keyed hashes (blind indexes) that tell nothing without the key.
package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// Keys seals, opens and makes blind indexes.
type Keys struct {
	aead tink.AEAD
	prf  *prf.Set
}

// file is a keyset file: two Tink keysets in JSON. Rotating the first keeps old texts readable; rotating the second
// means computing every blind index again.
type file struct {
	AEAD json.RawMessage `json:"aead"`
	PRF  json.RawMessage `json:"prf"`
}

// Load reads a keyset file.
func Load(path string) (*Keys, error) {
	b, err := os.ReadFile(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, fmt.Errorf("read the keyset file: %w", err)
	}
	var f file
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, errors.New("the keyset file is not JSON with the members aead and prf")
	}
	var k Keys
	h, err := handle(f.AEAD)
	if err != nil {
		return nil, fmt.Errorf("read the aead keyset: %w", err)
	}
	if k.aead, err = aead.New(h); err != nil {
		return nil, fmt.Errorf("use the aead keyset: %w", err)
	}
	if h, err = handle(f.PRF); err != nil {
		return nil, fmt.Errorf("read the prf keyset: %w", err)
	}
	if k.prf, err = prf.NewPRFSet(h); err != nil {
		return nil, fmt.Errorf("use the prf keyset: %w", err)
	}
	return &k, nil
}

// LoadOrCreate reads a keyset file and makes it first where there is none. Two processes at once agree on one.
func LoadOrCreate(path string) (*Keys, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := create(path); err != nil {
			return nil, err
		}
	}
	return Load(path)
}

func create(path string) error {
	var f file
	var err error
	if f.AEAD, err = fresh(aead.AES256GCMKeyTemplate); err != nil {
		return err
	}
	if f.PRF, err = fresh(prf.HMACSHA256PRFKeyTemplate); err != nil {
		return err
	}
	b, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("write a keyset: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "keyset-*")
	if err != nil {
		return fmt.Errorf("write the keyset file: %w", err)
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // what is left of it
	_, err = tmp.Write(b)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("write the keyset file: %w", err)
	}
	// A link, not a rename: the first process wins and a second one does not replace its keys.
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("write the keyset file: %w", err)
	}
	return nil
}

// SealText is plain as opaque text, readable only by Keys and only for the same place.
func (k *Keys) SealText(plain, place []byte) (string, error) {
	b, err := k.aead.Encrypt(plain, place)
	if err != nil {
		return "", fmt.Errorf("seal: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// OpenText reads what SealText wrote for that place.
func (k *Keys) OpenText(text string, place []byte) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	plain, err := k.aead.Decrypt(b, place)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return plain, nil
}

func fresh(template func() *tinkpb.KeyTemplate) (json.RawMessage, error) {
	h, err := keyset.NewHandle(template())
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	var b bytes.Buffer
	if err := insecurecleartextkeyset.Write(h, keyset.NewJSONWriter(&b)); err != nil {
		return nil, fmt.Errorf("write a key: %w", err)
	}
	return b.Bytes(), nil
}

func handle(b []byte) (*keyset.Handle, error) {
	return insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(b)))
}
