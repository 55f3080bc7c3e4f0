package api

import "time"

// Explanation is the decision on a stanza that nobody sends, line by line.
type Explanation struct {
	Server string    `json:"server"`
	Time   time.Time `json:"time"`
	Kind   string    `json:"kind"` // message, iq or presence
	Type   string    `json:"type"` // as the wire has it; of a message without one: normal
	From   string    `json:"from"`
	To     string    `json:"to"`

	Origin   Origin             `json:"origin"`
	Rows     []Row              `json:"rows"` // of design section 3, in order, up to the one that matched
	Sessions []ExplainedSession `json:"sessions"`
	Ended    []Ended            `json:"last_known"` // what is remembered of the user, newest first, at most 3
	Notes    []string           `json:"notes"`      // what stands in its way before the verdict: an older stanza waits, a full queue
	Verdict  Verdict            `json:"verdict"`
	Recent   *Recent            `json:"recent,omitempty"` // how often this server came to the verdict's reason
}

// Origin is the link that would carry the stanza.
type Origin struct {
	Node    string `json:"node"` // "" if no node may speak for From
	State   string `json:"state"`
	Allowed bool   `json:"allowed"`
	Why     string `json:"why"` // "is on node1.im.example, whose link may speak for im.example"
}

// Row is one question of the table.
type Row struct {
	Row      int    `json:"row"`
	Question string `json:"question"`
	Matched  bool   `json:"matched"`
	Why      string `json:"why,omitempty"`
}

// ExplainedSession is a session of the user, and whether it gets a copy.
type ExplainedSession struct {
	Resource   string `json:"resource"`
	Priority   int    `json:"priority"`
	Node       string `json:"node"`
	Server     string `json:"server"`
	State      string `json:"state"` // of the node
	Grade      string `json:"grade"`
	QueueBytes uint64 `json:"queue_bytes"`
	Copy       bool   `json:"copy"`
	Why        string `json:"why"`
}

// Verdict is what would become of the stanza.
type Verdict struct {
	Action  string   `json:"action"` // deliver, serve, fan-out, store, hold, bounce, drop; end-link: from is not allowed
	Row     int      `json:"row"`    // 0: the stanza breaks the rules of its own kind
	Reason  string   `json:"reason,omitempty"`
	Copies  int      `json:"copies"`
	Targets []Target `json:"targets"`
	Error   string   `json:"error,omitempty"` // type/condition, of a bounce
	Text    string   `json:"text"`            // the sentence for people
}

// Target names a node. In a request either Node or Server is set.
type Target struct {
	Node   string `json:"node,omitempty"`
	Server bool   `json:"server,omitempty"` // the server itself
	Waits  bool   `json:"waits,omitempty"`  // the node is away: the copy waits for it
}

// Recent counts a reason.
type Recent struct {
	Reason  string `json:"reason"`
	Count   uint64 `json:"count"`
	Seconds int64  `json:"seconds"` // the span
}

// Tapped is one stanza that passed, as a line of the tap.
type Tapped struct {
	Time    time.Time `json:"time"`
	Node    string    `json:"node"` // it came from
	Kind    string    `json:"kind"`
	Type    string    `json:"type"`
	ID      string    `json:"id"`
	From    string    `json:"from"`
	To      string    `json:"to"`
	Bytes   int       `json:"size_bytes"`
	Action  string    `json:"action"`
	Reason  string    `json:"reason,omitempty"`
	Targets []string  `json:"targets"`        // nodes
	XML     string    `json:"xml,omitempty"`  // the whole stanza, with body=true
	Lost    uint64    `json:"lost,omitempty"` // stanzas that passed before this one and were not shown, because the reader is slow
}

// Config is the configuration that acts, key by key.
type Config struct {
	Server string     `json:"server"`
	Time   time.Time  `json:"time"`
	File   ConfigFile `json:"file"`
	Store  bool       `json:"offline_store"` // it is open; if not, a policy that stores needs a restart, and the keys under offline with it
	Keys   []Key      `json:"keys"`
}

// Key is one key and its value, as the file would hold it. A secret is bullets; who shows the token gets a print of it:
// the first 16 hex digits of HMAC-SHA256(token, secret), which tells whether two secrets are the same; of two secrets, both
// with a comma between.
type Key struct {
	Path  string `json:"path"` // nodes are named by their domain: nodes[node1.im.example].users
	Value string `json:"value"`
	Print string `json:"print,omitempty"`
	Live  bool   `json:"live"` // a reload applies it
}

// Kick ends what Target names: a full JID (one session), a bare JID (all of a user), a node's domain (all its links) or
// domain/number (one link).
type Kick struct {
	Target string `json:"target"`
	Reason string `json:"reason,omitempty"`
}

// Kicked says what a kick ended.
type Kicked struct {
	Sessions int `json:"sessions"`
	Links    int `json:"links"`
}

// Drained is how far a drain is.
type Drained struct {
	Node       string  `json:"node,omitempty"` // "": the server
	Draining   bool    `json:"draining"`
	Sessions   int     `json:"sessions"`      // still there
	Queue      uint64  `json:"queue_stanzas"` // in memory, on disk, and written to a node that proves what it reads, or may, which has not proved these
	QueueBytes uint64  `json:"queue_bytes"`
	OldestSecs float64 `json:"oldest_stanza_age_seconds"`
	Held       uint64  `json:"held_stanzas"`   // of the server: for users of whom it is not yet known where they are
	Safe       bool    `json:"safe"`           // no sessions, and nothing waits: it may be stopped
	Left       []Left  `json:"left,omitempty"` // of the server: the nodes that keep it, those with the most sessions and stanzas first, up to five
	LeftNodes  int     `json:"left_nodes"`     // of the server: how many nodes keep it
}

// Left is what a node still has that the server is to be rid of.
type Left struct {
	Node       string  `json:"node"`
	State      string  `json:"state"` // of the node, as in Node
	Sessions   int     `json:"sessions"`
	Queue      uint64  `json:"queue_stanzas"`
	QueueBytes uint64  `json:"queue_bytes"`
	OldestSecs float64 `json:"oldest_stanza_age_seconds"`
}

// Reloaded says what a reload did.
type Reloaded struct {
	File     ConfigFile `json:"file"`
	Changes  []Change   `json:"changes"`
	Warnings []Fault    `json:"warnings"`
}

// Change is one key that differs.
type Change struct {
	Path    string `json:"path"`
	Old     string `json:"old"` // bullets for secrets
	New     string `json:"new"`
	Applied bool   `json:"applied"`        // false: it needs a restart
	Note    string `json:"note,omitempty"` // what follows from it: "its link was ended"
}

// Fault is one thing that is wrong with a configuration file.
type Fault struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Path    string `json:"path,omitempty"` // the key
	Code    string `json:"code"`
	Message string `json:"message"`
	Mend    string `json:"mend,omitempty"`
	Source  string `json:"source,omitempty"`
	Warning bool   `json:"warning"`
	Text    string `json:"text"` // as the check prints it
}

// SecretOf asks for the secret of a name under a wildcard.
type SecretOf struct {
	Domain string `json:"domain"`
}

// Secret is what a node of this name attaches with.
type Secret struct {
	Domain string `json:"domain"`
	Under  string `json:"under"` // the entry of the configuration
	Secret string `json:"secret"`
}
