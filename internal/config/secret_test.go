package config

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

const hidden = "a-secret-nobody-may-read"

// TestSecretPrints prints a secret in every way and wants bullets. Only %p asks no type; go vet refuses it here.
func TestSecretPrints(t *testing.T) {
	s := Secret(hidden)
	n := Node{Domain: "n.example", Secret: []Secret{s}}
	asJSON, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{string(asJSON), string(asYAML), s.String(), s.GoString(), fmt.Sprint(s), fmt.Sprint(&n), fmt.Errorf("read %w: %v", os.ErrClosed, s).Error()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%08.3f", "%T"} {
		texts = append(texts, fmt.Sprintf(verb, s), fmt.Sprintf(verb, n), fmt.Sprintf(verb, Config{Nodes: []Node{n}}))
	}
	inHex := hex.EncodeToString([]byte(hidden))
	for _, text := range texts {
		if strings.Contains(text, hidden) || strings.Contains(strings.ToLower(text), inHex) || strings.Contains(text, "115 101 99") {
			t.Errorf("a secret is shown: %s", text)
		}
	}
}

// TestMasking puts a secret in many places of a faulty file and looks for it in all that is said.
func TestMasking(t *testing.T) {
	for _, in := range []string{
		"nodes: [{domain: n.example, secret: %s, speak: x}]",
		"nodes: [{speak: x, secret: '%s', domain: n.example}]",
		"nodes: [{speak: x, \"secret\": \"%s\", domain: n.example}]",
		"nodes:\n- secret: >\n    %s\n  speak: x",
		"nodes:\n- secret: \"first\n    %s\", \n  speak: x",
		"nodes: [{secret: \"first\n    %s\", speak: x}]",
		"nodes:\n- secret: [%s, %s, %s]",
		"nodes:\n- secret: {%s: %s}\n  speak: x",
		"nodes:\n- secret:\n    - - %s",
		"nodes: - secret: %s",
		"nodes:\n  - secret:%s",
		"nodes:\n  - {secret:%s}",
		"nodes: [secret=%s]",
		"nodes:\n  - secrret: %s",
		"cluster: {secret: %s}",
		"clutser: {secret: %s}",
		"clutser:\n  secret: %s\n",
		"password: %s",
		"nodes.secret: %s",
		"nodes[0].sekret: %s",
		"admin.token: [%s]",
		"admin_token: [%s]",
		"log: x # the secret was %s",
		"log: {level: x} # %s",
		"log: {level: ü, secret: %s, ü: x}",
		"log: {secret: !%s x}",
		"log: {secret: *%s }",
		"log: {secret: &%s x}",
		"log: {secret: @%s }",
		"log: {secret: \"%s }",
		"secret: %s\u2028log: x",
		"secret: %s\u0085log: x\r\nzebra: 1",
		"secret: %s\tx: y",
		"\ufeffsecret: %s",
		"nodes: [{domain: n.example, secret: %s}]\nzebra: %s\nserver: %s:x\nlog: {level: %s}",
	} {
		text := strings.ReplaceAll(in, "%s", hidden)
		_, faults := Parse("patchbay.yaml", []byte(text), lookup)
		if len(faults) == 0 {
			t.Errorf("%q has no fault, so it tests nothing", in)
		}
		wantHidden(t, faults, hidden)
	}
}

// TestTypo makes one typing mistake anywhere in a good file but in the secret: no mistake may bring it to the screen.
func TestTypo(t *testing.T) {
	text := "server: h.example\nusers: [im.example] # " + hidden + "\nnodes:\n  - domain: n.example\n    secret: " + hidden +
		"\n    users: [im.example]\n  - {domain: m.example, secret: [" + hidden + ", \"" + hidden + "\"], speak: domain}\n"
	try := func(typo string) {
		if _, faults := Parse("patchbay.yaml", []byte(typo), lookup); strings.Contains(screen(faults), hidden) {
			t.Errorf("the secret is shown for\n%s\n%s", typo, screen(faults))
		}
	}
	every := 1
	if testing.Short() {
		every = 5
	}
	for i := 0; i < len(text); i += every {
		try(text[:i] + text[i+1:])
		for _, r := range "\t\n :\"'{}[]#-*&!|>?,x" {
			try(text[:i] + string(r) + text[i:])
			try(text[:i] + string(r) + text[i+1:])
		}
	}
}

// TestVariableValues sees that what a variable holds is not shown: it may be a secret in the wrong place.
func TestVariableValues(t *testing.T) {
	env := func(string) (string, bool) { return "Wrong-Secret-0123456789", true }
	for _, in := range []string{"server: ${X}", "data: a\nlisten: {http: '${X}'}", "limits: {stanza: '${X}'}", "timers: {ping: '${X}'}", "users: ['${X}']"} {
		_, faults := Parse("patchbay.yaml", []byte(in), env)
		if !faults.Fatal() {
			t.Errorf("%q has no fault", in)
		}
		wantHidden(t, faults, "Wrong-Secret", "wrong-secret")
	}
}

// TestExpand reads variables of values.
func TestExpand(t *testing.T) {
	env := func(name string) (string, bool) { return "<" + name + ">", name != "UNSET" }
	for _, c := range []struct {
		in, out string
		used    bool
		bad     bool
	}{
		{"", "", false, false},
		{"plain", "plain", false, false},
		{"${A}", "<A>", true, false},
		{"a${A}b${_b1}c", "a<A>b<_b1>c", true, false},
		{"$$", "$", false, false},
		{"$${A}", "${A}", false, false},
		{"$$${A}", "$<A>", true, false},
		{"$A $1 $", "$A $1 $", false, false},
		{"${UNSET}", "", true, true},
		{"${}", "", false, true},
		{"${A", "", false, true},
		{"${A-b}", "", false, true},
	} {
		out, used, bad := expand(c.in, env)
		if out != c.out || used != c.used || (bad != nil) != c.bad {
			t.Errorf("%q is %q, %v, %v; want %+v", c.in, out, used, bad, c)
		}
	}
}

// TestNode finds the entry of a domain.
func TestNode(t *testing.T) {
	c := &Config{Server: "hub1.im.example", Users: []string{"im.example", "vip.im.example"}, Nodes: []Node{
		{Domain: "*.im.example"}, {Domain: "node1.im.example"}, {Domain: "*.example"},
	}}
	for _, row := range []struct{ domain, entry string }{
		{"node1.im.example", "node1.im.example"},
		{"node2.im.example", "*.im.example"},
		{"other.example", "*.example"},
		{"a.b.im.example", ""},
		{"hub1.im.example", ""},
		{"im.example", ""},
		{"vip.im.example", ""},
		{"*.im.example", ""},
		{".im.example", ""},
		{"example", ""},
		{"", ""},
	} {
		n, ok := c.Node(row.domain)
		if ok != (row.entry != "") || ok && n.Domain != row.entry {
			t.Errorf("%q is of entry %+v, want %q", row.domain, n, row.entry)
		}
	}
}

// TestSecrets compares the secret of a name with HMAC test case 2 of RFC 4231.
func TestSecrets(t *testing.T) {
	const want = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
	if got := string(NameSecret("Jefe", "what do ya want for nothing?")); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	exact := Node{Domain: "a.example", Secret: []Secret{"one", "two"}}
	if got := exact.Secrets("a.example"); len(got) != 2 || string(got[0]) != "one" || string(got[1]) != "two" {
		t.Errorf("secrets of an exact entry: %q", got)
	}
	wild := Node{Domain: "*.example", Secret: []Secret{"one", "two"}}
	got := wild.Secrets("a.example")
	if len(got) != 4 || string(got[3]) != string(NameSecret("two", "a.example")) {
		t.Errorf("secrets of a wildcard: %q", got)
	}
}

// TestPlaintext matches peers against networks.
func TestPlaintext(t *testing.T) {
	l := Default().Listen
	for addr, want := range map[string]bool{
		"127.0.0.1": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true, "10.0.0.1": false, "fe80::1%eth0": false,
	} {
		if got := l.Plaintext(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
}

// TestUnits reads sizes and durations, and what is meant by wrong ones.
func TestUnits(t *testing.T) {
	for text, want := range map[string]int{"0": 0, "10000": 10000, "256KiB": 256 * kib, "4GiB": 4 * gib, "KiB": -1, "-1": -1, "1.5MiB": -1, "1 KiB": -1, "9999999999": -1} {
		if n, ok := parseSize(text); ok != (want >= 0) || ok && n != want {
			t.Errorf("%s is %d, %v", text, n, ok)
		}
	}
	for text, want := range map[string]string{"256k": "256KiB", "4M": "4MiB", "1 gb": "1GiB", "10B": "10", "many": "bytes, or with KiB, MiB, GiB: 256KiB"} {
		if got := mendSize(text); got != want {
			t.Errorf("%s mends to %s, want %s", text, got, want)
		}
	}
	for text, want := range map[string]string{"72hours": "72h", "30": "30s", "2 Days": "48h", "5 min": "5m", "10msec": "10ms", "soon": "a number with ms, s, m or h: 30s"} {
		if got := mendTime(text); got != want {
			t.Errorf("%s mends to %s, want %s", text, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0s", time.Hour: "1h", 90 * time.Second: "1m30s", 10 * time.Minute: "10m", time.Hour + 10*time.Second: "1h0m10s"} {
		if got := formatTime(d); got != want {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
}

// TestDistance counts letters.
func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"http", "htttp", 1}, {"http", "htpt", 1}, {"secret", "sekret", 1}, {"kitten", "sitting", 3}, {strings.Repeat("a", 65), "a", 64},
	} {
		if got := distance(c.a, c.b); got != c.want || got != distance(c.b, c.a) {
			t.Errorf("%q to %q is %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
