package metrics

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/patchbay-im/patchbay/storage"
)

// BenchmarkScrape is one scrape with 1000 nodes attached: with few sessions, and with a million. That the two cost the
// same shows that no session is looked at.
func BenchmarkScrape(b *testing.B) {
	const nodes = 1000
	st := newStage(b, nothingKept)
	for i := range nodes {
		st.attach(fmt.Sprintf("n%d.im.example", i))
	}
	have := 0
	for _, sessions := range []int{nodes, 1 << 20} {
		for ; have < sessions; have += nodes {
			st.fill(b, have, nodes)
		}
		b.Run(fmt.Sprintf("sessions=%d", st.s.Sessions().Total()), func(b *testing.B) {
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				w := httptest.NewRecorder()
				st.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
				size = w.Body.Len()
			}
			b.ReportMetric(float64(size), "bytes")
		})
	}
}

// fill gives each of the nodes one more session.
func (st *stage) fill(b *testing.B, from, nodes int) {
	b.Helper()
	for i := range nodes {
		rec, ok := st.s.Sessions().NodeByDomain(fmt.Sprintf("n%d.im.example", i))
		if !ok {
			b.Fatalf("node %d is not known", i)
		}
		batch := st.s.Sessions().Begin(rec.ID, rec.Inc, st.s.Sessions().NextMark())
		if _, _, err := batch.Announce(fmt.Appendf(nil, "user%d@im.example", from+i), []byte("phone"), 0, storage.Take); err != nil {
			b.Fatal(err)
		}
		batch.Commit(nil)
	}
}
