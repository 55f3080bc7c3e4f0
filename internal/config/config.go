package config

import (
	"cmp"
	"net/netip"
	"time"
)

// The values of keys that name a choice.
const (
	SpeakAnnounced = "announced" // from is the node's own domain or a user it holds
	SpeakDomain    = "domain"    // from is the node's own domain or any user of its user domains (bridges)

	TakeoverAllow = "allow" // a log-in may take a full JID that another node holds
	TakeoverNever = "never" // it may not

	UnprovedReplay = "replay" // what was written to a node that answers no pings is sent again after an unclean end, the last window of it
	UnprovedDrop   = "drop"   // it is not: written counts as delivered

	ConflictReplace = "replace" // a new link replaces one from which nothing is read after a ping
	ConflictReject  = "reject"  // the new link is told <conflict/> (RFC 6120 4.9.3.3)

	PolicyBounce  = "bounce"  // the sending node is told, and treats the message it saved as offline
	PolicyDiscard = "discard" // silence (RFC 6121 8.5.2.2.1 permits it)
	PolicyStore   = "store"   // kept here, replayed at log-in (XEP-0160)
	PolicyForward = "forward" // handed as it is to the node Offline.ForwardTo

	FormatText = "text" // log lines for people
	FormatJSON = "json" // log lines for machines
)

// Memory is the value of Config.Data that keeps nothing on disk: what PolicyStore keeps ends with the process, too, and
// there are no outboxes.
const Memory = ":memory:"

// Config is all that a server is told. Domains are canonical (RFC 7622 3.2), sizes are bytes, paths are ready to open.
type Config struct {
	Server string   // this server's own address
	Data   string   // directory of the session table and the queues, or Memory
	Users  []string // user domains; their users live on nodes

	Contacts []string // URIs, XEP-0157
	Listen   Listen
	TLS      TLS
	Nodes    []Node
	Offline  Offline
	Limits   Limits
	Timers   Timers
	Admin    Admin
	Log      Log

	marks  map[string]Fault // where each key was given, for the faults of Validate
	broken map[string]bool  // keys that have a fault of their own, of which Validate is silent
	file   string           // the name of the file; "" without one
	digest string           // the SHA-256 of the file, in hex
}

// Listen says where connections are taken. An empty address is off.
type Listen struct {
	Component     string         // host:port for nodes (XEP-0114)
	ComponentTLS  string         // host:port for nodes, direct TLS
	PlaintextFrom []netip.Prefix // peers that may attach without TLS
	HTTP          string         // host:port of the admin API, /metrics, /healthz and /readyz
	Metrics       string         // host:port of /metrics, /healthz and /readyz alone
}

// TLS names PEM files: the server's certificate, Cert and Key, which are both empty or both set; and the authorities whose
// client certificates prove the name of a node, CA, set only beside them.
type TLS struct{ Cert, Key, CA string }

// Node is one entry of nodes: a domain, or all domains one label below a wildcard.
type Node struct {
	Domain     string   // "node1.im.example" or "*.im.example"
	Secret     []Secret // one, or two while rotating; none if only a client certificate proves the name. Use Secrets to compare
	SecretFile string   // the file Secret came from, "" if it stood in the configuration
	Users      []string // user domains whose sessions the node may announce
	Speak      string   // SpeakAnnounced or SpeakDomain
	Takeover   string   // TakeoverAllow or TakeoverNever
	Unproved   string   // UnprovedReplay or UnprovedDrop
	Conflict   string   // ConflictReplace or ConflictReject
	Instances  int      // links that may share the domain; over 1 only without Users. 0 counts as 1
}

// Offline says what becomes of a message for a user without a session.
type Offline struct {
	Policy    string                    // PolicyBounce, PolicyDiscard, PolicyStore or PolicyForward
	ForwardTo string                    // the node that PolicyForward hands messages to; "" is none
	Keep      Keep                      // of PolicyStore
	Total     int64                     // bytes that the store may hold for all users of all domains
	Domains   map[string]*OfflineDomain // exceptions, by user domain; use Of to ask
}

// OfflineDomain is what counts for one user domain. As an exception, what is zero is not said, and the general value
// counts.
type OfflineDomain struct {
	Policy    string
	ForwardTo string
	Keep      Keep
}

// Keep bounds what the offline store holds for one user.
type Keep struct {
	Messages int
	Bytes    int64
	Age      time.Duration
}

// Of gives what counts for a user domain: its exception, and where that says nothing the general value.
func (o Offline) Of(domain string) OfflineDomain {
	var d OfflineDomain
	if own := o.Domains[domain]; own != nil {
		d = *own
	}
	return OfflineDomain{
		Policy:    cmp.Or(d.Policy, o.Policy),
		ForwardTo: cmp.Or(d.ForwardTo, o.ForwardTo),
		Keep: Keep{
			Messages: cmp.Or(d.Keep.Messages, o.Keep.Messages),
			Bytes:    cmp.Or(d.Keep.Bytes, o.Keep.Bytes),
			Age:      cmp.Or(d.Keep.Age, o.Keep.Age),
		},
	}
}

// Limits bound what one link may cost, and all of them together.
type Limits struct {
	Stanza    int   // bytes of one stanza
	Depth     int   // nesting of one stanza
	Queue     int   // bytes waiting in memory for one link
	Outbox    int64 // bytes waiting on disk for one node
	Memory    int64 // bytes of all queues and windows
	Disk      int64 // bytes of all outboxes and of the offline store
	Addresses int   // of one multicast message (XEP-0033)
}

// Timers are the server's patience.
type Timers struct {
	Handshake time.Duration // to authenticate
	Ping      time.Duration // idle time before a link is pinged
	Grace     time.Duration // how long a dropped node keeps its sessions
	Settle    time.Duration // how long stanzas to users not yet known are held after a start
	Drain     time.Duration // at most, after SIGTERM
}

// Admin says who may use the admin API, and for what.
type Admin struct {
	TokenFile string   // holds the token that each change needs; "" is admin.token in Data
	Hosts     []string // names, besides the address itself, by which clients may reach it
	TapBodies bool     // a tap may show what messages say
}

// Log says what is logged and how.
type Log struct {
	Level  string // debug, info, warning or error
	Format string // FormatText or FormatJSON
}
