// Package openapi holds the description of everything the gateway serves over
// HTTP. The file beside this one is generated from the contract; it lies in
// the Go module so that the gateway can embed it.
package openapi

import _ "embed"

// JSON is the description, OpenAPI 2.0.
//
//go:embed kontor.swagger.json
var JSON []byte
