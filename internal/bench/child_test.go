package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// child is a server under test.
type child struct {
	tb         testing.TB
	role       string
	label      string // of its profiles, behind the benchmark's name
	pid        int
	plain, tls string
	modern     *Modern // nil: nodes attach by XEP-0114
	in         io.WriteCloser
	out        *bufio.Reader
	stop       func() // more than once does no harm
}

// noProof starts our server without the barrier, to see what that costs.
func noProof(tb testing.TB) *child {
	tb.Helper()
	c := start(tb, "patchbay", proofEnv+"=off")
	c.label = "-noproof"
	return c
}

// acked starts our server for nodes that attach by modern streams, with acknowledgements.
func acked(tb testing.TB, env ...string) *child {
	tb.Helper()
	c := start(tb, "patchbay", env...)
	c.label, c.modern = "-acked", &Modern{Secret: benchSecret}
	return c
}

// start runs a server until the benchmark ends or stop.
func start(tb testing.TB, role string, env ...string) *child {
	tb.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(append(os.Environ(), roleEnv+"="+role), env...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	c := &child{tb: tb, role: role, pid: cmd.Process.Pid, in: in, out: bufio.NewReader(out)}
	c.stop = sync.OnceFunc(func() {
		_ = in.Close() // it stops by itself
		late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		late.Stop()
	})
	tb.Cleanup(c.stop)
	first := c.read()
	c.plain, c.tls = first.Plain, first.TLS
	return c
}

func (c *child) read() (r reply) {
	c.tb.Helper()
	line, err := c.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &r)
	}
	if err != nil {
		c.tb.Fatalf("%s: %v", c.role, err)
	}
	if r.Error != "" {
		c.tb.Fatalf("%s: %s", c.role, r.Error)
	}
	return r
}

// tell gives the server a command and returns its answer.
func (c *child) tell(command string) reply {
	c.tb.Helper()
	if _, err := io.WriteString(c.in, command+"\n"); err != nil {
		c.tb.Fatalf("%s: %v", c.role, err)
	}
	return c.read()
}

// cpu is the processor time of the server so far.
func (c *child) cpu() time.Duration {
	c.tb.Helper()
	d, err := CPU(c.pid)
	if err != nil {
		c.tb.Skip(err)
	}
	return d
}

// memory is the server's RSS in bytes.
func (c *child) memory() int64 {
	c.tb.Helper()
	rss, _, err := Memory(c.pid)
	if err != nil {
		c.tb.Skip(err)
	}
	return rss
}

// peak is the most that the server has held in RAM since the last forget, bytes.
func (c *child) peak() int64 {
	c.tb.Helper()
	most, err := Peak(c.pid)
	if err != nil {
		c.tb.Skip(err)
	}
	return most
}

// forget makes peak begin anew.
func (c *child) forget() {
	c.tb.Helper()
	if err := ForgetPeak(c.pid); err != nil {
		c.tb.Skip(err)
	}
}

// settle waits until the server has nothing more to do, as far as its CPU clock tells.
func (c *child) settle() {
	c.tb.Helper()
	for range 250 {
		before := c.cpu()
		pause(20 * time.Millisecond)
		if c.cpu()-before < 500*time.Microsecond {
			return
		}
	}
	c.tb.Fatalf("%s: still busy without load", c.role)
}

// profileEnv names a directory for profiles of our server, of its CPU and of its allocations for each benchmark:
//
//	go tool pprof -top DIR/BenchmarkX.prof
const profileEnv = "PATCHBAY_BENCH_PROFILE"

// profile lets the server write a CPU profile, if asked to, until the returned function is called, and then what has
// allocated memory in its life.
func (c *child) profile() (end func()) {
	dir := os.Getenv(profileEnv)
	if dir == "" || c.role != "patchbay" {
		return func() {}
	}
	file := filepath.Join(dir, strings.ReplaceAll(c.tb.Name(), "/", "-")+c.label)
	c.tell("profile " + file + ".prof")
	return func() {
		c.tell("profile-end")
		c.tell("allocs " + file + ".allocs")
	}
}

// link attaches to the server as a node, whatever its kind.
func (c *child) link(domain string) *Link {
	c.tb.Helper()
	conn, err := net.Dial("tcp", c.plain)
	if err != nil {
		c.tb.Fatal(err)
	}
	link, err := c.open(conn, domain)
	if err != nil {
		c.tb.Fatal(err)
	}
	c.ready(link)
	return link
}

// ready waits until the server reads each link: a node that is still attaching may not be reached yet. What a NATS
// server has answered, it serves.
func (c *child) ready(links ...*Link) {
	c.tb.Helper()
	if c.role == "patchbay" {
		ready(c.tb, links)
	}
}

func (c *child) open(conn net.Conn, domain string) (*Link, error) {
	switch {
	case c.role == "nats":
		return connectNATS(conn)
	case c.modern != nil:
		return c.modern.Attach(conn, domain)
	}
	return Attach(conn, domain, benchSecret)
}

// atOnce is how many handshakes run at one time: the server admits 100 unauthenticated streams from one address.
const atOnce = 100

// links attaches many nodes: dial opens the connection, domain names node i.
func (c *child) links(r Range, dial func() (net.Conn, error)) []*Link {
	c.tb.Helper()
	return c.all(r.N, dial, func(conn net.Conn, i int) (*Link, error) {
		return c.open(conn, fmt.Sprintf("node%07d.%s", r.Lo+i, benchUsers))
	})
}

// all makes n connections links.
func (c *child) all(n int, dial func() (net.Conn, error), open func(conn net.Conn, i int) (*Link, error)) []*Link {
	c.tb.Helper()
	links, faults := make([]*Link, n), make(chan error, atOnce)
	var next atomic.Int64
	for range atOnce {
		go func() { // faults has its verdict
			faults <- func() error {
				for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
					conn, err := dial()
					if err != nil {
						return err
					}
					if links[i], err = open(conn, int(i)); err != nil {
						return err
					}
				}
				return nil
			}()
		}()
	}
	for range atOnce {
		if err := <-faults; err != nil {
			c.tb.Fatalf("%s: %v", c.role, err)
		}
	}
	return links
}

func (c *child) dialPlain() (net.Conn, error) { return net.Dial("tcp", c.plain) }

// answer lets links answer what the server asks, until the load is closed, which closes them.
func answer(links []*Link) *Load {
	l := &Load{Meter: NewMeter()}
	for _, link := range links {
		l.Skip(link, func([]byte) {})
	}
	return l
}

func hangUp(links []*Link) {
	for _, l := range links {
		_ = l.Conn.Close()
	}
}
