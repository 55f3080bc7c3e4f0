package routing

import "github.com/patchbay-im/patchbay/stanza"

// reasonDoc says of one reason what has happened, and what the sender or the operator does about it.
type reasonDoc struct{ means, mend string }

// reasonDocs are the words of docs/errors.md. Every reason but None has a row; a test sees to it.
var reasonDocs = [reasons]reasonDoc{
	BadStanza: {"An iq without id, with a type that is none, or with another number of children than its type asks for.",
		"Mend the code that builds the iq."},
	NoTo: {"The stanza names nobody.", "Set `to` on each stanza."},
	BadTo: {"`to` breaks RFC 7622: a part is empty, longer than 1023 bytes, or has a character that it must not have.",
		"Check addresses where users enter them; escape local parts by XEP-0106."},
	ServerResource: {"A stanza to `user.domain/resource`, which nobody has.", "Address the bare domain, or a user of it."},
	NoSession: {"Chat, or a normal message to a bare address, for a user without a session; `offline.policy` is bounce. The error carries `<offline xmlns='urn:patchbay:offline:1'/>`. It is said only when no node can still be on its way back.",
		"Treat the message that you saved as an offline message: push, or keep it for the log-in. Do not send it again."},
	SessionGone: {"Nothing but chat goes on when the resource has gone: this was another message, or an iq, to a full address without a session.",
		"Send to the bare address, or drop the resource from what you remember."},
	GroupchatToBare: {"A groupchat message to a bare address, which RFC 6121 forbids to deliver.", "Send it as chat, or to full addresses."},
	AccountIQ: {"An iq to a bare address. The router keeps no account: it answers ping and disco#info for it, and nothing else.",
		"Send the iq to a full address."},
	NodeAway: {"The node has dropped its link and its grace runs. Messages and presence wait for it; an iq get or set does not.",
		"Ask again later."},
	NodeUnknown: {"The node's domain is configured, or was attached before, but the node is gone for longer than its grace.",
		"See why the node is down; send again when it is back."},
	NoRoute:   {"The domain is no node, no user domain and not the server.", "Check the domain for a typing error; a new node needs a row under `nodes`."},
	NotServed: {"A message to the server, or an iq in a namespace that it does not serve.", "Ask disco#info of the same address what it serves."},
	QueueFull: {"`limits.queue` bytes wait for the node in memory, and the disk does not take more as fast as they come, or there is none (`data`), or all queues together have nine tenths of `limits.memory`; or an iq for a node that reads too slowly: iqs wait in memory only. What waits already stays.", "Slow down and send again; see why the node does not read."},
	HoldFull:  {"Too much waits for users who are not yet known after a start, all together or from this node.", "Send again when `/readyz` says yes."},
	Unsettled: {"The server has started anew, not all nodes of before are back, and within `timers.settle` nothing was learnt of this user. It does not mean that the user is offline.", "Send again."},
	IQFull:    {"The table of iqs that wait for an answer is full: for this asker, for the node asked, or as a whole.", "Ask less at one time; see which node does not answer."},
	IQTimeout: {"The node got the iq and has not answered it.", "Ask again; every iq get or set must be answered by who gets it (RFC 6120 8.2.3)."},
	NodeDropped: {"The node dropped its link with the iq unanswered, or before it was written.",
		"Ask again. Whether the node acted upon it is not known."},
	ForgedNotice: {"An iq set with `<drain/>` or `<undrain/>` of `urn:patchbay:sessions:1` for another node, or for a user: only the router says so.",
		"Nothing, if somebody tried it; a drain begins with `patchbay ctl drain`."},
	BadReply:         {"An iq result or error that breaks RFC 6120 8.2.3: no id, two children, or an error without `<error/>`.", "Mend the node that answers."},
	BadFrom:          {"The sender used a name that its link may not use; its stream ended with `<invalid-from/>`.", "See below, under the stream errors."},
	ErrorToNobody:    {"A stanza of type error that could not go on. An error is never answered with an error.", "Nothing."},
	ResultToNobody:   {"An iq result that could not go on.", "Nothing."},
	PresenceToNobody: {"Presence for a user without a session, which RFC 6121 wants ignored.", "Nothing."},
	HeadlineToNobody: {"A headline to the bare address of a user without a session, which RFC 6121 wants ignored.", "Nothing."},
	OfflineDiscard:   {"A message for a user without a session; `offline.policy` is discard.", "If senders should know, set `offline.policy: bounce`."},
	LateReply:        {"An iq result or error to which no iq belongs: it was answered already, timed out, was sent to another address, or never asked.", "Answer within 60 s, once, from the address that was asked."},
	NoRoster:         {"Presence to the server, or a subscription to a user domain: there are no rosters.", "Send presence to a user domain to announce; subscriptions go from user to user."},
	AnnounceRefused:  {"The presence announces a session that this link may not announce: `from` is bare, lies in another domain than the one addressed, or in one that is not granted; or a newer link has the node's domain.", "Announce from a full address, to its own domain; list the domain under `nodes[].users`."},
	AnnounceLimit:    {"A user has at most 256 sessions.", "Withdraw those that ended; use one resource for one device."},
	HeldElsewhere:    {"The session lives on another node, and `takeover: never` keeps this node from taking it.", "Let the other node withdraw it first."},
	Drained:          {"The operator drains the node: it keeps its sessions and takes no new ones.", "Log users in at another node."},
	Stopping:         {"The router is being stopped and cannot keep the stanza.", "Send again when it is back."},
	NodeLeft:         {"At a stop, or when a wait ended, neither its sender nor its target was there any more.", "Nothing; the sender's node is gone too."},
	OtherCopy:        {"One of several copies of a stanza; another copy reached, or waits for, the same user elsewhere.", "Nothing."},
	Unreadable:       {"A stanza that waited could not be read again. It is a fault of the router, or of its disk, which the log says.", "See to the disk, or report it."},
	NoStore: {"The user has no session, `offline.policy` is store, and the message has the hint `<no-store/>` of XEP-0334.",
		"Treat the message that you saved as an offline message, or drop it, as the hint asks."},
	ChatState: {"The user has no session, `offline.policy` is store, and the message says only that somebody types, or has stopped to (XEP-0085).", "Nothing."},
	MailboxFull: {"`offline.keep.messages` or `offline.keep.bytes` are stored for this user already. What is stored stays.",
		"Treat the message that you saved as an offline message; keep it until the log-in."},
	StoreFull: {"`offline.total` is stored for all users together. What is stored stays.",
		"Treat the message that you saved as an offline message; raise `offline.total`, or lower `offline.keep`."},
	DiskFull: {"The message would have been stored, and the offline store and all outboxes together have `limits.disk` bytes, or the disk has less free space than must stay free.",
		"Send again; see which nodes are away (`patchbay ctl nodes`), raise `limits.disk`, or free space on the router's disk."},
	TooOld: {"The message was stored, and its user did not log in within `offline.keep.age`. The error comes then, long after the message.",
		"Treat the message that you saved as an offline message."},
	ForwardGone: {"The user has no session, `offline.policy` is forward, and the node named by `offline.forward_to` is not attached, for longer than its grace.",
		"Send again; see why that node is down."},
	BadAddresses:  {"The `<addresses/>` of a message to a user domain break XEP-0033, there are none, or two lists of them. Nobody got the message.", "Mend the code that builds the list."},
	ManyAddresses: {"There are more than `limits.addresses` addresses. Nobody got the message.", "Send several messages, each with a part of the addresses."},
	NoURI:         {"An address has a `uri`, and the router delivers to jids only. The others got the message.", "Use the `jid` attribute."},
	OutboxFull: {"The node is away, or reads too slowly, and `limits.outbox` bytes wait for it on disk. What waits already stays.",
		"Slow down and send again; see why the node does not read."},
	OutboxTotal: {"The node is away, or reads too slowly, and all outboxes and the offline store together have `limits.disk` bytes.",
		"Send again; see which nodes are away (`patchbay ctl nodes`), raise `limits.disk`."},
	OutboxDisk: {"The node is away, or reads too slowly, and the router's disk has less free space than must stay free.",
		"Send again; free space on the router's disk."},
	Superseded:    {"Presence that waited for a node that was away, and was replaced by newer presence (available or unavailable) of the same sender for the same address.", "Nothing."},
	NoticeLost:    {"A question or a notice of the router itself, or its answer to an iq of the node itself, that waited for a node whose link dropped: it is not kept.", "Nothing; a watch is made anew by the next link."},
	ManyInstances: {"A node whose domain several links share announces a user: nobody could say on which of them the user is.", "Announce from a node with `instances: 1`."},
}

// ReasonInfo is what is known of one reason: a row of docs/errors.md, a label of a metric.
type ReasonInfo struct {
	Word    string       // as in logs, metrics and Ledger.Reasons
	Outcome Outcome      // Bounced or Dropped
	Error   stanza.Error // what the sender is told, if Bounced; %to in its text stands for the stanza's to
	Means   string       // what has happened
	Mend    string       // what to do about it
}

// Reasons lists every reason, in a fixed order.
func Reasons() []ReasonInfo {
	all := make([]ReasonInfo, 0, reasons-1)
	for r := None + 1; r < reasons; r++ {
		row, doc := reasonTable[r], reasonDocs[r]
		all = append(all, ReasonInfo{row.word, row.outcome, row.err, doc.means, doc.mend})
	}
	return all
}
