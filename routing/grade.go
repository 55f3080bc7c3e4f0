package routing

// Grade is what is known of delivery on a link (protocol.md 2). A higher one proves more.
type Grade uint8

// The grades, the least first.
const (
	GradeNone    Grade = iota // there has been no link since the start
	GradeProbing              // the link is new, and whether its node answers pings is not known yet
	GradeWritten              // its node answers no pings: that a stanza was handed to the connection is all that can be said
	GradeProved               // its node answers pings: a stanza is kept until the node's library has read it
	GradeAcked                // its node counts what it has handled (XEP-0198): a stanza is kept until it is counted
)

// String gives the grade's word, as tables, metrics and logs show it; "" of GradeNone.
func (g Grade) String() string { return [...]string{"", "probing", "written", "proved", "acked"}[g] }

// Grade is what is known of delivery on the link now. It is the link's own for as long as the link is the node's.
func (s *Source) Grade() Grade { return s.node.Grade() }

// Grade is what is known of delivery on the node's link, or was on its last one; GradeNone if it had none since the start.
func (n *Node) Grade() Grade { return Grade(n.grade.Load()) }
