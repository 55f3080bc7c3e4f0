// Package examples holds the source of the nodes to begin with, which patchbay help node prints.
package examples

import _ "embed" // the sources

var (
	//go:embed python-slixmpp/node.py
	slixmpp string
	//go:embed python-stdlib/node.py
	stdlib string
	//go:embed nodejs/node.js
	nodejs string
	//go:embed go/main.go
	golang string
)

// Source gives the one file of an example by its folder; "" if there is no such folder.
func Source(folder string) string {
	return map[string]string{"python-slixmpp": slixmpp, "python-stdlib": stdlib, "nodejs": nodejs, "go": golang}[folder]
}

// Folders are those that have a source.
func Folders() []string { return []string{"python-slixmpp", "python-stdlib", "nodejs", "go"} }
