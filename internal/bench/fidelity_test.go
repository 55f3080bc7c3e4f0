package bench

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/internal/server"
)

// serveHere runs our server in the process of the test.
func serveHere(t *testing.T) (addr string) {
	t.Helper()
	cfg, err := benchConfig("", "")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Timers.Drain = time.Second
	log := logrus.New()
	log.SetOutput(io.Discard)
	s, err := server.New(cfg, server.Options{Version: "test", Log: logrus.NewEntry(log), OnFail: func(err error) { t.Error(err) }})
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s.ComponentAddr()
}

// dialHere opens a connection that ends with the test.
func dialHere(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // before Stop, which would wait for it
	return conn
}

// nodesHere gives a function that attaches a node to a server of its own.
func nodesHere(t *testing.T) (link func(domain string) *Link) {
	t.Helper()
	addr := serveHere(t)
	return func(domain string) *Link {
		link, err := Attach(dialHere(t, addr), domain, benchSecret)
		if err != nil {
			t.Fatal(err)
		}
		return link
	}
}

// modernHere is nodesHere for nodes with modern streams.
func modernHere(t *testing.T) (link func(domain string) *Link) {
	t.Helper()
	addr, m := serveHere(t), &Modern{Secret: benchSecret}
	return func(domain string) *Link {
		link, err := m.Attach(dialHere(t, addr), domain)
		if err != nil {
			t.Fatal(err)
		}
		return link
	}
}

// pieces are what bodies are made of: each way to write a character that some server has been seen to change.
var pieces = []string{"&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&#13;", "&#xD;", "&#10;", "&#9;", "&#x1F600;", "&#38;", "\r\n", "\n", "\t",
	"Wherefore art thou", " ", "ð", "жук", "漢字", "😀", "\u0301", "\u200f", "<![CDATA[<b> & ]]>", "'", "\"", "]", "]]&gt;", "a > b"}

// TestFidelity sends bodies by chance through the server and wants every byte back as it was sent.
func TestFidelity(t *testing.T) {
	link := nodesHere(t)
	send, take := link(sendNode), link(takeNode)
	rng := rand.New(rand.NewPCG(3, 4))
	var all []byte
	for i := range 1000 {
		quote := []string{"'", `"`}[rng.IntN(2)]
		all = append(all, "<message id="+quote+strconv.Itoa(i)+quote+" to='"+takeNode+"'  from="+quote+sendNode+quote+"><body>"...)
		for range rng.IntN(40) {
			all = append(all, pieces[rng.IntN(len(pieces))]...)
		}
		all = append(all, "</body ><x xmlns='urn:example:x' a='&#13;&#10;&amp;\t'/></message>"...)
	}
	go func() { // ends with the link
		for rest := all; len(rest) > 0; {
			n := min(len(rest), 1+rng.IntN(3000))
			if _, err := send.Conn.Write(rest[:n]); err != nil {
				t.Error(err)
				return
			}
			rest = rest[n:]
		}
	}()
	l := &Load{Meter: NewMeter()}
	defer l.Close()
	got, came := []byte(nil), make(chan struct{})
	l.Skip(take, func(part []byte) {
		before := len(got)
		if got = append(got, part...); before < len(all) && len(got) >= len(all) {
			close(came)
		}
	})
	select {
	case <-came:
	case <-time.After(30 * time.Second):
		t.Fatalf("%d bytes have not come within 30 s", len(all))
	}
	l.Close() // nothing more is added to got
	if !bytes.Equal(got[:len(all)], all) {
		i := 0
		for got[i] == all[i] {
			i++
		}
		t.Errorf("byte %d: got %.80q, want %.80q", i, got[i:], all[i:])
	}
}
