package interop

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// roots are where servers of other projects are looked for: unpacked by .ci/run, or installed.
var roots = []string{filepath.Join("..", "..", ".ci", "tools", "peers"), "/"}

// peer is a server of another project, with a file of its own that lets the two nodes of a loss test attach.
type peer struct {
	name    string
	program string // a pattern of its program, below a root
	needs   string // the interpreter of that, "" if it is no script
	serve   func(t *testing.T, program, root string) *server
}

var peers = []peer{
	{"Prosody", "usr/bin/prosody", "lua5.4", openProsody},
	{"ejabberd", "usr/lib/*/ejabberd-*/ebin/ejabberd.app", "erl", openEjabberd},
}

// find gives the peer's program, and the root that it is below, without a slash at its end. It ends a test on a machine
// without it.
func (p peer) find(t *testing.T) (program, root string) {
	t.Helper()
	if _, err := exec.LookPath(p.needs); p.needs != "" && err != nil {
		missing(t, "needs %s for %s: run .ci/run tools, or install it: %v", p.needs, p.name, err)
	}
	for _, root := range roots {
		found, err := filepath.Glob(filepath.Join(root, p.program))
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 {
			continue
		}
		if root, err = filepath.Abs(root); err != nil {
			t.Fatal(err)
		}
		return found[0], strings.TrimSuffix(root, "/")
	}
	missing(t, "needs %s: run .ci/run tools, or install it", p.name)
	return "", ""
}

// freePort gives a port of this machine that nobody listens on, outside of those that systems give away by themselves: others
// ask for such ports meanwhile.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(10_000 + rand.IntN(20_000))
		ln, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("no port is free")
	return ""
}

const peerSecret = "secret-of-a-loss-test"

func openProsody(t *testing.T, program, root string) *server {
	t.Helper()
	port := freePort(t)
	p := startProsody(t, program, root, fmt.Sprintf(`modules_enabled = {}
modules_disabled = { "s2s", "c2s", "posix", "offline" }
component_ports = { %s }
component_interfaces = { "127.0.0.1" }
VirtualHost "im.example"
Component %q
  component_secret = %q
Component %q
  component_secret = %q
`, port, senderDomain, peerSecret, receiverDomain, peerSecret))
	return &server{process: p, addr: "127.0.0.1:" + port, secret: peerSecret}
}

// startProsody starts it with what a test configures, and waits until it listens for components.
func startProsody(t *testing.T, program, root, configured string) *process {
	t.Helper()
	main, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script, conf := filepath.Join(dir, "prosody"), filepath.Join(dir, "prosody.cfg.lua")
	write(t, script, []byte(strings.ReplaceAll(string(main), "'/usr/lib/prosody", "'"+root+"/usr/lib/prosody")))
	write(t, conf, fmt.Appendf(nil, "run_as_root = true\ndata_path = %q\npidfile = %q\nlog = { info = \"*console\" }\n%s",
		dir, filepath.Join(dir, "pid"), configured))
	p := start(t, exec.Command("lua5.4", script, "--config", conf, "-F"))
	p.find(t, regexp.MustCompile("Activated service 'component' on "))
	return p
}

func openEjabberd(t *testing.T, program, _ string) *server {
	t.Helper()
	port := freePort(t)
	p := startEjabberd(t, program, fmt.Sprintf(`hosts: [im.example]
loglevel: info
listen:
  - port: %s
    ip: "127.0.0.1"
    module: ejabberd_service
    access: all
    global_routes: false
    hosts:
      %s: {password: %s}
      %s: {password: %s}
modules: {}
`, port, senderDomain, peerSecret, receiverDomain, peerSecret))
	return &server{process: p, addr: "127.0.0.1:" + port, secret: peerSecret}
}

// startEjabberd starts it with a whole file of configuration, and waits until it listens for components.
func startEjabberd(t *testing.T, program, configured string) *process {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, "ejabberd.yml")
	write(t, conf, []byte(configured))
	cmd := exec.Command("erl", "-noinput", "-pa", filepath.Dir(program), "-mnesia", "dir", fmt.Sprintf("%q", filepath.Join(dir, "db")),
		"-ejabberd", "config", fmt.Sprintf("%q", conf), "-s", "ejabberd")
	cmd.Env = append(os.Environ(), "HOME="+dir, "EJABBERD_LOG_PATH="+filepath.Join(dir, "log"))
	p := start(t, cmd)
	p.find(t, regexp.MustCompile("Start accepting TCP connections at .* for ejabberd_service"))
	return p
}

// TestLossElsewhere plays the losses of TestLoss with the servers that most nodes are attached to, and prints what
// they lose. That a receiver which reads on gets all of it from them too shows that the losses are theirs.
func TestLossElsewhere(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 23 s")
	}
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			program, root := p.find(t)
			play := func(l loss) {
				t.Run(l.String(), func(t *testing.T) {
					t.Parallel()
					l.judge(t, p.serve(t, program, root))
				})
			}
			for _, half := range []bool{false, true} {
				for _, r := range receivers {
					play(loss{receiver: r, half: half, messages: 2000})
				}
				play(loss{receiver: stdlib, half: half, messages: 2000, goesOn: true})
			}
		})
	}
}

// judge plays a loss with a peer: whatever it loses, the test must not.
func (l loss) judge(t *testing.T, s *server) {
	a := l.run(t, s)
	if l.goesOn {
		a.lost(t)
	} else if len(a.streams) != 2 || a.last() != a.sent {
		t.Errorf("the receiver was not there at the end: %d streams, message %d is the last", len(a.streams), a.last())
	}
}
