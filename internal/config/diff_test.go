package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// base says every key of the table once; TestDiff changes each.
const base = `server: hub1.im.example
data: /var/lib/patchbay
users: [im.example, vip.example]
contacts: ["mailto:ops@im.example"]
listen: {component: "127.0.0.1:1", component_tls: "[::1]:2", plaintext_from: [10.0.0.0/8], http: "127.0.0.1:4", metrics: "127.0.0.1:3"}
tls: {cert: /c.pem, key: /k.pem, ca: /a.pem}
nodes:
  - {domain: a.example, secret: first-secret-of-24-bytes, speak: domain, takeover: never, unproved: drop, conflict: reject, instances: 2}
  - {domain: b.example, secret_file: /b.secret, users: [vip.example]}
offline:
  policy: store
  forward_to: b.example
  keep: {messages: 7, bytes: 1MiB, age: 90m}
  total: 4GiB
  domains: {vip.example: {policy: forward, forward_to: a.example, keep: {messages: 8, bytes: 2MiB, age: 1s}}}
limits: {stanza: 10000, depth: 8, queue: 4GiB, outbox: 1537KiB, memory: 5GiB, disk: 2MiB, addresses: 9}
timers: {handshake: 1m30s, ping: 1.5s, grace: 0s, settle: 250ms, drain: 1h}
admin: {token_file: /tok, hosts: [patchbay.internal], tap_bodies: true}
log: {level: debug, format: json}
`

// turns puts another value in the place of each key's value in base.
var turns = map[string][2]string{
	"server":                           {"hub1.im.example", "hub2.im.example"},
	"data":                             {"/var/lib/patchbay", "/srv"},
	"users":                            {"[im.example, vip.example]", "[im.example, vip.example, x.example]"},
	"contacts":                         {"mailto:ops@im.example", "mailto:noc@im.example"},
	"listen.component":                 {"127.0.0.1:1", "127.0.0.1:9"},
	"listen.component_tls":             {"[::1]:2", "[::1]:9"},
	"listen.plaintext_from":            {"[10.0.0.0/8]", `["::1/128", 10.0.0.0/8]`},
	"listen.http":                      {"127.0.0.1:4", ""},
	"listen.metrics":                   {"127.0.0.1:3", "127.0.0.1:9"},
	"tls.cert":                         {"/c.pem", "/c2.pem"},
	"tls.key":                          {"/k.pem", "/k2.pem"},
	"tls.ca":                           {"/a.pem", "/a2.pem"},
	"nodes[].secret":                   {"first-secret-of-24-bytes", "[first-secret-of-24-bytes, other-secret-of-24-bytes]"},
	"nodes[].secret_file":              {"/b.secret", "/b2.secret"},
	"nodes[].users":                    {"users: [vip.example]}", "users: []}"},
	"nodes[].speak":                    {"speak: domain", "speak: announced"},
	"nodes[].takeover":                 {"takeover: never", "takeover: allow"},
	"nodes[].unproved":                 {"unproved: drop", "unproved: replay"},
	"nodes[].conflict":                 {"conflict: reject", "conflict: replace"},
	"nodes[].instances":                {"instances: 2", "instances: 3"},
	"offline.policy":                   {"policy: store", "policy: discard"},
	"offline.forward_to":               {"forward_to: b.example", "forward_to: a.example"},
	"offline.keep.messages":            {"messages: 7", "messages: 70"},
	"offline.keep.bytes":               {"bytes: 1MiB", "bytes: 1048577"},
	"offline.keep.age":                 {"age: 90m", "age: 91m"},
	"offline.total":                    {"total: 4GiB", "total: 4097MiB"},
	"offline.domains.{}.policy":        {"policy: forward", "policy: discard"},
	"offline.domains.{}.forward_to":    {"forward_to: a.example, keep", "keep"},
	"offline.domains.{}.keep.messages": {"messages: 8", "messages: 9"},
	"offline.domains.{}.keep.bytes":    {"bytes: 2MiB, ", ""},
	"offline.domains.{}.keep.age":      {"age: 1s", "age: 2s"},
	"limits.stanza":                    {"stanza: 10000", "stanza: 10001"},
	"limits.depth":                     {"depth: 8", "depth: 9"},
	"limits.queue":                     {"queue: 4GiB", "queue: 3GiB"},
	"limits.outbox":                    {"outbox: 1537KiB", "outbox: 4096GiB"},
	"limits.memory":                    {"memory: 5GiB", "memory: 6GiB"},
	"limits.disk":                      {"disk: 2MiB", "disk: 65536GiB"},
	"limits.addresses":                 {"addresses: 9", "addresses: 10"},
	"timers.handshake":                 {"1m30s", "91s"},
	"timers.ping":                      {"1.5s", "2s"},
	"timers.grace":                     {"grace: 0s", "grace: 0.0005ms"},
	"timers.settle":                    {"250ms", "251ms"},
	"timers.drain":                     {"drain: 1h", "drain: 59m"},
	"admin.token_file":                 {"/tok", `""`},
	"admin.hosts":                      {"patchbay.internal", "\"::1\""},
	"admin.tap_bodies":                 {"tap_bodies: true", "tap_bodies: false"},
	"log.level":                        {"level: debug", "level: info"},
	"log.format":                       {"format: json", "format: text"},
}

// parsed reads a text and wants no fault.
func parsed(t *testing.T, text string) *Config {
	t.Helper()
	c, faults := Parse("/etc/patchbay.yaml", []byte(text), lookup)
	if c == nil {
		t.Fatal(screen(faults))
	}
	return c
}

// TestDiff changes each key of the table and wants exactly it named, and back again.
func TestDiff(t *testing.T) {
	old := parsed(t, base)
	for _, k := range Keys() {
		if k.Path == "nodes[].domain" { // TestDiffNodes: another domain is another node
			continue
		}
		turn, ok := turns[k.Path]
		if !ok || strings.Count(base, turn[0]) == 0 {
			t.Errorf("%s is not changed by this test", k.Path)
			continue
		}
		new := parsed(t, strings.Replace(base, turn[0], turn[1], 1))
		path := k.Path
		for _, owner := range []string{"a.example", "b.example"} {
			if strings.Contains(strings.Split(base, owner)[1], turn[0]) {
				path = strings.Replace(k.Path, "[]", "["+owner+"]", 1)
			}
		}
		path = strings.Replace(path, "{}", "vip.example", 1)
		there, back := Diff(old, new), Diff(new, old)
		if len(there) != 1 || there[0].Path != path || there[0].Live != k.Live || there[0].Old == there[0].New {
			t.Errorf("%s: %+v", path, there)
			continue
		}
		want := there[0]
		want.Old, want.New = want.New, want.Old
		if len(back) != 1 || back[0] != want {
			t.Errorf("%s back: %+v", path, back)
		}
		if secret := k.Path == "nodes[].secret"; there[0].Secret != secret || secret && there[0].New != "["+bullets+", "+bullets+"]" {
			t.Errorf("%s: %+v", path, there[0])
		}
	}
}

// TestDiffNodes wants nodes by name: neither their place nor that of a word in a list is a change.
func TestDiffNodes(t *testing.T) {
	const head = "server: hub1.im.example\nusers: [im.example, vip.example]\nnodes:\n"
	const a = "  - {domain: a.example, secret: first-secret-of-24-bytes, users: [im.example, vip.example]}\n"
	const b = "  - {domain: b.example, secret: [first-secret-of-24-bytes, other-secret-of-24-bytes]}\n"
	const turned = "  - {domain: b.example, secret: [other-secret-of-24-bytes, first-secret-of-24-bytes]}\n" +
		"  - {users: [vip.example, im.example], domain: a.example, secret: first-secret-of-24-bytes}\n"
	for _, c := range []struct{ old, new, want string }{
		{head + a + b, head + turned, "[]"},
		{head + a + b, strings.Replace(head, "im.example, vip.example", "vip.example, im.example", 1) + turned, "[]"},
		{head + a, head + a + b, "[{nodes[b.example]  added true false}]"},
		{head + a + b, head + a, "[{nodes[b.example]  removed true false}]"},
		{head + a, head + b + "limits: {depth: 9}\ndata: /x\n", "[{data /etc/patchbay-data /x false false} {nodes[b.example]  added true false}" +
			" {nodes[a.example]  removed true false} {limits.depth 64 9 true false}]"},
		{head + a, head + a + "offline: {domains: {im.example: {policy: store, keep: {age: 1h}}}}\n",
			"[{offline.domains.im.example.policy  store true false} {offline.domains.im.example.keep.age  1h true false}]"},
	} {
		if got := fmt.Sprint(Diff(parsed(t, c.old), parsed(t, c.new))); got != c.want {
			t.Errorf("%s to %s:\n%s\nwant %s", c.old, c.new, got, c.want)
		}
	}
}

// TestDiffSecretFile wants the content of a secret_file to count, not where the secret came from.
func TestDiffSecretFile(t *testing.T) {
	dir := t.TempDir()
	load := func(secret string, entry string) *Config {
		for name, text := range map[string]string{"s": secret, "f.yaml": "server: h.example\nusers: [im.example]\nnodes: [{domain: a.example, " + entry + "}]\n"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c, faults := Load(filepath.Join(dir, "f.yaml"))
		if c == nil {
			t.Fatal(screen(faults))
		}
		return c
	}
	old := load("first-secret-of-24-bytes", "secret_file: s")
	if got := Diff(old, load("first-secret-of-24-bytes\n", "secret_file: s")); len(got) != 0 {
		t.Errorf("the same secret: %v", got)
	}
	want := "[{nodes[a.example].secret •••••••• •••••••• true true}]"
	if got := fmt.Sprint(Diff(old, load("other-secret-of-24-bytes", "secret_file: s"))); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	got := Diff(old, load("", "secret: first-secret-of-24-bytes"))
	if len(got) != 1 || got[0].Path != "nodes[a.example].secret_file" || got[0].New != `""` {
		t.Errorf("moved into the file: %v", got)
	}
}

// TestValues writes a file from the values of another one and wants the same configuration.
func TestValues(t *testing.T) {
	old := parsed(t, base)
	var file strings.Builder
	last := ""
	for _, v := range old.Values() {
		path, secret := v.Path, len(v.Secrets) > 0
		if node, leaf, ok := strings.Cut(path, "]."); ok {
			if node != last {
				fmt.Fprintf(&file, "nodes: # %s\n", node)
			}
			last, path = node, "  "+leaf
		}
		if secret != (v.Text == bullets) || slices.Contains([]string{"", "null"}, v.Text) {
			t.Errorf("%+v", v)
		}
		fmt.Fprintf(&file, "%s: %s\n", path, v.Text)
	}
	for _, line := range []string{
		"data: /var/lib/patchbay", "users: [im.example, vip.example]", `contacts: [mailto:ops@im.example]`, `listen.component_tls: "[::1]:2"`,
		"listen.plaintext_from: [10.0.0.0/8]", "nodes: # nodes[b.example", "  domain: b.example", "  secret: ••••••••", "  secret_file: /b.secret",
		`  secret_file: ""`, "  users: []", "  instances: 2", "offline.keep.bytes: 1MiB", "offline.total: 4GiB", "offline.domains.vip.example.keep.age: 1s",
		"limits.stanza: 10000", "timers.settle: 250ms", "timers.grace: 0s", "admin.tap_bodies: true", "admin.token_file: /tok",
	} {
		if !strings.Contains(file.String(), line+"\n") {
			t.Errorf("no line %q in\n%s", line, file.String())
		}
	}
}

// TestWritten reads back what each kind writes.
func TestWritten(t *testing.T) {
	for _, text := range []string{
		"a", "im.example", "false", "null", "~", "1", "1.5", "0x1f", "", " a", "a ", "a b", "a: b", "a #b", "#a", "[a]", "a,b", "&a", "*a", "!a", "@a", "`a", "%a",
		"- a", "-", "?", "'", `"`, `\`, "a\tb", "a\nb", "\u2028", "ü", "$", "$A", "$$", "${A}", "$${A", "::1/128", "127.0.0.1:1", ":5347", "a:", "<<", "=", "2001-01-01",
	} {
		for _, form := range []string{"contacts: %s", "contacts: [%s]", "contacts: [%s, %[1]s]"} {
			var got []string
			v := many(kind[string]{read: func(text string, _ scope) (string, *problem) { return text, nil }}, of(func(*Config) *[]string { return &got }))
			v.either = true
			file := fmt.Sprintf(form, quoteText(text)) + "\n"
			doc, bad := read(newPage("", []byte(file)), []byte(file))
			if bad != nil {
				t.Errorf("%q is written %s: %v", text, file, bad)
				continue
			}
			w := walk{conf: Default(), place: newPage("", nil).at, hidden: func(*yaml.Node) bool { return false }, env: lookup}
			w.leaf(doc.Content[0].Content[1], &key{value: v}, "contacts", scope{})
			if len(w.faults) > 0 || len(got) == 0 || slices.ContainsFunc(got, func(s string) bool { return s != text }) {
				t.Errorf("%q is written %s and read %q: %v", text, file, got, w.faults)
			}
		}
	}
	for _, d := range []time.Duration{0, 1, time.Microsecond, time.Millisecond, 1500 * time.Microsecond, time.Second + 1, time.Minute, time.Hour, 1000*time.Hour + time.Second} {
		if got, bad := timeKind(0, 2000*time.Hour).read(writeTime(d), scope{}); bad != nil || got != d {
			t.Errorf("%v is written %s and read %v: %v", d, writeTime(d), got, bad)
		}
	}
	for _, n := range []int{0, 1, 10_000, kib, kib + 1, mib, 3 * mib, gib, 4 * gib} {
		if got, ok := parseSize(writeSize(n)); !ok || got != n {
			t.Errorf("%d is written %s and read %d", n, writeSize(n), got)
		}
	}
}

// TestDiffTold wants the same changes from what a server tells as from its Config, with and without the token.
func TestDiffTold(t *testing.T) {
	tell := func(c *Config, token string) (all []Told) {
		for _, v := range c.Values() {
			print := ""
			if token != "" {
				print = v.Print(token)
			}
			all = append(all, Told{v.Path, v.Text, print, v.Live})
		}
		return all
	}
	old := parsed(t, base)
	for path, turn := range turns {
		new := parsed(t, strings.Replace(base, turn[0], turn[1], 1))
		want := fmt.Sprint(Diff(old, new))
		for _, token := range []string{"", "token"} {
			if got := fmt.Sprint(new.DiffTold(tell(old, token), token)); got != want {
				t.Errorf("%s with token %q: %s, want %s", path, token, got, want)
			}
		}
	}
	other := parsed(t, strings.Replace(base, "first-secret-of-24-bytes", "other-secret-of-24-bytes", 1))
	for _, c := range []struct{ told, own, want string }{
		{"token", "token", "[{nodes[a.example].secret •••••••• •••••••• true true}]"},
		{"", "token", "[]"}, // nobody can tell
		{"token", "", "[]"},
	} {
		if got := fmt.Sprint(other.DiffTold(tell(old, c.told), c.own)); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
	list := tell(old, "token")
	slices.Reverse(list)
	if got := old.DiffTold(list, "token"); len(got) != 0 {
		t.Errorf("told in another order: %v", got)
	}
	strange := []Told{{"nodes[a.example].secret", hidden, "", true}, {"nodes[a.example].colour", "red", "", false}, {"siblings", "[a]", "", false}}
	got := fmt.Sprint(other.DiffTold(append(tell(other, ""), strange...), ""))
	if want := "[{nodes[a.example].colour red  false false} {siblings [a]  false false}]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestPrint compares with HMAC test case 2 of RFC 4231.
func TestPrint(t *testing.T) {
	const secret = "what do ya want for nothing?"
	if got := (Value{Secrets: []Secret{secret}}).Print("Jefe"); got != "5bdcc146bf60754e" {
		t.Errorf("got %s", got)
	}
	a, b := Value{Secrets: []Secret{secret, "x"}}, Value{Secrets: []Secret{"x", secret}}
	if got := a.Print("Jefe"); got != b.Print("Jefe") || len(got) != 33 || got == a.Print("jefe") || (Value{}).Print("Jefe") != "" {
		t.Errorf("got %s", got)
	}
}
