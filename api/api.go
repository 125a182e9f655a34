// Package api holds the contract: fragments per resource in parts, merged into openapi.yaml, which everything else is
// generated from.
package api

//go:generate go run ./bundle parts openapi.yaml
//go:generate go tool oapi-codegen -config server.cfg.yaml openapi.yaml
//go:generate go tool oapi-codegen -config client.cfg.yaml openapi.yaml
