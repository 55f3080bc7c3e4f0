package api

import "time"

// The words for how serious a Finding is, and for Status.Health.
const (
	OK      = "ok"
	Warning = "warning"
	Failed  = "failed"
)

// Status is one screen: is it us, and what is wrong now.
type Status struct {
	Server        string    `json:"server"`
	Version       string    `json:"version"`
	Time          time.Time `json:"time"`
	StartedAt     time.Time `json:"started_at"`
	UptimeSeconds int64     `json:"uptime_seconds"`
	Health        string    `json:"health"` // the worst of Wrong: ok, warning or failed
	Ready         bool      `json:"ready"`
	Draining      bool      `json:"draining"`      // the server as a whole
	ViewComplete  bool      `json:"view_complete"` // a user without an entry is offline, not unknown

	Listen   Listen     `json:"listen"`
	Config   ConfigFile `json:"config"`
	Nodes    NodeCounts `json:"nodes"`
	Links    int        `json:"links"`
	Sessions int        `json:"sessions"`
	Loading  bool       `json:"loading"` // sessions of before are still being read: Sessions grows
	Held     uint64     `json:"held"`    // stanzas to users not yet known

	Rates  Rates     `json:"rates"`
	Ledger Ledger    `json:"ledger"`
	Memory Memory    `json:"memory"`
	Disk   *Disk     `json:"disk,omitempty"`     // absent with data ":memory:"
	Outbox *Outboxes `json:"outboxes,omitempty"` // absent with data ":memory:": there are none
	Wrong  []Finding `json:"wrong"`              // what is wrong now, the worst first

	TokenFile string `json:"token_file,omitempty"` // where the token of changes lies: the path only, and only told on loopback
}

// Listen is where the server listens; "" is off.
type Listen struct {
	Component    string `json:"component"`
	ComponentTLS string `json:"component_tls"`
	HTTP         string `json:"http"`
	Metrics      string `json:"metrics"`
}

// ConfigFile names the configuration that acts.
type ConfigFile struct {
	File     string    `json:"file"` // "" is the development server
	SHA256   string    `json:"sha256"`
	LoadedAt time.Time `json:"loaded_at"`
}

// NodeCounts counts nodes by state.
type NodeCounts struct {
	Attached int `json:"attached"`
	Draining int `json:"draining"` // of the attached
	Away     int `json:"away"`
	Gone     int `json:"gone"`       // known, past their grace
	Never    int `json:"never_seen"` // of the file, and not attached since it names them
}

// Rates are per second, over the last 10 s.
type Rates struct {
	Accepted     float64 `json:"accepted_per_second"`
	Delivered    float64 `json:"delivered_per_second"` // written, on links that prove no more, and proved
	NotDelivered float64 `json:"not_delivered_per_second"`
}

// Ledger is the account of every stanza since the start (ARCHITECTURE.md).
type Ledger struct {
	Found    uint64 `json:"found"`
	Accepted uint64 `json:"accepted"`
	Made     uint64 `json:"made"`
	Copies   uint64 `json:"copies"`

	Delivered uint64 `json:"delivered"` // read by the node's library, which proved it
	Written   uint64 `json:"written"`   // to links that prove no more
	Served    uint64 `json:"served"`
	Bounced   uint64 `json:"bounced"`
	Dropped   uint64 `json:"dropped"`
	Expired   uint64 `json:"expired"`
	Waiting   uint64 `json:"waiting"` // in flight: in queues, written and not proved, and on hold
	Stored    uint64 `json:"stored"`  // on disk: in outboxes, and for users without a session

	Untold uint64 `json:"untold"` // answers of the server that no queue took: in no sum
	Off    int64  `json:"off"`    // by how much it does not add up; 0: every stanza is accounted for
}

// Memory is what the process uses.
type Memory struct {
	ResidentBytes uint64 `json:"resident_bytes"` // 0 where the system does not tell
	HeapBytes     uint64 `json:"heap_bytes"`
	QueueBytes    uint64 `json:"queue_bytes"`     // all queues of nodes
	UnprovedBytes uint64 `json:"unproved_bytes"`  // written to links, and kept until it is proved
	QueuesMax     uint64 `json:"queue_max_bytes"` // what both may have together (limits.memory)
}

// Outboxes is what waits on disk for nodes.
type Outboxes struct {
	Nodes    int    `json:"nodes"` // that have something in theirs
	Stanzas  uint64 `json:"stanzas"`
	Bytes    uint64 `json:"bytes"`
	Spilling int    `json:"spilling"`       // nodes that are attached, and read so slowly that what comes for them goes to disk
	DiskMax  uint64 `json:"disk_max_bytes"` // what all outboxes and the offline store may have together (limits.disk)
}

// Disk is where the data lie.
type Disk struct {
	Path       string `json:"path"`
	FreeBytes  uint64 `json:"free_bytes"` // for this process
	TotalBytes uint64 `json:"total_bytes"`
}

// Finding is one thing that is wrong, or that was looked at and is right.
type Finding struct {
	Check   string `json:"check"` // a word: node-away, node-gone, queue-old, certificate, ledger, disk, ...
	State   string `json:"state"` // ok, warning or failed
	Node    string `json:"node,omitempty"`
	Message string `json:"message"`
	Mend    string `json:"mend,omitempty"`
}

// Doctor is the self-check of the running system.
type Doctor struct {
	Server string    `json:"server"`
	Time   time.Time `json:"time"`
	State  string    `json:"state"` // the worst of Checks
	Checks []Finding `json:"checks"`
}

// Nodes is every node that is known.
type Nodes struct {
	Server string    `json:"server"`
	Time   time.Time `json:"time"`
	Nodes  []Node    `json:"nodes"` // by domain
	Wrong  []Finding `json:"wrong"` // of these nodes
}

// The words of Node.State.
const (
	StateAttached = "attached"
	StateDraining = "draining"
	StateAway     = "away"
	StateGone     = "gone"
	StateNever    = "never seen"
)

// Node is one node, all its links together.
type Node struct {
	Domain        string     `json:"domain"`
	State         string     `json:"state"`
	Links         int        `json:"links"`
	LinksMax      int        `json:"links_max"` // as many as may share the domain
	Sessions      int        `json:"sessions"`
	Grade         string     `json:"grade"` // what proves that it read: probing (not known yet), written (nothing) or proved; "": it had no link since the start
	InPerSec      float64    `json:"in_per_second"`
	OutPerSec     float64    `json:"out_per_second"`
	In            uint64     `json:"in"`  // stanzas since the start
	Out           uint64     `json:"out"` // written to it
	Queue         uint64     `json:"queue_stanzas"`
	QueueBytes    uint64     `json:"queue_bytes"`
	QueueMax      uint64     `json:"queue_max_bytes"`
	Unproved      uint64     `json:"unproved_stanzas"` // written to it, and kept until it is proved that they were read
	UnprovedBytes uint64     `json:"unproved_bytes"`
	Window        uint64     `json:"window_bytes"`   // as much may be unproved
	Outbox        uint64     `json:"outbox_stanzas"` // on disk
	OutboxBytes   uint64     `json:"outbox_bytes"`
	OutboxMax     uint64     `json:"outbox_max_bytes"`          // 0: there is no outbox (data ":memory:")
	Spilling      bool       `json:"spilling"`                  // it is attached, and reads so slowly that what comes for it goes to its outbox
	OldestSecs    float64    `json:"oldest_stanza_age_seconds"` // 0: nothing waits
	Since         time.Time  `json:"since"`                     // the last change of state
	GraceEndsAt   *time.Time `json:"grace_ends_at,omitempty"`   // away: then its sessions end too
	Confirming    bool       `json:"confirming"`                // it is back, and has not said yet who is still there
	Takes         []string   `json:"takes"`                     // what it can do: multicast
}

// Links is every stream, or the last that ended or were refused.
type Links struct {
	Server string    `json:"server"`
	Time   time.Time `json:"time"`
	Closed bool      `json:"closed"`
	Links  []Link    `json:"links"` // newest first
}

// Link is one stream of a node.
type Link struct {
	ID      uint64     `json:"id"`   // 0: it was never attached
	Node    string     `json:"node"` // "" while it has not said a name
	Peer    string     `json:"peer"` // host:port
	TLS     bool       `json:"tls"`
	Secure  string     `json:"tls_version,omitempty"` // "TLS 1.3"
	Auth    string     `json:"auth,omitempty"`        // what proved the name: handshake (a plain stream, XEP-0114), or SCRAM-SHA-256 or EXTERNAL (a modern one)
	State   string     `json:"state"`                 // handshake, attached, ended or refused
	Grade   string     `json:"grade,omitempty"`       // probing, written or proved
	Since   time.Time  `json:"since"`                 // accepted; with a count over 1: the first
	EndedAt *time.Time `json:"ended_at,omitempty"`    // with a count over 1: of the last
	In      uint64     `json:"in"`                    // stanzas read
	Reason  string     `json:"reason,omitempty"`      // of the end: a condition of RFC 6120 4.9.3, closed, dropped, stopped or tls; of a failed proof one of RFC 6120 6.5
	Text    string     `json:"text,omitempty"`        // cause and mend, as the peer was told
	Mend    string     `json:"mend,omitempty"`        // what who runs the server can do; the peer is not told
	Count   uint64     `json:"count"`                 // 1; over 1: so many connections from one address were refused alike
}

// Sessions is a list of sessions, or only their number.
type Sessions struct {
	Server   string    `json:"server"`
	Time     time.Time `json:"time"`
	Count    int       `json:"count"`    // that match, also beyond the limit
	Loading  bool      `json:"loading"`  // Count grows
	Sessions []Session `json:"sessions"` // empty with count=true
}

// Session is one resource of a user.
type Session struct {
	JID      string    `json:"jid"`
	Node     string    `json:"node"`
	Server   string    `json:"server"`
	State    string    `json:"state"` // of the node: attached, draining or away
	Priority int       `json:"priority"`
	Since    time.Time `json:"since"`
}

// Ended is a session that is no more.
type Ended struct {
	JID     string    `json:"jid"`
	Node    string    `json:"node"`
	Since   time.Time `json:"since"`
	EndedAt time.Time `json:"ended_at"`
	Why     string    `json:"why"` // withdrawn, replaced, unconfirmed, node-left or kicked
}

// Where is all that is known of one user.
type Where struct {
	Server   string    `json:"server"`
	Time     time.Time `json:"time"`
	JID      string    `json:"jid"`
	Answer   string    `json:"answer"` // online, away, unknown or offline
	Sessions []Session `json:"sessions"`
	Ended    []Ended   `json:"ended"`  // of the last 65,536 of all users, newest first
	Stored   uint64    `json:"stored"` // messages that wait for the log-in
}

// Outcomes is what became of every stanza.
type Outcomes struct {
	Server       string    `json:"server"`
	Time         time.Time `json:"time"`
	Node         string    `json:"node,omitempty"`   // only what came from this node
	SinceSeconds int64     `json:"since_seconds"`    // the span of Reasons[].Recent
	Ledger       *Ledger   `json:"ledger,omitempty"` // of the whole server; absent with a node
	Accepted     uint64    `json:"accepted"`         // since the start, from this node or all
	Recent       uint64    `json:"accepted_recent"`  // within the span
	Reasons      []Reason  `json:"reasons"`          // those that happened, the most frequent first
}

// Reason is one reason for which stanzas were not delivered.
type Reason struct {
	Reason  string `json:"reason"`  // the word of docs/errors.md
	Outcome string `json:"outcome"` // bounced, dropped or expired
	Total   uint64 `json:"total"`
	Recent  uint64 `json:"recent"`
	Error   string `json:"error,omitempty"` // type/condition, of those that bounce
	Means   string `json:"means"`
	Mend    string `json:"mend"`
}
