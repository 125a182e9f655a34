package customer

// Patience is how many milliseconds lists look for customers from now on.
func (s *Service) Patience(ms int) { s.patience = ms }
