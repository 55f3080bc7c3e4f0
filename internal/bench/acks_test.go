package bench

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"
)

// TestAcks: whatever the reads are, what comes over a modern link is counted, each question gets the count so far, and the
// server's count is held to what was sent.
func TestAcks(t *testing.T) {
	f := MessageForm(manySender, manyAddress, 250, 0)
	src := NewSource(f, Names{To: Range{N: 1}}, 1, 1)
	frame := func() string { return string(src.Next(0, 1)) }
	const (
		ask  = "<r xmlns='urn:xmpp:sm:3'/>"
		info = "<iq type='get' id='pb-1' from='hub1.im.example' to='node1.im.example'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
		told = "<iq type='result' id='pb-1' from='node1.im.example' to='hub1.im.example'/>"
	)
	h := func(n int) string { return fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", n) }
	a, b := frame(), frame()
	for _, d := range []struct {
		name, in, answer string
		told             uint32
		want             error
	}{
		{"questions", ask + a + ask + info + b + ask, h(0) + h(1) + told + h(3), 0, nil},
		{"counts", h(1) + a + h(3) + h(3), "", 3, nil},
		{"its own answer counts", info + h(4), told, 4, nil},
		{"too high", a + h(4), "", 0, errAcks},
		{"falls", h(2) + h(1), "", 2, errAcks},
	} {
		for seed := range uint64(20) {
			m, acks := NewMeter(), &Acks{}
			acks.says(3)
			sink := NewSink(f, m, 1, acks.answer)
			sink.acks = acks
			got, err := feed(sink.Take, d.in, rand.New(rand.NewPCG(seed, 2)))
			if got != d.answer || acks.told.Load() != d.told || !errors.Is(err, d.want) || (d.told > 0) != (acks.news.Load() > 0) {
				t.Fatalf("%s: answer %q, told %d, error %v", d.name, got, acks.told.Load(), err)
			}
		}
	}
}

// TestAsk looks at where a node asks: behind 128 stanzas, or 64 KiB, whatever the writes are.
func TestAsk(t *testing.T) {
	for _, d := range []struct{ size, each, n, want, behind int }{
		{size: 1, each: 1, n: 300, want: 2, behind: 44},
		{size: 1, each: 100, n: 300, want: 2, behind: 44},
		{size: 1, each: 500, n: 1000, want: 7, behind: 104},
		{size: 16 << 10, each: 3, n: 12, want: 3, behind: 0},
		{size: 100 << 10, each: 1, n: 3, want: 3, behind: 0},
	} {
		a, out := &Acks{}, strings.Builder{}
		for range d.n / d.each {
			out.Write(a.ask([]byte(strings.Repeat("x", d.size*d.each)), d.each, time.Now()))
		}
		asked := strings.Count(out.String(), askAcks)
		rest := out.Len() - asked*len(askAcks)
		if asked != d.want || a.behind != d.behind || rest != d.n*d.size || int(a.sent.Load()) != d.n {
			t.Errorf("%+v: asked %d times, %d behind, %d bytes of frames, %d sent", d, asked, a.behind, rest, a.sent.Load())
		}
	}
}

// wire is a connection that takes all.
type wire struct {
	net.Conn
	strings.Builder
}

func (w *wire) Write(b []byte) (int, error) { return w.Builder.Write(b) }

// TestAskTime looks at when a node asks about few: along with a frame, or by itself, and later if the server tells of more.
func TestAskTime(t *testing.T) {
	w := &wire{}
	link := &Link{Conn: w, Acks: &Acks{}}
	var all askers
	began, ms := time.Unix(1e9, 0), time.Millisecond
	at := func(d time.Duration) time.Time { return began.Add(d) }
	for _, d := range []struct {
		name string
		do   func(now time.Time)
		at   time.Duration
		want string
	}{
		{"the first", func(now time.Time) { w.Write(link.Acks.ask([]byte("x"), 1, now)); all.add(link) }, 0, "x"},
		{"too soon", func(now time.Time) { w.Write(link.Acks.ask([]byte("x"), 1, now)); all.add(link) }, askRides - ms, "x"},
		{"along", func(now time.Time) { w.Write(link.Acks.ask([]byte("x"), 1, now)); all.add(link) }, askRides, "x" + askAcks},
		{"nothing behind it", nil, time.Second, ""},
		{"again", func(now time.Time) { w.Write(link.Acks.ask([]byte("xx"), 2, now)); all.add(link) }, 2 * time.Second, "xx"},
		{"told of more", func(now time.Time) { link.Acks.told.Store(4); link.Acks.news.Store(now.UnixNano()) }, 2*time.Second + askAfter - ms, ""},
		{"put off", nil, 2*time.Second + 2*askAfter - 2*ms, ""},
		{"by itself", nil, 2*time.Second + 2*askAfter - ms, askAcks},
		{"one more", func(now time.Time) { w.Write(link.Acks.ask([]byte("x"), 1, now)); all.add(link) }, 4 * time.Second, "x"},
		{"told of all", func(time.Time) { link.Acks.told.Store(6) }, 4*time.Second + ms, ""},
		{"nothing to ask", nil, 5 * time.Second, ""},
	} {
		if d.do != nil {
			d.do(at(d.at))
		}
		if err := all.late(at(d.at)); err != nil || w.String() != d.want {
			t.Errorf("%s: %q, %v, want %q", d.name, w.String(), err, d.want)
		}
		w.Reset()
	}
	if len(all) > 0 {
		t.Errorf("left are %v", all)
	}
}

// TestModern attaches a node, lets its link drop and resumes it; the server goes on with its numbers. It takes no other secret.
func TestModern(t *testing.T) {
	addr := serveHere(t)
	m := &Modern{Secret: benchSecret}
	old, err := m.Attach(dialHere(t, addr), takeNode)
	if err != nil {
		t.Fatal(err)
	}
	ready(t, []*Link{old})
	hangUp([]*Link{old})
	was := old.Acks.handled
	link, err := m.Resume(dialHere(t, addr), old)
	if err != nil {
		t.Fatal(err)
	}
	ready(t, []*Link{link})
	if was == 0 || link.Acks.handled <= was || link.Acks.id != old.Acks.id || old.Acks.id == "" {
		t.Errorf("%d stanzas were handled, and %d behind the resumption of %q", was, link.Acks.handled, old.Acks.id)
	}
	old.Acks.id = "none"
	if _, err := m.Resume(dialHere(t, addr), old); err == nil {
		t.Error("what there never was is resumed")
	}
	other := &Modern{Secret: "another secret than the benchmarks have"}
	if _, err := other.Attach(dialHere(t, addr), sendNode); err == nil || !strings.Contains(err.Error(), "failure") {
		t.Errorf("another secret: %v", err)
	}
}
