package metrics

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/patchbay-im/patchbay/routing"
)

// traffic makes a bit of everything happen, and gives what must be counted.
func (st *stage) traffic() scraped {
	st.t.Helper()
	a, b := st.attach("a.im.example"), st.attach("b.im.example")
	a.login("alice@im.example/1")
	a.login("alice@im.example/1") // confirms
	b.login("bob@im.example/1")
	b.login("carol@kept.example/1")
	b.send("<presence type='unavailable' from='carol@kept.example/1' to='kept.example'/>")
	a.send("<presence from='a.im.example' to='im.example'/>") // announces nobody
	a.done()
	b.done()
	for i := range 500 {
		a.send(fmt.Sprintf("<message type='chat' from='alice@im.example/1' to='bob@im.example' id='m%d'><body>x</body></message>", i))
	}
	for i := range 7 {
		a.send(fmt.Sprintf("<message type='chat' from='alice@im.example/1' to='nobody@im.example' id='n%d'><body>x</body></message>", i))
		a.send(fmt.Sprintf("<message type='chat' from='alice@im.example/1' to='carol@kept.example' id='k%d'><body>x</body></message>", i))
	}
	for i := range 3 {
		a.send(fmt.Sprintf("<message type='headline' from='alice@im.example/1' to='nobody@im.example' id='h%d'><body>x</body></message>", i))
		a.send(fmt.Sprintf("<iq type='get' from='alice@im.example/1' to='bob@im.example/1' id='q%d'><x xmlns='y'/></iq>", i))
	}
	a.done()
	// Of b: the messages and the iqs. Nothing is answered.
	bob := b.until("id='q2'")
	if n := strings.Count(bob, "<message"); n != 500 {
		st.t.Errorf("bob got %d messages", n)
	}
	wrong := st.connect("c.im.example", "a wrong secret of the right length")
	wrong.until("</stream:stream>")
	d := st.attach("d.im.example")
	d.send("<message><broken></message>")
	d.until("not-well-formed")
	st.requests.Count("status", 200)
	st.requests.Count("reload", 401)
	st.requests.Count("/../etc/passwd", 404)
	st.fault = "no_such_key: 1\n"
	if _, err := st.s.Reload(); err == nil {
		st.t.Error("a faulty file was loaded")
	}
	if err := st.s.Drain("b.im.example"); err != nil {
		st.t.Fatal(err)
	}
	return st.counted()
}

// counted is what traffic must have left.
func (st *stage) counted() scraped {
	return scraped{
		// a: 3 presences, 500+7+7+3+3, 2 pings; b: 3 presences, 1 ping; d: none that is whole
		`patchbay_stanzas_accepted_total`: 3 + 520 + 2 + 3 + 1,
		// b: 500 messages, 3 iqs, the answer to a ping, the question what it can do, and that it is drained; a: 8 errors, 2 answers and the question
		`patchbay_node_out_stanzas_total{node="b.im.example"}`:                   500 + 3 + 1 + 1 + 1,
		`patchbay_node_out_stanzas_total{node="a.im.example"}`:                   8 + 2 + 1,
		`patchbay_outcomes_total{outcome="bounced",reason="no-session"}`:         7,
		`patchbay_outcomes_total{outcome="dropped",reason="headline-to-nobody"}`: 3,
		`patchbay_outcomes_total{outcome="bounced",reason="queue-full"}`:         0,
		`patchbay_outcomes_total{outcome="bounced",reason="announce-refused"}`:   1,
		`patchbay_stanzas_stored`:                                         7,
		`patchbay_stanzas_waiting`:                                        0,
		`patchbay_ledger_off_stanzas`:                                     0,
		`patchbay_sessions`:                                               2,
		`patchbay_node_sessions{node="a.im.example"}`:                     1,
		`patchbay_node_sessions{node="b.im.example"}`:                     1,
		`patchbay_announces_total{change="created"}`:                      3,
		`patchbay_announces_total{change="confirmed"}`:                    1,
		`patchbay_announces_total{change="taken"}`:                        0,
		`patchbay_sessions_ended_total{why="withdrawn"}`:                  1,
		`patchbay_sessions_ended_total{why="node-left"}`:                  0,
		`patchbay_announces_refused_total{condition="forbidden"}`:         1,
		`patchbay_announces_refused_total{condition="conflict"}`:          0,
		`patchbay_iqs_pending`:                                            3,
		`patchbay_held_stanzas`:                                           0,
		`patchbay_offline_messages`:                                       7,
		`patchbay_offline_users`:                                          1,
		`patchbay_offline_limit_bytes`:                                    1 << 20,
		`patchbay_node_state{node="a.im.example",state="attached"}`:       1,
		`patchbay_node_state{node="b.im.example",state="draining"}`:       1,
		`patchbay_node_state{node="d.im.example",state="away"}`:           1,
		`patchbay_node_state{node="gone.im.example",state="gone"}`:        1,
		`patchbay_node_state{node="exact.im.example",state="never seen"}`: 1,
		`patchbay_node_grade{grade="proved",node="a.im.example"}`:         1,
		`patchbay_node_links{node="a.im.example"}`:                        1,
		`patchbay_node_links{node="d.im.example"}`:                        0,
		`patchbay_node_queue_bytes{node="a.im.example"}`:                  0,
		`patchbay_node_oldest_stanza_age_seconds{node="a.im.example"}`:    0,
		`patchbay_node_spilling{node="a.im.example"}`:                     0,
		`patchbay_node_outbox_bytes{node="a.im.example"}`:                 0,
		`patchbay_node_outbox_limit_bytes{node="a.im.example"}`:           1 << 30,
		`patchbay_queues_limit_bytes`:                                     1 << 30,
		`patchbay_kept_limit_bytes`:                                       20 << 30,
		`patchbay_outbox_bytes`:                                           0,
		`patchbay_links{state="attached"}`:                                2,
		`patchbay_links{state="handshake"}`:                               0,
		`patchbay_handshakes_total{result="ok"}`:                          3,
		`patchbay_handshakes_total{result="refused"}`:                     1,
		`patchbay_handshakes_failed_total`:                                1,
		`patchbay_stream_errors_total{condition="not-authorized"}`:        1,
		`patchbay_stream_errors_total{condition="not-well-formed"}`:       1,
		`patchbay_stream_errors_total{condition="invalid-from"}`:          0,
		`patchbay_gate_inside`:                                            0,
		`patchbay_ready`:                                                  1,
		`patchbay_view_complete`:                                          1,
		`patchbay_draining`:                                               0,
		`patchbay_config_last_reload_successful`:                          0,
		`patchbay_config_reloads_total{result="refused"}`:                 1,
		`patchbay_config_reloads_total{result="ok"}`:                      0,
		`patchbay_certificate_not_after_timestamp_seconds`:                float64(notAfter.Unix()),
		`patchbay_admin_requests_total{code="200",operation="status"}`:    1,
		`patchbay_admin_requests_total{code="200",operation="reload"}`:    0,
		`patchbay_admin_requests_total{code="401",operation="reload"}`:    1,
		`patchbay_admin_requests_total{code="404",operation="other"}`:     1,
	}
}

// TestNumbers: what was sent is what is counted.
func TestNumbers(t *testing.T) {
	st := newStage(t)
	want := st.traffic()
	all := st.await(func(all scraped) string {
		for _, db := range []string{"sessions", "queues"} {
			if all[`patchbay_commit_duration_seconds_count{database="`+db+`"}`] == 0 {
				return "nothing was committed to " + db // yet
			}
		}
		return shows(want)(all)
	})
	if in := all[`patchbay_node_in_stanzas_total{node="a.im.example"}`] + all[`patchbay_node_in_stanzas_total{node="b.im.example"}`]; in != all["patchbay_stanzas_accepted_total"] {
		t.Errorf("the nodes sent %v together, and %v were accepted", in, all["patchbay_stanzas_accepted_total"])
	}
	if got := all[`patchbay_node_not_delivered_total{node="a.im.example"}`]; got != 7+3+1 {
		t.Errorf("%v stanzas of a were not delivered", got)
	}
	in := all["patchbay_stanzas_found"] + all["patchbay_stanzas_accepted_total"] + all["patchbay_stanzas_made_total"] + all["patchbay_stanzas_copies_total"]
	out := all["patchbay_stanzas_waiting"] + all["patchbay_stanzas_stored"]
	for name, n := range all {
		if strings.HasPrefix(name, "patchbay_outcomes_total{") {
			out += n
		}
	}
	if in != out {
		t.Errorf("what a scrape says does not add up: %v in, %v out", in, out)
	}
	if kept := all["patchbay_offline_bytes"]; kept == 0 || all["patchbay_kept_bytes"] != kept+all["patchbay_outbox_bytes"] {
		t.Errorf("%v bytes are kept, %v of them in the offline store", all["patchbay_kept_bytes"], kept)
	}
	st.commitsAddUp(all)
	for _, why := range routing.Reasons() {
		if _, ok := all[fmt.Sprintf("patchbay_outcomes_total{outcome=%q,reason=%q}", why.Outcome, why.Word)]; !ok {
			t.Errorf("%s is not told", why.Word)
		}
	}
}

// commitsAddUp looks at the histograms.
func (st *stage) commitsAddUp(all scraped) {
	st.t.Helper()
	const name = "patchbay_commit_duration_seconds"
	for _, db := range []string{"sessions", "queues"} {
		total, last := all[name+`_count{database="`+db+`"}`], 0.0
		for _, le := range []string{"0.0005", "0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1", "2", "5", "+Inf"} {
			n, ok := all[name+`_bucket{database="`+db+`",le="`+le+`"}`]
			if !ok || n < last {
				st.t.Errorf("%s: the bucket of %s has %v, the one before %v", db, le, n, last)
			}
			last = n
		}
		if total == 0 || last != total || all[name+`_sum{database="`+db+`"}`] <= 0 || all[`patchbay_commit_writes_total{database="`+db+`"}`] < 1 {
			st.t.Errorf("%s: %v commits, the last bucket has %v", db, total, last)
		}
	}
}

// TestLint holds names, types and helps against the rules of Prometheus.
func TestLint(t *testing.T) {
	st := newStage(t)
	st.traffic()
	problems, err := promlint.New(strings.NewReader(st.page())).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "patchbay_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	reg := prometheus.NewPedanticRegistry() // each sample fits its description, none is there twice
	reg.MustRegister(New(st.s, st.requests))
	if _, err := reg.Gather(); err != nil {
		t.Error(err)
	}
	for _, g := range groups() {
		for _, m := range g.metrics {
			if !strings.HasSuffix(m.help, ".") {
				t.Errorf("%s: the help is no sentence: %s", m.name, m.help)
			}
		}
	}
}

// TestEverythingIsThere: a server with all its parts shows every metric, and one in memory those that it has.
func TestEverythingIsThere(t *testing.T) {
	st := newStage(t)
	st.traffic()
	bare := newStage(t, nothingKept)
	absent := map[string]bool{}
	for _, g := range groups() {
		for _, m := range g.metrics {
			if !has(st.page(), m.name) {
				t.Errorf("%s is not there", m.name)
			}
			absent[m.name] = !has(bare.page(), m.name)
		}
	}
	for name, is := range absent {
		optional := strings.HasPrefix(name, "patchbay_disk_") || strings.HasPrefix(name, "patchbay_kept_") || strings.Contains(name, "_outbox_") || strings.HasPrefix(name, "patchbay_offline_") || strings.HasPrefix(name, "patchbay_certificate_") ||
			name == "patchbay_node_grade"
		if is != optional {
			t.Errorf("%s without a folder, a certificate and a node: absent is %v", name, is)
		}
	}
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes"} {
		if !has(st.page(), name) {
			t.Errorf("%s is not there", name)
		}
	}
}

func has(page, name string) bool { return strings.Contains(page, "\n# TYPE "+name+" ") }

// TestStopped: who scrapes a server that has stopped gets its last numbers.
func TestStopped(t *testing.T) {
	st := newStage(t)
	st.traffic()
	before := st.scrape()
	if err := st.s.Stop(); err != nil {
		t.Fatal(err)
	}
	after := st.scrape()
	if after["patchbay_ready"] != 0 || after["patchbay_stanzas_accepted_total"] != before["patchbay_stanzas_accepted_total"] {
		t.Errorf("ready is %v, accepted %v", after["patchbay_ready"], after["patchbay_stanzas_accepted_total"])
	}
}

// slow is a Collector that waits.
type slow struct {
	in   chan struct{}
	wait <-chan struct{}
}

func (s slow) Describe(to chan<- *prometheus.Desc) {
	to <- prometheus.NewDesc("slow", "Slow.", nil, nil)
}
func (s slow) Collect(chan<- prometheus.Metric) {
	s.in <- struct{}{}
	<-s.wait
}

// TestHandlerBounds: four scrapes at one time, and no more.
func TestHandlerBounds(t *testing.T) {
	wait := make(chan struct{})
	s := slow{make(chan struct{}), wait}
	h := Handler(s, quiet())
	ask := func() int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return w.Code
	}
	var wg sync.WaitGroup
	for range maxScrapes {
		wg.Go(func() {
			if code := ask(); code != http.StatusOK {
				t.Errorf("one of %d got %d", maxScrapes, code)
			}
		})
		<-s.in
	}
	if code := ask(); code != http.StatusServiceUnavailable {
		t.Errorf("one more got %d", code)
	}
	close(wait)
	wg.Wait()
}

// TestGzip: the page is compressed for who asks for it.
func TestGzip(t *testing.T) {
	st := newStage(t)
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	st.handler.ServeHTTP(w, r)
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(z)
	if err != nil || samples(t, string(page))["patchbay_ready"] != 1 {
		t.Errorf("%v: %.200s", err, page)
	}
}
