package interop

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// witness is a node by hand with one user, whom an example greets, and who remembers in order what comes.
type witness struct {
	*party
	heard []element // guarded by mu
}

func newWitness(t *testing.T, s *server) *witness {
	t.Helper()
	w := &witness{party: &party{name: "peer", got: map[string]int{}, errors: map[string][]string{}, result: map[string]bool{}}}
	w.node = attached(t, s, "peer.im.example", func(e element) {
		w.mu.Lock()
		w.heard = append(w.heard, e)
		w.mu.Unlock()
		w.take(e)
	})
	w.announce(t)
	return w
}

// bodies gives what an example's user has written so far.
func (w *witness) bodies(t *testing.T, e example) (all []string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.heard {
		if m.XMLName.Local == "message" && m.From == e.user && m.Type == "chat" {
			all = append(all, meaning(t, m.Inner))
		}
	}
	return all
}

// meaning gives the text of XML, as a parser that does all that XML 1.0 asks for reads it.
func meaning(t *testing.T, raw string) string {
	t.Helper()
	var text strings.Builder
	for dec := xml.NewDecoder(strings.NewReader("<x>" + raw + "</x>")); ; {
		tok, err := dec.Token()
		if err != nil {
			break
		}
		if chars, ok := tok.(xml.CharData); ok {
			text.Write(chars)
		}
	}
	return text.String()
}

// tell sends the example's user a message, as it stands on the wire after its addresses.
func (w *witness) tell(t *testing.T, e example, rest string) {
	t.Helper()
	if err := w.say("<message from='%s' to='%s' %s</message>", w.user(), e.bare(), rest); err != nil {
		t.Fatal(err)
	}
}

// hears waits for a message from the example's user.
func (w *witness) hears(t *testing.T, e example, body string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%q from %s", body, e.name), func() bool { return slices.Contains(w.bodies(t, e), body) })
}

// each runs a test once for each example, against a server of its own.
func each(t *testing.T, test func(t *testing.T, e example, s *server, w *witness, dir string)) {
	for _, e := range examples {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			e.command(t, dir) // skips where a program is missing
			s := serve(t, t.TempDir())
			test(t, e, s, newWitness(t, s), dir)
		})
	}
}

// TestExampleAlone looks at what each example answers, and how often, also after its own kill, when all was proved.
func TestExampleAlone(t *testing.T) {
	each(t, func(t *testing.T, e example, s *server, w *witness, dir string) {
		hello := "hello from " + e.speaks
		direct := s.addr
		s.addr = newTap(t, direct, 1).addr()
		p := e.run(t, s, dir, "peer@im.example")
		w.hears(t, e, hello)
		for range 2 {
			w.tell(t, e, "id='once' type='chat'><body>once</body>")
			w.tell(t, e, "type='chat'><body>no id</body>")
		}
		w.tell(t, e, "id='a1' type='chat'><body>"+answer+"nothing</body>")
		w.tell(t, e, "id='e1' type='error'><body>no cause</body>")
		w.tell(t, e, "id='e2' type='error'><body>empty cause</body><error/>")
		w.tell(t, e, "id='c1' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/>")
		emoji := strings.Repeat("😀", 5000) // some of them in two reads from the socket
		w.tell(t, e, "id='last' type='chat'><body>1 &lt; 2 &amp;amp; "+emoji+" &quot;&apos;&#13;end</body>")
		last := answer + "1 < 2 &amp; " + emoji + " \"'" + e.cr + "end"
		w.hears(t, e, last)
		told(t, w, e, hello, answer+"once", answer+"no id", answer+"no id", last)
		w.ping(t, e)
		// What is not proved comes again, and an example knows only by its id that it has a message.
		eventually(t, "the proof that "+e.name+" has read all", func() bool { return s.node(t, label(e.domain)).memory() == 0 })

		p.kill()
		e.tear(t, dir)
		s.addr = direct
		p = e.run(t, s, dir, "peer@im.example")
		eventually(t, "another greeting", func() bool { return len(w.bodies(t, e)) == 6 })
		w.tell(t, e, "id='once' type='chat'><body>once</body>")
		w.tell(t, e, "id='then' type='chat'><body>then</body>")
		w.hears(t, e, answer+"then")
		told(t, w, e, hello, answer+"once", answer+"no id", answer+"no id", last, hello, answer+"then")
		e.ends(t, s, p)
		if rows := e.saved(t, dir); len(rows) != 13 {
			t.Errorf("%s has saved %q", e.name, rows)
		}
	})
}

// tear leaves in the file what a full disk or a power failure leaves: half a row. SQLite takes care of itself, and the
// example in Go leaves this out: it does not start then.
func (e example) tear(t *testing.T, dir string) {
	t.Helper()
	if e.name != "nodejs" {
		return
	}
	path := filepath.Join(dir, e.file)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, append(text, "[\"peer@im.example/x\",\"half\",\"dave@im.example\",\"\xf0\x9f"...))
}

// told sees that all that was written to the witness is this.
func told(t *testing.T, w *witness, e example, want ...string) {
	t.Helper()
	if got := w.bodies(t, e); !slices.Equal(got, want) {
		t.Errorf("%s writes\n\t%q\nnot\n\t%q", e.name, got, want)
	}
}

// ping sees that the example answers a ping, and an iq that it cannot know (RFC 6120 8.2.3).
func (w *witness) ping(t *testing.T, e example) {
	t.Helper()
	for payload, kind := range map[string]string{"<ping xmlns='urn:xmpp:ping'/>": "result", "<other xmlns='urn:x'/>": "error"} {
		if err := w.say("<iq type='get' id='%s' from='%s' to='%s'>%s</iq>", kind, w.user(), e.domain, payload); err != nil {
			t.Fatal(err)
		}
		eventually(t, e.name+" to answer with "+kind, func() bool { return w.answered(e, kind) })
	}
}

// answered reports whether the example has answered an iq with the type that its id names.
func (w *witness) answered(e example, kind string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.heard, func(i element) bool {
		return i.XMLName.Local == "iq" && i.From == e.domain && i.ID == kind && i.Type == kind
	})
}

// TestExampleRefused sees that each example says why the router does not take it, and ends when it is asked to.
func TestExampleRefused(t *testing.T) {
	each(t, func(t *testing.T, e example, s *server, _ *witness, dir string) {
		s.secret = "another secret altogether"
		p := e.run(t, s, dir, "peer@im.example")
		p.find(t, regexp.MustCompile("not-authorized.*(handshake|proof) does not match the secret for "+e.domain))
		if e.name == "go" { // waiting would mend nothing: it ends by itself
			if code := p.wait(t); code != 1 {
				t.Errorf("exit code %d", code)
			}
			return
		}
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if code := p.wait(t); code != 0 {
			t.Errorf("exit code %d:\n%s", code, strings.Join(p.output(), "\n"))
		}
	})
}

// TestExampleEnds asks each example to end while it has messages to answer: none that was written to it is lost.
func TestExampleEnds(t *testing.T) {
	const flood = 200
	each(t, func(t *testing.T, e example, s *server, w *witness, dir string) {
		p := e.run(t, s, dir, "peer@im.example")
		w.hears(t, e, "hello from "+e.speaks)
		for n := range flood {
			w.tell(t, e, fmt.Sprintf("id='flood-%d' type='chat'><body>flood</body>", n))
		}
		eventually(t, "answers from "+e.name, func() bool { return len(w.bodies(t, e)) > 10 })
		e.ends(t, s, p)
		came := 0
		for _, r := range e.saved(t, dir) {
			if r.from == w.user() {
				came++
			}
		}
		if came != flood || p.said("Traceback") {
			t.Errorf("%s saves %d messages of %d that were written to it:\n%s", e.name, came, flood, strings.Join(p.output(), "\n"))
		}
	})
}

// said reports whether a program has written a text.
func (p *process) said(text string) bool {
	return strings.Contains(strings.Join(p.output(), "\n"), text)
}

// TestExampleSavesFirst fills up the file of each example: by what comes, which is then not answered, or by the answer,
// which is then not sent.
func TestExampleSavesFirst(t *testing.T) {
	const room = 64 << 10 // bytes; what fits into it is on its way when a program ends
	for name, size := range map[string]int{"what came": room + room/4, "the answer": room * 5 / 8} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, e example, s *server, w *witness, dir string) {
				cmd := limited(t, e.command(t, dir, "peer@im.example"), fmt.Sprintf("-f %d", room/512)) // POSIX: blocks of 512 bytes
				p := start(t, e.against(s, cmd))
				w.hears(t, e, "hello from "+e.speaks)
				w.tell(t, e, "id='small' type='chat'><body>small</body>")
				w.hears(t, e, answer+"small")
				w.tell(t, e, "id='large' type='chat'><body>"+strings.Repeat("x", size)+"</body>")
				p.find(t, regexp.MustCompile("too large|OperationalError"))
				if err := w.say("<iq type='get' id='result' from='%s' to='%s'><ping xmlns='urn:xmpp:ping'/></iq>", w.user(), e.domain); err != nil {
					t.Fatal(err)
				}
				eventually(t, "the end of "+e.name+", or that it goes on", func() bool { return p.over() || w.answered(e, "result") })
				if p.over() { // all that it has sent is read when its link has ended
					s.find(t, regexp.MustCompile("(link dropped|closed its stream) .*node="+e.domain))
				}
				w.ask(t, "get", "<ping xmlns='urn:xmpp:ping'/>")
				told(t, w, e, "hello from "+e.speaks, answer+"small")
			})
		})
	}
}

// over reports whether a program has ended.
func (p *process) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}
