package seal

import (
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/google/uuid"
)

// Overhead is how many bytes a sealed value has more than its plain one: Tink's prefix (one fixed byte, four of the
// key's id), the nonce of 12 and the tag of 16. The CHECK constraints of sealed columns demand that prefix and length,
// so that a plain text that a mistake sends there is refused, not stored.
const Overhead = 33

// Sealed is a value as a sealed column holds it. It is made by Seal alone and is ciphertext wherever it goes: into a
// row, a map of changes, a log.
//
// Keys rotate: a new primary key seals what is written from then on, and texts of older keys stay readable as long as
// their keys are in the file.
type Sealed []byte

// At names the place of a value. A text that was moved to another row or column does not open there.
func At(table string, row uuid.UUID, column string) string {
	return table + ":" + row.String() + ":" + column
}

// Seal is plain for that place alone.
func (k *Keys) Seal(plain, place string) (Sealed, error) {
	b, err := k.aead.Encrypt([]byte(plain), []byte(place))
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return b, nil
}

// Open reads what Seal made for that place; nothing opens as the empty text.
func (k *Keys) Open(s Sealed, place string) (string, error) {
	if len(s) == 0 {
		return "", nil
	}
	plain, err := k.aead.Decrypt(s, []byte(place))
	if err != nil {
		return "", fmt.Errorf("open %s: %w", place, err)
	}
	return string(plain), nil
}

// Value stores the ciphertext; nothing is NULL.
func (s Sealed) Value() (driver.Value, error) {
	if len(s) == 0 {
		return nil, nil
	}
	return []byte(s), nil
}

// Scan reads a sealed column.
func (s *Sealed) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*s = nil
	case []byte:
		*s = slices.Clone(v)
	default:
		return fmt.Errorf("a sealed column is not a %T", src)
	}
	return nil
}

// Indexes are blind indexes: keyed hashes that stand for values in a bigint[] column without telling them. Equal
// values have equal ones, which is all that can be seen without the key. 64 bits keep a wrong hit as good as impossible:
// among a billion values one in ten thousand million searches.
type Indexes []int64

// Value stores the indexes as the text of a bigint[].
func (x Indexes) Value() (driver.Value, error) { return x.String(), nil }

// String is the indexes as PostgreSQL writes an array.
func (x Indexes) String() string {
	b := []byte{'{'}
	for i, n := range x {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, n, 10)
	}
	return string(append(b, '}'))
}

// Index is the blind index of a value, told apart by its parts: the tenant, what the value is, the value itself.
func (k *Keys) Index(parts ...string) (int64, error) {
	b, err := k.prf.ComputePrimaryPRF(joined(parts), 8)
	if err != nil {
		return 0, fmt.Errorf("make a blind index: %w", err)
	}
	return int64(binary.BigEndian.Uint64(b)), nil //nolint:gosec // 64 bits of a hash, whatever they mean as a number
}

// Sought are the blind indexes of a value under every key of the set, the primary one's first. Whoever looks for a
// value asks for any of them, so that rows which were indexed under an older key are found after a rotation too. An
// old key may leave the file when no row is left that was written under it.
func (k *Keys) Sought(parts ...string) (Indexes, error) {
	first, err := k.Index(parts...)
	if err != nil {
		return nil, err
	}
	all := Indexes{first}
	for _, id := range slices.Sorted(maps.Keys(k.prf.PRFs)) {
		if id == k.prf.PrimaryID {
			continue
		}
		b, err := k.prf.PRFs[id].ComputePRF(joined(parts), 8)
		if err != nil {
			return nil, fmt.Errorf("make a blind index: %w", err)
		}
		all = append(all, int64(binary.BigEndian.Uint64(b))) //nolint:gosec // as above
	}
	return all, nil
}

// Digest is a keyed hash of 32 bytes: unlike a plain one it tells nothing about a short text to whoever can guess it.
func (k *Keys) Digest(parts ...string) ([]byte, error) {
	b, err := k.prf.ComputePrimaryPRF(joined(parts), 32)
	if err != nil {
		return nil, fmt.Errorf("make a keyed digest: %w", err)
	}
	return b, nil
}

// joined leads each part by its length, so that no two lists read the same.
func joined(parts []string) []byte {
	var b []byte
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	return b
}
