package config

import (
	"net/netip"
	"time"
)

// key is one row of the table. In a path [] is each entry of a list and {} each name of a map.
type key struct {
	path string
	def  string // as it would stand in the file
	live bool   // a reload applies it; otherwise a restart is needed
	doc  string
	value
}

// The names of the rows that other code asks for.
const (
	keyServer       = "server"
	keyUsers        = "users"
	keyNodes        = "nodes"
	keyComponent    = "listen.component"
	keyComponentTLS = "listen.component_tls"
	keyPlaintext    = "listen.plaintext_from"
	keyHTTP         = "listen.http"
	keyCert         = "tls.cert"
	keyKey          = "tls.key"
	keyQueue        = "limits.queue"
	keyOffline      = "offline.domains"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

// keys is the table. Its order is the order of the file and of the documentation.
var keys = []key{
	{keyServer, "hub1.im.example", false, "this server's own address; unique in the cluster",
		one(domainKind, of(func(c *Config) *string { return &c.Server }))},
	{"data", "./patchbay-data", false, `session table and outboxes; ":memory:" keeps nothing`,
		one(dataKind, of(func(c *Config) *string { return &c.Data }))},
	{keyUsers, "[im.example]", true, "user domains; their users live on nodes",
		many(domainKind, of(func(c *Config) *[]string { return &c.Users }))},
	{"contacts", "[]", true, "whom to write to about this server (XEP-0157), told to those who ask, e.g. [\"mailto:ops@im.example\"]",
		many(contactKind, of(func(c *Config) *[]string { return &c.Contacts }))},

	{keyComponent, "127.0.0.1:5347", false, `nodes attach here (XEP-0114); "" is off`,
		one(addressKind, of(func(c *Config) *string { return &c.Listen.Component }))},
	{keyComponentTLS, `""`, false, "direct TLS for nodes, e.g. 0.0.0.0:5348",
		one(addressKind, of(func(c *Config) *string { return &c.Listen.ComponentTLS }))},
	{keyPlaintext, `[127.0.0.0/8, "::1/128"]`, true, "who may attach without TLS; in a private pod network e.g. [10.0.0.0/8]",
		many(networkKind, of(func(c *Config) *[]netip.Prefix { return &c.Listen.PlaintextFrom }))},
	{keyHTTP, "127.0.0.1:5280", false, "/healthz and /readyz",
		one(addressKind, of(func(c *Config) *string { return &c.Listen.HTTP }))},

	{keyCert, `""`, true, "PEM file, read again when it changes",
		one(pathKind, of(func(c *Config) *string { return &c.TLS.Cert }))},
	{keyKey, `""`, true, "PEM file, read again when it changes",
		one(pathKind, of(func(c *Config) *string { return &c.TLS.Key }))},

	{"nodes[].domain", "", true, `exact (wins), or "*.im.example": one label, never the server or a user domain`,
		one(nodeKind, ofNode(func(n *Node) *string { return &n.Domain }))},
	{"nodes[].secret", "", true, "a list of two while rotating; or secret_file", secrets()},
	{"nodes[].secret_file", "", true, "the secret is this file's line; two lines while rotating",
		one(pathKind, ofNode(func(n *Node) *string { return &n.SecretFile }))},
	{"nodes[].users", "", true, "user domains whose sessions it may announce; none unless listed",
		many(domainKind, ofNode(func(n *Node) *[]string { return &n.Users }))},
	{"nodes[].speak", SpeakAnnounced, true, "announced: from is its own domain or a user it holds; domain: any user of those domains (bridges)",
		one(choice([]string{SpeakAnnounced, SpeakDomain}), ofNode(func(n *Node) *string { return &n.Speak }))},
	{"nodes[].takeover", TakeoverAllow, true, "may its log-ins take a full JID that another node holds",
		one(choice([]string{TakeoverAllow, TakeoverNever}), ofNode(func(n *Node) *string { return &n.Takeover }))},
	{"nodes[].conflict", ConflictReplace, true, "a second link under its domain: replace a silent one, or reject the new one",
		one(choice([]string{ConflictReplace, ConflictReject}), ofNode(func(n *Node) *string { return &n.Conflict }))},

	{"offline.policy", PolicyBounce, true, "bounce: the sending node is told, and treats the message it saved as offline; discard: silence",
		one(policyKind, of(func(c *Config) *string { return &c.Offline.Policy }))},
	{"offline.domains.{}.policy", "", true, "the policy of one user domain", one(policyKind, offlineDomain)},

	{"limits.stanza", "256KiB", true, "one stanza",
		one(sizeKind(10_000, 16*mib), of(func(c *Config) *int { return &c.Limits.Stanza }))}, // RFC 6120 13.12: not below 10 000
	{"limits.depth", "64", true, "nesting of one stanza",
		one(numberKind(8, 1024), of(func(c *Config) *int { return &c.Limits.Depth }))},
	{keyQueue, "16MiB", true, "waiting in memory, per link",
		one(sizeKind(64*kib, 4*gib), of(func(c *Config) *int { return &c.Limits.Queue }))},

	{"timers.handshake", "10s", true, "to authenticate",
		one(timeKind(time.Second, 5*time.Minute), of(func(c *Config) *time.Duration { return &c.Timers.Handshake }))},
	{"timers.ping", "30s", true, "idle keep-alive",
		one(timeKind(time.Second, time.Hour), of(func(c *Config) *time.Duration { return &c.Timers.Ping }))},
	{"timers.grace", "30s", true, "a dropped node keeps its sessions this long; after its return, to confirm them",
		one(timeKind(0, time.Hour), of(func(c *Config) *time.Duration { return &c.Timers.Grace }))},
	{"timers.settle", "10s", true, "how long stanzas to users not yet known are held after a start",
		one(timeKind(0, 10*time.Minute), of(func(c *Config) *time.Duration { return &c.Timers.Settle }))},
	{"timers.drain", "60s", true, "after SIGTERM, at most; readyz is 503 from the first moment",
		one(timeKind(0, time.Hour), of(func(c *Config) *time.Duration { return &c.Timers.Drain }))},

	{"log.level", "info", true, "debug, info, warning or error",
		one(choice([]string{"debug", "info", "warning", "error"}), of(func(c *Config) *string { return &c.Log.Level }))},
	{"log.format", FormatText, false, "text for people, json for machines",
		one(choice([]string{FormatText, FormatJSON}), of(func(c *Config) *string { return &c.Log.Format }))},
}

// later are keys, each with all below it, that people may meet in documents of a coming version.
var later = []string{
	"listen.s2s", "listen.metrics", "tls.ca",
	"nodes[].unproved", "nodes[].instances", "nodes[].limits", "nodes[].timers",
	"cluster", "federation", "admin",
	"offline.forward_to", "offline.keep", "offline.total",
	"offline.domains.{}.forward_to", "offline.domains.{}.keep", "offline.domains.{}.total",
	"limits.outbox", "limits.memory", "limits.disk", "limits.addresses",
}

var policyKind = choice([]string{PolicyBounce, PolicyDiscard}, "store", "forward")

// secrets is the value of nodes[].secret: one, or a list of two.
func secrets() value {
	v := many(secretKind, ofNode(func(n *Node) *[]Secret { return &n.Secret }))
	v.name, v.either, v.most, v.secret = "a secret, or a list of two", true, 2, true
	return v
}

func offlineDomain(c *Config, in scope) *string {
	if c.Offline.Domains == nil {
		c.Offline.Domains = map[string]*OfflineDomain{}
	}
	d := c.Offline.Domains[in.domain]
	if d == nil {
		d = &OfflineDomain{Policy: c.Offline.Policy}
		c.Offline.Domains[in.domain] = d
	}
	return &d.Policy
}

// Key is what documentation says of one key.
type Key struct {
	Path    string // [] is each entry of a list, {} each name of a map
	Kind    string // "a domain", "a list of networks"
	Range   string // "" if the kind says all
	Default string // as it would stand in the file; "" if there is none
	Doc     string // one line
	Live    bool   // a reload applies it; otherwise a restart is needed
}

// Keys gives all keys of this version, in the order of the file.
func Keys() []Key {
	all := make([]Key, 0, len(keys))
	for _, k := range keys {
		all = append(all, Key{k.path, k.name, k.span, k.def, k.doc, k.live})
	}
	return all
}
