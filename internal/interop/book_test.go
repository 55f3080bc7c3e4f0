package interop

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// book is what is known of each message of a test, over all lives of a server.
//
//	scribe ─ writes, notes ─► patchbay ─► reader, notes what came on each of its visits
//	                │ look: how many are neither proved nor on disk
//
// A message is sure when the server has decided it, and a look that came later has counted how many may be lost.
type book struct {
	mu       sync.Mutex
	life     int              // guarded by mu, as all below
	lanes    map[string]*lane // by from and to
	order    []*lane
	looks    []sight
	requests map[string]bool // that came
	answers  map[string]int  // by condition
	texts    map[string]int  // and by what they say
	ends     int             // in this life a grace was short: what was sent until then may be answered; -1: in none
	refuses  string          // this condition is in order
	faults   []string
	repeats  int // messages that came again
	twice    int // messages that came and were answered
}

// lane is what one scribe has sent to one reader, numbered from 0.
type lane struct {
	from, to string // names
	address  string // of the reader
	fates    []fate
	decided  int // messages below have been decided
}

// fate is what became of one message.
type fate struct {
	life     int
	size     int
	sent     time.Time
	came     int
	answered int
	why      string // the condition of the last answer
}

// sight says that of the messages that had been decided for a reader, not more than so many could be lost by a kill.
type sight struct {
	life    int
	to      string
	decided map[*lane]int
	most    int
}

func newBook(life int) *book {
	return &book{life: life, ends: -1, lanes: map[string]*lane{}, requests: map[string]bool{}, answers: map[string]int{}, texts: map[string]int{}}
}

// lane adds a lane.
func (b *book) lane(from, to, address string) *lane {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := &lane{from: from, to: to, address: address}
	b.lanes[from+"-"+to] = r
	b.order = append(b.order, r)
	return r
}

// fault notes what is wrong. Called with mu held.
func (b *book) fault(format string, args ...any) {
	if len(b.faults) < 20 {
		b.faults = append(b.faults, fmt.Sprintf("life %d: ", b.life)+fmt.Sprintf(format, args...))
	}
}

// id is the id of a message, and of what answers it.
func (r *lane) id(number int) string { return fmt.Sprintf("%s-%s-%d", r.from, r.to, number) }

// find gives the message of an id.
func (b *book) find(id string) (r *lane, number int, ok bool) {
	at := strings.LastIndexByte(id, '-')
	if at < 0 {
		return nil, 0, false
	}
	r = b.lanes[id[:at]]
	number, err := strconv.Atoi(id[at+1:])
	return r, number, r != nil && err == nil && number >= 0 && number < len(r.fates)
}

// came notes a message on a visit.
func (b *book) came(v *visit, e element) {
	r, k, ok := b.find(e.ID)
	if !ok || r.to != v.name {
		b.fault("%s gets %q", v.name, e.ID)
		return
	}
	f := &r.fates[k]
	if last, was := v.last[r]; was && k <= last {
		b.fault("%q comes behind %d", e.ID, last)
	}
	v.last[r] = k
	if f.came++; f.came > 1 {
		b.repeats++
		v.repeated += f.size
	}
	if f.answered > 0 && f.came == 1 {
		b.twice++
	}
	late := delayOf(e.Inner)
	switch {
	case k < v.before[r] && (late.Before(f.sent.Add(-clockTick)) || late.After(time.Now())):
		b.fault("%q was sent at %v, waited for %s and has the delay %v", e.ID, f.sent, v.name, late)
	case v.after != nil && k >= v.after[r] && !late.IsZero():
		b.fault("%q was sent while %s was attached and has a delay", e.ID, v.name)
	}
}

// delayOf gives the stamp of a delay of the server (XEP-0203); the zero time if there is none that is right.
func delayOf(inner string) time.Time {
	_, rest, ok := strings.Cut(inner, "<delay ")
	if !ok {
		return time.Time{}
	}
	tag, _, _ := strings.Cut(rest, ">")
	if !strings.Contains(tag, "from='hub1.im.example'") || !strings.Contains(tag, "xmlns='urn:xmpp:delay'") || strings.Contains(rest, "urn:xmpp:delay'><delay") {
		return time.Time{}
	}
	_, stamp, _ := strings.Cut(tag, "stamp='")
	stamp, _, _ = strings.Cut(stamp, "'")
	at, err := time.Parse(time.RFC3339, stamp)
	if err != nil {
		return time.Time{}
	}
	return at
}

// answered notes an error that came back.
func (b *book) answered(from string, e element) {
	r, k, ok := b.find(e.ID)
	if !ok || r.from != from {
		b.fault("%s gets an error for %q", from, e.ID)
		return
	}
	why := conditionOf(e.Inner)
	f := &r.fates[k]
	f.answered++
	f.why = why
	b.answers[why]++
	b.texts[textOf(e.Inner, r.address)]++
	if f.came > 0 && f.answered == 1 {
		b.twice++
	}
	switch {
	case why == b.refuses:
	case f.life <= b.ends && (why == "remote-server-timeout" || why == "service-unavailable"):
	default:
		b.fault("%q is answered with %q", e.ID, e.Inner[max(0, len(e.Inner)-300):])
	}
}

// conditionOf gives the defined condition of an error (RFC 6120 8.3.3).
func conditionOf(inner string) string {
	_, rest, _ := strings.Cut(inner, "<error ")
	_, rest, _ = strings.Cut(rest, ">")
	rest = strings.TrimPrefix(strings.TrimSpace(rest), "<")
	return rest[:max(0, strings.IndexAny(rest, " />"))]
}

// textOf gives the text of an error, TO being the address that it names.
func textOf(inner, address string) string {
	_, rest, _ := strings.Cut(inner, "<text ")
	_, rest, _ = strings.Cut(rest, ">")
	text, _, _ := strings.Cut(rest, "<")
	return strings.ReplaceAll(strings.ReplaceAll(text, address, "TO"), "&apos;", "'")
}

// permit says which errors are in order from now on.
func (b *book) permit(condition string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuses = condition
}

// said gives what errors have said.
func (b *book) said() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.texts)
}

// refused counts the messages to a reader that were answered.
func (b *book) refused(to string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.order {
		for _, f := range r.fates {
			if r.to == to && f.answered > 0 {
				n++
			}
		}
	}
	return n
}

// once sees that each message has one end, no more.
func (b *book) once() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.order {
		for k, f := range r.fates {
			if f.came+f.answered != 1 {
				b.fault("%q came %d times and was answered %d times", r.id(k), f.came, f.answered)
			}
		}
	}
}

// decided copies how far each lane is decided.
func (b *book) decided() map[*lane]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := map[*lane]int{}
	for _, r := range b.order {
		at[r] = r.decided
	}
	return at
}

// sent copies how far each lane is sent.
func (b *book) sent() map[*lane]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := map[*lane]int{}
	for _, r := range b.order {
		at[r] = len(r.fates)
	}
	return at
}

// sentBefore copies how far each lane was sent when this life began.
func (b *book) sentBefore() map[*lane]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := map[*lane]int{}
	for _, r := range b.order {
		at[r] = slices.IndexFunc(r.fates, func(f fate) bool { return f.life == b.life })
		if at[r] < 0 {
			at[r] = len(r.fates)
		}
	}
	return at
}

// bytes gives what was sent in this life.
func (b *book) bytes() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.order {
		for i := len(r.fates) - 1; i >= 0 && r.fates[i].life == b.life; i-- {
			n += r.fates[i].size
		}
	}
	return n
}

// lost counts the messages that neither came nor were answered, of those of a life that had been decided, by reader.
func (b *book) lost(life int, decided map[*lane]int, to string) (n int, first string) {
	for _, r := range b.order {
		if r.to != to {
			continue
		}
		for k, f := range r.fates[:decided[r]] {
			if f.life != life || f.came+f.answered > 0 {
				continue
			}
			if n++; first == "" {
				first = r.id(k)
			}
		}
	}
	return n, first
}

// judge holds what came and what was answered against what was sure. All nodes have got what there is for them.
func (b *book) judge(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.looks {
		if n, first := b.lost(s.life, s.decided, s.to); n > s.most {
			b.fault("%d messages of life %d to %s are lost, of which %d were not on disk, e.g. %q", n, s.life, s.to, s.most, first)
		}
	}
	for _, f := range b.faults {
		t.Error(f)
	}
}

// account prints what became of all messages.
func (b *book) account(t *testing.T) (sent, lost int) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	size := 0
	for _, r := range b.order {
		for _, f := range r.fates {
			sent, size = sent+1, size+f.size
			if f.came+f.answered == 0 {
				lost++
			}
		}
	}
	t.Logf("%d messages, %d MB; %d came again, %d came and were answered, answers %v, %d not on disk and lost", sent, size>>20, b.repeats, b.twice, b.answers, lost)
	return sent, lost
}

// whole reports whether the last message of each lane has an end.
func (b *book) whole() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.order {
		if n := len(r.fates); n > 0 && r.fates[n-1].came+r.fates[n-1].answered == 0 {
			return false
		}
	}
	return true
}

// failed reports whether a fault has been seen.
func (b *book) failed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.faults) > 0
}

// total gives the stanzas that came on a visit.
func (b *book) total(v *visit) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return v.total
}

// replies gives the errors that came.
func (b *book) replies() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, times := range b.answers {
		n += times
	}
	return n
}

// clockTick is more than the time by which the clock of the server's delays may be behind.
const clockTick = time.Second

// begin notes that the server lives again.
func (b *book) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.life++
}

// sure notes that what has been decided in this life for a reader is not lost.
func (b *book) sure(to string, decided map[*lane]int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.looks = append(b.looks, sight{b.life, to, decided, 0})
}

// prefixes sees that of what was sent in one life nothing is left out before what came, or was answered.
func (b *book) prefixes() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.order {
		missing := -1
		for k, f := range r.fates {
			if missing >= 0 && r.fates[missing].life != f.life {
				missing = -1
			}
			switch ended := f.came+f.answered > 0; {
			case ended && missing >= 0:
				b.fault("%q has an end, but %q has none", r.id(k), r.id(missing))
			case !ended && missing < 0:
				missing = k
			}
		}
	}
}
