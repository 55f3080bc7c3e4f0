package admin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/patchbay-im/patchbay/component"
	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/server"
)

// TestHealth: /readyz says no from the first moment of a stop, and /healthz says yes to the end of it. A node that does
// not leave its stream keeps the server for the drain time.
func TestHealth(t *testing.T) {
	st := newStage(t, "listen.metrics=127.0.0.1:0")
	for _, addr := range []string{st.a.HTTPAddr(), st.a.MetricsAddr()} {
		for path, want := range map[string]string{"/healthz": "200 ok", "/readyz": "200 ok"} {
			if got := st.probe(addr, path); got != want {
				t.Errorf("%s%s: %s", addr, path, got)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	node, err := component.Dial(ctx, component.Config{Addrs: []string{st.s.ComponentAddr()}, Domain: "node1.im.example", Secret: house})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	done := make(chan error, 1)
	go func() { done <- st.s.Stop() }()
	for !strings.HasPrefix(st.probe(st.a.HTTPAddr(), "/readyz"), "503") {
		if ctx.Err() != nil {
			t.Fatal("ready while it stops")
		}
	}
	if got := st.probe(st.a.MetricsAddr(), "/readyz"); got != "503 not ready" {
		t.Errorf("on listen.metrics: %s", got)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := st.probe(st.a.HTTPAddr(), "/healthz"); got != "200 ok" {
		t.Errorf("after the stop: %s", got)
	}
	st.a.Stop()
	if nc, err := net.Dial("tcp", st.a.HTTPAddr()); err == nil {
		_ = nc.Close()
		t.Error("it listens after Stop")
	}
}

// probe asks as a probe does: by whatever name, and without a token.
func (st *stage) probe(addr, path string) string {
	st.t.Helper()
	resp, err := (&http.Client{Timeout: patience}).Get("http://" + addr + path)
	if err != nil {
		st.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(resp.Body)
	return strings.TrimSpace(resp.Status[:4] + string(text))
}

// TestMetricsSite: listen.metrics has three paths, without a token and under any Host, and nothing else.
func TestMetricsSite(t *testing.T) {
	st, table, _ := guarded(t, "listen.metrics=127.0.0.1:0")
	st.a.opt.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") })
	for _, o := range table {
		r := st.request(o.method, o.path+usual[o.id].query, usual[o.id].body, st.withToken, withHeader("X-Forwarded-For", "192.0.2.1"))
		r.URL.Host, r.Host = st.a.MetricsAddr(), "patchbay.monitoring.svc:9347"
		want := http.StatusNotFound
		if o.health {
			want = http.StatusOK
			r.Header.Del("Authorization")
		}
		if got := st.send(r); got.StatusCode != want || want == http.StatusNotFound && !strings.Contains(got.text, "the admin API is at listen.http") {
			t.Errorf("%s: %s %s", o.path, got.Status, got.text)
		}
		r = st.request(http.MethodGet, o.path, "", withHeader("Sec-Fetch-Site", "cross-site"))
		r.URL.Host, r.Host = st.a.MetricsAddr(), st.a.MetricsAddr()
		if got := st.send(r); got.StatusCode < http.StatusBadRequest {
			t.Errorf("%s for a page of another origin: %s", o.path, got.Status)
		}
	}
}

// TestInUse: an address that another program has is named with its key, and nothing is left listening.
func TestInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for _, key := range []string{"listen.http", "listen.metrics"} {
		st := dark(t, key+"="+taken.Addr().String())
		var used *server.InUseError
		if err := st.a.Start(); !errors.As(err, &used) || used.Key != key {
			t.Errorf("%s: %v", key, err)
		}
		if addr := st.a.HTTPAddr(); addr != "" {
			if nc, err := net.Dial("tcp", addr); err == nil {
				_ = nc.Close()
				t.Errorf("%s: %s still listens", key, addr)
			}
		}
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// TestPanic: a fault of one operation is an answer and a log line, and the server goes on.
func TestPanic(t *testing.T) {
	st := dark(t)
	st.a.table = newRoutes(append(append([]operation{}, operations...), operation{method: http.MethodGet, path: api.Prefix + "/planted", id: "planted",
		do: func(*Admin, *query) (any, error) { panic("planted") }}))
	if err := st.a.Start(); err != nil {
		t.Fatal(err)
	}
	got := st.ask("GET", api.Prefix+"/planted", "", st.withToken)
	if got.StatusCode != http.StatusInternalServerError || strings.Contains(got.text, "goroutine") || !strings.Contains(st.log.String(), "planted") {
		t.Errorf("%s %s", got.Status, got.text)
	}
	if got := st.ask("GET", "/healthz", ""); got.StatusCode != http.StatusOK {
		t.Error(got.Status)
	}
}
