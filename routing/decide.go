package routing

import "github.com/patchbay-im/patchbay/stanza"

// Place says whose domain an address names.
type Place uint8

// The places an address can name.
const (
	PlaceNone      Place = iota // there is no address
	PlaceMalformed              // it breaks RFC 7622
	PlaceServer                 // this server's own domain
	PlaceUsers                  // a user domain
	PlaceNode                   // a node's domain
	PlaceOther                  // any other domain
)

// NodeState is where a node is, as a decision needs it.
type NodeState uint8

// The states of a node. Draining nodes are attached: only announces tell the difference.
const (
	Never    NodeState = iota // at most a wildcard of the configuration matches, and it was never attached
	Past                      // known, but past its grace
	Away                      // dropped, inside its grace: its stanzas wait
	Attached                  // it has a link
)

// String gives the state's word, as tables show it.
func (s NodeState) String() string { return [...]string{"never seen", "gone", "away", "attached"}[s] }

// OfflinePolicy says what becomes of a message to a user without a session (design 7).
type OfflinePolicy uint8

// The policies.
const (
	PolicyBounce  OfflinePolicy = iota // the sending node is told
	PolicyDiscard                      // silence
	PolicyStore                        // kept here, and sent at the log-in (XEP-0160)
	PolicyForward                      // goes to one node, as it is
)

// Hint says whether a message may be kept for a user without a session.
type Hint uint8

// The hints.
const (
	HintNone  Hint = iota
	HintNever      // its sender wants it not stored (XEP-0334 4.4)
	HintState      // it says nothing but what its sender does at this moment (XEP-0085, XEP-0160 3)
)

// Candidate is one session of the user that a stanza is for.
type Candidate struct {
	Node     *Node
	State    NodeState
	Priority int8
	Exact    bool // it is the resource that the address names
}

// Forward is the node that gets the messages for users without a session.
type Forward struct {
	Node  *Node
	State NodeState
	Loop  bool // the stanza comes from that node: it is not sent back to it
}

// View is what was looked up for one stanza. Decide reads nothing else.
type View struct {
	Place    Place
	Local    bool // the address has a local part
	Resource bool // the address has a resource

	Node     *Node // PlaceNode: the node, nil if Never
	State    NodeState
	Sessions []Candidate // PlaceUsers: all sessions, or only the exact one where it exists
	Complete bool        // no session can exist that the table does not show
	Offline  OfflinePolicy
	Hint     Hint    // PolicyStore
	Forward  Forward // PolicyForward

	targets []Target // scratch, reused by Decide
}

// Action is what a Verdict asks for.
type Action uint8

// The actions. A target that is away turns Deliver into waiting in that node's queue.
const (
	Deliver Action = iota // one copy to each target
	Serve                 // hand it to the server itself
	FanOut                // send it to each of its addresses (XEP-0033)
	Store                 // keep it until the user logs in
	Hold                  // keep it until the user is known
	Bounce                // answer with the reason's stanza error
	Drop                  // end it without an answer
)

// String gives the action's word.
func (a Action) String() string {
	return [...]string{"deliver", "serve", "fan-out", "store", "hold", "bounce", "drop"}[a]
}

// Target is one node that gets a copy; Outbox says that the node is away, so that the copy waits for it.
type Target struct {
	Node   *Node
	Outbox bool
}

// Verdict is what Decide says. Row is the row of the table of design 3 that matched; row 0 is a stanza that
// breaks the rules of its own kind. Targets is valid until the View is used again.
type Verdict struct {
	Action  Action
	Row     uint8
	Reason  Reason
	Targets []Target
}

// Decide says what becomes of a stanza whose from is authorised (RFC 6120 10, RFC 6121 8.5). It is pure: the
// same header and view give the same verdict.
func Decide(h *stanza.Header, v *View) Verdict {
	if bad := check(h); bad != None {
		return refuse(h, 0, bad)
	}
	switch v.Place {
	case PlaceNone:
		return refuse(h, 1, NoTo)
	case PlaceMalformed:
		return refuse(h, 1, BadTo)
	case PlaceServer:
		return Verdict{Action: Serve, Row: 2}
	case PlaceUsers:
		if !v.Local {
			return decideDomain(h, v)
		}
		return decideUser(h, v)
	case PlaceNode:
		return decideNode(h, v)
	default:
		return refuse(h, 6, NoRoute)
	}
}

// check holds a stanza against RFC 6120 8.2.3, which binds intermediate routers too.
func check(h *stanza.Header) Reason {
	if h.Kind != stanza.IQ {
		return None
	}
	ok := h.ID.Set()
	switch h.Type {
	case stanza.TypeGet, stanza.TypeSet:
		ok = ok && h.Children == 1
	case stanza.TypeResult:
		ok = ok && h.Children <= 1
	case stanza.TypeError:
		ok = ok && h.Flags&stanza.FlagError != 0
	default:
		ok = false
	}
	if ok {
		return None
	}
	return BadStanza
}

// refuse bounces, or drops what must not be answered (RFC 6120 8.3.1: no error for an error or a result).
func refuse(h *stanza.Header, row uint8, why Reason) Verdict {
	if h.Answerable() {
		return Verdict{Action: Bounce, Row: row, Reason: why}
	}
	if why == BadStanza {
		return Verdict{Action: Drop, Row: row, Reason: BadReply}
	}
	return Verdict{Action: Drop, Row: row, Reason: silent(h)}
}

// silent is the reason for which a stanza that must not be answered is dropped.
func silent(h *stanza.Header) Reason {
	if h.Type == stanza.TypeResult {
		return ResultToNobody
	}
	return ErrorToNobody
}

// decideDomain is row 2 for a user domain itself.
func decideDomain(h *stanza.Header, v *View) Verdict {
	if v.Resource {
		return refuse(h, 2, ServerResource)
	}
	if h.Kind == stanza.Message && h.Flags&stanza.FlagAddresses != 0 && h.Type != stanza.TypeError {
		return Verdict{Action: FanOut, Row: 2}
	}
	return Verdict{Action: Serve, Row: 2}
}

// decideNode is row 3.
func decideNode(h *stanza.Header, v *View) Verdict {
	switch v.State {
	case Attached:
		return v.one(3, Target{Node: v.Node})
	case Away:
		if request(h) {
			return refuse(h, 3, NodeAway)
		}
		return v.one(3, Target{Node: v.Node, Outbox: true})
	case Past:
		return refuse(h, 3, NodeUnknown)
	default:
		return refuse(h, 6, NoRoute)
	}
}

// decideUser is rows 4 and 5.
func decideUser(h *stanza.Header, v *View) Verdict {
	if v.Resource {
		for _, c := range v.Sessions {
			if c.Exact {
				return v.deliverTo(h, c)
			}
		}
	} else if request(h) && len(v.Sessions) > 0 {
		return Verdict{Action: Serve, Row: 4, Reason: AccountIQ} // RFC 6121 8.5.2.1.3
	}
	if set := v.eligible(h); len(set) > 0 {
		return Verdict{Action: Deliver, Row: 4, Targets: set}
	}
	return decideNobody(h, v)
}

// deliverTo is row 4 for a full address that has a session (RFC 6121 8.5.3.1).
func (v *View) deliverTo(h *stanza.Header, c Candidate) Verdict {
	if c.State == Attached {
		return v.one(4, Target{Node: c.Node})
	}
	if request(h) {
		return refuse(h, 4, NodeAway)
	}
	return v.one(4, Target{Node: c.Node, Outbox: true})
}

// eligible gives one target for each node with a session that is in reach.
func (v *View) eligible(h *stanza.Header) []Target {
	least, ok := reach(h, v.Resource)
	if !ok {
		return nil
	}
	v.targets = v.targets[:0]
	for _, c := range v.Sessions {
		if int(c.Priority) >= least {
			v.add(c)
		}
	}
	return v.targets
}

// reach gives the least priority of the sessions that a stanza may reach besides the one that it names, if it may reach
// any (ok): RFC 6121 8.5.2.1, and 8.5.3.2.1 for chat to a resource that is gone.
func reach(h *stanza.Header, resource bool) (least int, ok bool) {
	switch {
	case h.Kind == stanza.Presence && !resource && h.Type != stanza.TypeError:
		return -128, true
	case h.Kind != stanza.Message:
		return 0, false
	case resource && h.Type != stanza.TypeChat:
		return 0, false
	case h.Type == stanza.TypeGroupchat || h.Type == stanza.TypeError:
		return 0, false
	}
	return 0, true // a negative priority never gets messages for the bare address
}

// add appends the node of c unless it is there already: a node gets one copy, and shares it out itself.
func (v *View) add(c Candidate) {
	for _, t := range v.targets {
		if t.Node == c.Node {
			return
		}
	}
	v.targets = append(v.targets, Target{Node: c.Node, Outbox: c.State != Attached})
}

func (v *View) one(row uint8, t Target) Verdict {
	v.targets = append(v.targets[:0], t)
	return Verdict{Action: Deliver, Row: row, Targets: v.targets}
}

// decideNobody is row 5: a user domain, and nobody eligible.
func decideNobody(h *stanza.Header, v *View) Verdict {
	why := nobody(h, v.Resource)
	switch {
	case !v.Complete && why != GroupchatToBare:
		return Verdict{Action: Hold, Row: 5, Reason: why}
	case why == NoSession:
		return decideOffline(h, v)
	case why.Outcome() == Dropped:
		return Verdict{Action: Drop, Row: 5, Reason: why}
	}
	return refuse(h, 5, why)
}

// decideOffline is the policy for a message to a user of whom it is known that there is no session (design 7).
func decideOffline(h *stanza.Header, v *View) Verdict {
	switch v.Offline {
	case PolicyDiscard:
		return Verdict{Action: Drop, Row: 5, Reason: OfflineDiscard}
	case PolicyStore:
		switch v.Hint {
		case HintNever:
			return refuse(h, 5, NoStore)
		case HintState:
			return Verdict{Action: Drop, Row: 5, Reason: ChatState}
		}
		return Verdict{Action: Store, Row: 5, Reason: NoSession}
	case PolicyForward:
		if f := v.Forward; !f.Loop {
			if f.State == Attached || f.State == Away {
				return v.one(5, Target{Node: f.Node, Outbox: f.State == Away})
			}
			return refuse(h, 5, ForwardGone)
		}
	}
	return refuse(h, 5, NoSession)
}

// nobody names the reason for a stanza that nobody can get (RFC 6121 8.5.2.2 and 8.5.3.2).
func nobody(h *stanza.Header, resource bool) Reason {
	switch {
	case h.Type == stanza.TypeError:
		return ErrorToNobody
	case h.Kind == stanza.Presence:
		return PresenceToNobody
	case h.Type == stanza.TypeResult:
		return ResultToNobody
	case h.Kind == stanza.IQ:
		return SessionGone
	case h.Type == stanza.TypeChat:
		return NoSession
	case resource:
		return SessionGone
	case h.Type == stanza.TypeGroupchat:
		return GroupchatToBare
	case h.Type == stanza.TypeHeadline:
		return HeadlineToNobody
	}
	return NoSession // a normal message to a bare address
}

// request reports an iq that asks for an answer.
func request(h *stanza.Header) bool {
	return h.Kind == stanza.IQ && (h.Type == stanza.TypeGet || h.Type == stanza.TypeSet)
}
