package config

import (
	"net"
	"net/netip"
	"slices"
	"strings"
)

// listener is one address that a server listens on.
type listener struct{ path, host, port string }

// listening are the addresses in use, those that were read without a fault.
func (a *audit) listening() (all []listener) {
	for _, l := range []struct{ path, address string }{
		{keyComponent, a.Listen.Component}, {keyComponentTLS, a.Listen.ComponentTLS}, {keyHTTP, a.Listen.HTTP}, {keyMetrics, a.Listen.Metrics},
	} {
		if host, port, err := net.SplitHostPort(l.address); err == nil && a.sound(l.path) {
			all = append(all, listener{l.path, host, port})
		}
	}
	return all
}

func listeners(a *audit) {
	all := a.listening()
	for i, l := range all {
		for _, other := range all[:i] {
			switch {
			case l.port != other.port || l.port == "0":
			case sameHost(l.host, other.host):
				a.fault(problem{codeClash, l.path + " is the address of " + other.path, "choose another port"}, l.path, other.path)
			case anyHost(l.host) || anyHost(other.host):
				a.fault(problem{codeClash, l.path + " has the port of " + other.path + ", and one of them is on all interfaces", "choose another port"},
					l.path, other.path)
			}
		}
	}
	if a.Listen.Component == "" && a.Listen.ComponentTLS == "" {
		a.warn(problem{codeMissing, "nodes have no address to attach at", "set " + keyComponent + " or " + keyComponentTLS}, keyComponent)
	}
}

// anyHost reports whether a host means all interfaces.
func anyHost(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || err == nil && addr.IsUnspecified()
}

func sameHost(a, b string) bool {
	usual := func(host string) string {
		if host == "localhost" {
			return "127.0.0.1"
		}
		if addr, err := netip.ParseAddr(host); err == nil {
			return addr.Unmap().String()
		}
		return host
	}
	return usual(a) == usual(b)
}

// plaintext refuses a plain port that cannot be used: whoever opens it beyond loopback meant to be reached from there. With a
// certificate it can be used, by who begins TLS there.
func plaintext(a *audit) {
	if !a.sound(keyPlaintext) {
		return
	}
	from := a.Listen.PlaintextFrom
	if slices.ContainsFunc(from, func(p netip.Prefix) bool { return p.Bits() == 0 }) {
		a.warn(problem{codePlaintext, "plaintext_from lets everybody attach without TLS", "name your networks: 10.0.0.0/8"}, keyPlaintext)
	}
	host, _, err := net.SplitHostPort(a.Listen.Component)
	beyond := slices.ContainsFunc(from, func(p netip.Prefix) bool { return !p.Addr().IsLoopback() })
	if err != nil || beyond || loopbackHost(host) || a.TLS.Cert != "" || !a.sound(keyComponent) {
		return
	}
	a.fault(problem{codePlaintext, "plain component port on " + hostWords(host) + ", but plaintext_from names loopback only",
		"name your networks there, or use component_tls"}, keyComponent, keyPlaintext)
}

func hostWords(host string) string {
	if host == "" {
		return "all interfaces"
	}
	return host
}

// loopbackHost reports whether an address is reachable from this machine only. A name other than localhost is not
// looked up: what it stands for may change.
func loopbackHost(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// adminPort warns of an admin API that can be reached from elsewhere: it has no TLS of its own, so the token of changes
// and, with tap_bodies, what messages say would cross the network as they are.
func adminPort(a *audit) {
	host, _, err := net.SplitHostPort(a.Listen.HTTP)
	if err != nil || loopbackHost(host) || !a.sound(keyHTTP) {
		return
	}
	what := "the admin token crosses the network in clear text"
	if a.Admin.TapBodies && a.sound(keyTapBodies) {
		what = "the admin token, and what tapped messages say, cross the network in clear text"
	}
	a.warn(problem{codePlaintext, "listen.http is on " + hostWords(host) + ": " + what,
		"http: 127.0.0.1:5280 and a proxy with TLS before it; listen.metrics is enough for probes and Prometheus"}, keyHTTP)
}

// adminToken refuses a token that is a secret of a node, which could then change the server, or the key of its
// certificate, which would then be sent about.
func adminToken(a *audit) {
	file := a.Admin.TokenFile
	if file == "" || !a.sound(keyTokenFile) {
		return
	}
	others := []struct{ path, file string }{{keyKey, a.TLS.Key}, {keyCert, a.TLS.Cert}, {keyCA, a.TLS.CA}}
	for i, n := range a.Nodes {
		others = append(others, struct{ path, file string }{nodePath(i, ".secret_file"), n.SecretFile})
	}
	for _, other := range others {
		if other.file == file && a.sound(other.path) {
			a.fault(problem{codeClash, "admin.token_file is also " + a.label(other.path), "give the token a file of its own"}, keyTokenFile)
			return
		}
	}
}

// label names the key of a path, a node's by its domain.
func (a *audit) label(path string) string {
	for i, n := range a.Nodes {
		if leaf, ok := strings.CutPrefix(path, nodePath(i, ".")); ok {
			return leaf + " of " + n.Domain
		}
	}
	return path
}
