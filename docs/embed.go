// Package docs holds the pages that the binary itself carries.
package docs

import _ "embed"

// OpenAPI is the document of the admin API, made from its table of operations.
//
//go:embed openapi.json
var OpenAPI string
