package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestSet sets keys as a command line does.
func TestSet(t *testing.T) {
	c := Default()
	for path, value := range map[string]string{
		"server": "hub2.im.example", "users": "[a.example, b.example]", "listen.component": "0.0.0.0:1",
		"listen.http": "", "limits.stanza": "10000", "timers.grace": "1m", "data": "d$x", "listen.plaintext_from": `[10.0.0.0/8, "::1/128"]`,
	} {
		if bad := c.Set(path, value); bad != nil {
			t.Error(bad)
		}
	}
	if c.Server != "hub2.im.example" || strings.Join(c.Users, " ") != "a.example b.example" || c.Listen.HTTP != "" ||
		c.Limits.Stanza != 10000 || c.Timers.Grace != time.Minute || c.Data != "d$x" || len(c.Listen.PlaintextFrom) != 2 {
		t.Errorf("got %+v", c)
	}
	if faults := c.Validate(); faults.Fatal() {
		t.Error(screen(faults))
	}
	if bad := c.Set("listen.plaintext_from", "[127.0.0.0/8]"); bad != nil {
		t.Error(bad)
	}
	if text := screen(c.Validate()); !strings.Contains(text, "--set listen.component  plain component port on 0.0.0.0") {
		t.Errorf("the clash is not said:\n%s", text)
	}
}

// TestSetFaults wants one line for each wrong --set.
func TestSetFaults(t *testing.T) {
	for _, c := range []struct{ path, value, want string }{
		{"listen.htttp", ":1", "--set listen.htttp: unknown key listen.htttp; mend: did you mean http?"},
		{"", "", `--set "": unknown key "";`},
		{"listen", "x", "--set listen: listen holds keys; mend: set one of listen.component"},
		{"nodes", "[]", "--set nodes: nodes cannot be set here; mend: write it in the file"},
		{"nodes.[].secret", "x", "nodes.[].secret cannot be set here"},
		{"offline.domains.im.example.policy", "x", "offline.domains.im.example.policy cannot be set here"},
		{"cluster.secret", "x", "cluster.secret is not in this version"},
		{"users", "im.example", "users must be a list of domains; mend: users: [im.example]"},
		{"users", "[a", "users must be a list of domains; mend: users=[im.example]"},
		{"users", "", "users must be a list of domains"},
		{"timers.grace", "72hours", "--set timers.grace: 72hours is not a duration; mend: 72h"},
		{"log.level", "${X}", "${X} is none of debug"},
	} {
		bad := Default().Set(c.path, c.value)
		if bad == nil || !strings.Contains(bad.Error(), c.want) {
			t.Errorf("%s=%s: %v, want %q", c.path, c.value, bad, c.want)
		}
	}
	bare := &Config{}
	if bad := bare.Set("server", "a.example"); bad != nil || bare.Server != "a.example" {
		t.Errorf("a Config made by hand: %v", bad)
	}
}

// TestLoad reads files that a file names.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("good.secret", "a-secret-of-24-bytes-abc\nanother-of-24-bytes--abc\n", 0o600)
	write("open.secret", "a-secret-of-24-bytes-abc", 0o604)
	write("short.secret", "hunter2\n", 0o600)
	write("empty.secret", "", 0o600)
	certificate(t, dir, "soon", 9*24*time.Hour+time.Hour)
	certificate(t, dir, "past", -50*time.Hour)
	certificate(t, dir, "good", 90*24*time.Hour)
	write("bad.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})), 0o600)
	leaf(t, dir)
	for _, c := range []struct{ nodes, tls, want string }{
		{"secret_file: good.secret", "{cert: good.pem, key: good.key}", ""},
		{"secret_file: open.secret", "{}", "is open to every user of this machine      mend: chmod o="},
		{"secret_file: short.secret", "{}", "secret_file of n.example has 7 bytes; 16 is the least"},
		{"secret_file: empty.secret", "{}", "secret_file of n.example has 0 lines"},
		{"secret_file: none.secret", "{}", "cannot be read: no such file or directory"},
		{"secret_file: good.secret", "{cert: soon.pem, key: soon.key}", "warning " + dir + "/patchbay.yaml:2  tls.cert expires in 9 days ("},
		{"secret_file: good.secret", "{cert: past.pem, key: past.key}", "tls.cert expired 2 days ago"},
		{"secret_file: good.secret", "{cert: good.pem, key: soon.key}", "tls.cert and tls.key are no pair: private key does not match"},
		{"secret_file: good.secret", "{cert: none.pem, key: none.key}", "tls.cert cannot be read"},
		{"secret_file: good.secret", "{cert: good.secret, key: none.key}", "tls.key cannot be read"},
		{"secret_file: good.secret", "{cert: good.pem, key: good.key, ca: good.pem}", ""},
		{"users: []", "{cert: good.pem, key: good.key, ca: none.pem}", "tls.ca cannot be read: no such file"},
		{"users: []", "{cert: good.pem, key: good.key, ca: good.key}", "tls.ca cannot be read: it holds a private key, and only certificates belong there"},
		{"users: []", "{cert: good.pem, key: good.key, ca: good.secret}", "tls.ca cannot be read: no certificate is in it"},
		{"users: []", "{cert: good.pem, key: good.key, ca: leaf.pem}", "tls.ca cannot be read: CN=a leaf is no authority"},
		{"users: []", "{cert: good.pem, key: good.key, ca: bad.pem}", "tls.ca cannot be read: malformed"},
		{"users: []", "{cert: good.pem, key: good.key, ca: past.pem}", "has expired"},
		{"users: []", "{cert: good.pem, key: good.key, ca: soon.pem}", "expires soon"},
	} {
		port := "127.0.0.1:0"
		if c.tls == "{}" {
			port = ""
		}
		write("patchbay.yaml", "server: h.example\ntls: "+c.tls+"\nusers: []\nnodes: [{domain: n.example, "+c.nodes+"}]\nlisten: {component_tls: '"+port+"'}\n", 0o600)
		conf, faults := Load(filepath.Join(dir, "patchbay.yaml"), "log.level=debug")
		if c.want == "" && (len(faults) > 0 || conf.Log.Level != "debug" || len(conf.Nodes[0].Secret) != 2) {
			t.Errorf("%s %s: %+v\n%s", c.nodes, c.tls, conf, screen(faults))
		}
		if !strings.Contains(screen(faults), c.want) || (conf == nil) != faults.Fatal() {
			t.Errorf("%s %s: want %q\n%s", c.nodes, c.tls, c.want, screen(faults))
		}
		wantHidden(t, faults, "hunter2", "a-secret-of-24-bytes-abc")
	}
	if _, faults := Load(filepath.Join(dir, "none.yaml")); len(faults) != 1 || faults[0].Code != codeUnreadable {
		t.Error(screen(faults))
	}
	if _, faults := Load(filepath.Join(dir, "patchbay.yaml"), "log.levle=x", "server=A", "noequals"); len(faults) != 4 {
		t.Errorf("want each --set and file fault: %s", screen(faults))
	}
}

// certificate makes NAME.pem and NAME.key, good for a while from now.
func certificate(t *testing.T, dir, name string, left time.Duration) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	form := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"h.example"}, NotBefore: now.Add(-100 * 24 * time.Hour), NotAfter: now.Add(left)}
	cert, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		name + ".pem": {Type: "CERTIFICATE", Bytes: cert}, name + ".key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// leaf writes leaf.pem, a certificate that says it is of no authority.
func leaf(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a leaf"}, NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "leaf.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDevelopment makes the secret once, also when several servers start at the same moment.
func TestDevelopment(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	var got [8]Secret
	var wait sync.WaitGroup
	for i := range got {
		wait.Go(func() {
			c, err := Development(dir)
			if err != nil {
				t.Error(err)
				return
			}
			got[i] = c.Nodes[0].Secret[0]
		})
	}
	wait.Wait()
	for _, s := range got {
		if s != got[0] || len(s) != len("dev-7Qk2mVx9TzR4wB1n") || !strings.HasPrefix(string(s), "dev-") {
			t.Fatal("the servers have several secrets, or none of the right form")
		}
	}
	path := filepath.Join(dir, DevSecretFile)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v, want mode 0600", info, err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("files are left behind: %v", files)
	}
	c, err := Development(dir)
	if err != nil {
		t.Fatal(err)
	}
	if faults := c.Validate(); len(faults) > 0 {
		t.Error(screen(faults))
	}
	n, ok := c.Node("a.im.example")
	if !ok || n.Users[0] != "im.example" || n.Conflict != ConflictReplace {
		t.Errorf("the entry is %+v", n)
	}
	if err := os.WriteFile(path, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Development(dir); err == nil || !strings.Contains(err.Error(), "has 1 byte") {
		t.Errorf("a damaged secret: %v", err)
	}
	first, err := Development(Memory)
	second, err2 := Development(Memory)
	if err != nil || err2 != nil || first.Nodes[0].Secret[0] == second.Nodes[0].Secret[0] {
		t.Error("without a data directory each start has its own secret")
	}
}
