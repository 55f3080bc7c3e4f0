package server_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/internal/server"
	"github.com/patchbay-im/patchbay/routing"
)

// hub is the server of all scenes, house the secret under its wildcard.
const (
	hub   = "hub1.im.example"
	house = "play-secret-of-the-house"
)

// scenery is the configuration of a scene that says nothing else.
const scenery = `server: ` + hub + `
data: ":memory:"
users: [im.example, other.example]
listen: {component: "127.0.0.1:0", http: ""}
timers: {drain: 2s}
nodes:
`

const cast = `  - {domain: "*.im.example", secret: ` + house + `, users: [im.example]}`

// patience is how long a scene waits for what must come. It is never waited for when all is well.
const patience = 10 * time.Second

// stage is where one scene is played: a server, and the actors around it.
type stage struct {
	t      *testing.T
	nodes  string
	extra  string // of the file, behind nodes
	sets   [][2]string
	iqWait time.Duration

	server  *server.Server // nil until the first step that needs it
	cfg     *config.Config
	log     *journal
	stopped chan error // gets the result of a stop that has begun

	actors map[string]*actor
	names  []string          // of the actors, in order of appearance
	vars   map[string]string // what {name} stands for
	fences int
}

func newStage(t *testing.T) *stage {
	return &stage{t: t, nodes: cast, log: &journal{}, actors: map[string]*actor{}, vars: map[string]string{}}
}

// set notes KEY=VALUE for the server to come.
func (st *stage) set(pair string) {
	key, value, _ := strings.Cut(pair, "=")
	switch {
	case st.server != nil && (key == "iq-wait" || value == "disk"):
		breakf("the server runs already")
	case key == "iq-wait":
		d, err := time.ParseDuration(value)
		if err != nil {
			breakf("%v", err)
		}
		st.iqWait = d
		return
	case pair == "data=disk":
		value = st.t.TempDir()
	case strings.HasPrefix(key, "offline.domains."):
		domain := strings.TrimSuffix(strings.TrimPrefix(key, "offline.domains."), ".policy")
		st.extra += "\noffline: {domains: {" + domain + ": {policy: " + value + "}}}" // only a file can say it
		return
	case key == "listen.component_tls":
		cert, private := certificate(st.t)
		st.sets = append(st.sets, [2]string{"tls.cert", cert}, [2]string{"tls.key", private})
	}
	st.sets = append(st.sets, [2]string{key, value})
}

// running gives the server, started when it is first needed.
func (st *stage) running() *server.Server {
	if st.server == nil {
		cfg, faults := st.load()
		if faults.Fatal() {
			breakf("the configuration: %v", faults)
		}
		st.cfg = cfg
		st.start()
	}
	return st.server
}

// load makes a configuration of what the scene has said so far, as reading a file would.
func (st *stage) load() (*config.Config, config.Faults) {
	cfg, faults := config.Parse("play.yaml", []byte(scenery+st.nodes+st.extra+"\n"), nil)
	if cfg == nil {
		return nil, faults
	}
	for _, s := range st.sets {
		if bad := cfg.Set(s[0], s[1]); bad != nil {
			faults = append(faults, *bad)
		}
	}
	return cfg, append(faults, cfg.Validate()...)
}

// reload loads what was set since, and holds what is told of it: "KEY" was applied, "KEY!" needs a restart.
func (st *stage) reload(want string) {
	done, err := st.running().Reload()
	if err != nil {
		breakf("reload: %v", err)
	}
	var got []string
	for _, c := range done.Changes {
		word := c.Path
		if !c.Applied {
			word += "!"
		}
		got = append(got, word)
	}
	if told := strings.Join(got, " "); told != want {
		breakf("the reload tells %q", told)
	}
}

// refuse sees that a reload fails and says why.
func (st *stage) refuse(saying string) {
	before := st.running().Config()
	if _, err := st.server.Reload(); err == nil || !strings.Contains(err.Error(), saying) {
		breakf("reload: %v", err)
	}
	if st.server.Config() != before {
		breakf("a reload that failed changed the configuration")
	}
}

// kick ends what a target names.
func (st *stage) kick(target, reason, want string) {
	done, err := st.running().Kick(target, reason)
	if got := fmt.Sprintf("%d sessions, %d links", done.Sessions, done.Links); err != nil || got != want {
		breakf("kick: %s, %v", got, err)
	}
}

// drain drains a node, or the server, or takes that back.
func (st *stage) drain(node string, back bool) {
	do := st.running().Drain
	if back {
		do = st.server.Undrain
	}
	if err := do(node); err != nil {
		breakf("drain: %v", err)
	}
}

func (st *stage) start() {
	s, err := server.New(st.cfg, server.Options{Version: "1.2.3", Log: st.log.entry(), IQWait: st.iqWait, Load: st.load,
		OnFail: func(err error) { st.t.Errorf("the disk: %v", err) }})
	if err != nil {
		breakf("make the server: %v", err)
	}
	st.server, st.stopped = s, nil
	if err := s.Start(); err != nil {
		breakf("start the server: %v", err)
	}
}

// stop begins to stop the server; wait waits for the end of it.
func (st *stage) stop() {
	s, done := st.running(), make(chan error, 1)
	st.stopped = done
	go func() { done <- s.Stop() }()
}

func (st *stage) wait() {
	select {
	case err := <-st.stopped:
		if err != nil {
			breakf("the server's stop: %v", err)
		}
	case <-time.After(patience):
		breakf("the server has not stopped within %v", patience)
	}
	l := st.server.Router().Ledger()
	if ok, off := l.Adds(); !ok || l.Waiting != 0 {
		breakf("the ledger is off by %d: %+v", off, l)
	}
}

// end holds the server to what must be true after every scene.
func (st *stage) end() {
	st.running()
	if st.stopped == nil {
		st.silence("")
		if err := st.server.Sessions().ConsistencyCheck(); err != nil {
			breakf("%v", err)
		}
		st.stop()
		st.goodbye()
		st.wait()
	}
}

// goodbye lets every actor close its end when the server has closed its own.
func (st *stage) goodbye() {
	for _, n := range st.names {
		a := st.actors[n]
		for a.open && !a.deaf && a.receive().what == isElement {
		}
		a.leave()
	}
}

// clear ends what a broken scene has left.
func (st *stage) clear() {
	for _, a := range st.actors {
		a.leave()
	}
	if st.server != nil && st.stopped == nil {
		_ = st.server.Stop()
	}
}

// silence holds that nobody, or the actor named, has received what the scene does not say. All that the open streams
// have sent is done with when each of them has been answered a ping.
func (st *stage) silence(name string) {
	st.fence()
	for _, n := range st.names {
		if name == "" || name == n {
			st.actors[n].expectNothing()
		}
	}
}

// fence waits until all that the open streams have sent is done with.
func (st *stage) fence() {
	for range 2 { // what one of them sent may have reached another
		for _, n := range st.names {
			st.actors[n].fence()
		}
	}
}

// until waits until a condition holds.
func (st *stage) until(what string, holds func() bool) {
	for limit := time.Now().Add(patience); !holds(); {
		if time.Now().After(limit) {
			breakf("%s: not within %v", what, patience)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// states are the words of a scene for the states of a node.
var states = map[string]routing.NodeState{"attached": routing.Attached, "away": routing.Away, "gone": routing.Past}

func (st *stage) nodeIs(domain, word string) {
	st.until("node "+domain+" is "+word, func() bool {
		n := st.running().Router().Node(domain)
		return n != nil && n.Reachable() == states[word]
	})
}

func (st *stage) ledgerHas(reason string, n uint64) {
	st.until("the ledger has "+reason, func() bool {
		l := st.running().Router().Ledger()
		return l.Reasons[reason] == n
	})
}

// journal keeps what the server logs, to be shown when a scene breaks.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(b)
}

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	text := j.buf.String()
	return text[max(0, len(text)-4000):]
}

func (j *journal) entry() *logrus.Entry {
	l := logrus.New()
	l.SetOutput(j)
	l.SetLevel(logrus.DebugLevel)
	return logrus.NewEntry(l)
}

// certificate makes a self-signed certificate for the TLS port, in PEM files.
func certificate(t *testing.T) (cert, private string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: hub}, DNSNames: []string{hub},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: pkcs}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
}
