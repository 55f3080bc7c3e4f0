package interop

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/conformance"
)

// mostJudgingNode bounds the run of one component.
const mostJudgingNode = 90 * time.Second

// judgedNode is a component that the conformance suite judges: a small program with a library.
type judgedNode struct {
	product
	command func(t *testing.T) []string  // the program
	tells   func(t *testing.T) *exec.Cmd // prints the version of the library; nil: it is ours
}

// ofNode is a product of that kind. Its version is what the program that tells prints, behind its name.
func ofNode(name, expect, version string) product {
	return product{name: name, expect: expect, version: version, profiles: []conformance.Profile{conformance.Node}}
}

var judgedNodes = []judgedNode{
	{ofNode("slixmpp", "node-slixmpp", "slixmpp 1.8.3"), func(t *testing.T) []string {
		needsPython(t)
		return []string{python, filepath.Join("testdata", "judged_slixmpp.py")}
	}, func(t *testing.T) *exec.Cmd {
		slixmpp(t)
		return exec.Command(python, "-W", "ignore", "-c", "import slixmpp; print('slixmpp', slixmpp.__version__)")
	}},
	{ofNode("xmpp.js", "node-xmppjs", "@xmpp/component 0.13.1"), func(t *testing.T) []string {
		return []string{nodejs(t), filepath.Join("testdata", "judged_xmppjs.js")}
	}, func(t *testing.T) *exec.Cmd {
		return exec.Command(nodejs(t), "-p", "const p = require('../../examples/nodejs/node_modules/@xmpp/component/package.json'); p.name + ' ' + p.version")
	}},
	{ofNode("mellium", "node-mellium", "mellium.im/xmpp v0.23.0"), func(t *testing.T) []string {
		return []string{ownProgram(t, "judged_mellium")}
	}, func(*testing.T) *exec.Cmd {
		return exec.Command("go", "list", "-m", "mellium.im/xmpp")
	}},
	{ofNode("gosrc", "node-gosrc", "gosrc.io/xmpp v0.5.1"), func(t *testing.T) []string {
		path, dir := filepath.Join(t.TempDir(), "judged_gosrc"), filepath.Join("testdata", "judged_gosrc")
		if out, err := exec.Command("go", "build", "-C", dir, "-buildvcs=false", "-o", path, ".").CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", dir, err, out)
		}
		return []string{path}
	}, func(t *testing.T) *exec.Cmd {
		dir := filepath.Join("testdata", "judged_gosrc")
		deps := exec.Command("go", "list", "-C", dir, "-deps", ".")
		deps.Env = append(deps.Environ(), "GOPROXY=off")
		if out, err := deps.CombinedOutput(); err != nil {
			missing(t, "needs gosrc.io/xmpp: run .ci/run tools (%v): %.200s", err, out)
		}
		return exec.Command("go", "list", "-C", dir, "-m", "gosrc.io/xmpp")
	}},
	{ofNode("sdk", "node-sdk", "patchbay"), func(t *testing.T) []string {
		return []string{ownProgram(t, "judged_sdk")}
	}, nil},
}

// ownProgram builds a program of testdata that is of this module.
func ownProgram(t *testing.T, folder string) string {
	t.Helper()
	path, err := compile(folder, "internal/interop/testdata/"+folder)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestConformanceNode judges components with libraries of others, and with our SDK. As in TestConformance, what each does otherwise
// stands in conformance/expect.
func TestConformanceNode(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	cases, err := conformance.Cases()
	if err != nil {
		t.Fatal(err)
	}
	all := make([]judgement, len(judgedNodes))
	t.Cleanup(func() { // when all have been judged
		for _, j := range all {
			if len(j.runs) == 0 {
				return // it is not here, or was not asked for
			}
		}
		holdResults(t, all, "conformance-nodes")
	})
	for i, n := range judgedNodes {
		t.Run(n.name, func(t *testing.T) {
			t.Parallel() // most of the time they wait
			all[i] = judgement{product: n.product, cases: cases}
			n.judge(t, &all[i])
		})
	}
}

// judge is the server that the component attaches to.
func (n judgedNode) judge(t *testing.T, j *judgement) {
	t.Helper()
	version := n.version
	if n.tells != nil {
		out, err := n.tells(t).Output()
		if version = strings.TrimSpace(string(out)); err != nil || version != n.version {
			missing(t, "conformance/expect is of %s, and this is %s (%v)", n.version, version, err)
		}
	}
	target := conformance.Target{Listen: "127.0.0.1:" + freePort(t), Users: "im.example", Stress: true,
		Nodes: []conformance.NodeName{{Domain: "judged.im.example", Secret: "secret-of-a-judged-1"}}}
	keepComing(t, append(n.command(t), target.Listen, target.Nodes[0].Domain, target.Nodes[0].Secret))
	ctx, cancel := context.WithTimeout(t.Context(), mostJudgingNode)
	defer cancel()
	run, err := conformance.Play(ctx, target, ofProfile(j.cases, conformance.Node), func(conformance.Result) {})
	if err != nil {
		t.Fatalf("after %d cases: %v", len(run.Results), err)
	}
	run.Product = version
	j.keep(t, unsecret(target, run))
}

// keepComing starts a program again whenever it has ended, as long as the test runs: while :; do ./node; sleep 0.5; done.
func keepComing(t *testing.T, words []string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var over sync.WaitGroup
	over.Go(func() {
		for ctx.Err() == nil {
			out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
			if ctx.Err() == nil {
				lines := strings.Split(strings.TrimSpace(string(out)), "\n")
				t.Logf("the node has ended (%v): %.200s", err, lines[len(lines)-1])
			}
			select {
			case <-ctx.Done():
			case <-time.After(500 * time.Millisecond):
			}
		}
	})
	t.Cleanup(func() {
		stop()
		over.Wait()
	})
}
