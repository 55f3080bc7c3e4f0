package config

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
)

// bullets stand for a secret. Their number says nothing of its length.
const bullets = "••••••••"

// MinSecret is the least length of a secret in bytes: the handshake of XEP-0114 is SHA-1 over a known id and the
// secret, so whoever sees one can try short secrets offline.
const MinSecret = 16

// Secret is a shared secret. Whatever prints it prints bullets; convert it to read it.
type Secret string

// String gives bullets.
func (Secret) String() string { return bullets }

// GoString gives bullets, for %#v.
func (Secret) GoString() string { return bullets }

// MarshalText gives bullets, for JSON and YAML.
func (Secret) MarshalText() ([]byte, error) { return []byte(bullets), nil }

// Format writes bullets for every verb: without it a wrong verb such as %d would print the text.
func (Secret) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, bullets) }

// Node gives the entry that a domain (canonical) attaches under: the entry of exactly that name, else the wildcard one
// label above it. A wildcard never matches the server's domain or a user domain.
func (c *Config) Node(domain string) (*Node, bool) {
	if domain == "" || strings.Contains(domain, "*") {
		return nil, false
	}
	if n, ok := c.entry(domain); ok {
		return n, true
	}
	label, parent, ok := strings.Cut(domain, ".")
	if !ok || label == "" || domain == c.Server || slices.Contains(c.Users, domain) {
		return nil, false
	}
	return c.entry("*." + parent)
}

func (c *Config) entry(name string) (*Node, bool) {
	i := slices.IndexFunc(c.Nodes, func(n Node) bool { return n.Domain == name })
	if i < 0 {
		return nil, false
	}
	return &c.Nodes[i], true
}

// Wildcard reports whether the entry stands for all domains one label below its own.
func (n *Node) Wildcard() bool { return strings.HasPrefix(n.Domain, "*.") }

// Secrets gives the secrets that are valid for a domain of this entry: the listed ones and, under a wildcard, for each
// of them NameSecret, which lets a node be only itself.
func (n *Node) Secrets(domain string) [][]byte {
	var all [][]byte
	for _, s := range n.Secret {
		all = append(all, []byte(s))
	}
	if n.Wildcard() {
		for _, s := range n.Secret {
			all = append(all, []byte(NameSecret(s, domain)))
		}
	}
	return all
}

// NameSecret gives the secret of one name under a wildcard: hex(HMAC-SHA256(secret, domain)), lower case.
func NameSecret(secret Secret, domain string) Secret {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(domain))
	return Secret(hex.EncodeToString(mac.Sum(nil)))
}

// Plaintext reports whether a peer may attach without TLS.
func (l Listen) Plaintext(peer netip.Addr) bool {
	peer = peer.Unmap().WithZone("")
	return slices.ContainsFunc(l.PlaintextFrom, func(p netip.Prefix) bool { return p.Contains(peer) })
}
