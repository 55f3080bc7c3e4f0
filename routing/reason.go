package routing

import "github.com/patchbay-im/patchbay/stanza"

// Outcome is where custody of a stanza ended, or where it waits.
type Outcome uint8

// The outcomes of this version. A stanza in a queue or on hold has none yet.
const (
	Written   Outcome = iota // handed to the link's connection, on a link without proof
	Delivered                // read by the node's library, on a link that proves it
	Served                   // addressed to the server, and acted upon
	Bounced                  // answered with a stanza error
	Dropped                  // ended without an answer, for a reason
	Expired                  // kept for its user for too long; its sender was told
	outcomes
)

// String gives the outcome's word, as it is shown and logged.
func (o Outcome) String() string {
	return [...]string{"written", "delivered", "served", "bounced", "dropped", "expired"}[o]
}

// Reason tells why a stanza ended otherwise than delivered. Its word is the metric label, the log word and
// the row of docs/errors.md.
type Reason uint8

// The reasons. Their meaning is in the table below.
const (
	None Reason = iota
	BadStanza
	NoTo
	BadTo
	ServerResource
	NoSession
	SessionGone
	GroupchatToBare
	AccountIQ
	NodeAway
	NodeUnknown
	NoRoute
	NotServed
	QueueFull
	HoldFull
	Unsettled
	IQFull
	IQTimeout
	NodeDropped
	ForgedNotice
	BadReply
	BadFrom
	ErrorToNobody
	ResultToNobody
	PresenceToNobody
	HeadlineToNobody
	OfflineDiscard
	LateReply
	NoRoster
	AnnounceRefused
	AnnounceLimit
	HeldElsewhere
	Drained
	Stopping
	NodeLeft
	OtherCopy
	Unreadable
	NoStore
	ChatState
	MailboxFull
	StoreFull
	DiskFull
	TooOld
	ForwardGone
	BadAddresses
	ManyAddresses
	NoURI
	ManyInstances
	NoticeLost
	OutboxFull
	OutboxTotal
	OutboxDisk
	Superseded
	reasons
)

type reasonRow struct {
	word    string
	outcome Outcome
	err     stanza.Error // of those that bounce; %to is the address the stanza had
}

// offlineMark tells the sending node to treat the message as an offline message (design 7).
const offlineMark = "<offline xmlns='" + stanza.NSOffline + "'/>"

// reasonTable is the one place that ties a reason to its word, its outcome and its stanza error (RFC 6120 8.3.3).
var reasonTable = [reasons]reasonRow{
	None: {word: "none", outcome: Written},
	BadStanza: {"bad-stanza", Bounced, stanza.Error{Type: "modify", Condition: "bad-request",
		Text: "the stanza breaks RFC 6120 8.2.3: an iq needs an id, a type of get, set, result or error, and one child for get and set; fix the sender"}},
	NoTo: {"no-to", Bounced, stanza.Error{Type: "modify", Condition: "bad-request",
		Text: "the stanza has no to; on a component link each stanza needs one (XEP-0114)"}},
	BadTo: {"bad-to", Bounced, stanza.Error{Type: "modify", Condition: "jid-malformed",
		Text: "to is not a valid address (RFC 7622); correct it"}},
	ServerResource: {"server-resource", Bounced, stanza.Error{Type: "cancel", Condition: "service-unavailable",
		Text: "a user domain has no resources; address the domain itself, or a user of it"}},
	NoSession: {"no-session", Bounced, stanza.Error{Type: "cancel", Condition: "service-unavailable", App: offlineMark,
		Text: "%to has no session on any node; treat the message you saved as an offline message"}},
	SessionGone: {"session-gone", Bounced, stanza.Error{Type: "cancel", Condition: "service-unavailable",
		Text: "%to is not logged in; send to the bare address, or wait for its log-in"}},
	GroupchatToBare: {"groupchat-to-bare", Bounced, stanza.Error{Type: "cancel", Condition: "service-unavailable",
		Text: "a groupchat message needs a full address (RFC 6121 8.5.2.1.1)"}},
	AccountIQ: {"account-iq", Bounced, stanza.Error{Type: "cancel", Condition: "service-unavailable",
		Text: "the router answers only ping and disco for an account; send other iqs to a full address"}},
	NodeAway: {"node-away", Bounced, stanza.Error{Type: "wait", Condition: "remote-server-timeout",
		Text: "the node of %to has dropped its link and may come back; an iq is not kept, send it again later"}},
	NodeUnknown: {"node-unreachable", Bounced, stanza.Error{Type: "wait", Condition: "remote-server-timeout",
		Text: "%to is known, but its node is not attached; try again when it is back"}},
	NoRoute: {"no-route", Bounced, stanza.Error{Type: "cancel", Condition: "remote-server-not-found",
		Text: "%to is no node, no user domain, and federation is off; check the domain, or list it in the configuration"}},
	NotServed: {"not-served", Bounced, stanza.Error{Type: "cancel", Condition: "service-unavailable",
		Text: "the router does not serve this request; ask disco#info what it serves"}},
	QueueFull: {"queue-full", Bounced, stanza.Error{Type: "wait", Condition: "resource-constraint",
		Text: "more comes for the node of %to than it takes, and no more may wait in the router's memory (limits.queue, limits.memory); send again later"}},
	HoldFull: {"hold-full", Bounced, stanza.Error{Type: "wait", Condition: "resource-constraint",
		Text: "too much is held for users not yet known (limits.queue); send again later"}},
	Unsettled: {"unsettled", Bounced, stanza.Error{Type: "wait", Condition: "remote-server-timeout",
		Text: "after a restart it is not yet known whether %to is online; send again later"}},
	IQFull: {"iq-full", Bounced, stanza.Error{Type: "wait", Condition: "resource-constraint",
		Text: "too many iqs wait for their answers; send again later"}},
	IQTimeout: {"iq-timeout", Bounced, stanza.Error{Type: "wait", Condition: "remote-server-timeout",
		Text: "%to did not answer within 60 s; send again later"}},
	NodeDropped: {"node-dropped", Bounced, stanza.Error{Type: "wait", Condition: "remote-server-timeout",
		Text: "the node of %to dropped its link before it answered; send again later"}},
	ForgedNotice: {"forged-notice", Bounced, stanza.Error{Type: "auth", Condition: "forbidden",
		Text: "only the router tells a node that it is drained; send no drain and no undrain of urn:patchbay:sessions:1 to others"}},
	BadReply:         {word: "bad-reply", outcome: Dropped},
	BadFrom:          {word: "invalid-from", outcome: Dropped},
	ErrorToNobody:    {word: "error-to-nobody", outcome: Dropped},
	ResultToNobody:   {word: "result-to-nobody", outcome: Dropped},
	PresenceToNobody: {word: "presence-to-nobody", outcome: Dropped},
	HeadlineToNobody: {word: "headline-to-nobody", outcome: Dropped},
	OfflineDiscard:   {word: "offline-discard", outcome: Dropped},
	LateReply:        {word: "late-reply", outcome: Dropped},
	NoRoster:         {word: "no-roster", outcome: Dropped},
	AnnounceLimit: {"announce-limit", Bounced, stanza.Error{Type: "wait", Condition: "resource-constraint",
		Text: "the user has too many sessions; withdraw some"}},
	HeldElsewhere: {"held-elsewhere", Bounced, stanza.Error{Type: "cancel", Condition: "conflict",
		Text: "another node holds the session, and takeover is never for this node"}},
	Drained: {"drained", Bounced, stanza.Error{Type: "cancel", Condition: "not-allowed",
		Text: "the node is drained and takes no new sessions"}},
	Stopping: {"stopping", Bounced, stanza.Error{Type: "wait", Condition: "remote-server-timeout",
		Text: "the router stops, and the node of %to is not here; send again later"}},
	NodeLeft:   {word: "node-left", outcome: Dropped},
	OtherCopy:  {word: "other-copy", outcome: Dropped},
	Unreadable: {word: "unreadable", outcome: Dropped},
	NoStore: {"no-store", Bounced, stanza.Error{Type: "cancel", Condition: "service-unavailable", App: offlineMark,
		Text: "%to has no session, and the message asks not to be stored (XEP-0334); treat the message you saved as an offline message"}},
	ChatState: {word: "chat-state", outcome: Dropped},
	MailboxFull: {"offline-full", Bounced, stanza.Error{Type: "cancel", Condition: "service-unavailable", App: offlineMark,
		Text: "%to has no session, and what may be kept for one user is used up, or less than this message (offline.keep); treat the message you saved as an offline message"}},
	StoreFull: {"offline-total", Bounced, stanza.Error{Type: "cancel", Condition: "service-unavailable", App: offlineMark,
		Text: "%to has no session, and what may be kept for all users is used up, or less than this message (offline.total); treat the message you saved as an offline message"}},
	DiskFull: {"disk-full", Bounced, stanza.Error{Type: "wait", Condition: "resource-constraint",
		Text: "%to has no session, and the router has no room on disk to keep the message (limits.disk, or too little of the disk is free); send again later"}},
	TooOld: {"offline-age", Expired, stanza.Error{Type: "cancel", Condition: "service-unavailable", App: offlineMark,
		Text: "%to did not log in for as long as a message is kept (offline.keep.age); treat the message you saved as an offline message"}},
	ForwardGone: {"forward-gone", Bounced, stanza.Error{Type: "wait", Condition: "remote-server-timeout",
		Text: "%to has no session, and the node that gets messages for such users is not attached (offline.forward_to); send again later"}},
	BadAddresses: {"bad-addresses", Bounced, stanza.Error{Type: "modify", Condition: "bad-request",
		Text: "addresses breaks XEP-0033: each address needs a type of to, cc, bcc, replyto, replyroom or noreply, and to, cc and bcc a jid; nobody got the message"}},
	ManyAddresses: {"many-addresses", Bounced, stanza.Error{Type: "modify", Condition: "not-acceptable",
		Text: "the message has more addresses than the router takes (limits.addresses); send several messages; nobody got this one"}},
	NoURI: {"no-uri", Bounced, stanza.Error{Type: "modify", Condition: "jid-malformed",
		Text: "the router delivers to jids only, not to uris (XEP-0033 4.2)"}},
	OutboxFull: {"outbox-full", Bounced, stanza.Error{Type: "wait", Condition: "resource-constraint",
		Text: "as much waits for the node of %to as may wait on disk (limits.outbox); send again later"}},
	OutboxTotal: {"outbox-total", Bounced, stanza.Error{Type: "wait", Condition: "resource-constraint",
		Text: "the node of %to cannot take the stanza now, and the router's outboxes are full (limits.disk); send again later"}},
	OutboxDisk: {"outbox-disk", Bounced, stanza.Error{Type: "wait", Condition: "resource-constraint",
		Text: "the node of %to cannot take the stanza now, and the router's disk is too full to keep it; send again later"}},
	Superseded: {word: "superseded", outcome: Dropped},
	NoticeLost: {word: "notice-lost", outcome: Dropped},
	ManyInstances: {"many-instances", Bounced, stanza.Error{Type: "cancel", Condition: "not-allowed",
		Text: "several links share this node's domain (nodes[].instances), so it can hold no users; announce from a domain of one link"}},
	AnnounceRefused: {"announce-refused", Bounced, stanza.Error{Type: "auth", Condition: "forbidden",
		Text: "presence to a user domain announces a session: its from must be a full address in that domain, and nodes[].users must grant the domain"}},
}

// String gives the reason's word.
func (r Reason) String() string { return reasonTable[r].word }

// Outcome tells how a stanza with this reason ends.
func (r Reason) Outcome() Outcome { return reasonTable[r].outcome }

// StanzaError gives the error that a bounce with this reason carries.
func (r Reason) StanzaError() stanza.Error { return reasonTable[r].err }
