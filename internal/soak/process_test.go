package soak

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	patience = 30 * time.Second // bounds what must come; it is no measure
	grace    = 4 * time.Second
	secret   = "the secret of the soak"
)

// server is a patchbay on ports and data that stay the same over its lives.
type server struct {
	binary, file    string
	component, http string // addresses
	disk            string // a small file system with its data; "": the data is on no small one

	ahead time.Duration // of its clock; owned by the test
	clock io.Writer     // owned by the test: sets it

	mu    sync.Mutex
	cmd   *exec.Cmd // guarded by mu, as all below
	out   *output
	ended chan struct{} // closed when the process is gone
}

// configured is the file of the server.
const configured = `server: hub1.im.example
data: %s
users: [im.example, st.example]
listen: {component: "%s", http: "%s"}
nodes:
  - {domain: "acked.im.example", secret: "%[4]s", users: [im.example, st.example]}
  - {domain: "proved.im.example", secret: "%[4]s", users: [im.example, st.example]}
  - {domain: "written.im.example", secret: "%[4]s", users: [im.example, st.example]}
offline: {keep: {messages: 100000, bytes: 256MiB}, domains: {st.example: {policy: store}}}
limits: {queue: %[6]s, stanza: 16KiB}
timers: {grace: %[5]v, settle: %[5]v, drain: 3s}
`

// newServer builds patchbay and says where it is to be; of each fifth seed on a small disk. spills: so little may wait in memory that bursts go to the disk; else none do.
func newServer(t *testing.T, spills bool) *server {
	t.Helper()
	queue := "16MiB"
	if spills {
		queue = "64KiB"
	}
	dir := t.TempDir()
	s := &server{binary: filepath.Join(dir, "patchbay"), file: filepath.Join(dir, "patchbay.yaml"), component: free(t), http: free(t)}
	build(t, s.binary)
	data := dir
	if *seed%5 == 0 {
		s.disk = smallDisk(t)
		data = cmp.Or(s.disk, dir)
	}
	write(t, s.file, fmt.Sprintf(configured, filepath.Join(data, "data"), s.component, s.http, secret, grace, queue))
	t.Cleanup(func() {
		if s.lives() {
			s.kill()
		}
	})
	return s
}

// free gives an address of this machine that nobody listens at: the server's must be the same in each of its lives.
func free(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// start starts the server and waits until it takes nodes.
func (s *server) start(t *testing.T) {
	t.Helper()
	cmd, out, ended := exec.Command(s.binary, "serve", "--config", s.file), &output{}, make(chan struct{})
	cmd.Stdout, cmd.Stderr = out, out
	clock, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.clock = clock
	s.setClock()
	s.mu.Lock()
	s.cmd, s.out, s.ended = cmd, out, ended
	s.mu.Unlock()
	go func() { // ends with the process
		_ = cmd.Wait()
		close(ended)
	}()
	eventually(t, "the server to take nodes", func() bool {
		conn, err := net.Dial("tcp", s.component)
		if err == nil {
			_ = conn.Close()
			return true
		}
		select {
		case <-ended:
			t.Fatalf("the server ends:\n%s", s.log())
		default:
		}
		return false
	})
}

func (s *server) lives() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return false
	}
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

// kill ends the server as a power failure would.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// stop ends the server in order; its ledger adds up, and it has not complained of itself.
func (s *server) stop(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	select {
	case <-s.ended:
	case <-time.After(patience):
		t.Fatal("the server does not stop")
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, s.log())
	}
	if off := offOf(s.log()); off != 0 {
		t.Errorf("the ledger is off by %d at the stop", off)
	}
}

// filler is the file that fills a small disk.
const filler = "filler"

// room makes the disk empty again.
func (s *server) room(t *testing.T) {
	t.Helper()
	if err := os.Remove(filepath.Join(s.disk, filler)); s.disk != "" && err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// log gives the end of what the server has written.
func (s *server) log() string { return tail(s.out.text(0)) }

func tail(text string) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}

// offOf gives by how much the account of a stop does not add up.
func offOf(log string) (off int) {
	_, line, ok := strings.Cut(log, "stopped ")
	if !ok {
		return -1
	}
	line, _, _ = strings.Cut(line, "\n")
	for field := range strings.FieldsSeq(line) {
		word, figure, _ := strings.Cut(field, "=")
		n := 0
		_, _ = fmt.Sscan(figure, &n)
		switch word {
		case "found", "accepted", "made", "copies":
			off += n
		case "delivered", "written", "served", "bounced", "dropped", "expired", "waiting", "stored":
			off -= n
		}
	}
	return off
}

// output is what a process has written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

// text gives what was written from a place on.
func (o *output) text(from int) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.b.Bytes()[min(from, o.b.Len()):])
}

// look asks the admin API, again while it is asked too often.
func (s *server) look(path string, into any) error {
	for {
		answer, err := http.Get("http://" + s.http + "/api/v1/" + path)
		if err != nil {
			return err
		}
		err = errors.New(answer.Status)
		if answer.StatusCode == http.StatusOK {
			err = json.NewDecoder(answer.Body).Decode(into)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusTooManyRequests {
			return err
		}
		<-time.After(50 * time.Millisecond)
	}
}

// nodeLook is what it says of a node.
type nodeLook struct {
	Domain   string `json:"domain"`
	State    string `json:"state"`
	Grade    string `json:"grade"`
	Queue    int    `json:"queue_stanzas"`
	Unproved int    `json:"unproved_stanzas"`
	Outbox   int    `json:"outbox_stanzas"`
}

// statusLook is what it says of the server.
type statusLook struct {
	View   bool `json:"view_complete"`
	Held   int  `json:"held"`
	Ledger struct {
		Waiting int `json:"waiting"`
		Stored  int `json:"stored"`
		Untold  int `json:"untold"`
		Off     int `json:"off"`
	} `json:"ledger"`
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick, late := time.NewTicker(5*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("wait in vain for %s", what)
		}
	}
}
