package report

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/patchbay-im/patchbay/conformance"
)

// entry is a record as it is shown: what went one way at once, or in small pieces one after the other.
type entry struct {
	conformance.Record
	pieces int
}

// smallPiece is the most bytes that a piece has: more is a record of its own, for it has its own time.
const smallPiece = 16

// entries brings small pieces together: a stanza that was written byte by byte is read as a stanza.
func entries(records []conformance.Record) (all []entry) {
	small := false // the record before was
	for _, r := range records {
		n := len(all)
		joins := n > 0 && (small || len(r.Bytes) <= smallPiece) && !isEnd(r) && r.Kind != conformance.Noted && all[n-1].Kind == r.Kind && all[n-1].Actor == r.Actor
		small = len(r.Bytes) <= smallPiece
		if !joins {
			all = append(all, entry{r, 1})
			continue
		}
		if all[n-1].pieces == 1 {
			all[n-1].Bytes = slices.Clone(all[n-1].Bytes) // those of the record stay as they are
		}
		all[n-1].Bytes = append(all[n-1].Bytes, r.Bytes...)
		all[n-1].pieces++
	}
	return all
}

// parted leaves out how the suite closed the streams at the end of a case, which says nothing about it.
func parted(all []entry) []entry {
	last := len(all)
	for last > 0 && closing(all[last-1]) {
		last--
	}
	for i := last; i < len(all); i++ {
		if all[i].Kind == conformance.Sent {
			return all[:i]
		}
	}
	return all
}

func closing(e entry) bool {
	return e.Kind == conformance.Noted || isEnd(e.Record)
}

// isEnd reports whether a record is the end of a stream and nothing else. It is as short as a piece, and comes when all is over.
func isEnd(r conformance.Record) bool { return string(r.Bytes) == "</stream:stream>" }

// bounds are how much of a wire log is shown.
type bounds struct {
	entries int // the last so many
	bytes   int // of each
}

var (
	brief = bounds{12, 300}   // below a failure on the screen, and in TAP and JUnit
	whole = bounds{400, 4096} // with --wire
	paged = bounds{400, 2048} // on a page
)

// tail gives the last entries, and how many there are before.
func (b bounds) tail(all []entry) (last []entry, before int) {
	before = max(len(all)-b.entries, 0)
	return all[before:], before
}

// opening is how an actor attaches when nothing is in its way: the kind of each entry, and how it begins.
var opening = [...]struct {
	kind   conformance.RecordKind
	begins string
}{{conformance.Noted, "connected"}, {conformance.Sent, "<?xml"}, {conformance.Received, "<"}, {conformance.Sent, "<handshake>"}, {conformance.Received, "<handshake/>"}}

// attached writes as one entry what a step "attach" did without a fault: five lines that are the same in each case.
func attached(all []entry, c *conformance.Case) (short []entry) {
	for i := 0; i < len(all); i++ {
		short = append(short, all[i])
		if opens(all[i:]) && slices.Contains(c.Lines, all[i].Actor+" attach") {
			short[len(short)-1].Bytes = []byte("attached")
			i += len(opening) - 1
		}
	}
	return short
}

// opens reports whether entries begin with the opening of one actor, and nothing else.
func opens(all []entry) bool {
	for i, o := range opening {
		if i == len(all) || all[i].Kind != o.kind || all[i].Actor != all[0].Actor || !bytes.HasPrefix(all[i].Bytes, []byte(o.begins)) {
			return false
		}
	}
	return len(all[len(opening)-1].Bytes) == len("<handshake/>")
}

// briefLog writes the end of the wire log of a case, without how actors attached and parted.
func briefLog(r *conformance.Result) string {
	return logText(attached(parted(entries(r.Wire)), r.Case), brief)
}

// wireLog writes the wire log of a case, a line for each entry.
func wireLog(records []conformance.Record, b bounds) string { return logText(entries(records), b) }

func logText(all []entry, b bounds) string {
	var out strings.Builder
	last, before := b.tail(all)
	if before > 0 {
		fmt.Fprintf(&out, "... %s before\n", number(before))
	}
	for _, e := range last {
		fmt.Fprintf(&out, "%c %-3s %s%s\n", e.Kind, e.Actor, cut(e.Bytes, b.bytes), e.inPieces())
	}
	return out.String()
}

// inPieces says how many pieces there were, "" if it came at once.
func (e entry) inPieces() string {
	if e.pieces == 1 {
		return ""
	}
	return fmt.Sprintf("   (%s pieces)", number(e.pieces))
}
