package config

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the .want files anew; commit them only if you understand each change")

// environment is what the test files see of the world.
var environment = map[string]string{
	"NODE1_SECRET": "secret-from-the-environment",
	"SHORT":        "hunter2",
	"HUB":          "hub1.im.example",
	"INJECT":       "hub1.im.example\nlisten: {http: ':1'}",
}

func lookup(name string) (string, bool) { v, ok := environment[name]; return v, ok }

// good is a file without a fault or warning; tests put one line in or change one.
const good = `server: hub1.im.example
users: [im.example, vip.example]
nodes:
  - domain: node1.im.example
    secret: "a-secret-of-24-bytes-abc"
    users: [im.example]
`

// TestFaulty compares what is said of each testdata/*.yaml with its .want file.
func TestFaulty(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, faults := Parse(filepath.Base(file), data, lookup)
			var got bytes.Buffer
			if err := faults.Write(&got, false); err != nil {
				t.Fatal(err)
			}
			want := strings.TrimSuffix(file, ".yaml") + ".want"
			if *update {
				if err := os.WriteFile(want, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			expect, err := os.ReadFile(want)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(expect) {
				t.Errorf("%s, with -update to accept:\n%s", want, got.String())
			}
		})
	}
}

// TestSingle gives one faulty line to a good file and wants exactly one fault.
func TestSingle(t *testing.T) {
	for _, c := range []struct{ in, code, says, mend string }{
		{"server: Hub1.im.example", "domain", "Hub1.im.example is not in canonical form", "hub1.im.example"},
		{"server: hub1.im.example.", "domain", "hub1.im.example. is not in canonical form", "hub1.im.example"},
		{"server: xn--mller-kva.example", "domain", "is not in canonical form", "müller.example"},
		{"server: a b", "domain", `"a b" is not a domain`, ""},
		{"server: a..b", "domain", "a..b is not a domain", ""},
		{"server: '*.im.example'", "domain", "is not a domain", ""},
		{"server: [hub1.im.example]", "type", "server must be a domain", "server: hub1.im.example"},
		{"server:", "type", "server must be a domain", "server: hub1.im.example"},
		{"server: im.example", "clash", "user domain im.example is this server's own address", "hub1.im.example"},
		{"users: [im.example, vip.example, im.example]", "twice", "user domain im.example is listed twice", ""},
		{"users: [im.example, [a]]", "type", "users must be a list of domains", ""},
		{"users: [vip.example]", "userdomain", "im.example is not a user domain", "add it to users"},
		{"data: ''", "path", `"" is not a directory`, ":memory:"},
		{"listen: {component: 5347}", "address", "5347 is not host:port", "127.0.0.1:5347"},
		{"listen: {component: '::1'}", "address", "::1 is not host:port", "[::1]:5347"},
		{"listen: {component: '127.0.0.1:99999'}", "address", "has no port", ""},
		{"listen: {component: 'a b:1'}", "address", "has no valid host", ""},
		{"listen: {component: ':5347'}", "plaintext", "plain component port on all interfaces", "component_tls"},
		{"listen: {component: 'name.example:5347'}", "plaintext", "plain component port on name.example", ""},
		{"listen: {component: '127.0.0.1:5280'}", "clash", "listen.http is the address of listen.component", ""},
		{"listen: {component_tls: ':5348'}", "clash", "needs tls.cert and tls.key", ""},
		{"listen: {plaintext_from: [10.0.0.1/8]}", "network", "has bits set", "10.0.0.0/8"},
		{"listen: {plaintext_from: [10.0.0.1]}", "network", "10.0.0.1 is an address, not a network", "10.0.0.1/32"},
		{"contacts: [ops]", "contact", "ops is not a URI", "mailto:"},
		{"listen: {plaintext_from: [ten]}", "network", "ten is not a network", ""},
		{"listen: {s2s: ':5269'}", "later", "listen.s2s is not in this version", "take it out"},
		{"listen: {http: ':1', https: ':2'}", "unknown", "unknown key listen.https", "did you mean http?"},
		{"component: ':5347'", "unknown", "unknown key component", "did you mean listen.component?"},
		{"zebra: 1", "unknown", "unknown key zebra", "known here: contacts, data, limits"},
		{"listen: 5347", "type", "listen must hold keys", "KEY: VALUE, of component"},
		{"tls: {cert: a.pem}", "clash", "tls.cert is set, tls.key is not", ""},
		{"tls: {key: a.pem}", "clash", "tls.key is set, tls.cert is not", ""},
		{"cluster: {siblings: []}", "later", "cluster is not in this version", ""},
		{"limits: {memory: 1GiB}", "later", "limits.memory is not in this version", ""},
		{"limits: {stanza: 9999}", "range", "limits.stanza 9999 is too small", "10000 bytes to 16MiB"},
		{"limits: {stanza: 17MiB}", "range", "limits.stanza 17MiB is too large", ""},
		{"limits: {stanza: 256 kb}", "size", `"256 kb" is not a size`, "256KiB"},
		{"limits: {stanza: 99999999999999999999}", "size", "is not a size", ""},
		{"limits: {stanza: 16MiB, queue: 1MiB}", "clash", "limits.queue is smaller than one stanza", ""},
		{"limits: {depth: 7}", "range", "limits.depth 7 is too small", "8 to 1024"},
		{"limits: {depth: many}", "number", "many is not a whole number", ""},
		{"timers: {ping: 30}", "time", "30 is not a duration", "30s"},
		{"timers: {ping: 0s}", "range", "timers.ping 0s is too small", "1s to 1h"},
		{"timers: {grace: 3d}", "time", "3d is not a duration", "72h"},
		{"timers: {grace: -1s}", "time", "-1s is not a duration", ""},
		{"timers: {grace: 1us}", "time", "1us is not a duration", ""},
		{"timers: {settle: 11m}", "range", "timers.settle 11m is too large", "0s to 10m"},
		{"offline: {policy: store}", "later", "offline.policy store is not in this version", "bounce, discard"},
		{"offline: {policy: bonce}", "choice", "bonce is none of bounce, discard", "did you mean bounce?"},
		{"offline: {domains: {other.example: {policy: discard}}}", "userdomain", "other.example is not a user domain", ""},
		{"offline: {domains: {VIP.example: {policy: discard}}}", "domain", "VIP.example is not in canonical form", "vip.example"},
		{"offline: {domains: {vip.example: {keep: {age: 1h}}}}", "later", "offline.domains.vip.example.keep is not in this version", ""},
		{"log: {level: warn}", "choice", "warn is none of debug, info, warning, error", ""},
		{"log: &a {level: info}", "yaml", "anchors and aliases", ""},
		{"log: {level: !!str info}", "yaml", "tags are not used here", ""},
		{"log: {<<: {level: info}}", "yaml", "merge keys are not used here", ""},
		{"log: {? [a] : b}", "type", "a key must be one word", ""},
		{"log: {level: info, level: debug}", "twice", "level is given twice (first on line", ""},
		{"data: ${UNSET}", "variable", "names the environment variable UNSET, which is not set", "export UNSET="},
		{"data: ${1X}", "variable", "names no variable", "$$ is a $"},
		{"data: ${X", "variable", "names no variable", ""},
		{"server: ${INJECT}", "domain", "${INJECT} is not a domain", ""},
		{"---", "syntax", "a second document", ""},
	} {
		t.Run(c.in, func(t *testing.T) {
			name, _, _ := strings.Cut(c.in, ":")
			_, faults := Parse("patchbay.yaml", []byte(replaceKey(good, name)+c.in+"\n"+strings.Repeat("x: 1\n", strings.Count(c.in, "---"))), lookup)
			wantOne(t, faults, c.code, c.says, c.mend)
		})
	}
}

// TestEntry gives one faulty entry of nodes, on one line, so that no secret may show although its line is shown.
func TestEntry(t *testing.T) {
	const ok = "secret: a-secret-of-24-bytes-abc"
	for _, c := range []struct{ in, code, says, mend string }{
		{"domain: hub1.im.example, " + ok, "clash", "node hub1.im.example has this server's own address", ""},
		{"domain: vip.example, " + ok, "clash", "node vip.example is also a user domain", "node1.vip.example"},
		{"domain: '*.*.example', " + ok, "domain", "has more than one *", "*.im.example"},
		{"domain: 'a.*.example', " + ok, "domain", "a.*.example is not a domain", ""},
		{"domain: '*', " + ok, "domain", "* is not a domain", ""},
		{"domain: n.im.example", "missing", "n.im.example has no secret", "openssl"},
		{ok, "missing", "nodes[0] has no domain", "domain: node1"},
		{"domain: n.im.example, " + ok + ", secret_file: x", "clash", "has both secret and secret_file", ""},
		{"domain: n.im.example, secret: fifteen-bytes--", "secret", "secret of n.im.example has 15 bytes; 16 is the least", "openssl"},
		{"domain: n.im.example, secret: [fifteen-bytes--, a-secret-of-24-bytes-abc]", "secret", "has 15 bytes", ""},
		{"domain: n.im.example, secret: '${SHORT}'", "secret", "has 7 bytes", ""},
		{"domain: n.im.example, secret: [a, b, c]", "type", "secret of n.im.example must be a secret, or a list of two", "keep 2"},
		{"domain: n.im.example, secret: {a: fifteen-bytes--}", "type", "must be a secret, or a list of two", "openssl"},
		{"domain: n.im.example, secret: &fifteen-bytes-- x", "yaml", "anchors and aliases are not used here", "quote"},
		{"domain: n.im.example, secret: !fifteen-bytes-- x", "yaml", "tags are not used here", "quote"},
		{"domain: n.im.example, secret: a-secret-of-24-bytes-abc, sekret: fifteen-bytes--", "unknown", "unknown key sekret of n.im.example", "did you mean secret?"},
		{"domain: n.im.example, " + ok + ", password: fifteen-bytes--", "unknown", "unknown key password of n.im.example", ""},
		{"domain: n.im.example, " + ok + ", users: [other.example]", "userdomain", "other.example is not a user domain", "add it to users"},
		{"domain: n.im.example, " + ok + ", users: [im.exmple]", "userdomain", "im.exmple is not a user domain", "did you mean im.example?"},
		{"domain: n.im.example, " + ok + ", speak: all", "choice", "all is none of announced, domain", ""},
		{"domain: n.im.example, " + ok + ", takeover: nevr", "choice", "nevr is none of", "did you mean never?"},
		{"domain: n.im.example, " + ok + ", conflict: kick", "choice", "kick is none of replace, reject", ""},
		{"domain: n.im.example, " + ok + ", instances: 2", "later", "instances of n.im.example is not in this version", ""},
		{"domain: n.im.example, " + ok + ", limits: {queue: 1MiB}", "later", "limits of n.im.example is not in this version", ""},
	} {
		t.Run(c.in, func(t *testing.T) {
			_, faults := Parse("patchbay.yaml", []byte(replaceKey(good, "nodes")+"nodes:\n  - {"+c.in+"}\n"), lookup)
			wantOne(t, faults, c.code, c.says, c.mend)
			wantHidden(t, faults, "fifteen-bytes--", "a-secret-of-24-bytes-abc", "hunter2")
		})
	}
}

// TestSyntax wants one clear fault of what is not YAML, and nothing of a secret that may be the cause.
func TestSyntax(t *testing.T) {
	for _, c := range []struct{ in, says string }{
		{"server: a\n\tdata: b\n", "indent with spaces"},
		{"secret: @hunter2\n", "cannot start any token"},
		{"secret: *hunter2\n", "quote a value that begins with *"},
		{"secret: a: hunter2\n", "mapping values are not allowed"},
		{"secret: \"\\q hunter2\"\n", "single quotes"},
		{"secret: \"hunter2\n", "close the quote"},
		{"secret:hunter2\nb: c\n", "mapping values are not allowed"},
		{"a:\n  - hunter2\n b: 1\n", "check the indentation"},
		{"x: [hunter2\n", "close the bracket"},
		{"server = 'hunter2'\n", "the file must hold keys"},
		{"- secret:hunter2\n", "the file must hold keys"},
		{"\x7fELF\x00\x00", "not a text file in UTF-8"},
		{"server: \xff\n", "not a text file in UTF-8"},
	} {
		t.Run(c.in, func(t *testing.T) {
			conf, faults := Parse("patchbay.yaml", []byte(c.in), lookup)
			if conf != nil || len(faults) != 1 || !faults.Fatal() {
				t.Fatalf("want one fault: %s", screen(faults))
			}
			if !strings.Contains(screen(faults), c.says) {
				t.Errorf("want %q:\n%s", c.says, screen(faults))
			}
			if strings.Contains(c.in, "secret") {
				wantHidden(t, faults, "hunter2")
			}
		})
	}
}

// TestFull reads a file in which every key differs from its default.
func TestFull(t *testing.T) {
	conf, faults := Parse("etc/patchbay.yaml", []byte(`
server: ${HUB}
data: ./d$$1
users: [im.example, vip.example]
contacts: ["mailto:ops@im.example"]
listen: {component: "0.0.0.0:1", component_tls: "[::1]:2", plaintext_from: [10.0.0.0/8], http: ""}
tls: {cert: c.pem, key: /k.pem}
nodes:
  - {domain: "*.im.example", secret: ["${NODE1_SECRET}", "pa$word-of-16-bytes"], users: [vip.example], speak: domain, takeover: never, conflict: reject}
  - {domain: b.example, secret_file: b.secret}
offline: {policy: discard, domains: {vip.example: {policy: bounce}}}
limits: {stanza: 10000, depth: 8, queue: 4GiB}
timers: {handshake: 1m30s, ping: 1.5s, grace: 0s, settle: 250ms, drain: 1h}
log: {level: debug, format: json}
`), lookup)
	if len(faults) > 0 {
		t.Fatal(screen(faults))
	}
	got := fmt.Sprintf("%+v", conf)
	want := "&{Server:hub1.im.example Data:etc/d$1 Users:[im.example vip.example] Contacts:[mailto:ops@im.example]" +
		" Listen:{Component:0.0.0.0:1 ComponentTLS:[::1]:2 PlaintextFrom:[10.0.0.0/8] HTTP:}" +
		" TLS:{Cert:etc/c.pem Key:/k.pem}" +
		" Nodes:[{Domain:*.im.example Secret:[•••••••• ••••••••] SecretFile: Users:[vip.example] Speak:domain Takeover:never Conflict:reject}" +
		" {Domain:b.example Secret:[] SecretFile:etc/b.secret Users:[] Speak:announced Takeover:allow Conflict:replace}]" +
		" Offline:{Policy:discard "
	if !strings.HasPrefix(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if s := conf.Nodes[0].Secret; s[0] != "secret-from-the-environment" || s[1] != "pa$word-of-16-bytes" {
		t.Error("the secrets are not what the file and the environment say")
	}
	if conf.Offline.PolicyOf("vip.example") != PolicyBounce || conf.Offline.PolicyOf("im.example") != PolicyDiscard {
		t.Error("the offline policies are not what the file says")
	}
	if want := (Limits{10000, 8, 4 * gib}); conf.Limits != want {
		t.Errorf("limits %v, want %v", conf.Limits, want)
	}
	if want := (Timers{90 * time.Second, 1500 * time.Millisecond, 0, 250 * time.Millisecond, time.Hour}); conf.Timers != want {
		t.Errorf("timers %v, want %v", conf.Timers, want)
	}
}

// TestDefaults sees that the table's defaults are valid by its own rules, and that an empty file means them.
func TestDefaults(t *testing.T) {
	conf := Default()
	if faults := conf.Validate(); faults.Fatal() {
		t.Error(screen(faults))
	}
	for _, k := range Keys() {
		if k.Doc == "" || k.Kind == "" {
			t.Errorf("%s has no documentation", k.Path)
		}
		if k.Default == "" || variable(k.Path) {
			continue
		}
		value := strings.Trim(k.Default, `"`)
		if bad := conf.Set(k.Path, value); bad != nil {
			t.Errorf("default of %s: %v", k.Path, bad)
		}
	}
	for _, in := range []string{"", "# nothing\n", "listen:\n  # component: x\n"} {
		empty, faults := Parse("patchbay.yaml", []byte(in), lookup)
		if len(faults) != 3 || faults.Fatal() {
			t.Fatalf("%q: want three warnings: %s", in, screen(faults))
		}
		want := Default()
		if empty.Listen.Component != want.Listen.Component || !reflect.DeepEqual(empty.Users, want.Users) || empty.Timers != want.Timers {
			t.Errorf("%q is not the defaults: %+v", in, empty)
		}
	}
}

// replaceKey takes a top-level key and what is below it out of a file.
func replaceKey(file, name string) string {
	var out []string
	cut := false
	for _, line := range strings.SplitAfter(file, "\n") {
		if !strings.HasPrefix(line, " ") {
			cut = strings.HasPrefix(line, name+":")
		}
		if !cut {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

func wantOne(t *testing.T, faults Faults, code, says, mend string) {
	t.Helper()
	if len(faults) != 1 {
		t.Fatalf("want one fault: %s", screen(faults))
	}
	f := faults[0]
	if f.Code != code || !strings.Contains(f.Message, says) || !strings.Contains(f.Mend, mend) || f.Line == 0 {
		t.Errorf("want %s %q, mend %q\n%s", code, says, mend, screen(faults))
	}
}

func wantHidden(t *testing.T, faults Faults, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if text := screen(faults) + fmt.Sprintf("%+v", faults); strings.Contains(text, secret) {
			t.Errorf("the secret %s is shown:\n%s", secret, text)
		}
	}
}

func screen(faults Faults) string {
	var b strings.Builder
	_ = faults.Write(&b, false)
	return b.String()
}
