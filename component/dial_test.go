package component

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/stanza"

	wire "github.com/patchbay-im/patchbay/stanza"
)

func TestBackoffWait(t *testing.T) {
	tests := []struct {
		name   string
		b      Backoff
		k      int
		lo, hi time.Duration
	}{
		{"defaults, first", Backoff{}, 0, 125 * time.Millisecond, 250 * time.Millisecond},
		{"defaults, third", Backoff{}, 2, 500 * time.Millisecond, time.Second},
		{"defaults, at the cap", Backoff{}, 7, 15 * time.Second, 30 * time.Second},
		{"defaults, for ever", Backoff{}, 1 << 40, 15 * time.Second, 30 * time.Second},
		{"min above max", Backoff{Min: time.Minute, Max: time.Second}, 3, 500 * time.Millisecond, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lo := tt.b.Wait(tt.k, func() float64 { return 0 })
			hi := tt.b.Wait(tt.k, func() float64 { return 1 })
			if lo != tt.lo || hi != tt.hi {
				t.Errorf("got %s..%s, want %s..%s", lo, hi, tt.lo, tt.hi)
			}
		})
	}
}

func TestConfigValidate(t *testing.T) {
	good := newFakeServer().config()
	tests := []struct {
		name   string
		change func(*Config)
		want   string // "" is good
	}{
		{"good", func(*Config) {}, ""},
		{"no address", func(c *Config) { c.Addrs = nil }, "no address"},
		{"no port", func(c *Config) { c.Addrs = []string{"hub1"} }, "not host:port"},
		{"no secret", func(c *Config) { c.Secret = "" }, "no secret"},
		{"no domain", func(c *Config) { c.Domain = "" }, "read domain"},
		{"domain is a user", func(c *Config) { c.Domain = "a@im.example" }, "not a bare domain"},
		{"user domain is a user", func(c *Config) { c.Users = []string{"a@im.example"} }, "not a bare domain"},
		{"negative size", func(c *Config) { c.MaxStanza = -1 }, "negative"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := good
			tt.change(&c)
			err := c.Validate()
			if (tt.want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestDialRefused(t *testing.T) {
	const ns = " xmlns='urn:ietf:params:xml:ns:xmpp-streams'"
	tests := []struct {
		name, secret, refuse, condition, text string
	}{
		{"secret", "another secret", "", "not-authorized", "handshake does not match the secret"},
		{"host", fakeSecret, "<host-unknown" + ns + "/><text" + ns + ">add it under nodes:</text>", "host-unknown", "add it under nodes:"},
		{"conflict", fakeSecret, "<conflict" + ns + "/>", "conflict", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer()
				f.refuse = tt.refuse
				cfg := f.config()
				cfg.Secret = tt.secret
				begin := time.Now()
				_, err := Dial(t.Context(), cfg)
				var se *wire.StreamError
				if !errors.As(err, &se) || se.Condition != tt.condition || se.Text != tt.text {
					t.Errorf("got %v", err)
				}
				if time.Since(begin) != 0 {
					t.Errorf("said so after %s", time.Since(begin))
				}
			})
		})
	}
}

func TestDialWaitsForServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		f.away = make(chan struct{})
		time.AfterFunc(time.Minute, func() { close(f.away) })
		begin := time.Now()
		f.attached(t, f.config())
		if d := time.Since(begin); d < time.Minute || d > 2*time.Minute {
			t.Errorf("attached after %s", d)
		}
	})
}

func TestDialEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		f.away = make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := Dial(ctx, f.config())
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("got %v", err)
		}
	})
}

// A server that shuts down is like one that is not there: the next address, the next round.
func TestDialTriesEachAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		leaving := newFakeServer()
		leaving.refuse = "<system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
		cfg := f.config()
		cfg.Addrs = []string{"hub1:5347", "hub2:5347", "hub3:5347"}
		var asked []string
		cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			asked = append(asked, addr)
			switch addr {
			case "hub1:5347":
				return nil, errors.New("connection refused")
			case "hub2:5347":
				return leaving.dial(ctx, network, addr)
			}
			return f.dial(ctx, network, addr)
		}
		f.attached(t, cfg)
		if got := strings.Join(asked, " "); got != "hub1:5347 hub2:5347 hub3:5347" {
			t.Errorf("got %q", got)
		}
	})
}

// A node whose server goes away for good attaches to the next, with its sessions and watches.
func TestReconnectElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub1, hub2 := newFakeServer(), newFakeServer()
		hub1.away = make(chan struct{})
		close(hub1.away)
		cfg := hub1.config()
		cfg.told()
		cfg.Addrs = []string{"hub1:5347", "hub2:5347"}
		cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			return map[string]*fakeServer{"hub1:5347": hub1, "hub2:5347": hub2}[addr].dial(ctx, network, addr)
		}
		n, l := hub1.attached(t, cfg)
		go func() { l.accept(l.next(t), ""); l.accept(l.next(t), "") }()
		if err := errors.Join(n.Announce(t.Context(), alice), n.Watch(t.Context(), bob.Bare())); err != nil {
			t.Fatal(err)
		}
		hub1.away = make(chan struct{})
		l.conn.Close()
		l = <-hub2.links
		s := l.next(t)
		if got := stated(t, s); got != "im.example all +alice@im.example/phone" {
			t.Errorf("got %q", got)
		}
		l.accept(s, "")
		contains(t, l.next(t).inner, "<watch ", `jid="bob@im.example"`)
	})
}

// A server that takes the connection and says nothing does not hold Dial for ever.
func TestDialGivesUpMuteServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		mute, attempts := []net.Conn{}, 0
		cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if attempts++; attempts > 1 {
				return f.dial(ctx, network, addr)
			}
			mine, theirs := net.Pipe()
			mute = append(mute, mine)
			return theirs, nil
		}
		begin := time.Now()
		f.attached(t, cfg)
		if d := time.Since(begin); d < attemptTimeout || d > attemptTimeout+time.Second {
			t.Errorf("attached after %s", d)
		}
		mute[0].Close()
	})
}

func TestReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		events := make(chan string, 10)
		cfg.OnAttach = func(*Node) { events <- "attach" }
		cfg.OnDetach = func(err error) { events <- "detach: " + err.Error() }
		n, l := f.attached(t, cfg)
		l.conn.Close()
		l = <-f.links
		l.accept(l.next(t), "") // nothing is announced, and that is said: sync='all' without items
		if err := n.Send(t.Context(), chatOf("x")); err != nil {
			t.Error(err)
		}
		contains(t, l.next(t).inner, "<body>x</body>")
		l.write("<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>back in 30 s</text></stream:error></stream:stream>")
		l = <-f.links
		l.accept(l.next(t), "")
		synctest.Wait()
		want := []string{"attach", "detach: the connection ended without the end of the stream", "attach", "detach: system-shutdown: back in 30 s", "attach"}
		for _, w := range want {
			if got := <-events; got != w {
				t.Errorf("got %q, want %q", got, w)
			}
		}
	})
}

// A link that is attached and lost again at once does not make the node hammer the server.
func TestReconnectBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		begin := time.Now()
		_, l := f.attached(t, f.config())
		for range 10 {
			l.conn.Close()
			l = <-f.links
		}
		if d := time.Since(begin); d < 60*time.Second {
			t.Errorf("10 reconnects in %s", d)
		}
		go func() {
			for s := range l.got {
				l.accept(s, "")
			}
		}()
		time.Sleep(steadyAfter)
		begin = time.Now()
		l.conn.Close()
		<-f.links
		if d := time.Since(begin); d > time.Second {
			t.Errorf("a steady link was renewed after %s", d)
		}
	})
}

func TestSilentLinkIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		_, l := f.attached(t, f.config())
		for range 10 { // asked for a sign of life it gives one
			s := l.next(t)
			l.write("<iq type='get' id='" + s.attr("id") + "' from='node1.im.example' to='node1.im.example'>" + s.inner + "</iq>")
			l.next(t) // the node answers its own ping
		}
		begin := time.Now()
		<-f.links // then it does not
		if d := time.Since(begin); d < silentDead || d > 2*silentDead {
			t.Errorf("given up after %s", d)
		}
	})
}

func TestOversizeStanzaEndsLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		cfg.MaxStanza = 1000
		n, l := f.attached(t, cfg)
		if err := n.Send(t.Context(), chatOf(strings.Repeat("x", 1000))); err == nil {
			t.Error("sent a stanza larger than MaxStanza")
		}
		go l.write(chat("bob@im.example/web", "alice@im.example/phone", "m1", strings.Repeat("x", 2000)))
		s := l.next(t)
		contains(t, s.start.Name.Local+s.inner, "error", "policy-violation")
		<-f.links
	})
}

func TestCloseEndsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		n, l := f.attached(t, f.config())
		begin := time.Now()
		n.Close()
		for range l.got {
		}
		if l.tail != "close" || time.Since(begin) != 0 {
			t.Errorf("ended by %q after %s", l.tail, time.Since(begin))
		}
		for name, err := range map[string]error{
			"send": n.Send(t.Context(), chatOf("x")), "announce": n.Announce(t.Context(), alice), "close": errors.Join(n.Close(), ErrClosed),
		} {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("%s: got %v", name, err)
			}
		}
	})
}

// closeCases are what a node may be doing when Close comes.
var closeCases = []struct {
	name string
	do   func(t *testing.T, f *fakeServer, n *Node, l *fakeLink)
}{
	{"nothing", func(*testing.T, *fakeServer, *Node, *fakeLink) {}},
	{"back-off", func(t *testing.T, f *fakeServer, n *Node, l *fakeLink) {
		f.away = make(chan struct{})
		l.conn.Close()
		synctest.Wait()
	}},
	{"restating", func(t *testing.T, f *fakeServer, n *Node, l *fakeLink) {
		l.conn.Close()
		l = <-f.links
		l.next(t) // never answered
	}},
	{"announcing", func(t *testing.T, f *fakeServer, n *Node, l *fakeLink) {
		go func() {
			if err := n.Announce(context.Background(), alice); !errors.Is(err, ErrClosed) {
				t.Errorf("announce: got %v", err)
			}
		}()
		l.next(t)
	}},
	{"a handler that runs", func(t *testing.T, f *fakeServer, n *Node, l *fakeLink) {
		l.write(chat("bob@im.example/web", "alice@im.example/phone", "m1", "sleep"))
	}},
	{"a handler that closes", func(t *testing.T, f *fakeServer, n *Node, l *fakeLink) {
		l.write(chat("bob@im.example/web", "alice@im.example/phone", "m1", "close"))
	}},
	{"a full inbox", func(t *testing.T, f *fakeServer, n *Node, l *fakeLink) {
		l.write(chat("bob@im.example/web", "alice@im.example/phone", "m1", "sleep"))
		go func() {
			for range 40 {
				l.write(chat("bob@im.example/web", "alice@im.example/phone", "m2", strings.Repeat("x", DefaultMaxStanza)))
			}
		}()
		synctest.Wait()
		if !n.inbox.full() {
			t.Error("the inbox is not full")
		}
	}},
}

// Close ends whatever the node is doing; that nothing of it stays behind is seen by the bubble's end.
func TestCloseDuring(t *testing.T) {
	for _, tt := range closeCases {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer()
				cfg := f.config()
				nodes := make(chan *Node, 1)
				cfg.OnAttach = func(n *Node) { nodes <- n }
				var n *Node
				cfg.Handler = Messages(func(m Message) {
					switch m.Body {
					case "sleep":
						time.Sleep(time.Minute)
					case "close":
						n.Close()
					}
				}, nil)
				_, l := f.attached(t, cfg)
				n = <-nodes
				tt.do(t, f, n, l)
				begin := time.Now()
				n.Close()
				if d := time.Since(begin); d > closeWait {
					t.Errorf("close took %s", d)
				}
			})
		})
	}
}

func chatOf(body string) *tokens {
	m := Message{Message: stanza.Message{From: alice, To: bob, Type: stanza.ChatMessage}, Body: body}
	return &tokens{list: readAll(m)}
}
