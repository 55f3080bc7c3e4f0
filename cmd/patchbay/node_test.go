package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"mellium.im/xmlstream"

	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/internal/server"
)

// nodeServer runs a development server and gives its address and secret.
func nodeServer(t *testing.T) (addr, secret string) {
	t.Helper()
	cfg, err := config.Development(config.Memory)
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{"listen.component": "127.0.0.1:0", "listen.http": "127.0.0.1:0"} {
		if bad := cfg.Set(key, value); bad != nil {
			t.Fatal(bad)
		}
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	s, err := server.New(cfg, server.Options{Version: "test", Log: logrus.NewEntry(log)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s.ComponentAddr(), string(cfg.Nodes[0].Secret[0])
}

// screen is a terminal that a test reads.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // one value: text has grown
}

func newScreen() *screen { return &screen{more: make(chan struct{}, 1)} }

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// waitFor returns once the screen shows all parts.
func (s *screen) waitFor(t *testing.T, parts ...string) {
	t.Helper()
	limit := time.After(10 * time.Second)
	for _, p := range parts {
		for !strings.Contains(s.String(), p) {
			select {
			case <-s.more:
			case <-limit:
				t.Fatalf("no %q on the screen:\n%s", p, s)
			}
		}
	}
}

// runNode runs the verb with its arguments; result holds one value when it has ended.
func runNode(ctx context.Context, in io.Reader, args ...string) (out, notes *screen, result chan error) {
	out, notes, result = newScreen(), newScreen(), make(chan error, 1)
	cmd := newNodeCommand()
	cmd.SetIn(in)
	cmd.SetOut(out)
	cmd.SetErr(notes)
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	go func() { result <- cmd.ExecuteContext(ctx) }()
	return out, notes, result
}

// Two nodes talk, one echoes; what cannot be delivered is told; both leave in order.
func TestNodeTalks(t *testing.T) {
	addr, secret := nodeServer(t)
	ctx, leave := context.WithCancel(t.Context())
	still, noInput := io.Pipe()
	defer noInput.Close()
	bobOut, bobNotes, bobEnd := runNode(ctx, still, "b.im.example", "--addr", addr, "--secret", secret, "--user", "bob@im.example/web", "--echo")
	bobNotes.waitFor(t, "attached as b.im.example", "logged in: [bob@im.example/web]")

	in, typed := io.Pipe()
	lines := "bob@im.example hello there\n" +
		"/announce erin@im.example\n" +
		"erin@im.example/patchbay > bob@im.example/web echo: no answer to this\n" +
		"carol@im.example are you there?\n" +
		"/raw <message type='chat' from='alice@im.example/phone' to='bob@im.example/web'><body>raw &#x202e; text</body></message>\n" +
		"/wrong\nbob@im.example\n@ x\n"
	out, notes, end := runNode(t.Context(), in, "a.im.example", "--addr", addr, "--secret", secret, "--user", "alice@im.example/phone")
	if _, err := io.WriteString(typed, lines); err != nil {
		t.Error(err)
	}
	out.waitFor(t,
		`bob@im.example/web -> alice@im.example/phone  "echo: hello there"`,
		`not delivered: "are you there?"  service-unavailable: `)
	notes.waitFor(t, `alice@im.example/phone -> bob@im.example  "hello there"`, "announce erin@im.example/patchbay: done",
		"/wrong is no command", "no body", `read recipient "@"`)
	bobOut.waitFor(t, `alice@im.example/phone -> bob@im.example  "hello there"`, `"echo: no answer to this"`, `"raw \u202e text"`)
	bobNotes.waitFor(t, `"echo: hello there"`, `"echo: raw`) // told once they are sent
	if n := strings.Count(bobNotes.String(), " sent "); n != 2 {
		t.Errorf("%d answers, want one to hello and one to raw:\n%s", n, bobNotes)
	}
	typed.Close()
	if err := <-end; err != nil {
		t.Errorf("ended with %v", err)
	}
	notes.waitFor(t, "left")
	leave()
	if err := <-bobEnd; err != nil {
		t.Errorf("ended with %v", err)
	}
	bobNotes.waitFor(t, "left")
}

func TestNodeExitCodes(t *testing.T) {
	addr, secret := nodeServer(t)
	tests := []struct {
		name string
		args []string
		code int // -1: cobra's own error, which is wrong use too
		text string
	}{
		{"wrong secret", []string{"a.im.example", "--addr", addr, "--secret", "dev-xxxxxxxxxxxxxxxxxxx"}, exitFailed, "not-authorized"},
		{"unknown name", []string{"a.elsewhere.example", "--addr", addr, "--secret", secret}, exitFailed, "host-unknown"},
		{"foreign user", []string{"a.im.example", "--addr", addr, "--secret", secret, "--user", "a@elsewhere.example"}, exitFailed, "log the users in"},
		{"user without name", []string{"a.im.example", "--secret", secret, "--user", "im.example"}, exitUsage, "not user@domain/resource"},
		{"no port", []string{"a.im.example", "--secret", secret, "--addr", "127.0.0.1"}, exitUsage, "not host:port"},
		{"secret file missing", []string{"a.im.example", "--secret", "@/nowhere/at/all"}, exitUsage, "read the secret"},
		{"no domain", nil, -1, "accepts 1 arg"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, end := runNode(t.Context(), strings.NewReader(""), tt.args...)
			err := <-end
			var ee *exitError
			code := -1
			if errors.As(err, &ee) {
				code = ee.code
			}
			if code != tt.code || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %d: %v", code, err)
			}
		})
	}
}

func TestNodeFindsNoServer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := ln.Addr().String()
	ln.Close()
	h := &hand{out: newScreen(), err: newScreen(), now: time.Now, reach: 10 * time.Millisecond}
	err = h.run(t.Context(), strings.NewReader(""), nodeOptions{domain: "a.im.example", addr: nobody, secret: "dev-1"})
	var ee *exitError
	if !errors.As(err, &ee) || ee.code != exitNoReach || !strings.Contains(err.Error(), "no server at "+nobody) {
		t.Errorf("got %v", err)
	}
}

// What a pipe has typed is sent, and what became of it told, before the node leaves.
func TestNodePipe(t *testing.T) {
	addr, secret := nodeServer(t)
	out, notes, end := runNode(t.Context(), strings.NewReader("carol@im.example hi\n"),
		"a.im.example", "--addr", addr, "--secret", secret, "--user", "alice@im.example/phone")
	if err := <-end; err != nil {
		t.Errorf("ended with %v", err)
	}
	if !strings.Contains(out.String(), `not delivered: "hi"  service-unavailable`) || !strings.HasSuffix(notes.String(), "left\n") {
		t.Errorf("got %q and %q", out, notes)
	}
}

func TestNodeSecret(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	file := filepath.Join(dir, "s")
	if err := os.WriteFile(file, []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NODE_TEST_SECRET", "from env")
	t.Setenv("PATCHBAY_SECRET", "")
	tests := []struct {
		name, arg, env, dev string
		want                string
		warned, fails       bool
	}{
		{name: "literal", arg: "open", want: "open", warned: true},
		{name: "dev", arg: "dev-1", want: "dev-1"},
		{name: "demo", arg: "demo-1", want: "demo-1"},
		{name: "file", arg: "@" + file, want: "from a file"},
		{name: "no file", arg: "@" + file + "x", fails: true},
		{name: "env", arg: "env:NODE_TEST_SECRET", want: "from env"},
		{name: "no env", arg: "env:NODE_TEST_NOTHING", fails: true},
		{name: "default", env: "default", want: "default"},
		{name: "nothing", fails: true},
		{name: "dev-secret", dev: "dev-2", want: "dev-2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("PATCHBAY_SECRET", tt.env)
			if tt.dev != "" {
				if err := os.MkdirAll(defaultData, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(defaultData, "dev-secret"), []byte(tt.dev), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			notes := newScreen()
			got, err := (&hand{err: notes, now: time.Now}).secret(tt.arg)
			if got != tt.want || (err != nil) != tt.fails || strings.Contains(notes.String(), "warning") != tt.warned {
				t.Errorf("got %q, %v, %q", got, err, notes)
			}
		})
	}
}

func TestSafe(t *testing.T) {
	tests := []struct{ in, want string }{
		{"plain", "plain"},
		{"Привет, 世界 🙂", "Привет, 世界 🙂"},
		{"it's \"so\"", `it's "so"`},
		{"\x1b[2J", `\x1b[2J`},
		{"a\nb\tc\r", `a\nb\tc\r`},
		{"\u202eabc\u2066", `\u202eabc\u2066`},
		{"\u009b31m", `\u009b31m`},
		{"\xff", `\xff`},
		{`back\slash`, `back\\slash`},
	}
	for _, tt := range tests {
		if got := safe(tt.in); got != tt.want {
			t.Errorf("safe(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

// What a node asks for by hand it is shown as it comes, bounded, and in one line.
func TestNodeShowsContent(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"<iq type='result' from='im.example' to='a.im.example'><where xmlns='urn:patchbay:sessions:1' jid='bob@im.example'>\n<session resource='web' state='online'/></where></iq>",
			`<where xmlns="urn:patchbay:sessions:1" jid="bob@im.example"><session resource="web" state="online"/></where>`},
		{"<iq type='result'><q xmlns='u'>a&lt;b\u202e<k xmlns='v' x='1'>t</k></q></iq>", `<q xmlns="u">a<b\u202e<k xmlns="v" x="1">t</k></q>`},
	} {
		var out strings.Builder
		h := &hand{out: &out, now: time.Now, sent: map[string]string{}}
		d := xml.NewDecoder(strings.NewReader(c.in))
		tok, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		start := tok.(xml.StartElement)
		if err := h.handle(struct {
			xml.TokenReader
			xmlstream.Encoder
		}{d, nil}, &start); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), c.want) {
			t.Errorf("shows %q, want %q", out.String(), c.want)
		}
	}
}
