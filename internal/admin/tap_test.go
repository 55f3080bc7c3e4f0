package admin

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/component"
	"github.com/patchbay-im/patchbay/internal/admin/api"
)

// tapped is a tap that a test reads.
type tapped struct {
	st    *stage
	resp  *http.Response
	lines *bufio.Scanner
}

// tap opens a tap and waits until the server shows what passes.
func (st *stage) tap(query string) *tapped {
	st.t.Helper()
	r := st.request(http.MethodGet, api.PathTap+query, "", st.withToken, withHeader(api.HeaderWho, "root@hub1"))
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		st.t.Fatal(err)
	}
	st.t.Cleanup(func() { _ = resp.Body.Close() })
	return &tapped{st, resp, bufio.NewScanner(resp.Body)}
}

// next gives the next line, which the document describes; false at the end.
func (x *tapped) next() (api.Tapped, bool) {
	x.st.t.Helper()
	var v api.Tapped
	if !x.lines.Scan() {
		return v, false
	}
	var plain any
	if err := json.Unmarshal(x.lines.Bytes(), &plain); err != nil {
		x.st.t.Fatalf("%s: %v", x.lines.Text(), err)
	}
	if err := specification(x.st.t).Components.Schemas["Tapped"].Value.VisitJSON(plain); err != nil {
		x.st.t.Error(err)
	}
	if err := json.Unmarshal(x.lines.Bytes(), &v); err != nil {
		x.st.t.Fatal(err)
	}
	return v, true
}

// message sends a message and fails the test if it cannot be sent.
func (st *stage) message(n *component.Node, from, to string) {
	st.t.Helper()
	if err := n.Send(st.t.Context(), chat(from, to)); err != nil {
		st.t.Fatal(err)
	}
}

// TestTap: headers of what matches, until the count is full, and a line of the log at both ends.
func TestTap(t *testing.T) {
	st := newStage(t)
	n := st.attach("node1.im.example", "alice@im.example/phone", "bob@im.example/web")
	x := st.tap("?match=bob@im.example&count=2")
	st.message(n, "alice@im.example/phone", "alice@im.example/phone")
	st.message(n, "alice@im.example/phone", "bob@im.example")
	st.message(n, "bob@im.example/web", "carol@im.example")
	v, _ := x.next()
	if v.Node != "node1.im.example" || v.Kind != "message" || v.Type != "chat" || v.From != "alice@im.example/phone" || v.To != "bob@im.example" ||
		v.Action != "deliver" || len(v.Targets) != 1 || v.Targets[0] != "node1.im.example" || v.Bytes == 0 || v.XML != "" || v.Time.IsZero() {
		t.Errorf("%+v", v)
	}
	if v, _ = x.next(); v.Action != "bounce" || v.Reason != "no-session" || v.To != "carol@im.example" {
		t.Errorf("%+v", v)
	}
	if v, more := x.next(); more {
		t.Errorf("beyond the count: %+v", v)
	}
	st.eventually("the end is logged", func() bool { return strings.Contains(st.log.String(), "admin: tap closed") })
	for _, want := range []string{`msg="admin: tap opened"`, "who=root@hub1", "match=bob@im.example", "from=127.0.0.1", "bodies=false", "shown=2", "end=count"} {
		if !strings.Contains(st.log.String(), want) {
			t.Errorf("the log lacks %s", want)
		}
	}
	if strings.Contains(st.log.String(), "hello") {
		t.Error("the log says what a message says")
	}
}

// TestTapBodies: what messages say is shown where the configuration allows it, and only as long.
func TestTapBodies(t *testing.T) {
	st := newStage(t)
	n := st.attach("node1.im.example", "alice@im.example/phone")
	got := st.ask(http.MethodGet, api.PathTap+"?body=true", "", st.withToken)
	if got.StatusCode != http.StatusForbidden || !strings.Contains(got.text, "admin.tap_bodies") || !strings.Contains(st.log.String(), "admin: tap refused") {
		t.Errorf("%s %s", got.Status, got.text)
	}
	file, err := os.ReadFile(st.file)
	if err != nil {
		t.Fatal(err)
	}
	reload := func(text string) {
		if err := os.WriteFile(st.file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		change[api.Reloaded](st, api.PathReload, "")
	}
	reload(string(file) + "admin: {tap_bodies: true}\n")
	x := st.tap("?body=true")
	st.message(n, "alice@im.example/phone", "alice@im.example/phone")
	if v, _ := x.next(); !strings.Contains(v.XML, "<body>hello</body>") {
		t.Errorf("%+v", v)
	}
	if !strings.Contains(st.log.String(), `level=warning msg="admin: tap opened"`) || !strings.Contains(st.log.String(), "bodies=true") {
		t.Error("no audit line")
	}
	reload(string(file))
	st.message(n, "alice@im.example/phone", "alice@im.example/phone")
	if v, more := x.next(); more {
		t.Errorf("no longer allowed: %+v", v)
	}
}

// TestTapsEnd: with the time, with the reader, with the server; and their number is bounded.
func TestTapsEnd(t *testing.T) {
	st := newStage(t)
	began := time.Now()
	if v, more := st.tap("?for=1s").next(); more || time.Since(began) < 900*time.Millisecond {
		t.Errorf("with the time: %+v after %v", v, time.Since(began))
	}
	var open []*tapped
	for range 4 {
		open = append(open, st.tap(""))
	}
	if got := st.ask(http.MethodGet, api.PathTap, "", st.withToken); got.StatusCode != http.StatusTooManyRequests || got.Header.Get("Retry-After") == "" {
		t.Errorf("a fifth: %s", got.Status)
	}
	_ = open[0].resp.Body.Close()
	st.eventually("the reader's end is seen", func() bool { return strings.Contains(st.log.String(), `end="reader gone"`) })
	if x := st.tap("?for=1s"); x.resp.StatusCode != http.StatusOK {
		t.Errorf("in its place: %s", x.resp.Status)
	}
	began = time.Now()
	st.a.Stop()
	if time.Since(began) > farewell {
		t.Errorf("taps held the stop for %v", time.Since(began))
	}
	if v, more := open[1].next(); more {
		t.Errorf("after the stop: %+v", v)
	}
}

// TestTapOutlivesRequest: a tap is not bound by the time that a request and its answer have.
func TestTapOutlivesRequest(t *testing.T) {
	st := dark(t)
	var err error
	if st.a.http, err = st.a.open("listen.http", "127.0.0.1:0", false); err != nil {
		t.Fatal(err)
	}
	st.a.http.srv.ReadTimeout, st.a.http.srv.WriteTimeout = 200*time.Millisecond, 200*time.Millisecond
	st.a.wg.Go(func() { st.a.http.serve(st.a.log) })
	n := st.attach("node1.im.example", "alice@im.example/phone")
	x := st.tap("?count=1")
	<-time.After(time.Second)
	st.message(n, "alice@im.example/phone", "alice@im.example/phone")
	if _, more := x.next(); !more {
		t.Error("the tap has ended")
	}
}
