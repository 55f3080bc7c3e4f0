// Package patchbay holds no code: it is the tests of the house as a whole, its floors (floors_test.go) and its style
// (style_test.go). The server is cmd/patchbay, the Go SDK for nodes is package component.
package patchbay
