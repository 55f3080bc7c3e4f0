package conformance

import (
	"fmt"
	"time"

	"github.com/patchbay-im/patchbay/conformance/wire"
)

const (
	firstWait = time.Minute      // for the judged component to connect at all
	againWait = 30 * time.Second // for it to connect again
)

// absent tells that the judged component did not connect, so there was nothing to play with.
type absent struct{ wait time.Duration }

// Error says how long it was waited for.
func (e *absent) Error() string {
	return fmt.Sprintf("the component has not connected within %s", e.wait)
}

// await waits until the judged component connects for the first time; the first case uses that connection.
func (r *runner) await(p *player) error {
	if err := r.listener.SetDeadline(time.Now().Add(firstWait)); err != nil {
		return &Unreachable{r.target.Listen, err}
	}
	nc, err := r.listener.Accept()
	if err != nil {
		return &Unreachable{r.target.Listen, &absent{firstWait}}
	}
	r.spare = nc
	return p.ctx.Err()
}

// accept takes the next connection of the judged component; attach goes on as far as the handshake.
func (p *player) accept(s *step) *Fault {
	nc := p.r.spare
	p.r.spare = nil
	if nc == nil {
		var err error
		if err = p.r.listener.SetDeadline(time.Now().Add(againWait)); err == nil {
			nc, err = p.r.listener.Accept()
		}
		if err != nil {
			p.err = &absent{againWait}
			return p.fault(s.at, p.err.Error(), againWait)
		}
	}
	node, _ := p.r.target.node(s.actor)
	c := start(s.actor, node, nc, p.log)
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
	c.say("<handshake/>")
	return nil
}
