package interop

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
)

// tap stands between one node and the server and records the bytes of both directions.
type tap struct {
	// set once
	ln       net.Listener
	target   string
	piece    int      // most bytes that are written to the node at once; 0: as they come
	up, down *os.File // to the server, and from it
	wg       sync.WaitGroup
}

func newTap(t *testing.T, target string, piece int) *tap {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{ln: ln, target: target, piece: piece}
	dir := t.TempDir()
	for name, f := range map[string]**os.File{"up": &p.up, "down": &p.down} {
		if *f, err = os.Create(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	p.wg.Go(func() { p.accept(t.Context()) })
	t.Cleanup(func() {
		_ = ln.Close()
		p.wg.Wait()
		_, _ = p.up.Close(), p.down.Close()
	})
	return p
}

// addr is where the node attaches.
func (p *tap) addr() string { return p.ln.Addr().String() }

// accept takes the one connection of the node.
func (p *tap) accept(ctx context.Context) {
	node, err := p.ln.Accept()
	if err != nil {
		return
	}
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = node.Close()
		return
	}
	end := func() { _, _ = node.Close(), server.Close() }
	defer end()
	defer context.AfterFunc(ctx, end)() // a test that has failed may leave the server stuck
	var both sync.WaitGroup
	both.Go(func() { pass(server, node, p.up) })
	both.Go(func() { pass(pieces{node.(*net.TCPConn), p.piece}, server, p.down) })
	both.Wait()
}

// pass copies one direction to its end, and hands the end on.
func pass(to io.Writer, from net.Conn, record io.Writer) {
	_, _ = io.Copy(to, io.TeeReader(from, record))
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, from)
}

// pieces writes little by little.
type pieces struct {
	*net.TCPConn
	most int // bytes at once; 0: as they come
}

func (p pieces) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		end := len(b)
		if p.most > 0 {
			end = min(n+p.most, end)
		}
		var wrote int
		wrote, err = p.TCPConn.Write(b[n:end])
		n += wrote
	}
	return n, err
}

// ReadFrom keeps io.Copy from going past Write.
func (p pieces) ReadFrom(r io.Reader) (int64, error) { return io.Copy(struct{ io.Writer }{p}, r) }

// record gives what a direction has carried, once the connection has ended.
func (p *tap) record(t *testing.T) (up, down wire) {
	t.Helper()
	p.wg.Wait()
	for f, w := range map[*os.File]*wire{p.up: &up, p.down: &down} {
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		*w = wire(b)
	}
	return up, down
}

// wire is one direction of a stream. It is read with a plain search for tags, so that no parser of ours judges
// itself: in these tests no stanza holds another, nor text that looks like one.
type wire []byte

// barrier is the tag of a ping of the router, or of its answer.
var barrier = regexp.MustCompile(`<iq [^<>]*\bid=['"]pb-[0-9a-f]{16}-\d+['"]`)

// stanzas counts the stanzas, but for the pings of the router and their answers, which no ledger counts.
func (w wire) stanzas() (n int) {
	n -= len(barrier.FindAllIndex(w, -1))
	for _, name := range []string{"message", "iq", "presence"} {
		for _, end := range []string{" ", ">", "/>"} {
			n += bytes.Count(w, []byte("<"+name+end))
		}
	}
	return n
}

// seen is one message as it was on the wire.
type seen struct {
	id, from, to, body string
	at                 int // where its body begins, in bytes from the beginning of the stream
}

// unplaced is a message without its place, to be compared.
func (m seen) unplaced() seen {
	m.at = 0
	return m
}

func (m seen) String() string { return fmt.Sprintf("%s from %s to %s: %q", m.id, m.from, m.to, m.body) }

// messages gives the messages in their order.
func (w wire) messages(t *testing.T) (all []seen) {
	t.Helper()
	for rest := []byte(w); ; {
		begin := bytes.Index(rest, []byte("<message"))
		if begin < 0 {
			return all
		}
		rest = rest[begin:]
		whole, next, ok := bytes.Cut(rest, []byte("</message>"))
		tag, content, closed := bytes.Cut(whole, []byte(">"))
		if !ok || !closed {
			t.Fatalf("a message is cut: %.200q", whole)
		}
		_, content, _ = bytes.Cut(content, []byte("<body>"))
		at := len(w) - len(next) - len("</message>") - len(content)
		body, _, ok := bytes.Cut(content, []byte("</body>"))
		if !ok {
			t.Fatalf("a message has no body: %q", whole)
		}
		all = append(all, seen{attr(tag, "id"), attr(tag, "from"), attr(tag, "to"), string(body), at})
		rest = next
	}
}

// attr gives the value of an attribute of a start tag as it is written.
func attr(tag []byte, name string) string {
	for _, quote := range []string{"'", `"`} {
		if _, after, ok := bytes.Cut(tag, []byte(" "+name+"="+quote)); ok {
			value, _, _ := bytes.Cut(after, []byte(quote))
			return string(value)
		}
	}
	return ""
}
