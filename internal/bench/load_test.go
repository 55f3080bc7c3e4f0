package bench

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestLoad carries loads over our server: to a node, to announced users, and among several nodes.
func TestLoad(t *testing.T) {
	const count = 5000
	for _, c := range []struct {
		name     string
		from, to string
		names    Names
		nodes    int // that send and receive; 0 is one that sends to one
		announce int
		on       func(t *testing.T) func(domain string) *Link
	}{
		{name: "node", from: sendNode, to: takeNode, on: nodesHere},
		{name: "node, modern", from: sendNode, to: takeNode, on: modernHere},
		{name: "users", from: sendNode, to: userAddress, names: Names{To: Range{N: 2500}}, announce: 2500, on: nodesHere},
		{name: "users, modern", from: sendNode, to: userAddress, names: Names{To: Range{N: 2500}}, announce: 2500, on: modernHere},
		{name: "many", from: manySender, to: manyAddress, names: Names{To: Range{N: 5}}, nodes: 5, on: nodesHere},
		{name: "many, modern", from: manySender, to: manyAddress, names: Names{To: Range{N: 5}}, nodes: 5, on: modernHere},
	} {
		t.Run(c.name, func(t *testing.T) {
			link := c.on(t)
			f := MessageForm(c.from, c.to, 250, 0)
			l := &Load{Window: 1000, Limit: time.Minute, Meter: NewMeter()}
			var takers []*Link
			if c.nodes > 0 {
				for i := range c.nodes {
					takers = append(takers, link(fmt.Sprintf("node%07d.%s", i, benchUsers)))
				}
				l.Senders = takers
			} else {
				takers, l.Senders = []*Link{link(takeNode)}, []*Link{link(sendNode)}
				announce(t, takers[0], "u", c.announce)
			}
			ready(t, takers)
			l.Source = NewSource(f, c.names, len(l.Senders), 10)
			for _, take := range takers {
				l.Take(take, NewSink(f, l.Meter, len(l.Senders), take.Other), 4<<10)
			}
			_, err := l.Run(count)
			l.Close()
			if err != nil || l.Meter.Got() != count {
				t.Errorf("%d of %d arrived: %v", l.Meter.Got(), count, err)
			}
		})
	}
}

// ready waits until the server reads each link: a node that is still attaching may not be reached yet.
func ready(tb testing.TB, links []*Link) {
	tb.Helper()
	for _, l := range links {
		if err := Ping(l, benchServer); err != nil {
			tb.Fatal(err)
		}
	}
}

// TestPaced sends at a pace and wants a delay for each stanza.
func TestPaced(t *testing.T) {
	link := nodesHere(t)
	send, take := link(sendNode), link(takeNode)
	f := MessageForm(sendNode, takeNode, 250, 0)
	l := &Load{Source: NewSource(f, Names{}, 1, 1), Senders: []*Link{send}, Limit: time.Minute, Meter: NewMeter()}
	ready(t, []*Link{take})
	sink := NewSink(f, l.Meter, 1, take.Other)
	l.Take(take, sink, 4<<10)
	defer l.Close()
	p := Paced{Load: l, Sink: sink, Rate: 50_000}
	for range 2 {
		h, err := p.Run(500)
		if err != nil || h.TotalCount() != 500 {
			t.Errorf("%d delays: %v", h.TotalCount(), err)
		}
	}
}

// TestSink feeds a sink in pieces by chance, with pings between the frames, and plants each fault.
func TestSink(t *testing.T) {
	f := MessageForm(manySender, manyAddress, 250, 0)
	if f.Size() != 250 {
		t.Fatalf("a frame has %d bytes", f.Size())
	}
	src := NewSource(f, Names{To: Range{Lo: 7, N: 3}}, 4, 1)
	frame := func(link int) string { return string(src.Next(link, 1)) }
	const ping = "<iq type='get' id='pb-1' from='hub1.im.example' to='node1.im.example'><ping xmlns='urn:xmpp:ping'/></iq>"
	const pong = "<iq type='result' id='pb-1' from='node1.im.example' to='hub1.im.example'/>"
	a, b, c := frame(0), frame(3), frame(0)
	for _, d := range []struct {
		name, in string
		frames   int64
		answer   string
		want     error
	}{
		{"in order", a + ping + b + c + ping, 3, pong + pong, nil},
		{"lost", b + c, 2, "", nil}, // seen by the count
		{"doubled", a + a, 1, "", errNumber},
		{"overtaken", c + a, 1, "", errNumber},
		{"cut", a[:249] + b, 0, "", errForm},
		{"foreign", a + "<presence from='x'/>", 1, "", errStanza},
	} {
		for seed := range uint64(20) {
			m := NewMeter()
			got, err := feed(NewSink(f, m, 4, answerPing).Take, d.in, rand.New(rand.NewPCG(seed, 0)))
			if m.Got() != d.frames || got != d.answer || !errors.Is(err, d.want) {
				t.Errorf("%s: %d frames, answer %q, error %v", d.name, m.Got(), got, err)
			}
		}
	}
}

// TestSkip: whatever the reads are, what the server asks is answered and not given on; all else is, in its order, and no tag is
// cut.
func TestSkip(t *testing.T) {
	const ask = "<iq type='get' id='pb-1' from='hub1.im.example' to='node1.im.example'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
	const answer = "<iq type='result' id='pb-1' from='node1.im.example' to='hub1.im.example'/>"
	const m = "<message from='a' to='b'><body>1 &gt; 0 and 2 > 1</body></message><iq type='get' id='p1'><q/></iq><iq type='result' id='pb-1'/>"
	for seed := range uint64(100) {
		shown := ""
		each := func(part []byte) {
			if shown += string(part); strings.LastIndexByte(shown, '<') > strings.LastIndexByte(shown, '>') {
				t.Errorf("%q is cut in a tag", shown)
			}
		}
		got, err := feed(func(b []byte) (int, []byte, error) { return skip(b, answerPing, each) }, ask+m+ask+ask+m+m, rand.New(rand.NewPCG(seed, 1)))
		if got != answer+answer+answer || shown != m+m+m || err != nil {
			t.Fatalf("answered %q, shown %q: %v", got, shown, err)
		}
	}
}

// feed gives what arrives to take, in pieces by chance.
func feed(take func([]byte) (int, []byte, error), in string, rng *rand.Rand) (answer string, err error) {
	var held []byte
	for len(in) > 0 {
		k := min(len(in), 1+rng.IntN(200))
		held, in = append(held, in[:k]...), in[k:]
		n, more, err := take(held)
		answer += string(more)
		if err != nil {
			return answer, err
		}
		held = held[n:]
	}
	return answer, nil
}

// TestSource looks at the digits of frames, and at what is due when one recipient does not read.
func TestSource(t *testing.T) {
	f := NewForm("<f "+FromDigits+" t "+ToDigits+" "+Number+">", Number, "<", ">")
	s := NewSource(f, Names{From: Range{Lo: 5, N: 1}, To: Range{Lo: 1234567, N: 2}, InTurn: true, Mute: 2}, 256, 3)
	want := "<f 0000005 t 1234567 00ff00000001><f 0000005 t 1234568 00ff00000002><f 0000005 t 1234567 00ff00000003>"
	if got := string(s.Next(255, 3)); got != want || s.Due() != 2 {
		t.Errorf("%s, %d are due", got, s.Due())
	}
	if v := hexValue([]byte("09afe1")); v != 0x09afe1 {
		t.Errorf("%x", v)
	}
}

// TestMeter ends a wait by a count, by a fault and by time.
func TestMeter(t *testing.T) {
	m := NewMeter()
	go m.add(3) // ends at once
	if err := m.Wait(3, time.Minute); err != nil {
		t.Error(err)
	}
	if err := m.Wait(4, time.Millisecond); err == nil {
		t.Error("a wait for what never comes has no end")
	}
	m.Fail(errForm)
	for range 2 {
		if err := m.Wait(4, time.Minute); !errors.Is(err, errForm) {
			t.Error(err)
		}
	}
}
