package conformance

// Namespaces of what comes over a component stream.
const (
	nsComponent    = "jabber:component:accept"
	nsClient       = "jabber:client"
	nsStream       = "http://etherx.jabber.org/streams"
	nsStreamErrors = "urn:ietf:params:xml:ns:xmpp-streams"
	nsStanzaErrors = "urn:ietf:params:xml:ns:xmpp-stanzas"
	nsPing         = "urn:xmpp:ping"
	nsDisco        = "http://jabber.org/protocol/disco#info"
	nsTLS          = "urn:ietf:params:xml:ns:xmpp-tls"
	nsSASL         = "urn:ietf:params:xml:ns:xmpp-sasl"
	nsSM           = "urn:xmpp:sm:3"
	nsVersion      = "jabber:iq:version"
	nsXML          = "http://www.w3.org/XML/1998/namespace"
)

// streamPrefixes are the prefixes that an element of a play may use without declaring them.
func streamPrefixes() map[string]string { return map[string]string{"stream": nsStream} }

// streamConditions are the conditions of RFC 6120 4.9.3, and those of its predecessors that servers still send.
var streamConditions = []string{
	"bad-format", "bad-namespace-prefix", "conflict", "connection-timeout", "host-gone", "host-unknown", "improper-addressing",
	"internal-server-error", "invalid-from", "invalid-namespace", "invalid-xml", "not-authorized", "not-well-formed", "policy-violation",
	"remote-connection-failed", "reset", "resource-constraint", "restricted-xml", "see-other-host", "system-shutdown",
	"undefined-condition", "unsupported-encoding", "unsupported-feature", "unsupported-stanza-type", "unsupported-version",
	"invalid-id", "xml-not-well-formed", // RFC 3920
}

// errorTypes are the types of a stanza error (RFC 6120 8.3.2).
var errorTypes = []string{"auth", "cancel", "continue", "modify", "wait"}

// stanzaConditions are the conditions of RFC 6120 8.3.3.
var stanzaConditions = []string{
	"bad-request", "conflict", "feature-not-implemented", "forbidden", "gone", "internal-server-error", "item-not-found", "jid-malformed",
	"not-acceptable", "not-allowed", "not-authorized", "policy-violation", "recipient-unavailable", "redirect", "registration-required",
	"remote-server-not-found", "remote-server-timeout", "resource-constraint", "service-unavailable", "subscription-required",
	"undefined-condition", "unexpected-request",
}
