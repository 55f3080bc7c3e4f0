package metrics

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/internal/server"
	"github.com/patchbay-im/patchbay/storage"
)

// house is the secret of all nodes on the stage.
const house = "test-secret-of-the-house"

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// notAfter is when the stage's certificate expires.
var notAfter = time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)

// stage is a server with all that has metrics: a folder, TLS, and one user domain of each policy.
type stage struct {
	t        testing.TB
	s        *server.Server
	requests *Requests
	handler  http.Handler
	fault    string // of the configuration file, from now on
}

// nothingKept is the argument of newStage for a server without a folder, an offline store and TLS.
const nothingKept = "nothing kept"

func quiet() *logrus.Entry {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return logrus.NewEntry(log)
}

func newStage(t testing.TB, sets ...string) *stage {
	t.Helper()
	dir := t.TempDir()
	certificate(t, dir)
	file := "server: hub1.im.example\nusers: [im.example, kept.example]\ndata: " + filepath.Join(dir, "data") +
		"\nlisten: {component: \"127.0.0.1:0\", component_tls: \"127.0.0.1:0\", http: \"\"}\n" +
		"tls: {cert: " + filepath.Join(dir, "cert.pem") + ", key: " + filepath.Join(dir, "key.pem") + "}\n" +
		"timers: {drain: 2s, grace: 1m}\noffline: {total: 1MiB, keep: {bytes: 512KiB}, domains: {kept.example: {policy: store}}}\n" +
		"nodes:\n  - {domain: exact.im.example, secret: " + house + ", users: [im.example, kept.example]}\n" +
		"  - {domain: \"*.im.example\", secret: " + house + ", users: [im.example, kept.example]}\n"
	if len(sets) > 0 && sets[0] == nothingKept {
		file = strings.Replace(file, "{policy: store}", "{policy: bounce}", 1)
		sets = []string{"data=:memory:", "listen.component_tls=", "tls.cert=", "tls.key="}
	} else {
		past(t, filepath.Join(dir, "data", "sessions"))
	}
	st := &stage{t: t, requests: NewRequests([]string{"status", "reload"})}
	load := func() (*config.Config, config.Faults) {
		cfg, faults := config.Parse("test.yaml", []byte(file+st.fault), nil)
		for _, set := range sets {
			key, value, _ := strings.Cut(set, "=")
			if bad := cfg.Set(key, value); bad != nil {
				t.Fatal(bad)
			}
		}
		return cfg, faults
	}
	cfg, faults := load()
	if cfg == nil || faults.Fatal() {
		t.Fatal(faults)
	}
	var err error
	if st.s, err = server.New(cfg, server.Options{Version: "1.2.3", Log: quiet(), Load: load}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.s.Stop() })
	if err := st.s.Start(); err != nil {
		t.Fatal(err)
	}
	st.handler = Handler(New(st.s, st.requests), quiet())
	return st
}

// past writes a session table of before, with a node that is gone.
func past(t testing.TB, dir string) {
	t.Helper()
	table, err := storage.OpenSessions(storage.Options{Dir: dir, Server: "hub1.im.example", Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	rec, _, err := table.AttachNode("gone.im.example")
	if err != nil {
		t.Fatal(err)
	}
	table.ExpireNode(rec.ID, rec.Inc)
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
}

// certificate writes cert.pem and key.pem.
func certificate(t testing.TB, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	what := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: notAfter, DNSNames: []string{"hub1.im.example"}}
	cert, err := x509.CreateCertificate(rand.Reader, what, what, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// peer is a node on the stage.
type peer struct {
	st     *stage
	domain string
	nc     net.Conn
	pings  int

	read chan string // what has come, from the reader
	have string      // of it, what was not returned
}

// barrierPing is a ping of the router, which may come between any two stanzas.
var barrierPing = regexp.MustCompile(`<iq [^<>]*\bid='(pb-[0-9a-f]{16}-\d+)'[^<>]*><ping xmlns='urn:xmpp:ping'/></iq>`)

// settled gives the length of a text without an iq, or a tag, at its end of which more is to come: it may be a ping.
func settled(text string) int {
	if at := strings.LastIndex(text, "<iq "); at >= 0 && !strings.Contains(text[at:], "</iq>") {
		if tag, _, whole := strings.Cut(text[at:], ">"); !whole || !strings.HasSuffix(tag, "/") {
			return at
		}
	}
	if at := strings.LastIndexByte(text, '<'); at >= 0 && !strings.Contains(text[at:], ">") {
		return at
	}
	return len(text)
}

// TestSettled cuts a ping at each place.
func TestSettled(t *testing.T) {
	const before, ping = "<message/><iq id='x'/>", "<iq type='get' id='pb-0123456789abcdef-1'><ping xmlns='urn:xmpp:ping'/></iq>"
	for i := range len(ping) {
		if n := settled(before + ping[:i]); n != len(before) {
			t.Errorf("%d bytes of %s%s are settled", n, before, ping[:i])
		}
	}
	for _, whole := range []string{before, before + ping, "<message><body>x</body>", "</stream:stream>"} {
		if n := settled(whole); n != len(whole) {
			t.Errorf("%d bytes of %s are settled", n, whole)
		}
	}
}

// listen reads until the connection ends, and answers the pings of the router, which nobody else is shown.
func (p *peer) listen() {
	defer close(p.read)
	buf, held := make([]byte, 64<<10), ""
	for {
		n, err := p.nc.Read(buf)
		held += string(buf[:n])
		for _, m := range barrierPing.FindAllStringSubmatch(held, -1) {
			_, _ = io.WriteString(p.nc, "<iq type='result' id='"+m[1]+"' from='"+p.domain+"' to='hub1.im.example'/>") // if that fails, so does the next read
		}
		held = barrierPing.ReplaceAllString(held, "")
		end := len(held)
		if err == nil {
			end = settled(held)
		}
		if end > 0 {
			p.read <- held[:end]
			held = held[end:]
		}
		if err != nil {
			return
		}
	}
}

var streamID = regexp.MustCompile(`id='([^']+)'`)

// attach makes a node attach.
func (st *stage) attach(domain string) *peer {
	st.t.Helper()
	p := st.connect(domain, house)
	p.until("<handshake/>")
	return p
}

// connect goes as far as the handshake, with a secret.
func (st *stage) connect(domain, secret string) *peer {
	st.t.Helper()
	nc, err := net.Dial("tcp", st.s.ComponentAddr())
	if err != nil {
		st.t.Fatal(err)
	}
	st.t.Cleanup(func() { _ = nc.Close() })
	p := &peer{st: st, domain: domain, nc: nc, read: make(chan string, 1<<10)}
	go p.listen() // ends with the connection
	p.send("<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='" + domain + "'>")
	id := streamID.FindStringSubmatch(p.until("'>"))
	if id == nil {
		st.t.Fatalf("no stream: %s", p.have)
	}
	digest := sha1.Sum([]byte(id[1] + secret))
	p.send("<handshake>" + hex.EncodeToString(digest[:]) + "</handshake>")
	return p
}

func (p *peer) send(raw string) {
	p.st.t.Helper()
	if _, err := io.WriteString(p.nc, raw); err != nil {
		p.st.t.Fatal(err)
	}
}

// until reads until all that was read and not returned has a text in it, and returns it.
func (p *peer) until(text string) string {
	p.st.t.Helper()
	late := time.After(patience)
	for !strings.Contains(p.have, text) {
		select {
		case more, ok := <-p.read:
			if p.have += more; !ok {
				p.st.t.Fatalf("%s waits for %s when its stream has ended, and has %s", p.domain, text, p.have)
			}
		case <-late:
			p.st.t.Fatalf("%s waits for %s and has %s", p.domain, text, p.have)
		}
	}
	all := p.have
	p.have = ""
	return all
}

// done waits until all that the peer has sent is done with: the answer to a ping comes after it.
func (p *peer) done() string {
	p.st.t.Helper()
	p.pings++
	id := "done-" + strconv.Itoa(p.pings)
	p.send("<iq type='get' id='" + id + "' from='" + p.domain + "' to='hub1.im.example'><ping xmlns='urn:xmpp:ping'/></iq>")
	return p.until(id)
}

// login announces a session.
func (p *peer) login(jid string) {
	p.st.t.Helper()
	_, domain, _ := strings.Cut(strings.Split(jid, "/")[0], "@")
	p.send("<presence from='" + jid + "' to='" + domain + "'/>")
}

// scraped are the samples of a scrape: name{labels} as they are written, and the value.
type scraped map[string]float64

// scrape asks for the metrics as Prometheus does.
func (st *stage) scrape() scraped {
	st.t.Helper()
	return samples(st.t, st.page())
}

func (st *stage) page() string {
	st.t.Helper()
	w := httptest.NewRecorder()
	st.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		st.t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// samples reads the text format.
func samples(t testing.TB, page string) scraped {
	t.Helper()
	all := scraped{}
	for line := range strings.Lines(page) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		all[line[:at]] = v
	}
	return all
}

// await scrapes until a check says that nothing is wrong.
func (st *stage) await(check func(scraped) string) scraped {
	st.t.Helper()
	deadline := time.After(patience)
	for {
		all := st.scrape()
		wrong := check(all)
		if wrong == "" {
			return all
		}
		select {
		case <-deadline:
			st.t.Fatal(wrong)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// shows is a check of samples that must have values.
func shows(want scraped) func(scraped) string {
	return func(have scraped) string {
		var wrong strings.Builder
		for name, v := range want {
			if got, ok := have[name]; !ok {
				fmt.Fprintf(&wrong, "%s is not there, want %v\n", name, v)
			} else if got != v {
				fmt.Fprintf(&wrong, "%s is %v, want %v\n", name, got, v)
			}
		}
		return wrong.String()
	}
}
