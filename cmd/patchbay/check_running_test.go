package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/internal/admin"
	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/internal/server"
)

const runningFile = `server: hub1.im.example
users: [im.example]
listen: {http: "127.0.0.1:5280"}
nodes:
  - {domain: a.example, secret: first-secret-of-24-bytes}
  - {domain: b.example, secret: [first-secret-of-24-bytes, third-secret-of-24-bytes]}
`

const runningToken = api.TokenPrefix + "0123456789abcdef"

// pretend serves what the admin API says of a configuration: prints of secrets to who shows the token.
func pretend(t *testing.T, cfg *config.Config, tokenFile string) string {
	t.Helper()
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	mux.HandleFunc("GET "+api.PathStatus, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, api.Status{Server: cfg.Server, TokenFile: tokenFile})
	})
	mux.HandleFunc("GET "+api.PathConfig, func(w http.ResponseWriter, r *http.Request) {
		said := api.Config{Server: cfg.Server, Store: cfg.Stores()}
		for _, v := range cfg.Values() {
			k := api.Key{Path: v.Path, Value: v.Text, Live: v.Live}
			if r.Header.Get("Authorization") == "Bearer "+runningToken {
				k.Print = v.Print(runningToken)
			}
			said.Keys = append(said.Keys, k)
		}
		answer(w, said)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

// compared runs check --against-running on a file, with a server at usual.
func compared(t *testing.T, usual, text string, args ...string) (out, notes string, code int) {
	t.Helper()
	if err := os.WriteFile("patchbay.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout bytes.Buffer
	cmd := (&checking{usual: usual}).command()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(append([]string{"--against-running"}, args...))
	cmd.SetOut(&stdout)
	cmd.SetErr(&stdout)
	err := cmd.ExecuteContext(t.Context())
	if err == nil {
		return stdout.String(), "", exitDone
	}
	ee, ok := err.(*exitError)
	if !ok {
		return stdout.String(), err.Error(), exitUsage
	}
	return stdout.String(), err.Error(), ee.code
}

// TestCheckAgainstRunning wants what a file would change of a server told key by key: what a reload applies, and what
// needs a restart.
func TestCheckAgainstRunning(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"PATCHBAY_CONFIG", "PATCHBAY_URL", "PATCHBAY_TOKEN"} {
		t.Setenv(name, "")
	}
	tokenFile, err := filepath.Abs("admin.token")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(tokenFile, []byte(runningToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, faults := config.Parse("patchbay.yaml", []byte(runningFile), nil)
	if cfg == nil {
		t.Fatal(faults)
	}
	url := pretend(t, cfg, tokenFile)
	const good = "patchbay.yaml: good. 2 nodes, 1 user domain. Against the running server: "
	turn := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(runningFile) }
	for _, c := range []struct{ file, want string }{
		{runningFile, good + "nothing differs.\n"},
		{runningFile + "limits: {depth: 64}\n", good + "nothing differs.\n"},
		{runningFile + "limits: {depth: 32}\n", good + "1 change applies live.\n  limits.depth  64 -> 32\n"},
		{runningFile + "offline: {policy: discard}\n", good + "1 change applies live.\n  offline.policy  bounce -> discard\n"},
		{runningFile + "offline: {policy: store, total: 2GiB}\n", good + "offline.policy and offline.total need a restart.\n" + // the store is not open
			"  offline.policy  bounce -> store   needs a restart\n  offline.total   1GiB -> 2GiB   needs a restart\n"},
		{turn("5280", "5281") + "limits: {depth: 32}\ntimers: {grace: 1m}\n", good + "2 changes apply live, listen.http needs a restart.\n" +
			"  listen.http   127.0.0.1:5280 -> 127.0.0.1:5281   needs a restart\n  limits.depth  64 -> 32\n  timers.grace  30s -> 1m\n"},
		{turn("5280", "5281") + "log: {format: json}\n", good + "listen.http and log.format need a restart.\n"},
		{turn("first-secret", "other-secret"), good + "2 changes apply live.\n  nodes[a.example].secret  another secret\n  nodes[b.example].secret  another secret\n"},
		{turn("[first-secret-of-24-bytes, third-secret-of-24-bytes]", "third-secret-of-24-bytes"), "  nodes[b.example].secret  [••••••••, ••••••••] -> ••••••••\n"},
		{turn("b.example", "c.example"), good + "2 changes apply live.\n  nodes[c.example]  added\n  nodes[b.example]  removed\n"},
		{turn("first-secret-of-24-bytes, third-secret-of-24-bytes", "third-secret-of-24-bytes, first-secret-of-24-bytes"), good + "nothing differs.\n"},
	} {
		out, notes, code := compared(t, url, c.file)
		if code != exitDone || notes != "" || !strings.Contains(out, c.want) || strings.Contains(out, "-secret-of") {
			t.Errorf("exit %d %s\n%s\nwant\n%s", code, notes, out, c.want)
		}
	}
	out, _, code := compared(t, url, turn("5280", "5281", "first-secret", "other-secret"), "-o", "json")
	var d comparison
	if err := json.Unmarshal([]byte(out), &d); err != nil || code != exitDone {
		t.Fatalf("exit %d: %v\n%s", code, err, out)
	}
	if len(d.Changes) != 3 || d.Changes[0] != (changed{"listen.http", "127.0.0.1:5280", "127.0.0.1:5281", false, false}) || !d.Changes[1].Secret ||
		!d.SecretsCompared || d.URL != url || d.Server != "hub1.im.example" || d.Faults == nil || strings.Contains(out, "-secret-of") {
		t.Errorf("%+v\n%s", d, out)
	}
}

// TestTokenMend: the token that check says to make is one that ctl takes from the file by itself.
func TestTokenMend(t *testing.T) {
	file := filepath.Join(t.TempDir(), "patchbay.yaml")
	if err := os.WriteFile(file, []byte(runningFile+"admin: {token_file: none}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, faults := config.Load(file)
	if len(faults) != 1 || !strings.Contains(faults[0].Mend, "echo "+api.TokenPrefix) {
		t.Error(faults)
	}
}

// TestCheckUnasked wants exit 3, and the word on the file all the same, where no server answers; a word on secrets where
// there is no token; and no question at all for a file with faults.
func TestCheckUnasked(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"PATCHBAY_CONFIG", "PATCHBAY_URL", "PATCHBAY_TOKEN"} {
		t.Setenv(name, "")
	}
	cfg, _ := config.Parse("patchbay.yaml", []byte(runningFile), nil)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	blind, here := pretend(t, cfg, ""), strings.TrimPrefix(gone.URL, "http://")
	at := func(address string) string { return strings.Replace(runningFile, "127.0.0.1:5280", address, 1) }
	const good = "patchbay.yaml: good. 2 nodes, 1 user domain."
	for _, c := range []struct {
		name, usual, file string
		env               string // PATCHBAY_URL
		args              []string
		code              int
		want, notes       string
	}{
		{"nobody", gone.URL, at(here), "", nil, exitNoReach, good + "\n", "nobody listens there"},
		{"nobody, in JSON", gone.URL, at(here), "", []string{"-o", "json"}, exitNoReach, "", "nobody listens there"},
		{"the usual address", blind, at(here), "", nil, exitDone, "listen.http needs a restart.\n", ""},
		{"the address of the file", gone.URL, at(strings.TrimPrefix(blind, "http://")), "", nil, exitDone, "listen.http needs a restart.\n", ""},
		{"no address", blind, at(""), "", nil, exitDone, "listen.http needs a restart.\n", ""},
		{"another server there", blind, strings.Replace(at(here), "hub1", "hub2", 1), "", nil, exitNoReach, good, "nobody listens there"},
		{"named, so no other is asked", blind, runningFile, gone.URL, nil, exitNoReach, good, "nobody listens there"},
		{"named on the line", gone.URL, at(here), gone.URL, []string{"--url", blind}, exitDone, "listen.http needs a restart", ""},
		{"a wrong URL", blind, at(here), "ftp://x", nil, exitUsage, good, "is no URL of http"},
		{"no token", blind, at(""), "", nil, exitDone, "\nSecrets were not compared: this needs the token of the server", ""},
		{"no token, another secret", blind, strings.Replace(at(""), "first", "other", 1), "", nil, exitDone, "listen.http needs a restart.\n", ""},
		{"a file with faults", gone.URL, runningFile + "zebra: 1\n", "", nil, exitFailed, "1 fault\n", ""},
		{"a file with faults, in JSON", gone.URL, runningFile + "zebra: 1\n", "", []string{"-o", "json"}, exitFailed, "[\n  {\n", ""},
	} {
		t.Setenv("PATCHBAY_URL", c.env)
		out, notes, code := compared(t, c.usual, c.file, c.args...)
		if code != c.code || !strings.Contains(out, c.want) || !strings.Contains(notes, c.notes) || strings.Contains(out, "-secret-of") {
			t.Errorf("%s: exit %d %q\n%s\nwant %q %q", c.name, code, notes, out, c.want, c.notes)
		}
	}
	t.Setenv("PATCHBAY_URL", "")
	t.Setenv("PATCHBAY_TOKEN", runningToken)
	if out, _, code := compared(t, blind, strings.Replace(at(""), "first", "other", 1)); code != exitDone || !strings.Contains(out, "nodes[a.example].secret  another secret\n") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// TestURLOf names a server's address as one asks it from the same machine.
func TestURLOf(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:5280": "http://127.0.0.1:5280", "0.0.0.0:5280": "http://127.0.0.1:5280", ":5280": "http://127.0.0.1:5280",
		"[::]:5280": "http://[::1]:5280", "[::1]:5280": "http://[::1]:5280", "hub.example:80": "http://hub.example:80", "": "", "127.0.0.1:0": "",
	} {
		if got := urlOf(address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}

// TestCheckAgainstServer compares with a real server, before and after it has loaded the file.
func TestCheckAgainstServer(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"PATCHBAY_CONFIG", "PATCHBAY_URL", "PATCHBAY_TOKEN"} {
		t.Setenv(name, "")
	}
	file := strings.Replace(runningFile, `{http: "127.0.0.1:5280"}`, `{component: "127.0.0.1:0", http: "127.0.0.1:0"}`, 1)
	if err := os.WriteFile("patchbay.yaml", []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, faults := config.Load("patchbay.yaml")
	if cfg == nil {
		t.Fatal(faults)
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	s, err := server.New(cfg, server.Options{Version: "test", Log: logrus.NewEntry(log), Load: loader("patchbay.yaml", nil)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	a, err := operate(s, admin.Options{Version: "test", Log: logrus.NewEntry(log)})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	url := []string{"--url", "http://" + a.HTTPAddr()}
	next := strings.Replace(file, "[first-secret", "[other-secret", 1) + "limits: {depth: 32}\nlog: {format: json}\n"
	const secret, depth, format = "  nodes[b.example].secret  another secret\n", "64 -> 32\n", "text -> json   needs a restart\n"
	for _, c := range []struct {
		file string
		load bool // before it is compared
		want []string
		not  []string
	}{
		{file, false, []string{"Against the running server: nothing differs.\n"}, nil},
		{next, false, []string{"2 changes apply live, log.format needs a restart.\n", secret, depth, format}, nil},
		{next, true, []string{"Against the running server: log.format needs a restart.\n", format}, []string{secret, depth}},
	} {
		if c.load {
			if _, err := s.Reload(); err != nil {
				t.Fatal(err)
			}
		}
		out, notes, code := compared(t, "", c.file, url...)
		for _, want := range c.want {
			if code != exitDone || !strings.Contains(out, want) {
				t.Errorf("exit %d %s\n%s\nwant %q", code, notes, out, want)
			}
		}
		for _, not := range c.not {
			if strings.Contains(out, not) {
				t.Errorf("%q is not true:\n%s", not, out)
			}
		}
	}
}
