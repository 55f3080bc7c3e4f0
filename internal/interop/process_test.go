package interop

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds each wait of these tests. It is no measure: whoever waits so long waits in vain.
const patience = 60 * time.Second

// built is where the server's binary is put, once for all tests.
var built string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "patchbay-interop-")
	if err == nil {
		err = os.Chmod(dir, 0o755) // another user runs it too
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	built = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

var build = sync.OnceValues(func() (string, error) { return compile("patchbay", "cmd/patchbay") })

// compile builds a program of this module and gives its path.
func compile(name, pkg string) (string, error) {
	path := filepath.Join(built, name)
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, "github.com/patchbay-im/patchbay/"+pkg).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return path, nil
}

// missing ends a test that needs a program which is not there: it skips, or fails with PATCHBAY_INTEROP=1.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("PATCHBAY_INTEROP") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// process is one program that a test has started. It does not outlive its test.
type process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	news  chan struct{} // one value: there is another line, or the end
	ended chan struct{} // closed when the program has ended

	mu    sync.Mutex
	lines []string // guarded by mu: what it wrote to stderr and stdout
}

// start starts a program; both its outputs are read line by line.
func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, news: make(chan struct{}, 1), ended: make(chan struct{})}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, w := io.Pipe()
	p.in, cmd.Stdout, cmd.Stderr = in, w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		lines := bufio.NewScanner(out)
		for lines.Buffer(nil, 1<<20); lines.Scan(); { // a line may hold a stanza
			p.mu.Lock()
			p.lines = append(p.lines, lines.Text())
			p.mu.Unlock()
			p.tell()
		}
	}()
	go func() {
		_ = cmd.Wait()
		_ = w.Close()
		<-read
		close(p.ended)
		p.tell()
	}()
	t.Cleanup(p.kill)
	return p
}

func (p *process) tell() {
	select {
	case p.news <- struct{}{}:
	default:
	}
}

// output is what the program has written so far.
func (p *process) output() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.lines...)
}

// find waits for a line that matches, as long as there are lines now and then, and gives its last group.
func (p *process) find(t *testing.T, like *regexp.Regexp) string {
	t.Helper()
	return p.findNth(t, like, 1)
}

// findNth is find for the n-th line that matches, counted from 1.
func (p *process) findNth(t *testing.T, like *regexp.Regexp, n int) string {
	t.Helper()
	late := time.After(patience)
	for over := false; ; {
		found := 0
		for _, line := range p.output() {
			m := like.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			if found++; found == n {
				return m[len(m)-1]
			}
		}
		if over {
			t.Fatalf("the program ended without line %d like %s:\n%s", n, like, strings.Join(p.output(), "\n"))
		}
		select {
		case <-p.news:
			late = time.After(patience)
		case <-p.ended:
			over = true
		case <-late:
			t.Fatalf("no line like %s:\n%s", like, strings.Join(p.output(), "\n"))
		}
	}
}

// kill ends the program as a power failure would: SIGKILL.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// wait gives the exit code.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("the program does not end:\n%s", strings.Join(p.output(), "\n"))
	}
	return p.cmd.ProcessState.ExitCode()
}

// faults are the lines that are not the log of an undisturbed life.
func (p *process) faults() (found []string) {
	for _, line := range p.output() {
		if !calm.MatchString(line) {
			found = append(found, line)
		}
	}
	return found
}

var calm = regexp.MustCompile(`^\S+ (INFO|DEBUG) `)

// server is a running patchbay.
type server struct {
	*process
	addr   string // where nodes attach
	secret string
}

// patchbay gives the command that serves a data directory on ports of the system's choice.
func patchbay(t *testing.T, data string, sets ...string) *exec.Cmd {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"serve"}
	for _, set := range append([]string{"data=" + data, "listen.component=127.0.0.1:0", "listen.http=127.0.0.1:0"}, sets...) {
		args = append(args, "--set", set)
	}
	cmd := exec.Command(binary, args...)
	cmd.Dir = filepath.Dir(binary)
	return cmd
}

var (
	listens = regexp.MustCompile(` component=(\S+)`)
	ready   = regexp.MustCompile(`(ready in|listening after) \d+ ms`)
	stopped = regexp.MustCompile(` INFO +stopped  +(.*)$`)
	figure  = regexp.MustCompile(`(\w+)=(\d+)`)
)

// serve starts a server and waits until it is ready for nodes.
func serve(t *testing.T, data string, sets ...string) *server {
	t.Helper()
	s := &server{process: start(t, patchbay(t, data, sets...))}
	s.addr = s.find(t, listens)
	s.find(t, ready)
	secret, err := os.ReadFile(filepath.Join(data, "dev-secret"))
	if err != nil {
		t.Fatal(err)
	}
	s.secret = strings.TrimSpace(string(secret))
	return s
}

// terminate asks the server to stop.
func (s *server) terminate(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

// stop ends the server in order and gives its ledger.
func (s *server) stop(t *testing.T) ledger {
	t.Helper()
	s.terminate(t)
	if code := s.wait(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, strings.Join(s.output(), "\n"))
	}
	return s.ledger(t)
}

// ledger is the account that a server gives when it stops, by the words of its log line.
type ledger map[string]int

func (s *server) ledger(t *testing.T) ledger {
	t.Helper()
	l := ledger{}
	for _, m := range figure.FindAllStringSubmatch(s.find(t, stopped), -1) {
		n, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		l[m[1]] = n
	}
	for _, word := range []string{"accepted", "made", "copies", "written", "served", "bounced", "dropped", "waiting"} {
		if _, ok := l[word]; !ok {
			t.Fatalf("the ledger does not say %s: %v", word, l)
		}
	}
	in := l["found"] + l["accepted"] + l["made"] + l["copies"]
	out := l["delivered"] + l["written"] + l["served"] + l["bounced"] + l["dropped"] + l["expired"] + l["waiting"] + l["stored"]
	if in != out {
		t.Errorf("the ledger is off by %d: %v", in-out, l)
	}
	return l
}
