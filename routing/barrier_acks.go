package routing

import "strconv"

// On a stream with XEP-0198 the peer counts the stanzas that it has handled. The barrier asks for the count where it would
// write a ping, and one step is proof: the count is of stanzas that are handled, not of those that were read.
const (
	nsAcks     = "urn:xmpp:sm:3"
	ackRequest = "<r xmlns='" + nsAcks + "'/>"
)

// startAcks begins the proof of a link whose peer counts, and has counted so many.
func (b *barrier) startAcks(counted uint64, now int64) {
	*b = barrier{known: b.known, explicit: b.explicit, acks: true, grade: GradeAcked, window: windowStart,
		open: b.open[:0], last: counted, ticked: now}
}

// counted takes how many stanzas the peer has handled.
func (b *barrier) counted(to uint64, now int64) {
	n := 0
	for n < len(b.open) && b.open[n].boundary <= to {
		n++
	}
	if n == 0 {
		return
	}
	b.adapt(now - b.open[n-1].at)
	b.open = b.open[:copy(b.open, b.open[n:])]
}

// appendAck appends the count of stanzas that are in custody here (XEP-0198 section 4).
func appendAck(dst []byte, h uint32) []byte {
	dst = append(dst, "<a xmlns='"+nsAcks+"' h='"...)
	return append(strconv.AppendUint(dst, uint64(h), 10), "'/>"...)
}
