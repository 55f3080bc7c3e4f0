package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/internal/admin"
	"github.com/patchbay-im/patchbay/internal/config"
	"github.com/patchbay-im/patchbay/internal/server"
)

func TestLogLine(t *testing.T) {
	at := time.Date(2026, 11, 22, 14, 2, 38, 0, time.UTC)
	for _, c := range []struct {
		level  logrus.Level
		text   string
		fields logrus.Fields
		want   string
	}{
		{logrus.InfoLevel, "node attached", logrus.Fields{"link": 1, "node": "a.im.example", "from": "127.0.0.1:5"},
			"14:02:38 INFO  node attached   node=a.im.example link=1 from=127.0.0.1:5\n"},
		{logrus.WarnLevel, "node refused", nil, "14:02:38 WARN  node refused\n"},
		{logrus.ErrorLevel, "two\nlines \x1b[31m", logrus.Fields{"error": "a b", "empty": "", "esc": "\x1b"},
			"14:02:38 ERROR two\\nlines \\x1b[31m   empty=\"\" error=\"a b\" esc=\"\\x1b\"\n"},
		{logrus.WarnLevel, "node refused", logrus.Fields{"reason": "not-authorized", "mend": "see a\x1bfile", "node": "b.im.example"},
			"14:02:38 WARN  node refused   node=b.im.example reason=not-authorized\n               mend: see a\\x1bfile\n"},
	} {
		got, err := (&lineFormatter{"15:04:05", true}).Format(&logrus.Entry{Time: at, Level: c.level, Message: c.text, Data: c.fields})
		if err != nil || string(got) != c.want {
			t.Errorf("got  %q\nwant %q (%v)", got, c.want, err)
		}
	}
	e := &logrus.Entry{Time: at, Level: logrus.WarnLevel, Message: "node refused", Data: logrus.Fields{"reason": "tls", "mend": "see the file"}}
	if got, err := (&lineFormatter{stamp: "15:04:05"}).Format(e); err != nil || string(got) != "14:02:38 WARN  node refused   reason=tls mend=\"see the file\"\n" {
		t.Errorf("for no terminal: %q (%v)", got, err)
	}
}

func TestInUse(t *testing.T) {
	for _, c := range []struct{ addr, want string }{
		{"127.0.0.1:5347", "127.0.0.1:5347 is in use (Prosody and ejabberd use it too). Choose another: patchbay serve --set listen.component=127.0.0.1:5348"},
		{"127.0.0.1:7000", "127.0.0.1:7000 is in use. Choose another: patchbay serve --set listen.component=127.0.0.1:0"},
	} {
		err := inUse(&server.InUseError{Key: "listen.component", Addr: c.addr, Err: errors.New("in use")})
		if err.Error() != c.want {
			t.Errorf("got %q", err)
		}
	}
	other := errors.New("other")
	if inUse(other) != other {
		t.Error("another error is changed")
	}
}

// A second server on the same port says so in one line, and ends with 1.
func TestServePortInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var out bytes.Buffer
	err = serve(t.Context(), &out, "", []string{"data=" + t.TempDir(), "listen.http=", "listen.component=" + ln.Addr().String()})
	var ee *exitError
	if !errors.As(err, &ee) || ee.code != exitFailed || !strings.Contains(err.Error(), "is in use") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// The first screen of a newcomer.
func TestBanner(t *testing.T) {
	cfg, err := config.Development(config.Memory)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Nodes[0].Secret = []config.Secret{"dev-7Qk2mVx9TzR4wB1n"}
	cfg.Listen.Component, cfg.Listen.HTTP = "127.0.0.1:0", ""
	s, err := server.New(cfg, server.Options{Version: version, Log: logrus.NewEntry(logrus.New())})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Stop() }()
	a, err := operate(s, admin.Options{Version: version, Log: logrus.NewEntry(logrus.New())})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	cfg.Data = "./patchbay-data"
	var out bytes.Buffer
	writeBanner(&out, cfg, s, a)
	got := strings.ReplaceAll(out.String(), s.ComponentAddr()+strings.Repeat(" ", 24-len(s.ComponentAddr())), "127.0.0.1:5347          ")
	golden(t, "banner.txt", got)
}

// A start says ready only when it is: after a restart /readyz says no until the nodes of before are back.
func TestBegun(t *testing.T) {
	if got := begun(true, 41*time.Millisecond, 10*time.Second); got != "ready in 41 ms" {
		t.Error(got)
	}
	if got := begun(false, 41*time.Millisecond, 10*time.Second); got != "listening after 41 ms; ready when the nodes of before are back, or after 10s" {
		t.Error(got)
	}
}

// A server that runs has metrics, of itself and of who asks.
func TestServeMetrics(t *testing.T) {
	cfg, err := config.Development(config.Memory)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Listen.Component, cfg.Listen.HTTP, cfg.Listen.Metrics = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	log := logrus.New()
	log.SetOutput(io.Discard)
	s, err := server.New(cfg, server.Options{Version: version, Log: logrus.NewEntry(log)})
	if err != nil {
		t.Fatal(err)
	}
	a, err := operate(s, admin.Options{Version: version, Log: logrus.NewEntry(log)})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	defer func() { _ = s.Stop() }()
	get := func(url string) string {
		t.Helper()
		r, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Body.Close() }()
		page, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(page)
	}
	get("http://" + a.HTTPAddr() + "/api/v1/status")
	get("http://" + a.HTTPAddr() + "/no/such/path")
	for _, addr := range []string{a.HTTPAddr(), a.MetricsAddr()} {
		page := get("http://" + addr + "/metrics")
		for _, line := range []string{`patchbay_build_info{goversion="` + runtime.Version() + `",version="` + version + `"} 1`, "patchbay_ready 1",
			`patchbay_admin_requests_total{code="200",operation="status"} 1`, `patchbay_admin_requests_total{code="404",operation="other"} 1`} {
			if !strings.Contains(page, "\n"+line+"\n") {
				t.Errorf("%s does not say %s", addr, line)
			}
		}
	}
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	root := newRoot()
	root.SetArgs([]string{"--help"})
	root.SetOut(&out)
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	golden(t, "help.txt", out.String())
}

// golden compares with testdata/NAME, which PATCHBAY_GOLDEN=update writes.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("PATCHBAY_GOLDEN") == "update" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != got {
		t.Errorf("%s differs (%v):\n%s", path, err, got)
	}
}
