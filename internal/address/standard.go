package address

import "github.com/kezi-io/kezi/internal/region"

// standard gives province, city and district their standard names, and the country that they lie in where none is said.
func standard(p Place) Place {
	normal, _ := region.Normalize(region.Place(p))
	return Place(normal)
}
