package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestListen gives addresses and files that do not go together; a row without words wants no fault and no warning.
func TestListen(t *testing.T) {
	for _, c := range []struct{ in, code, says, mend string }{
		{"listen: {metrics: '127.0.0.1:5280'}", "clash", "listen.metrics is the address of listen.http", "another port"},
		{"listen: {http: 'localhost:5347'}", "clash", "listen.http is the address of listen.component", ""},
		{"listen: {metrics: '0.0.0.0:5280'}", "clash", "listen.metrics has the port of listen.http, and one of them is on all interfaces", ""},
		{"listen: {metrics: ':5347'}", "clash", "listen.metrics has the port of listen.component", ""},
		{"listen: {component: '127.0.0.1:0', http: '127.0.0.1:0', metrics: '127.0.0.1:0'}", "", "", ""},
		{"listen: {metrics: '0.0.0.0:9347'}", "", "", ""},
		{"listen: {http: '127.0.0.2:5280', metrics: '127.0.0.1:5280'}", "", "", ""},
		{"listen: {http: '127.0.0.1:5280', metrics: '[::1]:5280'}", "", "", ""},
		{"listen: {http: '127.0.0.1:x', metrics: '127.0.0.1:0'}", "address", "127.0.0.1:x has no port", ""},
		{"listen: {http: '0.0.0.0:5280'}", "plaintext", "listen.http is on 0.0.0.0: the admin token crosses the network in clear text", "a proxy with TLS"},
		{"listen: {http: ':5280'}", "plaintext", "listen.http is on all interfaces: the admin token", ""},
		{"listen: {http: 'hub1.im.example:5280'}\nadmin: {tap_bodies: true}", "plaintext", "the admin token, and what tapped messages say, cross", ""},
		{"admin: {tap_bodies: true, hosts: [patchbay.internal, 10.0.0.1, '::1', localhost, xn--mller-kva.example, a_b.c-d]}", "", "", ""},
		{"admin: {tap_bodies: yes}", "choice", "yes is neither true nor false", ""},
		{"admin: {hosts: ['patchbay.internal:5280']}", "domain", "has a port or a scheme", "the name alone"},
		{"admin: {hosts: ['http://patchbay.internal']}", "domain", "has a port or a scheme", ""},
		{"admin: {hosts: [Patchbay.internal]}", "domain", "is not in canonical form", "patchbay.internal"},
		{"admin: {hosts: [müller.example]}", "domain", "is not a host name", "as the Host header has it"},
		{"admin: {hosts: ['*.internal']}", "domain", "is not a host name", ""},
		{"admin: {hosts: ['']}", "domain", "is not a host name", ""},
		{"admin: {token_file: a.key}\ntls: {cert: a.pem, key: a.key}\nlisten: {component_tls: '127.0.0.1:5348'}", "clash", "admin.token_file is also tls.key", "a file of its own"},
		{"tls: {cert: a.pem, key: a.key}", "", "", ""},
		{"tls: {cert: a.pem, key: a.key}\nlisten: {component: ':5347'}", "", "", ""}, // STARTTLS
		{"tls: {cert: a.pem, key: a.key, ca: a.ca}\nadmin: {token_file: a.ca}", "clash", "admin.token_file is also tls.ca", ""},
	} {
		t.Run(c.in, func(t *testing.T) {
			conf, faults := Parse("patchbay.yaml", []byte(good+c.in+"\n"), lookup)
			if c.says == "" {
				if conf == nil || len(faults) > 0 {
					t.Error(screen(faults))
				}
				return
			}
			wantOne(t, faults, c.code, c.says, c.mend)
		})
	}
	file := replaceKey(good, "nodes") + "nodes: [{domain: n.example, secret_file: ./tok}]\nadmin: {token_file: tok}\n"
	_, faults := Parse("patchbay.yaml", []byte(file), lookup)
	wantOne(t, faults, "clash", "admin.token_file is also secret_file of n.example", "")
}

// TestMeant wants the rules of several keys to speak in the same run as the fault of one key whose value is plain all
// the same, and to be silent where it is not.
func TestMeant(t *testing.T) {
	for in, want := range map[string]string{
		"listen: {component: '0.0.0.0:1', plaintext_from: [127.0.0.1]}":      "plaintext network",
		"listen: {component: '0.0.0.0:1', plaintext_from: ['127.0.0.1/8']}":  "plaintext network",
		"listen: {component: '0.0.0.0:1', plaintext_from: [10.0.0.1/8]}":     "network",
		"listen: {component: '0.0.0.0:1', plaintext_from: [127.0.0.1, ten]}": "network network",
		"listen: {component: '0.0.0.0:1', plaintext_from: 10.0.0.0/8}":       "type",
		"offline: {forward_to: Node1.im.example}":                            "domain",
		"offline: {forward_to: Node2.im.example}":                            "domain missing",
		"limits: {queue: 1}": "range",
		"nodes: [{domain: Node1.example, secret: " + hidden + "}, {domain: node1.example, secret: " + hidden + "}]": "domain twice",
	} {
		name, _, _ := strings.Cut(in, ":")
		conf, faults := Parse("patchbay.yaml", []byte(replaceKey(good, name)+in+"\n"), lookup)
		var got []string
		for _, f := range faults {
			got = append(got, f.Code)
		}
		if strings.Join(got, " ") != want || conf != nil {
			t.Errorf("%s: %v, want %s\n%s", in, got, want, screen(faults))
		}
	}
}

// TestPrivateFiles wants a word on each file that others can read and should not, and on a token that is none.
func TestPrivateFiles(t *testing.T) {
	dir := t.TempDir()
	certificate(t, dir, "c", 90*24*time.Hour)
	write := func(name, text string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	const token = "0123456789abcdef"
	for _, c := range []struct {
		modes string // of the file, the token and the key: o may be read by others
		token string
		nodes string
		want  string
	}{
		{"---", token + "\n", "secret: " + hidden, ""},
		{"o--", token, "secret: " + hidden, "warning FILE:3  the secret of n.example stands in this file, which is open to every user of this machine      mend: chmod o= FILE"},
		{"o--", token, "secret: '${NODE1_SECRET_OF_TEST}'", ""},
		{"-o-", token, "secret: " + hidden, "admin.token_file is open to every user of this machine      mend: chmod o= "},
		{"--o", token, "secret: " + hidden, "tls.key is open to every user of this machine"},
		{"---", "0123456789abcde\n", "secret: " + hidden, "admin.token_file has 15 bytes; 16 is the least\n     6 | admin: {token_file: token}"},
		{"---", token + "\n" + token, "secret: " + hidden, "admin.token_file is not one line of printable ASCII"},
		{"---", "", "secret: " + hidden, "admin.token_file cannot be read: no such file or directory"},
	} {
		t.Setenv("NODE1_SECRET_OF_TEST", hidden)
		mode := func(i int) os.FileMode { return map[byte]os.FileMode{'-': 0o600, 'o': 0o604}[c.modes[i]] }
		text := "server: h.example\nusers: []\nnodes: [{domain: n.example, " + c.nodes + "}]\nlisten: {component_tls: '127.0.0.1:0'}\n" +
			"tls: {cert: c.pem, key: c.key}\nadmin: {token_file: token}\n"
		write("patchbay.yaml", text, mode(0))
		write("token", c.token, mode(1))
		if c.token == "" {
			if err := os.Remove(filepath.Join(dir, "token")); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(filepath.Join(dir, "c.key"), mode(2)); err != nil {
			t.Fatal(err)
		}
		_, faults := Load(filepath.Join(dir, "patchbay.yaml"))
		got := strings.ReplaceAll(screen(faults), filepath.Join(dir, "patchbay.yaml"), "FILE")
		if !strings.Contains(got, c.want) || c.want == "" && got != "" || c.want != "" && len(faults) != 1 {
			t.Errorf("%+v:\n%s", c, got)
		}
		wantHidden(t, faults, hidden, "0123456789abcde")
	}
}

// TestFaultPaths wants each fault to name its key, for machines.
func TestFaultPaths(t *testing.T) {
	_, faults := Parse("patchbay.yaml", []byte(`server: HUB
users: [im.example, vip.example]
listen: {htttp: x, component: 5347, s2s: ""}
nodes:
  - {domain: a.example, secret: short, speak: x, usres: []}
  - {secret: a-secret-of-24-bytes-abc, users: [other.example]}
offline: {domains: {vip.example: {keep: {age: 3d}}, no.example: {policy: store}}}
limits: {stanza: 16MiB, queue: 1MiB}
timers: 5
`), lookup)
	var got []string
	for _, f := range faults {
		got = append(got, f.Path)
	}
	want := "server listen.htttp listen.component listen.s2s nodes[a.example].secret nodes[a.example].speak nodes[a.example].usres " +
		"nodes[1] nodes[1].users offline.domains.vip.example.keep.age offline.domains.no.example limits.queue timers"
	if strings.Join(got, " ") != want {
		t.Errorf("got  %v\nwant %s\n%s", got, want, screen(faults))
	}
	if bad := Default().Set("limits.depth", "7"); bad == nil || bad.Path != "limits.depth" {
		t.Errorf("%+v", bad)
	}
}
