package demo

import (
	"encoding/binary"

	"github.com/google/uuid"
)

// family is a series of fixed ids in the shape of UUIDv7. The contract's examples name the first ones, so that they
// work as they stand.
type family struct{ first, step uint64 }

// Families of tenant demo.
var (
	personIDs = family{0xb302099a8001, 1}
	orderIDs  = family{0xb302099a9001, 1 << 24} // far more than fit before the next family
	setIDs    = family{0xb302099aa001, 1}       // change sets
	jobIDs    = family{0xb302099ac001, 1}
	fileIDs   = family{0xb302099ac101, 1} // imports
	runIDs    = family{0xb302099ad001, 1}
	groupIDs  = family{0xb302099ae001, 1}
	tagIDs    = family{0xb302099af001, 1}
	partIDs   = family{0xb30209900001, 1} // segments
	goodIDs   = family{0xb30209a09001, 1} // products
	billIDs   = family{0xb30209a0a001, 1 << 24}
	returnIDs = family{0xb30209a0b001, 1 << 24}
	pointIDs  = family{0xb302099c8001, 1 << 24} // contact points
	placeIDs  = family{0xb302099c9001, 1 << 24} // addresses

	fieldIDs    = family{0xb30209a90001, 1}
	schemeIDs   = family{0xb30209901001, 1}
	ruleIDs     = family{0xb30209aa0001, 1}
	contactIDs  = family{0xb30209a18001, 1}
	relationIDs = family{0xb30209a19001, 1}
	noteIDs     = family{0xb30209a1a001, 1}
)

// Families of tenant demo2. Its ids are others, so that asking for one of them with the wrong token finds nothing.
var (
	secondPersonIDs = family{0xb302099b8001, 1}
	secondOrderIDs  = family{0xb302099b9001, 1 << 24}
	secondPointIDs  = family{0xb302099d8001, 1 << 24}
	secondPlaceIDs  = family{0xb302099d9001, 1 << 24}
)

// Change sets.
var (
	vipChangeSet    = setIDs.at(0)
	importChangeSet = setIDs.at(1)
	loadChangeSet   = setIDs.at(2)
	scoreChangeSet  = setIDs.at(3)
	tierChangeSet   = setIDs.at(4)
	editChangeSet   = setIDs.at(5)
	partChangeSet   = setIDs.at(20)
	ruleChangeSet   = setIDs.at(21)
	tagChangeSet    = setIDs.at(6) // the first of those of the other tags
)

// at is the n-th id, from 0.
func (f family) at(n int) uuid.UUID {
	id := uuid.UUID{0x01, 0x89, 0x0a, 0x5d, 0xac, 0x96, 0x77, 0x4b, 0xbc, 0xce}
	var tail [8]byte
	binary.BigEndian.PutUint64(tail[:], f.first+uint64(n)*f.step) //nolint:gosec // n counts rows from 0
	copy(id[10:], tail[2:])
	return id
}
