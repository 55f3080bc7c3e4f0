package conformance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/patchbay-im/patchbay/conformance/wire"
)

const (
	firstWait  = time.Minute      // for the judged component to connect at all
	againWait  = 75 * time.Second // for it to connect again: RFC 6120 3.3 lets it wait up to 60 s
	lateWait   = 2 * time.Second  // the same, when it has stayed away before
	listenStep = 200 * time.Millisecond
)

// absent tells that the judged component did not connect.
type absent struct{ wait time.Duration }

// Error says how long it was waited for.
func (e *absent) Error() string {
	return fmt.Sprintf("the component has not connected within %s", e.wait)
}

// await waits until the judged component connects for the first time; the first case uses that connection.
func (r *runner) await(ctx context.Context) error {
	nc, err := r.next(ctx, firstWait)
	if err != nil {
		return &Unreachable{r.target.Listen, err}
	}
	r.spare = nc
	return nil
}

// next takes the next connection of the judged component. The error is an *absent, or that of the context.
func (r *runner) next(ctx context.Context, wait time.Duration) (net.Conn, error) {
	if nc := r.spare; nc != nil {
		r.spare = nil
		return nc, nil
	}
	if r.missed {
		wait = lateWait
	}
	over := time.Now().Add(wait)
	for time.Now().Before(over) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := r.listener.SetDeadline(time.Now().Add(listenStep)); err != nil {
			return nil, err
		}
		nc, err := r.listener.Accept()
		if err == nil {
			r.missed = false
			return nc, nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, err
		}
	}
	r.missed = true
	return nil, &absent{wait}
}

// accept takes a new connection of the judged component; attach goes on as far as the handshake, and takes the stream that a case
// before left whole, if there is one.
func (p *player) accept(s *step) *Fault {
	if old := p.r.whole; old != nil {
		p.r.whole = nil
		if s.verb == vAttach && old.alive() {
			old.inbox.clear()
			old.mu.Lock()
			old.attends = false
			old.mu.Unlock()
			old.bind(p.ctx)
			p.conns[s.actor], p.met = old, true
			return nil
		}
		old.part()
	}
	begun := time.Now()
	nc, err := p.r.next(p.ctx, p.r.again)
	if err != nil {
		if !p.met {
			p.err = err // there is nothing to play with
		}
		return p.fault(s.at, err.Error(), time.Since(begun))
	}
	p.met = true
	c := p.r.start(p.ctx, s.actor, nc)
	p.conns[s.actor] = c
	p.log(s.actor, Noted, []byte("connected"))
	if s.verb != vAttach {
		return nil
	}
	it, ok := p.awaited(c, wire.Header, wire.Name{Space: nsStream, Local: "stream"})
	if ok {
		c.say(p.header(c, nil))
		it, ok = p.awaited(c, wire.Whole, wire.Name{Space: nsComponent, Local: "handshake"})
	}
	if !ok {
		return p.fault(s.at, "not attached: "+describe(it), 0)
	}
	if got := it.ev.Element.Text(); got != p.value("s.proof") {
		return p.fault(s.at, "a handshake that does not match the secret: "+quoted(got), 0)
	}
	c.admit()
	c.say("<handshake/>")
	return nil
}

// admit notes that the judged component is attached, before its first stanza can come.
func (c *conn) admit() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.attached = true
}

// alone holds the judged component to not connecting for a time.
func (p *player) alone(s *step) *Fault {
	p.r.missed = false // for the whole time, not for as long as one that stays away is waited for
	nc, err := p.r.next(p.ctx, s.span)
	p.r.missed = false
	if err == nil {
		p.r.spare = nc
		return p.fault(s.at, "a connection", 0)
	}
	return nil
}

// unasked takes what the judged component says by itself, unless the play attends to that: requests are answered, so that it goes
// on.
func (c *conn) unasked(e *wire.Element) bool {
	kind, _ := e.Attr("type")
	request := e.Name.Local == "iq" && (kind == "get" || kind == "set")
	c.mu.Lock()
	passes := c.attached && !c.attends && (request || e.Name.Local == "message" || e.Name.Local == "presence")
	c.mu.Unlock()
	if passes && request {
		c.answer(e, "")
	}
	return passes
}

// upset is how much a case asks of the judged component: 0 if it leaves the stream as it was, 1 if it sees whether the component
// comes back, 2 if it needs one that does. In this order they are played: not every component comes back, and those that do wait
// longer each time.
func (c *Case) upset() int {
	attached := 0
	spares := true
	for _, s := range c.steps {
		ends := s.verb == vSend && strings.Contains(s.text.expand(func(string) string { return "" }), streamEnd)
		spares = spares && !ends && !slices.Contains([]verb{vAccept, vDrop, vReset, vClose}, s.verb)
		if s.verb == vAttach {
			attached++
		}
	}
	switch {
	case spares:
		return 0
	case attached > 1:
		return 1
	}
	return 2
}

// inOrder gives the cases of profile node in the order in which they are played.
func inOrder(cases []*Case) []*Case {
	cases = slices.Clone(cases)
	slices.SortStableFunc(cases, func(a, b *Case) int { return a.upset() - b.upset() })
	return cases
}
