package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

const (
	cacheSize = 4096 // tokens
	cacheTime = time.Minute
)

// cache remembers tokens that verified, so that a client's next calls don't pay for the signature again (32 to
// 62 us). It forgets in two halves: when the younger is full it becomes the older, whose entries are gone unless
// they were asked for meanwhile.
type cache struct {
	mu         sync.Mutex
	young, old map[[sha256.Size]byte]entry // by the hash of the whole token, signature included
}

type entry struct {
	principal   Principal
	generation  uint64    // of the keys that verified it
	from, until time.Time // from is when it was verified: nbf and iat held then, and hold at any later time
}

func newCache() *cache { return &cache{young: map[[sha256.Size]byte]entry{}} }

func (c *cache) get(id [sha256.Size]byte, generation uint64, now time.Time) (Principal, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.young[id]
	if !ok {
		if e, ok = c.old[id]; ok {
			c.add(id, e)
		}
	}
	if !ok || e.generation != generation || now.Before(e.from) || !now.Before(e.until) {
		return Principal{}, false
	}
	return e.principal, true
}

func (c *cache) put(id [sha256.Size]byte, generation uint64, now, expiry time.Time, p Principal) {
	until := now.Add(cacheTime)
	if expiry.Before(until) {
		until = expiry
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(id, entry{principal: p, generation: generation, from: now, until: until})
}

func (c *cache) add(id [sha256.Size]byte, e entry) {
	if len(c.young) >= cacheSize/2 {
		c.old, c.young = c.young, make(map[[sha256.Size]byte]entry, cacheSize/2)
	}
	c.young[id] = e
}
