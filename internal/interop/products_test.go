package interop

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/patchbay-im/patchbay/conformance"
)

// product is a server that the conformance suite judges, configured as its recipe says.
type product struct {
	name     string // of its recipe
	expect   string // the file of its expectations, in conformance/expect
	version  string // which they are of: how the product's name and version begin
	profiles []conformance.Profile
	program  string // a pattern, below a root; "": ours, which is built
	needs    string // its interpreter, "" if it is no script
	serve    func(t *testing.T, program, root string) conformance.Target
}

var (
	anyServer = []conformance.Profile{conformance.Component}
	ourServer = []conformance.Profile{conformance.Component, conformance.Modern, conformance.Sessions}
)

var products = []product{
	{"patchbay", "patchbay", "patchbay", ourServer, "", "", judgedPatchbay},
	{"prosody", "prosody-0.12", "Prosody 0.12", anyServer, "usr/bin/prosody", "lua5.4", judgedProsody},
	{"ejabberd", "ejabberd-23.01", "ejabberd 23.01", anyServer, "usr/lib/*/ejabberd-*/ebin/ejabberd.app", "erl", judgedEjabberd},
	{"jabberd2", "jabberd2-2.7", "jabberd2 2.7.0", anyServer, "usr/sbin/jabberd2-router", "", judgedJabberd2},
}

// open starts the product, or ends the test on a machine without it.
func (p product) open(t *testing.T) conformance.Target {
	t.Helper()
	if p.program == "" {
		return p.serve(t, "", "")
	}
	program, root := peer{name: p.name, program: p.program, needs: p.needs}.find(t)
	return p.serve(t, program, root)
}

// recipe is what conformance.Recipe tells a person to do, taken at its word.
type recipe struct {
	paste string             // for the configuration, on the port of the test
	run   conformance.Target // what its command says
}

var (
	recipeNode   = regexp.MustCompile(`--node (\S+)=@`)
	recipeServer = regexp.MustCompile(`--server-domain (\S+)`)
	recipeSecret = regexp.MustCompile(`[A-Z]+ SECRET`)
)

// readRecipe takes what is to be pasted, and the secrets in it, from a recipe, and the names from its command. A recipe of one
// secret means all components.
func readRecipe(t *testing.T, name string) recipe {
	t.Helper()
	text, ok := conformance.Recipe(name)
	above, command, then := strings.Cut(text, "\nThen, ")
	if !ok || !then {
		t.Fatalf("no recipe for %s, or no command in it:\n%s", name, text)
	}
	var paste strings.Builder
	for line := range strings.Lines(above) {
		if rest, indented := strings.CutPrefix(line, "  "); indented || line == "\n" {
			paste.WriteString(rest)
		}
	}
	port := freePort(t)
	r := recipe{strings.ReplaceAll(paste.String(), "5347", port), conformance.Target{Addr: "127.0.0.1:" + port}}
	if m := recipeServer.FindStringSubmatch(command); m != nil {
		r.run.Server = m[1]
	}
	secrets := recipeSecret.FindAllString(r.paste, -1)
	for i, m := range recipeNode.FindAllStringSubmatch(command, -1) {
		r.run.Nodes = append(r.run.Nodes, conformance.NodeName{Domain: m[1], Secret: secrets[min(i, len(secrets)-1)]})
	}
	if len(r.run.Nodes) != 3 || len(secrets) != 3 && len(secrets) != 1 {
		t.Fatalf("the recipe for %s has %d components and %d secrets:\n%s", name, len(r.run.Nodes), len(secrets), text)
	}
	return r
}

// judgedPatchbay has all that the profiles ask for: a user domain, and a certificate for modern streams.
func judgedPatchbay(t *testing.T, _, _ string) conformance.Target {
	t.Helper()
	dir, run := t.TempDir(), conformance.Target{Server: "probe.test", Users: "im.example"}
	cert, key := newAuthority(t, dir).write(t, dir, run.Server)
	var conf strings.Builder
	fmt.Fprintf(&conf, "server: %s\nusers: [%s]\ndata: %s\nlisten: {component: \"127.0.0.1:0\", http: \"127.0.0.1:0\"}\ntls: {cert: %s, key: %s}\nnodes:\n",
		run.Server, run.Users, filepath.Join(dir, "data"), cert, key)
	for i := range 3 {
		n := conformance.NodeName{Domain: fmt.Sprintf("c%d.%s", i+1, run.Server), Secret: fmt.Sprintf("secret-of-a-judged-%d", i+1)}
		run.Nodes = append(run.Nodes, n)
		fmt.Fprintf(&conf, "  - {domain: %s, secret: %s, users: [%s]}\n", n.Domain, n.Secret, run.Users)
	}
	file := filepath.Join(dir, "patchbay.yaml")
	write(t, file, []byte(conf.String()))
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, exec.Command(binary, "serve", "--config", file))
	run.Addr = p.find(t, listens)
	p.find(t, ready)
	return run
}

// judgedProsody has the modules of the package's own file that a component can see. It listens for nobody else.
func judgedProsody(t *testing.T, program, root string) conformance.Target {
	t.Helper()
	r := readRecipe(t, "prosody")
	_, port, _ := strings.Cut(r.run.Addr, ":")
	startProsody(t, program, root, fmt.Sprintf(`modules_enabled = { "disco", "ping", "time", "uptime", "version" }
modules_disabled = { "c2s", "posix" }
s2s_ports = {}
component_ports = { %s }
%s`, port, r.paste))
	return r.run
}

// judgedEjabberd has the modules of the package's own file that a component can see. It listens for nobody else.
func judgedEjabberd(t *testing.T, program, _ string) conformance.Target {
	t.Helper()
	r := readRecipe(t, "ejabberd")
	startEjabberd(t, program, r.paste+`
loglevel: info
modules:
  mod_disco: {}
  mod_last: {}
  mod_ping: {}
  mod_s2s_dialback: {}
  mod_version: {}
`)
	return r.run
}

// judgedJabberd2 is the router alone, with the package's own router.xml, in which the lines of the recipe take the place of
// those of the same names.
func judgedJabberd2(t *testing.T, program, root string) conformance.Target {
	t.Helper()
	r := readRecipe(t, "jabberd2")
	if said, _ := exec.Command(program, "-h").CombinedOutput(); !bytes.Contains(said, []byte("router (2.7.0)")) { // it ends with 1
		missing(t, "conformance/expect is of jabberd2 2.7.0, and %s -h says:\n%s", program, said)
	}
	stock, err := os.ReadFile(filepath.Join(root, "etc", "jabberd2", "router.xml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	conf := regexp.MustCompile(`(?s)<!--.*?-->`).ReplaceAllString(string(stock), "")
	conf = strings.ReplaceAll(conf, "/etc/jabberd2", filepath.Join(root, "etc", "jabberd2"))
	conf = strings.ReplaceAll(conf, "/var/run/jabberd2", dir)
	conf = strings.ReplaceAll(conf, "<log type='file'>", "<log type='stdout'>")
	for _, m := range regexp.MustCompile(`<(\w+)>.*</`).FindAllStringSubmatch(r.paste, -1) {
		old := regexp.MustCompile(`<` + m[1] + `>.*</` + m[1] + `>`)
		if len(old.FindAllString(conf, -1)) != 1 {
			t.Fatalf("the package's router.xml has no single <%s/>", m[1])
		}
		conf = old.ReplaceAllString(conf, "")
	}
	conf = strings.Replace(conf, "<local>", "<local>\n"+r.paste, 1)
	file := filepath.Join(dir, "router.xml")
	write(t, file, []byte(conf))
	p := start(t, exec.Command(program, "-c", file))
	p.find(t, regexp.MustCompile(`listening for incoming connections`))
	return r.run
}

// TestRecipes configures each product as its recipe says, and attaches the three components.
func TestRecipes(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 4 s")
	}
	for _, p := range products {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			if _, err := conformance.Play(t.Context(), p.open(t), nil, nil); err != nil {
				t.Error(err)
			}
		})
	}
}
