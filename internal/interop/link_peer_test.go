package interop

import (
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/internal/fault"
)

// mostWindow is the most that may be written to a link and not be proved, in bytes (protocol.md 2).
const mostWindow = 4 << 20

// wired is a server whose nodes reach it over a bad network.
type wired struct {
	*server
	net *fault.Proxy
}

// behind gives a server behind a bad network; its links take little from the server before it must wait.
func behind(t *testing.T, sets ...string) wired {
	t.Helper()
	s := serve(t, t.TempDir(), sets...)
	p, err := fault.ListenWindow(s.addr, 16<<10)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return wired{s, p}
}

// link gives the link of the last connection.
func (w wired) link() *fault.Link {
	all := w.net.Links()
	return all[len(all)-1]
}

// inbox is what a node has got, over all of its links.
type inbox struct {
	mu     sync.Mutex
	lives  [][]arrival // guarded by mu, as all below: one list for each link
	next   int         // the number of the first message that has not come
	errors []string    // message errors
	mute   bool        // pings are not answered
	pings  int
}

// arrival is one message that has come.
type arrival struct {
	number int
	size   int // bytes of what is in it, nearly all of it
	late   bool
}

// correspondent is a node that numbers what it sends, answers pings, and knows what is missing.
type correspondent struct {
	*node
	domain string
	box    *inbox
	life   int // its list in the inbox
}

// join attaches a correspondent at an address: that of the server, or of the bad network.
func join(t *testing.T, s *server, addr, name string, box *inbox) *correspondent {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	c := &correspondent{node: &node{conn: conn, dec: xml.NewDecoder(conn), over: make(chan struct{})}, domain: name + ".im.example", box: box}
	_ = conn.SetDeadline(time.Now().Add(patience))
	if err := c.handshake(c.domain, s.secret); err != nil {
		t.Fatalf("attach %s: %v", name, err)
	}
	_ = conn.SetDeadline(time.Time{})
	box.mu.Lock()
	c.life = len(box.lives)
	box.lives = append(box.lives, nil)
	box.mu.Unlock()
	go c.listen() // ends with the connection
	t.Cleanup(c.cut)
	return c
}

// listen takes what comes until the connection ends.
func (c *correspondent) listen() {
	defer close(c.over)
	for {
		tag, err := c.next()
		if err != nil {
			c.closed = err == io.EOF
			_ = c.conn.Close()
			return
		}
		if tag.Name.Local == "error" {
			c.condition = c.streamError(tag)
			continue
		}
		var e element
		if c.dec.DecodeElement(&e, &tag) != nil {
			continue // the connection has ended: the next token says so
		}
		if e.XMLName.Local == "iq" && e.Type == "get" && c.hears() {
			_ = c.say("<iq type='result' id='%s' from='%s' to='%s'/>", e.ID, e.To, e.From)
		}
		c.box.take(c.life, e)
	}
}

// hears reports whether pings are answered.
func (c *correspondent) hears() bool {
	c.box.mu.Lock()
	defer c.box.mu.Unlock()
	c.box.pings++
	return !c.box.mute
}

func (b *inbox) take(life int, e element) {
	if e.XMLName.Local != "message" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if e.Type == "error" {
		b.errors = append(b.errors, e.ID+": "+e.Inner)
		return
	}
	n, err := strconv.Atoi(strings.TrimPrefix(e.ID, "m"))
	if err != nil {
		return
	}
	b.lives[life] = append(b.lives[life], arrival{n, len(e.Inner), strings.Contains(e.Inner, "urn:xmpp:delay")})
	if n == b.next {
		b.next++
	}
}

// has reports whether all messages below a number have come.
func (b *inbox) has(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.next >= n
}

// await waits until all messages below a number have come, as long as another comes now and then.
func (b *inbox) await(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("message %d", n-1), func() bool { return b.has(n) })
}

// letters sends messages first to beyond to another node.
func (c *correspondent) letters(to string, first, beyond int) error {
	body := strings.Repeat("x", 200)
	for n := first; n < beyond; n++ {
		if err := c.say("<message id='m%d' from='%s' to='%s'><body>%s</body></message>", n, c.domain, to, body); err != nil {
			return err
		}
	}
	return nil
}

// writes is letters in a goroutine of its own; what it gives waits for the last.
func (c *correspondent) writes(t *testing.T, to string, first, beyond int) (wait func()) {
	t.Helper()
	sent := make(chan error, 1)
	go func() { sent <- c.letters(to, first, beyond) }()
	return func() {
		t.Helper()
		select {
		case err := <-sent:
			if err != nil {
				t.Errorf("the sender's link: %v", err)
			}
		case <-time.After(patience):
			t.Fatal("the sender is not read")
		}
	}
}

// judge holds what has come against what was sent: nothing is missing; each link brings a row without a gap or a
// turn, which begins where the one before it ended, or repeats the end of it; what is repeated is at most a window,
// and says that it is late.
func (b *inbox) judge(t *testing.T, count int) (repeated int) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	come, unmarked := 0, 0
	for i, life := range b.lives {
		size := 0
		for k, a := range life {
			switch {
			case k == 0 && a.number > come || k > 0 && a.number != life[k-1].number+1:
				t.Fatalf("link %d: message %d comes as number %d, when %d had come", i, a.number, k, come)
			case a.number < come:
				size += a.size
				repeated++
				if !a.late {
					unmarked++
				}
			}
			come = max(come, a.number+1)
		}
		if size > mostWindow {
			t.Errorf("link %d repeats %d bytes", i, size)
		}
	}
	if come != count || unmarked > 0 {
		t.Errorf("%d messages of %d have come; %d came again, %d of them without a delay stamp", come, count, repeated, unmarked)
	}
	return repeated
}

// lives sees that a correspondent is attached, and that nothing it has sent came back.
func (c *correspondent) lives(t *testing.T) {
	t.Helper()
	select {
	case <-c.over:
		t.Errorf("the link of %s has ended: %q", c.domain, c.condition)
	default:
	}
	c.box.mu.Lock()
	defer c.box.mu.Unlock()
	if len(c.box.errors) > 0 {
		t.Errorf("%d messages are refused, e.g. %s", len(c.box.errors), c.box.errors[0])
	}
}
