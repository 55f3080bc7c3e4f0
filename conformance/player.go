package conformance

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// mostWire is how many bytes the wire log of a case may take.
const mostWire = 256 << 20

// player plays one case.
type player struct {
	// set once
	ctx   context.Context
	r     *runner
	start time.Time
	run   string // 8 hex digits

	conns   map[string]*conn
	kept    map[string]string
	soft    string // why a permitted alternative did
	err     error  // why the case could not be played
	met     bool   // the judged component was there in this case
	markers int
	n       int // the number of the repetition

	// guarded by mu
	mu      sync.Mutex
	records []Record
	size    int // bytes of all records
}

func newPlayer(ctx context.Context, r *runner) *player {
	return &player{ctx: ctx, r: r, start: time.Now(), run: token(), conns: map[string]*conn{}, kept: map[string]string{}}
}

// log notes what an actor sent or received.
func (p *player) log(actor string, kind RecordKind, b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := time.Since(p.start)
	if p.size += len(b); p.size > mostWire {
		p.shorten(actor)
	}
	if n := len(p.records); n > 0 && p.records[n-1].Actor == actor && p.records[n-1].Kind == kind && kind != Noted && at-p.records[n-1].At < time.Millisecond {
		p.records[n-1].Bytes = append(p.records[n-1].Bytes, b...)
		return
	}
	p.records = append(p.records, Record{at, actor, kind, slices.Clone(b)})
}

// shorten forgets the first half of the wire log, in bytes, when a peer says too much. Called with mu held.
func (p *player) shorten(actor string) {
	n := 0
	for ; n < len(p.records) && p.size > mostWire/2; n++ {
		p.size -= len(p.records[n].Bytes)
	}
	note := Record{time.Since(p.start), actor, Noted, []byte("what was on the wire before is too much to be kept")}
	p.records = append([]Record{note}, p.records[n:]...)
}

// wire gives the wire log so far.
func (p *player) wire() []Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.records)
}

// end closes all connections.
func (p *player) end() {
	var parted sync.WaitGroup
	for _, c := range p.conns {
		parted.Go(c.part)
	}
	parted.Wait()
}

// value gives what stands for a name in this play now.
func (p *player) value(name string) string {
	if v, ok := p.kept[name]; ok {
		return v
	}
	switch name {
	case "n":
		return strconv.Itoa(p.n)
	case "run":
		return p.run
	}
	if v, ok := p.r.target.value(name); ok {
		return v
	}
	actor, part, _ := strings.Cut(name, ".")
	c := p.conns[actor]
	if c == nil {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if part == "proof" {
		return proof(c.id, c.node.Secret)
	}
	return c.id
}

// step does one step, as often as it says.
func (p *player) step(s *step) *Fault {
	for p.n = 1; p.n <= s.times; p.n++ {
		f := p.once(s)
		if p.ctx.Err() != nil {
			return p.fault(s.at, "the case has taken too long", 0)
		}
		if f != nil {
			if s.times > 1 {
				f.Got += " (number " + strconv.Itoa(p.n) + ")"
			}
			return f
		}
	}
	return nil
}

// once does a step.
func (p *player) once(s *step) *Fault {
	switch s.verb {
	case vCheck:
		return p.check(s)
	case vAttach, vClear, vConnect, vAccept:
		return p.begin(s)
	case vAlone:
		return p.alone(s)
	case vWait:
		p.rest(s.span + p.r.way*2/5)
		return nil
	}
	c := p.conns[s.actor]
	if c == nil {
		return p.fault(s.at, s.actor+" is not connected", 0)
	}
	switch s.verb {
	case vExpect:
		return p.expect(c, s)
	case vScram:
		return p.scram(c, s)
	case vStartTLS:
		if err := c.secure(p.ctx); err != nil {
			return p.fault(s.at, "TLS: "+short(err), 0)
		}
	default:
		p.act(c, s)
	}
	return nil
}

// rest lets time pass, unless the run ends before.
func (p *player) rest(d time.Duration) {
	select {
	case <-p.ctx.Done():
	case <-time.After(d):
	}
}

// act does what cannot go wrong.
func (p *player) act(c *conn, s *step) {
	switch s.verb {
	case vSend:
		text := s.text.expand(p.value)
		if c.serve && strings.HasPrefix(text, "<handshake") {
			c.admit()
		}
		if strings.Contains(text, streamEnd) {
			c.mu.Lock()
			c.closed = true // a second end would be a fault of ours
			c.mu.Unlock()
		}
		c.send(text, s, p.rest)
	case vOpen:
		c.say(p.header(c, s.marks))
	case vHandshake:
		c.say("<handshake>" + p.value(s.actor+".proof") + "</handshake>")
	case vClose:
		c.close()
	case vDrop, vReset:
		c.drop(s.verb == vReset)
	case vHold:
		c.hold()
	case vGoOn:
		c.goOn()
	case vMute, vAttend:
		c.mu.Lock()
		c.mute, c.attends = c.mute || s.verb == vMute, c.attends || s.verb == vAttend
		c.mu.Unlock()
	}
}

// begin makes a connection; the one the actor had is closed before.
func (p *player) begin(s *step) *Fault {
	if old := p.conns[s.actor]; old != nil {
		old.part()
		delete(p.conns, s.actor)
	}
	var f *Fault
	switch {
	case s.verb == vConnect:
		f = p.connect(s.actor)
	case s.actor == "s":
		f = p.accept(s)
	default:
		f = p.attach(s.actor)
	}
	if f == nil && s.verb == vClear {
		p.clear(s.actor)
	}
	if f != nil {
		f.Line, f.Col, f.Width = s.at.line, s.at.col, s.at.width
	}
	return f
}

// connect makes a connection to the target.
func (p *player) connect(actor string) *Fault {
	d := net.Dialer{Timeout: 5 * time.Second}
	begun := time.Now()
	nc, err := d.DialContext(p.ctx, "tcp", p.r.target.Addr)
	if err != nil {
		return p.fault(place{}, "no connection: "+short(err), time.Since(begun))
	}
	p.conns[actor] = p.r.start(p.ctx, actor, nc)
	p.conns[actor].trip = time.Since(begun)
	p.log(actor, Noted, []byte("connected"))
	return nil
}

// fault says where the play did not go on.
func (p *player) fault(at place, got string, after time.Duration) *Fault {
	return &Fault{Line: at.line, Col: at.col, Width: at.width, Got: got, After: after}
}

// header makes the usual stream header; marks change attributes of it.
func (p *player) header(c *conn, marks []mark) string {
	type attr struct{ key, value string }
	attrs := []attr{{"xmlns", nsComponent}, {"xmlns:stream", nsStream}, {"to", c.node.Domain}}
	if c.serve {
		attrs[2].key = "from"
		attrs = append(attrs, attr{"id", p.value("s.id")})
	}
	for _, m := range marks {
		value := ""
		if len(m.values) > 0 {
			value = m.values[0].expand(p.value)
		}
		i := slices.IndexFunc(attrs, func(a attr) bool { return a.key == m.key })
		if i < 0 {
			i, attrs = len(attrs), append(attrs, attr{})
		}
		attrs[i] = attr{m.key, value}
		if m.key == "id" && c.serve {
			c.mu.Lock()
			c.id = value
			c.mu.Unlock()
		}
	}
	b := strings.Builder{}
	b.WriteString("<?xml version='1.0'?><stream:stream")
	for _, a := range attrs {
		if a.value != "" {
			b.WriteString(" " + a.key + "='" + escapeAttr(a.value) + "'")
		}
	}
	b.WriteString(">")
	return b.String()
}

// check compares what was kept.
func (p *player) check(s *step) *Fault {
	left, right := s.check.left.expand(p.value), s.check.right.expand(p.value)
	if s.check.length {
		left = strconv.Itoa(len(left))
	}
	if compare(left, s.check.op, right) {
		return nil
	}
	return p.fault(s.at, quoted(left)+" "+s.check.op+" "+quoted(right)+" does not hold", 0)
}
