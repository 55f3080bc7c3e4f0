package interop

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// tries is how many nodes are refused at one time: none of them may miss the reason.
const tries = 50

// denial is one way in which a node cannot attach, by the file of the server and by what the node does.
type denial struct {
	name string

	// the file of the server; NODE is the node's domain
	server, users, plain, node string
	timers                     string

	secret  string
	overTLS bool                                    // the node connects to the TLS port, in the clear
	before  func(t *testing.T, f *filed, e example) // what is so before

	condition, text string // what the author is told
	mend            string // what the operator is told, a part of it
	unnamed         bool   // nobody has heard the name of the node
}

const agreed = "the-secret-that-is-right"

var denials = []denial{
	{name: "wrong secret", secret: "a-secret-that-is-wrong", condition: "not-authorized",
		text: "handshake does not match the secret for NODE; check the secret (a library sends the lower-case hex of sha1(stream id + secret))",
		mend: "see secret of NODE in "},
	{name: "unknown name", node: "other.im.example", condition: "host-unknown",
		text: "the domain may not attach here; check how it is written, or add it under nodes: in the configuration",
		mend: "add NODE under nodes: in "},
	{name: "a user domain", node: "other.im.example", users: "NODE", condition: "conflict",
		text: "the domain is the server's own or a user domain; give the node a domain of its own",
		mend: "NODE is under server: or users:"},
	{name: "the domain of the server", node: "other.im.example", server: "NODE", condition: "conflict",
		text: "the domain is the server's own or a user domain; give the node a domain of its own",
		mend: "NODE is under server: or users:"},
	{name: "no TLS where it is needed", plain: "10.0.0.0/8", condition: "policy-violation",
		text: "this address may attach over TLS only (listen.plaintext_from); use the TLS port (listen.component_tls)",
		mend: "or add 127.0.0.1 to listen.plaintext_from"},
	{name: "no TLS on the TLS port", overTLS: true, condition: "policy-violation",
		text: "this port takes TLS only, and the stream came without; begin with TLS, or use the plain port (listen.component)",
		mend: "let the node begin with TLS"},
	{name: "full: the domain is taken", before: takeDomain, condition: "conflict",
		text: "another link has this domain and is alive; end it first, or give this node a domain of its own",
		mend: "patchbay ctl kick NODE"},
	{name: "full: streams without a handshake", before: crowd, timers: "timers: {handshake: 60s}\n", unnamed: true, condition: "resource-constraint",
		text: "too many streams from this address are not yet authenticated; try again later",
		mend: "see what connects from 127.0.0.1"},
}

// deny starts the server of a denial.
func (d denial) deny(t *testing.T, e example) *filed {
	t.Helper()
	or := func(text, otherwise string) string {
		if text == "" {
			text = otherwise
		}
		return strings.ReplaceAll(text, "NODE", e.domain)
	}
	f := &filed{dir: t.TempDir()}
	f.certify(t)
	write(t, f.path("patchbay.yaml"), fmt.Appendf(nil, `server: %s
data: ./data
users: [im.example, %s]
listen: {component: "127.0.0.1:0", component_tls: "127.0.0.1:0", http: "127.0.0.1:0", plaintext_from: ["%s"]}
tls: {cert: cert.pem, key: key.pem}
%snodes:
  - {domain: %s, secret: %s, users: [im.example], conflict: reject}
`, or(d.server, "hub1.im.example"), or(d.users, "im2.example"), or(d.plain, "127.0.0.0/8"), d.timers, or(d.node, e.domain), agreed))
	f.begin(t)
	f.secret = agreed
	if d.before != nil {
		d.before(t, f, e)
	}
	return f
}

func takeDomain(t *testing.T, f *filed, e example) {
	t.Helper()
	attached(t, f.server, e.domain, func(element) {})
}

// crowd opens as many streams as may wait to be heard (component.Gate).
func crowd(t *testing.T, f *filed, _ example) {
	t.Helper()
	for range 100 + 1000 {
		conn, err := net.DialTimeout("tcp", f.addr, patience)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
}

// refusedBy gives the command that lets a library be refused many times at once.
func (e example) refusedBy(t *testing.T, addr string) *exec.Cmd {
	t.Helper()
	script, program := "refused_slixmpp.py", python
	if e.name == "nodejs" {
		script, program = "refused_xmppjs.js", nodejs(t)
	} else {
		slixmpp(t)
	}
	return exec.Command(program, filepath.Join("testdata", script), addr, e.domain, fmt.Sprint(tries), "no")
}

// TestRefused lets libraries be refused in every way that a node's author meets first: the author is told cause and mend by
// the handlers of the example, each time, and the operator by one line.
func TestRefused(t *testing.T) {
	for _, e := range examples {
		if e.name != "nodejs" && e.name != "python-slixmpp" {
			continue
		}
		for i, d := range denials {
			t.Run(e.name+", "+d.name, func(t *testing.T) {
				if testing.Short() && i > 0 {
					t.Skip("takes 4 s; one way will do")
				}
				t.Parallel()
				e.command(t, t.TempDir()) // skips where a program is missing
				d.run(t, e)
			})
		}
	}
}

func (d denial) run(t *testing.T, e example) {
	t.Helper()
	f := d.deny(t, e)
	s := *f.server
	if s.secret = agreed; d.secret != "" {
		s.secret = d.secret
	}
	if d.overTLS {
		s.addr = f.tlsAddr
	}
	text := strings.ReplaceAll(d.text, "NODE", e.domain)
	said := regexp.MustCompile(d.condition + "(: | - )" + regexp.QuoteMeta(text) + "$")

	p := e.run(t, &s, t.TempDir(), "peer@im.example") // as its author runs it
	t.Log(p.find(t, regexp.MustCompile("(.*"+d.condition+".*)")))
	p.find(t, said)
	p.kill()

	many := start(t, e.against(&s, e.refusedBy(t, s.addr)))
	if code := many.wait(t); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, strings.Join(many.output(), "\n"))
	}
	told := 0
	for _, line := range many.output() {
		if said.MatchString(line) {
			told++
		}
	}
	if told != tries {
		t.Errorf("%d of %d were told:\n%s", told, tries, strings.Join(many.output(), "\n"))
	}
	d.listed(t, f, e, text)
	d.logged(t, f, e, text)
}

var serves = regexp.MustCompile(` http=(\S+)`)

// listed holds what ctl links --closed says: all who were refused are one entry, with what the node was told, and what to do.
func (d denial) listed(t *testing.T, f *filed, e example, text string) {
	t.Helper()
	url := "http://" + f.find(t, serves)
	raw, err := exec.Command(f.cmd.Path, "ctl", "links", "--closed", "-o", "json", "--url", url).Output()
	if err != nil {
		t.Fatal(err)
	}
	var closed struct {
		Links []struct {
			ID                                    uint64
			Node, Peer, State, Reason, Text, Mend string
			Count                                 int
		}
	}
	if err := json.Unmarshal(raw, &closed); err != nil {
		t.Fatal(err)
	}
	name, mend := e.domain, strings.ReplaceAll(d.mend, "NODE", e.domain)
	if d.unnamed {
		name = ""
	}
	found := 0
	for _, l := range closed.Links {
		if l.Reason != d.condition {
			continue
		}
		if found++; l.ID != 0 || l.Node != name || l.State != "refused" || l.Text != text || !strings.Contains(l.Mend, mend) || l.Count <= tries {
			t.Errorf("the entry says %+v", l)
		}
	}
	if found != 1 {
		t.Errorf("%d entries instead of one:\n%s", found, raw)
	}
	shown, err := exec.Command(f.cmd.Path, "ctl", "links", "--closed", "--url", url).Output()
	line := strings.Join(strings.Fields(string(shown)), " ")
	if err != nil || !strings.Contains(line, text) || !strings.Contains(line, "mend: ") || !strings.Contains(line, mend) {
		t.Errorf("ctl links --closed shows (%v):\n%s", err, shown)
	}
}

// quiet is how long nobody was refused when a refusal is a first one again.
const quiet = 10 * time.Second

// logged holds the log of the server: one line when it began, with all that its operator needs, then only numbers. On a
// machine that is busy a library may take so long that it begins again.
func (d denial) logged(t *testing.T, f *filed, e example, text string) {
	t.Helper()
	f.stop(t)
	lasted := time.Since(f.began)
	var first []string
	for _, line := range f.output() {
		if strings.Contains(line, "WARN  node refused: ") {
			first = append(first, line)
		}
		if strings.Contains(line, agreed) || d.secret != "" && strings.Contains(line, d.secret) {
			t.Errorf("the log shows a secret: %s", line)
		}
	}
	want := []string{text, "from=127.0.0.1:", "reason=" + d.condition, strings.ReplaceAll(d.mend, "NODE", e.domain)}
	if !d.unnamed {
		want = append(want, "node="+e.domain)
	}
	if n := len(first); n == 0 || n > 1+int(lasted/quiet) {
		t.Fatalf("%d lines in %v instead of one:\n%s", n, lasted, strings.Join(first, "\n"))
	}
	t.Log(first[0])
	for _, line := range first {
		for _, w := range want {
			if !strings.Contains(line, w) {
				t.Errorf("the line does not say %q:\n%s", w, line)
			}
		}
	}
}

// missingTLS is what python-slixmpp shows when it begins with TLS on the plain port.
const missingTLS = "WRONG_VERSION_NUMBER"

// TestTLSOnPlainPort lets slixmpp begin with TLS where there is none: the library cannot read the reason, the operator can.
func TestTLSOnPlainPort(t *testing.T) {
	e := examples[1]
	needsPython(t)
	f := denial{}.deny(t, e)
	cmd := e.refusedBy(t, f.addr)
	cmd.Args[len(cmd.Args)-1] = "tls"
	cmd.Env = append(os.Environ(), "PATCHBAY_SECRET="+agreed)
	p := start(t, cmd)
	if code := p.wait(t); code != 0 || strings.Count(strings.Join(p.output(), "\n"), missingTLS) != tries {
		t.Errorf("exit code %d:\n%s", code, strings.Join(p.output(), "\n"))
	}
	denial{condition: "not-well-formed", mend: "let the node connect without TLS", unnamed: true}.logged(t, f, e, "this port takes no TLS, and the peer began with it")
}
