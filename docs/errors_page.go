package docs

import _ "embed"

// Errors is the page of all reasons and conditions, made from the source.
//
//go:embed errors.md
var Errors string
