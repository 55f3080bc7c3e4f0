package component

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// acksPlay is a life of acks with its clock.
type acksPlay struct {
	acks
	now time.Time
}

func (p *acksPlay) sends(n int, size int) {
	for range n {
		p.add(kept{raw: []byte("<m" + strings.Repeat("x", size-3) + ">"), at: p.now})
	}
}

// wire gives what is written now, stanzas in a row as their count.
func (p *acksPlay) wire() string {
	var out []string
	stanzas := 0
	for {
		b := onWire(p.batch(nil, p.now))
		if len(b) == 0 {
			break
		}
		for _, s := range b {
			if s != "r" && s[0] != 'a' {
				if stanzas++; stanzas > 1 {
					out[len(out)-1] = fmt.Sprint(stanzas)
					continue
				}
				s = "1"
			} else {
				stanzas = 0
			}
			out = append(out, s)
		}
	}
	return strings.Join(out, " ")
}

func (p *acksPlay) takes(n int) {
	for range n {
		p.take()
		p.hand()
	}
}

// acksPaces: when <r/> and <a/> are written.
var acksPaces = []struct {
	name string
	do   func(p *acksPlay) []string // what is on the wire, step by step
	want []string
}{
	{"one stanza is asked for later", func(p *acksPlay) []string {
		p.sends(1, 100)
		a := p.wire()
		p.now = p.next().Add(-1)
		b := p.wire()
		p.now = p.next()
		return []string{a, b, p.wire(), fmt.Sprint(p.next().IsZero())}
	}, []string{"1", "", "r", "true"}},
	{"put off by a count", func(p *acksPlay) []string {
		p.sends(2, 100)
		a := p.wire()
		p.now = p.now.Add(askAfter - 1)
		err := p.ack(1, p.now)
		p.now = p.now.Add(askAfter - 1)
		same := p.ack(1, p.now)
		b := p.wire()
		p.now = p.now.Add(1)
		return []string{a, fmt.Sprint(err, same), b, p.wire()}
	}, []string{"2", "<nil> <nil>", "", "r"}},
	{"along with a stanza", func(p *acksPlay) []string {
		p.sends(1, 100)
		a := p.wire()
		p.now = p.now.Add(askRides - 1)
		p.sends(1, 100)
		b := p.wire()
		p.now = p.now.Add(1)
		c := p.wire()
		p.sends(1, 100)
		d := p.wire()
		p.sends(1, 100)
		return []string{a, b, c, d, p.wire()}
	}, []string{"1", "1", "", "1 r", "1"}},
	{"somebody waits for room", func(p *acksPlay) []string {
		p.urge()
		a := p.wire()
		p.sends(2, 100)
		p.urge()
		b := p.wire()
		p.urge()
		c := p.wire()
		p.sends(1, 100)
		d := p.wire()
		p.urge()
		return []string{a, b, c, d, p.wire()}
	}, []string{"", "2 r", "", "1", "r"}},
	{"each 128 stanzas", func(p *acksPlay) []string { p.sends(300, 100); return []string{p.wire()} }, []string{"128 r 128 r 44"}},
	{"each 64 KiB", func(p *acksPlay) []string { p.sends(3, 40<<10); return []string{p.wire()} }, []string{"2 r 1"}},
	{"acknowledged without being asked", func(p *acksPlay) []string {
		p.sends(2, 100)
		p.wire()
		err := p.ack(2, p.now)
		return []string{fmt.Sprint(err, p.next().IsZero(), p.bytes, len(p.list))}
	}, []string{"<nil> true 0 0"}},
	{"too much", func(p *acksPlay) []string {
		p.sends(2, 100)
		p.wire()
		return []string{p.ack(3, p.now).Error(), fmt.Sprint(p.ack(1, p.now)), p.ack(0, p.now).Error()}
	}, []string{"the server has acknowledged 3 stanzas of 2", "<nil>", "the server has acknowledged 0 stanzas, and 1 before"}},
	{"wanted now, behind all", func(p *acksPlay) []string { p.urgent = true; p.sends(130, 1000); return []string{p.wire()} }, []string{"66 r 64 r"}},
	{"answered when all is handled", func(p *acksPlay) []string {
		p.takes(2)
		p.ask(p.now)
		a := p.wire()
		p.finish(1)
		b := p.wire()
		p.finish(2)
		return []string{a, b, p.wire(), p.wire()}
	}, []string{"", "", "a2", ""}},
	{"answered soon anyway, and again", func(p *acksPlay) []string {
		p.takes(200)
		p.ask(p.now)
		p.finish(1)
		p.now = p.now.Add(tellFirst)
		a := p.wire()
		p.finish(2)
		b := p.wire()
		p.now = p.now.Add(50 * time.Millisecond)
		c := p.wire()
		for i := range uint32(tellStanzas) {
			p.finish(3 + i)
		}
		d := p.wire()
		for i := range uint32(134) {
			p.finish(67 + i)
		}
		return []string{a, b, c, d, p.wire()}
	}, []string{"a1", "", "a2", "a66", "a200"}},
	{"nothing unasked", func(p *acksPlay) []string {
		p.takes(1)
		p.finish(1)
		p.now = p.now.Add(time.Hour)
		return []string{p.wire()}
	}, []string{""}},
	{"what needs no handler counts with what does", func(p *acksPlay) []string {
		p.takes(1)
		p.take()
		p.settle()
		a := p.handled()
		p.finish(1)
		return []string{fmt.Sprint(a, p.handled())}
	}, []string{"0 2"}},
	{"repeated after a resumption", func(p *acksPlay) []string {
		p.takes(3)
		p.finish(1)
		p.resume(0, p.handled())
		_, second := p.take()
		_, third := p.take()
		_, fourth := p.take()
		p.hand()
		p.finish(2)
		p.finish(3)
		p.ask(p.now)
		a := p.wire()
		p.finish(4)
		return []string{fmt.Sprint(second, third, fourth), a, p.wire()}
	}, []string{"false false true", "", "a4"}},
	{"never more than came on this connection", func(p *acksPlay) []string {
		p.takes(2)
		p.resume(0, 0)
		p.finish(1)
		p.finish(2)
		p.ask(p.now)
		a := p.wire()
		p.take()
		p.take()
		p.ask(p.now)
		return []string{a, p.wire()}
	}, []string{"a0", "a2"}},
	{"written again, also what is acknowledged meanwhile", func(p *acksPlay) []string {
		p.sends(5, 100)
		p.wire()
		p.resume(2, 0)
		p.ack(4, p.now) // of what came on the connection before
		return []string{p.wire(), fmt.Sprint(len(p.list), p.sent())}
	}, []string{"3", "1 5"}},
}

// TestAcksPace plays them.
func TestAcksPace(t *testing.T) {
	for _, tt := range acksPaces {
		t.Run(tt.name, func(t *testing.T) {
			p := &acksPlay{now: time.Unix(1e9, 0)}
			if got := tt.do(p); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}
