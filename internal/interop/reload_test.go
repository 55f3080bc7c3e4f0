package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// filed is a server with a configuration file, and what the next version of the file says.
type filed struct {
	*server
	dir     string
	tlsAddr string

	secrets []string // of node a
	nodes   []string // besides a and b
	queue   string
	serial  int64 // of the certificate
	began   time.Time
}

func (f *filed) path(name string) string { return filepath.Join(f.dir, name) }

// write writes the file.
func (f *filed) write(t *testing.T) {
	t.Helper()
	text := fmt.Sprintf(`server: hub1.im.example
data: ./data
users: [im.example]
listen: {component: "127.0.0.1:0", component_tls: "127.0.0.1:0", http: "127.0.0.1:0"}
tls: {cert: cert.pem, key: key.pem}
limits: {queue: %s}
nodes:
  - {domain: a.im.example, secret: [%s], users: [im.example]}
  - {domain: b.im.example, secret: the-secret-of-node-b-24, users: [im.example]}
`, f.queue, strings.Join(f.secrets, ", "))
	for _, n := range f.nodes {
		text += "  - {domain: " + n + ".im.example, secret: the-secret-of-the-others}\n"
	}
	if err := os.WriteFile(f.path("patchbay.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// certify writes a certificate with the next serial number. The key is written first: in between the two are no pair.
func (f *filed) certify(t *testing.T) {
	t.Helper()
	f.serial++
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(f.serial), DNSNames: []string{"hub1.im.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []struct {
		name, kind string
		der        []byte
	}{{"key.pem", "PRIVATE KEY", private}, {"cert.pem", "CERTIFICATE", cert}} {
		if err := os.WriteFile(f.path(b.name), pem.EncodeToMemory(&pem.Block{Type: b.kind, Bytes: b.der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// shown gives the serial number of the certificate that a new connection is shown.
func (f *filed) shown(t *testing.T) int64 {
	t.Helper()
	conn, err := tls.Dial("tcp", f.tlsAddr, &tls.Config{InsecureSkipVerify: true}) // self-signed
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// hangup asks the server to load the file again, and waits for the n-th line that says what came of it.
func (f *filed) hangup(t *testing.T, like *regexp.Regexp, n int) {
	t.Helper()
	if err := f.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	f.findNth(t, like, n)
}

// with gives the server for peers that know another secret.
func (f *filed) with(secret string) *server { return &server{f.process, f.addr, secret} }

var (
	listensTLS = regexp.MustCompile(` component_tls="?([^" ]+)`)
	reloaded   = regexp.MustCompile(`configuration reloaded`)
	unchanged  = regexp.MustCompile(`reload: nothing was changed`)
)

func serveFile(t *testing.T) *filed {
	t.Helper()
	f := &filed{dir: t.TempDir(), secrets: []string{"secret-0-of-node-a-24-bytes"}, nodes: []string{"gone-0"}, queue: "16MiB"}
	f.certify(t)
	f.write(t)
	f.begin(t)
	return f
}

// begin starts the server.
func (f *filed) begin(t *testing.T) {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	f.began = time.Now()
	cmd := exec.Command(binary, "serve", "--config", f.path("patchbay.yaml"))
	f.server = &server{process: start(t, cmd)}
	f.addr, f.tlsAddr = f.find(t, listens), f.find(t, listensTLS)
	f.find(t, ready)
}

// TestReload changes secrets, the certificate, nodes and a limit under load, with a bad file now and then: no stanza is
// lost, no link is dropped but those of nodes that were taken out, and what is new counts at once.
func TestReload(t *testing.T) {
	const rounds = 20
	f := serveFile(t)
	f.secret = f.secrets[0]
	a := attachParty(t, f.server, "a")
	b := attachParty(t, f.with("the-secret-of-node-b-24"), "b")
	a.announce(t)
	b.announce(t)
	var enough atomic.Bool
	var talking sync.WaitGroup
	said := map[*party]*int{a: new(int), b: new(int)}
	for from, to := range map[*party]*party{a: b, b: a} {
		talking.Go(func() {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for n := said[from]; !enough.Load(); {
				if *n > to.received()+20_000 {
					<-tick.C // the peers of this test are slower than the server: keep the queues short
					continue
				}
				if from.say("%s", chat(fmt.Sprintf("%s-%d", from.name, *n), from.user(), to.user(), "hello")) != nil {
					return
				}
				*n++
			}
		})
	}
	for i := range rounds {
		f.round(t, i)
	}
	enough.Store(true)
	talking.Wait()
	for from, to := range map[*party]*party{a: b, b: a} {
		n := *said[from]
		eventually(t, "all messages of "+from.name, func() bool { return to.received() >= n })
		if bad := from.refused(""); len(bad) > 0 || n < 1000 {
			t.Errorf("%s said %d, refused were %v", from.name, n, bad)
		}
		select {
		case <-from.over:
			t.Errorf("the link of %s was dropped with %q", from.name, from.condition)
		default:
		}
	}
	f.terminate(t)
	if code := f.wait(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	t.Logf("%d messages; %v", *said[a]+*said[b], f.ledger(t))
	if l := f.ledger(t); l["bounced"]+l["dropped"]+l["waiting"] > 0 {
		t.Errorf("not all was delivered: %v", l)
	}
}

// round changes everything once.
func (f *filed) round(t *testing.T, i int) {
	t.Helper()
	old := f.secrets[len(f.secrets)-1]
	next := fmt.Sprintf("secret-%d-of-node-a-24-bytes", i+1)
	leaves, err := attach(f.with("the-secret-of-the-others"), fmt.Sprintf("gone-%d.im.example", i), func(element) {})
	if err != nil {
		t.Fatal(err)
	}
	f.certify(t)
	f.nodes, f.queue, f.secrets = []string{fmt.Sprintf("gone-%d", i+1)}, fmt.Sprintf("%dMiB", 8+i%8), []string{next}
	f.write(t)
	f.hangup(t, reloaded, i+1)
	wait(t, leaves.over, "the end of a node that was taken out")
	if leaves.condition != "host-gone" || !leaves.closed {
		t.Errorf("round %d: the node that was taken out was told %q", i, leaves.condition)
	}
	if got := f.shown(t); got != f.serial {
		t.Errorf("round %d: the certificate is number %d, want %d", i, got, f.serial)
	}
	if _, err := attach(f.with(old), "a.im.example", func(element) {}); err == nil {
		t.Errorf("round %d: the old secret still attaches", i)
	}
	if i%10 == 9 {
		f.spoil(t, i/10+1)
	}
}

// spoil loads a file with a fault: it changes nothing, and says why with its line.
func (f *filed) spoil(t *testing.T, n int) {
	t.Helper()
	was := f.queue
	f.queue = "lots"
	f.write(t)
	f.hangup(t, unchanged, n)
	f.findNth(t, regexp.MustCompile(`patchbay.yaml:6:17 +lots is not a size`), n)
	f.queue = was
	f.write(t)
}
