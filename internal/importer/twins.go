package importer

import "encoding/binary"

// maxFilter bounds each filter of twins, in bytes.
const maxFilter = 8 << 20

// twins tells rows that stand in a file once from those that may stand there more often: two Bloom filters, one of
// all rows and one of those that the first had already. Only the latter are counted in the database, so a file
// without twins costs nothing, and none needs memory in proportion to its rows. An error of the filters makes a row
// be counted for nothing, never a twin be overlooked.
type twins struct{ once, again bloom }

// newTwins fits a file of size bytes: 16 bits for each row of 32 bytes, as far as maxFilter allows.
func newTwins(size int64) *twins {
	n := min(max(size/16, 1<<10), maxFilter)
	return &twins{make(bloom, n), make(bloom, n)}
}

func (t *twins) add(h hash) {
	if t.once.add(h) {
		t.again.add(h)
	}
}

func (t *twins) maybe(h hash) bool { return t.again.has(h) }

// bloom is a Bloom filter with three bits per row, taken from the row's own hash.
type bloom []byte

func (b bloom) add(h hash) (had bool) {
	had = true
	for i := range 3 {
		at, bit := b.bit(h, i)
		had = had && b[at]&bit != 0
		b[at] |= bit
	}
	return had
}

func (b bloom) has(h hash) bool {
	for i := range 3 {
		if at, bit := b.bit(h, i); b[at]&bit == 0 {
			return false
		}
	}
	return true
}

func (b bloom) bit(h hash, i int) (at uint64, bit byte) {
	n := binary.LittleEndian.Uint64(h[8*i:]) % (uint64(len(b)) * 8)
	return n / 8, 1 << (n % 8)
}
