package soak

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// book is what is known of each message, over all lives of the server.
type book struct {
	spills bool // set once

	mu      sync.Mutex
	lanes   []*lane           // guarded by mu, as all below
	byName  map[string]*lane  // by sender, kind and target
	groups  map[string][]copy // by id: the copies that a message to several is to make
	sums    sums
	refused []refusal // since the last moment of quiet
	faults  []string
	behind  []disorder // what may be wrong
	life    int        // of the SDK, from 1
	era     int        // of the SDK: streams that it could not resume. What was under way is sent again, behind what is newer
}

// sums are the figures of a report.
type sums struct {
	sent, came, bounced, answers, flushes int
	again                                 [3]int // came again, by member
	both                                  int    // came, and were answered
	constrained                           int    // of bounced: the disk was full
	unsure                                int    // never heard of again, and nobody had promised to keep them
}

// full is the condition of what goes back for want of room.
const full = "resource-constraint"

// disorder is a stanza that came behind newer ones, though nobody said why.
type disorder struct {
	f    *fate
	what string
}

// refusal is an error that came back.
type refusal struct{ to, condition string }

// lane is what one member has sent to one address, of one kind, numbered from 0. What a lane has sent comes in its order.
type lane struct {
	from   int
	kind   string // message, group, presence or ask
	to     string
	number int // of the lane
	fates  []*fate
	open   int // fates below have an end, or need none
}

// fate is what became of one stanza.
type fate struct {
	link     int  // of the sender, when it was written; of the SDK: its life
	kills    int  // of the server, when it was written
	era      int  // when it was written
	accepted int  // kills of the server when it was known that the server had decided it, plus one; 0: it is not known
	kept     bool // it was flushed: in custody, whatever dies
	own      bool // the SDK keeps it, as long as it lives
	rests    bool // it had an end at a moment of quiet: it comes no more
	given    bool // nobody had promised to keep it, and it is lost
	came     [3]int
	life     int // of the SDK, whose application had it last
	answered int
	anew     bool // a node that had it was away for longer than its grace: if it had not proved it, it was decided again
	deaf     bool // an answer may have been dropped, because its sender was gone; or its target was killed
}

// copy is one address of a message to several.
type copy struct {
	to *lane
	at int
}

// newBook begins a book. spills: the queue of a node that is attached may go to the disk.
func newBook(spills bool) *book {
	return &book{spills: spills, life: 1, byName: map[string]*lane{}, groups: map[string][]copy{}}
}

// fault notes what is wrong. Called with mu held.
func (b *book) fault(format string, args ...any) {
	if len(b.faults) < 30 {
		b.faults = append(b.faults, fmt.Sprintf(format, args...))
	}
}

// write notes a stanza before it is written, and gives it an id.
func (b *book) write(from int, kind, to string, link, kills int) (id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l, at := b.add(from, kind, to, link, kills)
	b.sums.sent++
	return fmt.Sprintf("s%d-%d", l.number, at)
}

// writeGroup is write for a message to several.
func (b *book) writeGroup(from int, to []string, link, kills int) (id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	id = fmt.Sprintf("g%d", len(b.groups))
	for _, one := range to {
		l, at := b.add(from, "group", one, link, kills)
		b.groups[id] = append(b.groups[id], copy{l, at})
	}
	b.sums.sent++
	return id
}

// arrivals gives how many stanzas have come.
func (b *book) arrivals() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sums.came
}

// refusals gives the errors that came back since it was last asked.
func (b *book) refusals() []refusal {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.refused
	b.refused = nil
	return all
}

// add is write; the caller holds mu.
func (b *book) add(from int, kind, to string, link, kills int) (*lane, int) {
	name := fmt.Sprintf("%d %s %s", from, kind, to)
	l := b.byName[name]
	if l == nil {
		l = &lane{from: from, kind: kind, to: to, number: len(b.lanes)}
		b.byName[name], b.lanes = l, append(b.lanes, l)
	}
	l.fates = append(l.fates, &fate{link: link, kills: kills, era: b.era})
	return l, len(l.fates) - 1
}

// find gives the stanza of an id, as it came for an address. Called with mu held.
func (b *book) find(id, to string) (l *lane, at int, ok bool) {
	if list, is := b.groups[id]; is {
		for _, c := range list {
			if c.to.to == to {
				return c.to, c.at, true
			}
		}
		return nil, 0, false
	}
	lane, number, _ := strings.Cut(strings.TrimPrefix(id, "s"), "-")
	n, err := strconv.Atoi(lane)
	at, err2 := strconv.Atoi(number)
	if err != nil || err2 != nil || n >= len(b.lanes) || at >= len(b.lanes[n].fates) {
		return nil, 0, false
	}
	return b.lanes[n], at, true
}

// arrival is a stanza that came.
type arrival struct {
	id, to, from string
	resent       bool // its sender sent it again, and says so
	life         int  // of the SDK, if it came there
}

// came notes a stanza on a link of a member; last is what came last on that link, by lane.
func (b *book) came(who int, a arrival, last map[*lane]int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l, at, ok := b.find(a.id, a.to)
	if !ok || a.from != domainOf(names[l.from]) || l.to != a.to {
		b.fault("%s gets %q from %s to %s, which nobody sent", names[who], a.id, a.from, a.to)
		return
	}
	f := l.fates[at]
	again := l.kind == "presence" && who == acked && f.era != b.era // the SDK remembers messages only
	resent := a.resent || again || l.from == acked && f.era != b.era
	older := who == acked && a.life > f.life // the application that may have had it was killed
	switch before, was := last[l]; {
	case !was || at > before || resent:
		last[l] = at
	case (f.came[who] == 0 || older) && f.came != [3]int{}: // another had it, and had not proved it when its user moved here
	default: // the log of the server may say why, which is read later
		b.behind = append(b.behind, disorder{f, fmt.Sprintf("%s gets %s %d of %s to %s behind %d; %v had it", names[who], l.kind, at, names[l.from], l.to, before, f.came)})
	}
	if who == acked {
		f.life = a.life
	}
	f.came[who]++
	b.sums.came++
	if f.answered > 0 && l.kind != "ask" {
		b.sums.both++
	}
	if f.came[who] == 1 {
		return
	}
	b.sums.again[who]++
	switch {
	case again:
	case who == acked && older && (!f.rests || f.came[written] > 0 || resent) && l.kind != "ask": // nobody had proved it, or it was sent twice
	case who == acked:
		b.fault("the application of %s gets %s %d of %s to %s again", names[who], l.kind, at, names[l.from], l.to)
	case l.kind == "ask":
		b.fault("%s gets request %d of %s again", names[who], at, names[l.from])
	case who == proved && f.rests && f.came[written] == 0: // else it may be of the window of the one that proves nothing, whose grace has ended
		b.fault("%s gets %s %d of %s to %s again, which it had proved", names[who], l.kind, at, names[l.from], l.to)
	}
}

// answered notes an error, or the result of a request, that came back.
func (b *book) answered(who int, id, from, condition string, failed []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if list, is := b.groups[id]; is {
		if condition == full {
			b.sums.constrained++
		}
		for _, to := range append(failed, from) { // one that was decided again comes back alone, without a list
			if l, at, ok := b.find(id, to); ok && len(list) > 0 {
				b.ends(l, l.fates[at])
			}
		}
		return
	}
	l, at, ok := b.find(id, from)
	if !ok || l.from != who || l.to != from {
		b.fault("%s gets %q from %s as the answer to %q", names[who], condition, from, id)
		return
	}
	b.ends(l, l.fates[at])
	if condition == full {
		b.sums.constrained++
	}
	if l.kind == "message" && l.fates[at].answered == 1 {
		b.refused = append(b.refused, refusal{l.to, condition})
	}
}

// ends notes an answer. Called with mu held.
func (b *book) ends(l *lane, f *fate) {
	f.answered++
	if l.kind == "ask" {
		b.sums.answers++
		return
	}
	b.sums.bounced++
	if f.came != [3]int{} {
		b.sums.both++
	}
}

// promised notes that the SDK keeps what it has sent, until the server does or it is killed.
func (b *book) promised(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.groups[id] {
		c.to.fates[c.at].own = true
	}
	if l, at, ok := b.find(id, ""); ok {
		l.fates[at].own = true
	}
}

// died notes that the SDK was killed, with all that it kept, and with requests that it had not answered.
func (b *book) died() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.life++
	for _, l := range b.lanes {
		for at := l.open; l.kind == "ask" && l.to == domainOf(names[acked]) && at < len(l.fates); at++ {
			l.fates[at].deaf = true
		}
	}
}

// lapse notes that a node was away for longer than its grace: errors for it were dropped, so what it sent to users who were not
// there has no end; and presence for it has none. What it had and had not proved was decided again: for a user who had left, it is
// stored behind what is newer.
func (b *book) lapse(node string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.lanes {
		for _, f := range l.fates {
			f.anew = f.anew || f.came[slices.IndexFunc(names, func(name string) bool { return domainOf(name) == node })] > 0
		}
		unheard := node == domainOf(names[l.from]) && strings.Contains(l.to, "@"+bounces) || node == l.to && l.kind == "presence"
		for at := l.open; unheard && at < len(l.fates); at++ {
			l.fates[at].deaf = true
		}
	}
}

// resend notes that the SDK has lost its stream.
func (b *book) resend() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.era++
}

// hung notes that a member has lost its link: answers to what it asked are not repeated.
func (b *book) hung(who int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.lanes {
		for at := l.open; l.from == who && l.kind == "ask" && at < len(l.fates); at++ {
			l.fates[at].deaf = true
		}
	}
}

// refuse is fault, for callers that do not hold mu.
func (b *book) refuse(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault(format, args...)
}

// accepted notes that the server has decided what a member wrote on a link.
func (b *book) accepted(who, link, kills int, below map[*lane]int) {
	b.each(who, below, func(f *fate) {
		if f.link == link && f.accepted == 0 {
			f.accepted = kills + 1
		}
	})
}

// kept notes that what a member has sent is in custody.
func (b *book) kept(who, link int, below map[*lane]int) {
	b.each(who, below, func(f *fate) { f.kept = f.kept || f.link == link })
	b.mu.Lock()
	b.sums.flushes++
	b.mu.Unlock()
}

func (b *book) each(who int, below map[*lane]int, do func(*fate)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.lanes {
		for at := l.open; l.from == who && at < below[l]; at++ {
			do(l.fates[at])
		}
	}
}

// written gives how far each lane of a member is written.
func (b *book) written(who int) map[*lane]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := map[*lane]int{}
	for _, l := range b.lanes {
		if l.from == who {
			at[l] = len(l.fates)
		}
	}
	return at
}

func (f *fate) ended() bool { return f.came != [3]int{} || f.answered > 0 }

// sure reports whether the stanza must have an end in a server that was killed so often: somebody has promised it. An SDK that
// lives promises all that it took. Called with mu held.
func (b *book) sure(l *lane, f *fate, kills int) bool {
	switch l.kind {
	case "ask", "presence": // no disk keeps them
		return !f.deaf && f.accepted == kills+1 && f.kills == kills
	}
	return !f.deaf && (f.kept || f.own && f.link == b.life || f.accepted == kills+1)
}
