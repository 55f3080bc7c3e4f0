package admin

import (
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestCapped: connections of one address are bounded. Whoever holds all of them and asks nothing, or never ends asking,
// keeps nobody out: those that have waited longest make room.
func TestCapped(t *testing.T) {
	st := newStage(t)
	var held []net.Conn
	defer func() {
		for _, nc := range held {
			_ = nc.Close()
		}
	}()
	open := func(begin string) {
		t.Helper()
		nc, err := net.Dial("tcp", st.a.HTTPAddr())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, nc)
		if _, err := io.WriteString(nc, begin); err != nil {
			t.Fatal(err)
		}
	}
	closed := func(nc net.Conn) bool {
		_ = nc.SetReadDeadline(time.Now().Add(headTime - time.Second))
		_, err := nc.Read(make([]byte, 1))
		return err != nil && !isTimeout(err)
	}
	for range mostConnsEach {
		open("GET /healthz HT")
	}
	for range 3 {
		resp, err := (&http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + st.a.HTTPAddr() + "/healthz")
		if err != nil {
			t.Fatalf("shut out: %v", err)
		}
		_ = resp.Body.Close()
	}
	if !closed(held[0]) {
		t.Error("one connection too many, and the oldest is still open")
	}
	last := held[mostConnsEach-1]
	if _, err := io.WriteString(last, "TP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if closed(last) {
		t.Error("a connection went though others had waited longer")
	}
}

// capping is a model of capped: what is open, and what of it is being answered.
type capping struct {
	c          *capped
	open, busy []*counted
	done       map[*counted]func()
}

func drop(from []*counted, w *counted) []*counted {
	return slices.DeleteFunc(slices.Clone(from), func(o *counted) bool { return o == w })
}

// enter lets a connection come.
func (m *capping) enter(t *rapid.T) {
	end, _ := net.Pipe()
	w := &counted{Conn: end, at: m.c, from: netip.AddrFrom4([4]byte{192, 0, 2, byte(rapid.IntRange(1, 12).Draw(t, "host"))})}
	out, ok := m.c.enter(w)
	if out != nil && slices.Contains(m.busy, out) {
		t.Fatal("one that was being answered went")
	}
	m.open = drop(m.open, out)
	if ok {
		m.open = append(m.open, w)
	} else if len(m.open) < mostConns && len(m.busy) < mostConnsEach {
		t.Fatal("refused, and there was room")
	}
}

// ask lets a request come on one, or an answer end.
func (m *capping) ask(t *rapid.T) {
	if len(m.open) == 0 {
		return
	}
	w := rapid.SampledFrom(m.open).Draw(t, "who")
	if m.done[w] == nil {
		m.done[w], m.busy = w.answering(), append(m.busy, w)
		return
	}
	m.done[w]()
	m.busy = drop(m.busy, w)
	delete(m.done, w)
}

// leave closes one, perhaps while it is being answered, and twice, as net/http does.
func (m *capping) leave(t *rapid.T) {
	if len(m.open) == 0 {
		return
	}
	w := rapid.SampledFrom(m.open).Draw(t, "who")
	_, _ = w.Close(), w.Close()
	if end := m.done[w]; end != nil {
		end()
	}
	m.open, m.busy = drop(m.open, w), drop(m.busy, w)
}

func (m *capping) check(t *rapid.T) {
	each := map[netip.Addr]int{}
	for _, w := range m.open {
		each[w.from]++
		if each[w.from] > mostConnsEach {
			t.Fatal("too many of one address")
		}
	}
	if m.c.all != len(m.open) || len(m.open) > mostConns || !maps.Equal(m.c.each, each) || m.c.waiting.Len() != len(m.open)-len(m.busy) {
		t.Fatalf("counts %d of %d that are open; %d wait, %d are answered", m.c.all, len(m.open), m.c.waiting.Len(), len(m.busy))
	}
}

// TestCappedModel: whatever comes, asks and goes, no more than the bounds are open, the counts are those of what is open,
// and a connection on which a request is being answered is never the one that makes room.
func TestCappedModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &capping{c: newCapped(nil), done: map[*counted]func(){}}
		for range rapid.IntRange(1, 900).Draw(t, "steps") {
			step := rapid.SampledFrom([]func(*rapid.T){m.enter, m.enter, m.enter, m.enter, m.ask, m.leave}).Draw(t, "step")
			step(t)
			m.check(t)
		}
	})
}
