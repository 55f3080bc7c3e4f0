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
	keyMetrics      = "listen.metrics"
	keyCert         = "tls.cert"
	keyKey          = "tls.key"
	keyCA           = "tls.ca"
	keyData         = "data"
	keyQueue        = "limits.queue"
	keyOutbox       = "limits.outbox"
	keyMemory       = "limits.memory"
	keyDisk         = "limits.disk"
	keyStanza       = "limits.stanza"
	keyInstances    = ".instances" // behind nodePath
	keyPolicy       = "offline.policy"
	keyOffline      = "offline.domains"
	keyForwardTo    = "offline.forward_to"
	keyKept         = "offline.keep.bytes"
	keyTotal        = "offline.total"
	keyTokenFile    = "admin.token_file"
	keyTapBodies    = "admin.tap_bodies"
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
	{keyData, "./patchbay-data", false, `session table, outboxes, offline store, admin.token; ":memory:" keeps nothing beyond the process`,
		one(dataKind, of(func(c *Config) *string { return &c.Data }))},
	{keyUsers, "[im.example]", true, "user domains; their users live on nodes",
		many(domainKind, of(func(c *Config) *[]string { return &c.Users }))},
	{"contacts", "[]", true, "whom to write to about this server (XEP-0157), told to those who ask, e.g. [\"mailto:ops@im.example\"]",
		many(contactKind, of(func(c *Config) *[]string { return &c.Contacts }))},

	{keyComponent, "127.0.0.1:5347", false, `nodes attach here (XEP-0114, STARTTLS for those who ask); "" is off`,
		one(addressKind, of(func(c *Config) *string { return &c.Listen.Component }))},
	{keyComponentTLS, `""`, false, "direct TLS for nodes, e.g. 0.0.0.0:5348",
		one(addressKind, of(func(c *Config) *string { return &c.Listen.ComponentTLS }))},
	{keyPlaintext, `[127.0.0.0/8, "::1/128"]`, true, "who may attach without TLS; in a private pod network e.g. [10.0.0.0/8]",
		many(networkKind, of(func(c *Config) *[]netip.Prefix { return &c.Listen.PlaintextFrom }))},
	{keyHTTP, "127.0.0.1:5280", false, "admin API, and all that listen.metrics has",
		one(addressKind, of(func(c *Config) *string { return &c.Listen.HTTP }))},
	{keyMetrics, `""`, false, "only /metrics /healthz /readyz, no token, e.g. 0.0.0.0:9347 for Kubernetes",
		one(addressKind, of(func(c *Config) *string { return &c.Listen.Metrics }))},

	{keyCert, `""`, true, "PEM file, read again when it changes",
		one(pathKind, of(func(c *Config) *string { return &c.TLS.Cert }))},
	{keyKey, `""`, true, "PEM file, read again when it changes",
		one(pathKind, of(func(c *Config) *string { return &c.TLS.Key }))},
	{keyCA, `""`, true, "PEM file of authorities, read again when it changes; a client certificate of theirs stands for a secret (SASL EXTERNAL)",
		one(pathKind, of(func(c *Config) *string { return &c.TLS.CA }))},

	{"nodes[].domain", "", true, `exact (wins), or "*.im.example": one label, never the server or a user domain`,
		one(nodeKind, ofNode(func(n *Node) *string { return &n.Domain }))},
	{"nodes[].secret", "", true, "16 bytes or more; a list of two while rotating; or secret_file; with tls.ca it may be left out", secrets()},
	{"nodes[].secret_file", "", true, "the secret is this file's line; two lines while rotating",
		one(pathKind, ofNode(func(n *Node) *string { return &n.SecretFile }))},
	{"nodes[].users", "", true, "user domains whose sessions it may announce; none unless listed",
		many(domainKind, ofNode(func(n *Node) *[]string { return &n.Users }))},
	{"nodes[].speak", SpeakAnnounced, true, "announced: from is its own domain or a user it holds; domain: any user of those domains (bridges)",
		one(choice(SpeakAnnounced, SpeakDomain), ofNode(func(n *Node) *string { return &n.Speak }))},
	{"nodes[].takeover", TakeoverAllow, true, "may its log-ins take a full JID that another node holds: allow or never",
		one(choice(TakeoverAllow, TakeoverNever), ofNode(func(n *Node) *string { return &n.Takeover }))},
	{"nodes[].unproved", UnprovedReplay, true, "a node that never answers pings, after an unclean end: replay its last window, or drop it",
		one(choice(UnprovedReplay, UnprovedDrop), ofNode(func(n *Node) *string { return &n.Unproved }))},
	{"nodes[].conflict", ConflictReplace, true, "a second link under its domain: replace a silent one, or reject the new one",
		one(choice(ConflictReplace, ConflictReject), ofNode(func(n *Node) *string { return &n.Conflict }))},
	{"nodes[].instances", "1", true, "links that may share its domain; more than one only without users",
		one(numberKind(1, 64), ofNode(func(n *Node) *int { return &n.Instances }))},

	{keyPolicy, PolicyBounce, true, "bounce: the sending node is told, and treats the message it saved as offline; " +
		"store: kept here, replayed at log-in; discard: silence; forward: to forward_to",
		one(policyKind, of(func(c *Config) *string { return &c.Offline.Policy }))},
	{keyForwardTo, `""`, true, "the node that policy forward hands messages to",
		one(forwardKind, of(func(c *Config) *string { return &c.Offline.ForwardTo }))},
	{"offline.keep.messages", "1000", true, "per user, policy store; beyond it the sender gets an error",
		one(messagesKind, of(func(c *Config) *int { return &c.Offline.Keep.Messages }))},
	{keyKept, "4MiB", true, "per user, policy store; beyond it the sender gets an error",
		one(keptKind, of(func(c *Config) *int64 { return &c.Offline.Keep.Bytes }))},
	{"offline.keep.age", "72h", true, "of one message, policy store; older ones go back to the sender as an error",
		one(ageKind, of(func(c *Config) *time.Duration { return &c.Offline.Keep.Age }))},
	{keyTotal, "1GiB", true, "all users together, policy store",
		one(sizeKind[int64](64*kib, 4096*gib), of(func(c *Config) *int64 { return &c.Offline.Total }))},
	{keyOffline + ".{}.policy", "", true, "the policy of one user domain; what a domain does not say is as above",
		one(policyKind, ofOffline(func(d *OfflineDomain) *string { return &d.Policy }))},
	{keyOffline + ".{}.forward_to", "", true, "the forward_to of one user domain",
		one(forwardKind, ofOffline(func(d *OfflineDomain) *string { return &d.ForwardTo }))},
	{keyOffline + ".{}.keep.messages", "", true, "per user of one user domain",
		one(messagesKind, ofOffline(func(d *OfflineDomain) *int { return &d.Keep.Messages }))},
	{keyOffline + ".{}.keep.bytes", "", true, "per user of one user domain",
		one(keptKind, ofOffline(func(d *OfflineDomain) *int64 { return &d.Keep.Bytes }))},
	{keyOffline + ".{}.keep.age", "", true, "of one message to a user of one user domain",
		one(ageKind, ofOffline(func(d *OfflineDomain) *time.Duration { return &d.Keep.Age }))},

	{keyStanza, "256KiB", true, "one stanza",
		one(sizeKind[int](10_000, 16*mib), of(func(c *Config) *int { return &c.Limits.Stanza }))}, // RFC 6120 13.12: not below 10 000
	{"limits.depth", "64", true, "nesting of one stanza",
		one(numberKind(8, 1024), of(func(c *Config) *int { return &c.Limits.Depth }))},
	{keyQueue, "16MiB", true, "waiting in memory, per link; more goes to the outbox",
		one(sizeKind[int](64*kib, 4*gib), of(func(c *Config) *int { return &c.Limits.Queue }))},
	{keyOutbox, "1GiB", true, "waiting on disk, per node; more is bounced with wait/resource-constraint",
		one(sizeKind[int64](mib, 4096*gib), of(func(c *Config) *int64 { return &c.Limits.Outbox }))},
	{keyMemory, "1GiB", true, "all queues and windows together; the largest spills first",
		one(sizeKind[int64](mib, 4096*gib), of(func(c *Config) *int64 { return &c.Limits.Memory }))},
	{keyDisk, "20GiB", true, "all outboxes and offline stores together; 5 % of the disk stays free in any case",
		one(sizeKind[int64](mib, 65536*gib), of(func(c *Config) *int64 { return &c.Limits.Disk }))},
	{"limits.addresses", "2000", true, "of one multicast message (XEP-0033)",
		one(numberKind(1, 100_000), of(func(c *Config) *int { return &c.Limits.Addresses }))},

	{"timers.handshake", "10s", true, "to authenticate",
		one(timeKind(time.Second, 5*time.Minute), of(func(c *Config) *time.Duration { return &c.Timers.Handshake }))},
	{"timers.ping", "30s", true, "idle keep-alive; the delivery proof paces itself",
		one(timeKind(time.Second, time.Hour), of(func(c *Config) *time.Duration { return &c.Timers.Ping }))},
	{"timers.grace", "30s", true, "a dropped node keeps its sessions this long; after its return, to confirm them",
		one(timeKind(0, time.Hour), of(func(c *Config) *time.Duration { return &c.Timers.Grace }))},
	{"timers.settle", "10s", true, "how long stanzas to users not yet known are held after a start",
		one(timeKind(0, 10*time.Minute), of(func(c *Config) *time.Duration { return &c.Timers.Settle }))},
	{"timers.drain", "60s", true, "after SIGTERM, at most (and up to 5 s to close streams); readyz is 503 from the first moment",
		one(timeKind(0, time.Hour), of(func(c *Config) *time.Duration { return &c.Timers.Drain }))},

	{keyTokenFile, `""`, false, `"" is admin.token in the data directory, made at first start, mode 0600; needed for every change`,
		one(pathKind, of(func(c *Config) *string { return &c.Admin.TokenFile }))},
	{"admin.hosts", "[]", true, "names under which a proxy or Service reaches listen.http, e.g. [patchbay.internal]",
		many(hostKind, of(func(c *Config) *[]string { return &c.Admin.Hosts }))},
	{keyTapBodies, "false", true, "allow ctl tap --body to show message text",
		one(flagKind, of(func(c *Config) *bool { return &c.Admin.TapBodies }))},

	{"log.level", "info", true, "debug, info, warning or error",
		one(choice("debug", "info", "warning", "error"), of(func(c *Config) *string { return &c.Log.Level }))},
	{"log.format", FormatText, false, "text for people, json for machines",
		one(choice(FormatText, FormatJSON), of(func(c *Config) *string { return &c.Log.Format }))},
}

// sections says what the keys below a path are for.
var sections = map[string]string{
	"listen":                "where the server listens",
	"tls":                   "the certificate of listen.component_tls, and of STARTTLS on listen.component",
	keyNodes:                "who may attach",
	"offline":               "a message for a user without a session",
	"offline.keep":          "how much is kept",
	keyOffline:              "exceptions for user domains; what one does not say is as above",
	keyOffline + ".{}.keep": "how much is kept",
	"limits":                "what a link may cost",
	"timers":                "the server's patience",
	"admin":                 "who may use the admin API, and for what",
	"log":                   "what is logged, and how",
}

// later are keys, each with all below it, that people may meet in documents of a coming version.
var later = []string{
	"listen.s2s",
	"nodes[].limits", "nodes[].timers",
	"cluster", "federation",
}

// The kinds of what stands both under offline and under each of its domains. A zero there would not be told from
// what is not said; their ranges have none.
var (
	policyKind   = choice(PolicyBounce, PolicyStore, PolicyDiscard, PolicyForward)
	messagesKind = numberKind(1, 1_000_000)
	keptKind     = sizeKind[int64](kib, gib)
	ageKind      = timeKind(time.Second, 8760*time.Hour)
)

// secrets is the value of nodes[].secret: one, or a list of two.
func secrets() value {
	at := ofNode(func(n *Node) *[]Secret { return &n.Secret })
	v := many(secretKind, at)
	v.name, v.either, v.most = "a secret, or a list of two", true, 2
	v.secrets = func(c *Config, in scope) []Secret { return *at(c, in) }
	return v
}

// ofOffline is a field of the exception of one user domain, which is made when its first key is read.
func ofOffline[T any](f func(d *OfflineDomain) *T) field[T] {
	return func(c *Config, in scope) *T {
		if c.Offline.Domains == nil {
			c.Offline.Domains = map[string]*OfflineDomain{}
		}
		d := c.Offline.Domains[in.domain]
		if d == nil {
			d = &OfflineDomain{}
			c.Offline.Domains[in.domain] = d
		}
		return f(d)
	}
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
