package server

import (
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"strings"

	"github.com/patchbay-im/patchbay/component"
	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/internal/stream"
	"github.com/patchbay-im/patchbay/stanza"
)

// mend tells who runs the server what to do about a stream error, "" if its text says all. It goes to the log and to who
// may read the links, never to the peer: it names files, addresses and keys. No secret is in it.
func (l *link) mend(e *stanza.StreamError) string {
	cfg, host := l.s.Config(), l.addr.Addr().String()
	is, _ := l.info()
	name := is.Node
	switch {
	case e == errPlaintext || l.src == nil && e.Condition == "policy-violation" && l.hs.MustSecure():
		return "let the node use TLS on " + port("listen.component_tls", cfg.Listen.ComponentTLS, l.s.ComponentTLSAddr()) + ", or add " + host + " to listen.plaintext_from"
	case e == errPlainHere:
		return "let the node begin with TLS, or use " + port("listen.component", cfg.Listen.Component, l.s.ComponentAddr())
	case e == errTLSHere:
		return "let the node connect without TLS, or use " + port("listen.component_tls", cfg.Listen.ComponentTLS, l.s.ComponentTLSAddr())
	case e == errTooMany:
		return "see what connects from " + stream.HostOf(l.addr.Addr()).String() + " and does not authenticate; nodes that start together only have to wait"
	case e == errConflict:
		return "see who has it: patchbay ctl links; end that link: patchbay ctl kick " + name
	case e == errAllTaken:
		return "see who has it: patchbay ctl links; end one: patchbay ctl kick " + name + "/LINK; or raise nodes[].instances"
	case l.src != nil:
		return l.mendAttached(e, name)
	case l.hs.WrongDigest() && !hasSecret(cfg, name):
		return "let the node open a modern stream over TLS with its client certificate, or give it a secret under nodes:"
	case l.hs.WrongDigest():
		return "see " + secretPlace(cfg, name) + "; handshake = hex of sha1(stream id + secret)"
	case e.Condition == "host-unknown" && name != "":
		return unknownName(cfg, name)
	case e.Condition == "conflict":
		return name + " is under server: or users:; give the node a domain of its own"
	case e.Condition == "invalid-namespace":
		return "what connects from " + host + " is no component: a client or a server, perhaps"
	case name == "" && e.Condition != "system-shutdown":
		return "see what connects from " + host + "; it does not open a stream of XEP-0114"
	}
	return ""
}

// mendProof is for a failed proof of a modern stream.
func (l *link) mendProof(f *component.Failure) string {
	cfg := l.s.Config()
	is, _ := l.info()
	switch {
	case f.Condition == "encryption-required":
		return "let the node use STARTTLS, or TLS on " + port("listen.component_tls", cfg.Listen.ComponentTLS, l.s.ComponentTLSAddr())
	case f.Condition == "credentials-expired":
		return "give the node a new certificate, and see that the clocks of both machines are right"
	case f.Condition != "not-authorized" && f.Condition != "invalid-mechanism":
		return ""
	case strings.Contains(f.Text, "certificate"):
		return "openssl x509 -in NODE.pem -noout -issuer -ext subjectAltName: the issuer has to be in " + orNone(cfg.TLS.CA) + ", and the name has to be " + is.Node
	case hasSecret(cfg, is.Node):
		return "see " + secretPlace(cfg, is.Node) + "; the user name of SCRAM is " + is.Node
	}
	return "let the node show its client certificate (EXTERNAL), or give it a secret under nodes:"
}

// orNone names the file of tls.ca.
func orNone(file string) string {
	if file == "" {
		return "tls.ca (which is not set)"
	}
	return file
}

// hasSecret reports whether a node can attach by a secret.
func hasSecret(cfg *config.Config, name string) bool {
	entry, ok := cfg.Node(name)
	return ok && len(entry.Secret) > 0
}

// mendAttached is for a node that was attached.
func (l *link) mendAttached(e *stanza.StreamError, name string) string {
	switch e.Condition {
	case "conflict":
		return "if both programs are to run, give each a domain of its own, or set nodes[].instances"
	case "invalid-from":
		return "see nodes[].users and nodes[].speak of " + entryName(l.s.Config(), name)
	case errNodeGone.Condition:
		return "it is no longer under nodes: if it is not to come back, stop it; else add it again, and patchbay ctl reload"
	case "connection-timeout":
		return "see why the node has stopped to read (10 x timers.ping)"
	}
	return ""
}

// port names a listener: where it is, or that it is off.
func port(key, configured, addr string) string {
	switch {
	case addr != "":
		return addr + " (" + key + ")"
	case configured == "" && key == "listen.component_tls":
		return "a TLS port (set " + key + " and tls)"
	case configured == "":
		return "a plain port (set " + key + ")"
	}
	return configured + " (" + key + ")"
}

// secretPlace names where the secret of a node stands.
func secretPlace(cfg *config.Config, name string) string {
	entry, ok := cfg.Node(name)
	file, _ := cfg.Source()
	switch {
	case ok && entry.SecretFile != "":
		return entry.SecretFile
	case file != "":
		return "secret of " + entryName(cfg, name) + " in " + file
	case cfg.Data == config.Memory:
		return "the secret that the start has shown"
	}
	return filepath.Join(cfg.Data, config.DevSecretFile)
}

// entryName names the entry of a node under nodes:.
func entryName(cfg *config.Config, name string) string {
	if entry, ok := cfg.Node(name); ok && entry.Domain != name {
		return name + " (" + entry.Domain + ")"
	}
	return name
}

func unknownName(cfg *config.Config, name string) string {
	if file, _ := cfg.Source(); file != "" {
		return "if it is a node of yours, add " + name + " under nodes: in " + file
	}
	var may []string
	for i := range cfg.Nodes {
		may = append(may, cfg.Nodes[i].Domain)
	}
	return "without a file only " + strings.Join(may, ", ") + " may attach: name the node so, or give a file"
}

// mendTLS is for a TLS handshake that failed.
func (l *link) mendTLS(err error) string {
	var bad tls.RecordHeaderError
	var op *net.OpError
	switch {
	case gone(err) || errors.As(err, &op) && op.Op == remoteAlert:
		return "most likely it does not trust tls.cert: give the node its authority, or tls.cert the name that the node connects to"
	case strings.Contains(err.Error(), "unsupported versions"):
		return "the node speaks TLS older than 1.2: update its library"
	case errors.As(err, &bad):
		return "see what connects from " + l.addr.Addr().String()
	}
	return ""
}
