package customer

// Patience is how many milliseconds lists look for customers from now on.
func (s *Service) Patience(ms int) { s.patience = ms }

// NameParts are the parts of the names that a walk merges.
func NameParts() []string { return []string{withSigns, withoutSigns, longNames} }
