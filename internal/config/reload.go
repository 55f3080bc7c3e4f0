package config

import (
	"slices"
	"strings"
)

// Reloaded gives the configuration that acts once next has been loaded in the place of c: next, but for the keys that need
// a restart, which stay as they are; and the certificate of a listener for TLS stays if next, which has no such listener, names
// none. Neither is changed.
func (c *Config) Reloaded(next *Config) *Config {
	acting := *next
	for i := range keys {
		if !keys[i].live {
			keys[i].carry(c, &acting)
		}
	}
	if acting.Listen.ComponentTLS != "" && acting.TLS == (TLS{}) {
		acting.TLS = c.TLS
	}
	return &acting
}

// Error says how many faults there are, and the first of them.
func (fs Faults) Error() string {
	if len(fs) == 0 {
		return "no faults"
	}
	return fs.heading() + "; " + fs[0].Error()
}

// KeepOffline is next with the offline section of c: what a server without an offline store can do.
func (c *Config) KeepOffline(next *Config) *Config {
	acting := *next
	acting.Offline = c.Offline
	return &acting
}

// Stores reports whether messages to users of some domain are stored.
func (c *Config) Stores() bool {
	return slices.ContainsFunc(c.Users, func(u string) bool { return c.Offline.Of(u).Policy == PolicyStore })
}

// WithoutStore gives the changes towards next as a server without an offline store takes them. The store is opened at
// the start only, so with a policy that stores the whole section waits for that.
func WithoutStore(changes []Change, next *Config) []Change {
	if !next.Stores() {
		return changes
	}
	changes = slices.Clone(changes)
	for i := range changes {
		if strings.HasPrefix(changes[i].Path, "offline.") {
			changes[i].Live = false
		}
	}
	return changes
}

// Source tells which file the configuration was loaded from, "" if from none, and the SHA-256 of what it held, in hex.
func (c *Config) Source() (file, sha256 string) { return c.file, c.digest }
