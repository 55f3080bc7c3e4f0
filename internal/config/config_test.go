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
		{"listen: {http: '127.0.0.1:1', https: ':2'}", "unknown", "unknown key listen.https", "did you mean http?"},
		{"component: ':5347'", "unknown", "unknown key component", "did you mean listen.component?"},
		{"zebra: 1", "unknown", "unknown key zebra", "known here: admin, contacts, data, limits"},
		{"listen: 5347", "type", "listen must hold keys", "KEY: VALUE, of component"},
		{"tls: {cert: a.pem}", "clash", "tls.cert is set, tls.key is not", ""},
		{"tls: {key: a.pem}", "clash", "tls.key is set, tls.cert is not", ""},
		{"cluster: {siblings: []}", "later", "cluster is not in this version", ""},
		{"tls: {ca: ca.pem}", "clash", "tls.ca needs tls.cert and tls.key", "server.pem"},
		{"limits: {stanza: 9999}", "range", "limits.stanza 9999 is too small", "10000 bytes to 16MiB"},
		{"limits: {stanza: 17MiB}", "range", "limits.stanza 17MiB is too large", ""},
		{"limits: {stanza: 256 kb}", "size", `"256 kb" is not a size`, "256KiB"},
		{"limits: {stanza: 99999999999999999999}", "size", "is not a size", ""},
		{"limits: {stanza: 16MiB, queue: 1MiB}", "clash", "limits.queue is smaller than one stanza", ""},
		{"limits: {stanza: 16MiB, outbox: 2MiB}", "clash", "limits.outbox is smaller than one stanza", "limits.stanza or more"},
		{"limits: {stanza: 16MiB, outbox: 16MiB, memory: 1MiB}", "clash", "limits.memory is smaller than one stanza", ""},
		{"limits: {stanza: 16MiB, outbox: 16MiB, disk: 15MiB}", "clash", "limits.disk is smaller than one stanza", ""},
		{"limits: {outbox: 1023KiB}", "range", "limits.outbox 1023KiB is too small", "1MiB to 4096GiB"},
		{"limits: {disk: 99999GiB}", "range", "limits.disk 99999GiB is too large", "1MiB to 65536GiB"},
		{"limits: {disk: 20 GB}", "size", `"20 GB" is not a size`, "20GiB"},
		{"limits: {depth: 7}", "range", "limits.depth 7 is too small", "8 to 1024"},
		{"limits: {depth: many}", "number", "many is not a whole number", ""},
		{"timers: {ping: 30}", "time", "30 is not a duration", "30s"},
		{"timers: {ping: 0s}", "range", "timers.ping 0s is too small", "1s to 1h"},
		{"timers: {grace: 3d}", "time", "3d is not a duration", "72h"},
		{"timers: {grace: -1s}", "time", "-1s is not a duration", ""},
		{"timers: {grace: 1us}", "time", "1us is not a duration", ""},
		{"timers: {settle: 11m}", "range", "timers.settle 11m is too large", "0s to 10m"},
		{"limits: {addresses: 0}", "range", "limits.addresses 0 is too small", "1 to 100000"},
		{"limits: {addresses: 100001}", "range", "limits.addresses 100001 is too large", ""},
		{"offline: {policy: bonce}", "choice", "bonce is none of bounce, store, discard, forward", "did you mean bounce?"},
		{"offline: {policy: forward}", "missing", "offline.policy forward needs forward_to", "forward_to: the domain of a node"},
		{"offline: {policy: forward, forward_to: ''}", "missing", "offline.policy forward needs forward_to", ""},
		{"offline: {forward_to: hub1.im.example}", "clash", "forward_to hub1.im.example is this server's own address", "domain of a node"},
		{"offline: {forward_to: vip.example}", "clash", "forward_to vip.example is a user domain", "domain of a node"},
		{"offline: {forward_to: node2.im.example}", "missing", "forward_to node2.im.example is no node of this file", "add it to nodes"},
		{"offline: {policy: forward, forward_to: '*.im.example'}", "domain", "*.im.example is not a domain", ""},
		{"offline: {domains: {vip.example: {policy: forward}}}", "missing", "offline.domains.vip.example.policy forward needs forward_to", ""},
		{"offline: {domains: {vip.example: {forward_to: im.example}}}", "clash", "forward_to im.example is a user domain", ""},
		{"offline: {domains: {vip.example: {policy: forward, forward_to: no.example}}}", "missing", "forward_to no.example is no node", ""},
		{"offline: {keep: 5}", "type", "offline.keep must hold keys", "KEY: VALUE, of age, bytes, messages"},
		{"offline: {domains: [im.example]}", "type", "offline.domains must hold keys", "im.example: {policy: store}"},
		{"offline: {domains: im.example}", "type", "offline.domains must hold keys", "im.example: {policy: store}"},
		{"offline: {domains: {im.example: store}}", "type", "offline.domains.im.example must hold keys", "KEY: VALUE, of forward_to, keep, policy"},
		{"offline: {keep: {messages: 0}}", "range", "offline.keep.messages 0 is too small", "1 to 1000000"},
		{"offline: {keep: {bytes: 1023}}", "range", "offline.keep.bytes 1023 is too small", "1KiB to 1GiB"},
		{"offline: {keep: {age: 3d}}", "time", "3d is not a duration", "72h"},
		{"offline: {keep: {age: 0s}}", "range", "offline.keep.age 0s is too small", "1s to 8760h"},
		{"offline: {keep: {size: 1MiB}}", "unknown", "unknown key offline.keep.size", "known here: age, bytes, messages"},
		{"offline: {total: 1KiB}", "range", "offline.total 1KiB is too small", "64KiB to 4096GiB"},
		{"offline: {domains: {vip.example: {keep: {messages: many}}}}", "number", "many is not a whole number", ""},
		{"offline: {domains: {vip.example: {total: 1GiB}}}", "unknown", "unknown key offline.domains.vip.example.total", "did you mean offline.total?"},
		{"offline: {domains: {other.example: {policy: discard}}}", "userdomain", "other.example is not a user domain", ""},
		{"offline: {domains: {VIP.example: {policy: discard}}}", "domain", "VIP.example is not in canonical form", "vip.example"},
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
		{"domain: n.im.example, " + ok + ", unproved: repaly", "choice", "repaly is none of replay, drop", "did you mean replay?"},
		{"domain: n.im.example, " + ok + ", conflict: kick", "choice", "kick is none of replace, reject", ""},
		{"domain: n.im.example, " + ok + ", users: [im.example], instances: 2", "clash", "n.im.example has 2 instances and users", "instances: 1"},
		{"domain: n.im.example, " + ok + ", instances: 0", "range", "instances of n.im.example 0 is too small", "1 to 64"},
		{"domain: n.im.example, " + ok + ", instances: 65", "range", "instances of n.im.example 65 is too large", ""},
		{"domain: n.im.example, " + ok + ", instances: two", "number", "two is not a whole number", ""},
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
listen: {component: "0.0.0.0:1", component_tls: "[::1]:2", plaintext_from: [10.0.0.0/8], http: "", metrics: "0.0.0.0:3"}
tls: {cert: c.pem, key: /k.pem, ca: ca.pem}
nodes:
  - {domain: "*.im.example", secret: ["${NODE1_SECRET}", "pa$word-of-16-bytes"], users: [vip.example], speak: domain, takeover: never, unproved: drop, conflict: reject}
  - {domain: b.example, secret_file: b.secret, instances: 3}
offline: {policy: store, forward_to: b.example, keep: {messages: 7, bytes: 16KiB, age: 90m}, total: 4GiB, domains: {vip.example: {policy: forward, forward_to: sub.im.example, keep: {messages: 8, bytes: 3KiB, age: 1s}}}}
limits: {stanza: 10000, depth: 8, queue: 4GiB, outbox: 3GiB, memory: 5GiB, disk: 65536GiB, addresses: 9}
timers: {handshake: 1m30s, ping: 1.5s, grace: 0s, settle: 250ms, drain: 1h}
admin: {token_file: tok, hosts: [patchbay.internal], tap_bodies: true}
log: {level: debug, format: json}
`), lookup)
	if len(faults) > 0 {
		t.Fatal(screen(faults))
	}
	got := fmt.Sprintf("%+v", conf)
	want := "&{Server:hub1.im.example Data:etc/d$1 Users:[im.example vip.example] Contacts:[mailto:ops@im.example]" +
		" Listen:{Component:0.0.0.0:1 ComponentTLS:[::1]:2 PlaintextFrom:[10.0.0.0/8] HTTP: Metrics:0.0.0.0:3}" +
		" TLS:{Cert:etc/c.pem Key:/k.pem CA:etc/ca.pem}" +
		" Nodes:[{Domain:*.im.example Secret:[•••••••• ••••••••] SecretFile: Users:[vip.example] Speak:domain Takeover:never Unproved:drop Conflict:reject Instances:1}" +
		" {Domain:b.example Secret:[] SecretFile:etc/b.secret Users:[] Speak:announced Takeover:allow Unproved:replay Conflict:replace Instances:3}]" +
		" Offline:{Policy:store ForwardTo:b.example Keep:{Messages:7 Bytes:16384 Age:1h30m0s} Total:4294967296 Domains:map["
	if !strings.HasPrefix(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if s := conf.Nodes[0].Secret; s[0] != "secret-from-the-environment" || s[1] != "pa$word-of-16-bytes" {
		t.Error("the secrets are not what the file and the environment say")
	}
	if got, want := conf.Offline.Of("vip.example"), (OfflineDomain{PolicyForward, "sub.im.example", Keep{8, 3 * kib, time.Second}}); got != want {
		t.Errorf("offline of vip.example %v, want %v", got, want)
	}
	if want := (Limits{10000, 8, 4 * gib, 3 * gib, 5 * gib, 65536 * gib, 9}); conf.Limits != want {
		t.Errorf("limits %v, want %v", conf.Limits, want)
	}
	if want := (Timers{90 * time.Second, 1500 * time.Millisecond, 0, 250 * time.Millisecond, time.Hour}); conf.Timers != want {
		t.Errorf("timers %v, want %v", conf.Timers, want)
	}
}

// TestOfflineInherits wants the general value for all that a user domain does not say itself, whatever is said first.
func TestOfflineInherits(t *testing.T) {
	general := Keep{Messages: 5, Bytes: mib, Age: time.Hour}
	for _, c := range []struct {
		says string
		want OfflineDomain
	}{
		{"{}", OfflineDomain{PolicyStore, "node1.im.example", general}},
		{"{policy: bounce}", OfflineDomain{PolicyBounce, "node1.im.example", general}},
		{"{policy: forward}", OfflineDomain{PolicyForward, "node1.im.example", general}},
		{"{keep: {bytes: 2MiB}}", OfflineDomain{PolicyStore, "node1.im.example", Keep{5, 2 * mib, time.Hour}}},
		{"{keep: {age: 2h}}", OfflineDomain{PolicyStore, "node1.im.example", Keep{5, mib, 2 * time.Hour}}},
		{"{forward_to: a.nodes.example, keep: {messages: 6}}", OfflineDomain{PolicyStore, "a.nodes.example", Keep{6, mib, time.Hour}}},
	} {
		file := good + "  - {domain: '*.nodes.example', secret: a-secret-of-24-bytes-abc, instances: 2}\n" +
			"offline:\n  domains: {vip.example: " + c.says + "}\n" +
			"  policy: store\n  forward_to: node1.im.example\n  keep: {messages: 5, bytes: 1MiB, age: 1h}\n"
		conf, faults := Parse("patchbay.yaml", []byte(file), lookup)
		if len(faults) > 0 {
			t.Errorf("%s: %s", c.says, screen(faults))
			continue
		}
		if got := conf.Offline.Of("vip.example"); got != c.want {
			t.Errorf("%s: %v, want %v", c.says, got, c.want)
		}
		if got, want := conf.Offline.Of("im.example"), (OfflineDomain{PolicyStore, "node1.im.example", general}); got != want {
			t.Errorf("%s: im.example %v, want %v", c.says, got, want)
		}
		if bad := conf.Set("offline.keep.messages", "9"); bad != nil {
			t.Error(bad)
		}
		if got := conf.Offline.Of("vip.example").Keep.Messages; got != 9 && c.want.Keep.Messages == 5 {
			t.Errorf("%s: %d messages, want those of --set", c.says, got)
		}
	}
	want := OfflineDomain{Policy: PolicyBounce, Keep: Keep{1000, 4 * mib, 72 * time.Hour}}
	if got := Default().Offline; got.Of("im.example") != want || got.Total != gib {
		t.Errorf("by default %v and %d bytes, want %v", got.Of("im.example"), got.Total, want)
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
