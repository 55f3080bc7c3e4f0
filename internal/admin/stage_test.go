package admin

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/internal/server"
)

// hub is the server of all tests, house the secret under its wildcard.
const (
	hub   = "hub1.im.example"
	house = "test-secret-of-the-house"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// stage is a server with its operations.
type stage struct {
	t     *testing.T
	file  string // of the configuration
	s     *server.Server
	a     *Admin
	log   *journal
	token string
}

// journal is a log that tests read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// newStage starts a server whose configuration is the usual one, with KEY=VALUE put in.
func newStage(t *testing.T, sets ...string) *stage {
	t.Helper()
	st := dark(t, sets...)
	if err := st.a.Start(); err != nil {
		t.Fatal(err)
	}
	return st
}

// dark is a stage whose operations do not listen yet.
func dark(t *testing.T, sets ...string) *stage {
	t.Helper()
	file := filepath.Join(t.TempDir(), "patchbay.yaml")
	text := "server: " + hub + "\nusers: [im.example]\nlisten: {component: \"127.0.0.1:0\", http: \"127.0.0.1:0\"}\n" +
		"timers: {drain: 2s}\nnodes: [{domain: \"*.im.example\", secret: " + house + ", users: [im.example]}]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sets = append([]string{"data=" + t.TempDir()}, sets...)
	cfg, faults := config.Load(file, sets...)
	if cfg == nil {
		t.Fatal(faults)
	}
	st := &stage{t: t, file: file, log: &journal{}}
	log := logrus.New()
	log.SetOutput(st.log)
	log.SetLevel(logrus.DebugLevel)
	var err error
	if st.s, err = server.New(cfg, server.Options{Version: "1.2.3", Log: logrus.NewEntry(log),
		Load: func() (*config.Config, config.Faults) { return config.Load(file, sets...) }}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = st.s.Stop()
		if st.a != nil {
			st.a.Stop()
		}
	})
	if st.a, err = New(st.s, Options{Version: "1.2.3", Log: logrus.NewEntry(log)}); err != nil {
		t.Fatal(err)
	}
	secret, _ := os.ReadFile(st.a.token.file) // a test may have named one that is not there
	st.token = strings.TrimSpace(string(secret))
	if err := st.s.Start(); err != nil {
		t.Fatal(err)
	}
	return st
}

// answer is what came back.
type answer struct {
	*http.Response
	text string
}

// request makes a request of a program on this machine; edits change it.
func (st *stage) request(method, target, body string, edits ...func(*http.Request)) *http.Request {
	st.t.Helper()
	r, err := http.NewRequestWithContext(st.t.Context(), method, "http://"+st.a.HTTPAddr()+target, strings.NewReader(body))
	if err != nil {
		st.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", mediaJSON)
	}
	for _, edit := range edits {
		edit(r)
	}
	return r
}

// ask sends a request and reads the answer.
func (st *stage) ask(method, target, body string, edits ...func(*http.Request)) answer {
	st.t.Helper()
	return st.send(st.request(method, target, body, edits...))
}

func (st *stage) send(r *http.Request) answer {
	st.t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Timeout: patience, Transport: transport}).Do(r)
	if err != nil {
		st.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.Header.Get("Content-Type") == mediaNDJSON {
		return answer{resp, ""} // it has no end
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		st.t.Fatal(err)
	}
	return answer{resp, string(text)}
}

// withToken shows the right token.
func (st *stage) withToken(r *http.Request) { r.Header.Set("Authorization", "Bearer "+st.token) }

// withHeader sets a header.
func withHeader(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) {
		if name == "Host" {
			r.Host = values[0]
			return
		}
		r.Header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
	}
}
