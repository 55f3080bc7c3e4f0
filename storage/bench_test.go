package storage

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"
)

// million is how many sessions the benchmarks of a full table hold.
const million = 1 << 20

// benchKeys is a slice of bare JIDs of 22 bytes; the resource is benchRes.
func benchKeys(n int) [][]byte {
	buf := make([]byte, 0, n*22)
	keys := make([][]byte, n)
	for i := range keys {
		from := len(buf)
		buf = fmt.Appendf(buf, "user%07d@im.example", i)
		keys[i] = buf[from:len(buf):len(buf)]
	}
	return keys
}

var benchRes = []byte("phone-12")

// bare is a table without a disk: what the look-ups and confirms need.
func bareTable(b *testing.B) (*Sessions, link) {
	s := &Sessions{opt: Options{Now: time.Now}, index: newIndex(defaultKnobs()), history: newHistory(), recent: newRecent()}
	s.nodes = newNodeTable(s.index)
	r := s.nodes.attach("node1.im.example", "hub1", s.now(), s.NextMark())
	return s, link{s, r.ID, r.Inc, 1}
}

// fill announces all keys and gives the heap bytes per session.
func fill(b *testing.B, l link, keys [][]byte) float64 {
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := 0; i < len(keys); i += 1000 {
		batch := l.s.Begin(l.node, l.inc, l.mark)
		for _, k := range keys[i:min(i+1000, len(keys))] {
			if _, _, err := batch.Announce(k, benchRes, 0, Take); err != nil {
				b.Fatal(err)
			}
		}
	}
	used := float64(heap() - before)
	runtime.KeepAlive(l.s)
	return used / float64(len(keys))
}

func BenchmarkFind(b *testing.B) {
	keys := benchKeys(million)
	s, l := bareTable(b)
	per := fill(b, l, keys)
	order := rand.New(rand.NewPCG(1, 2)).Perm(million)
	for _, c := range []struct {
		name string
		span int
	}{{"random", million}, {"hot", 1000}} {
		pick := make([][]byte, 1<<20)
		for i := range pick {
			pick[i] = append([]byte(nil), keys[order[i%c.span]]...)
		}
		b.Run(c.name, func(b *testing.B) {
			var dst [8]Match
			for i := 0; b.Loop(); i++ {
				k := pick[i&(1<<20-1)]
				if len(s.Find(s.Hash(k), k, nil, dst[:0])) != 1 {
					b.Fatal("lost")
				}
			}
			b.ReportMetric(per, "B/session")
		})
		b.Run(c.name+"/batch32", func(b *testing.B) {
			var dst [8]Match
			var hs [32]uint64
			for i := 0; b.Loop(); i += 32 {
				batch := pick[i&(1<<20-1):][:32]
				for j, k := range batch {
					hs[j] = s.Hash(k)
				}
				sink += s.TouchAll(hs[:])
				for j, k := range batch {
					if len(s.Find(hs[j], k, nil, dst[:0])) != 1 {
						b.Fatal("lost")
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*32), "ns/find")
		})
	}
}

var sink uint64

func BenchmarkConfirm(b *testing.B) {
	keys := benchKeys(million)
	s, l := bareTable(b)
	fill(b, l, keys)
	l.mark = s.NextMark()
	batch := s.Begin(l.node, l.inc, l.mark)
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		if c, _, _ := batch.Announce(keys[i*7919&(million-1)], benchRes, 0, Sync); c != Confirmed {
			b.Fatal(c)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "confirms/s")
}

// BenchmarkAnnounce measures new durable sessions: batches of 1000 that are all queued at once, and
// single announces of eight links that each wait for the disk.
func BenchmarkAnnounce(b *testing.B) {
	for _, c := range []struct {
		name  string
		links int
		batch int
	}{{"batch1000", 1, 1000}, {"batch1000x8", 8, 1000}, {"single", 1, 1}, {"single8", 8, 1}, {"single64", 64, 1}} {
		b.Run(c.name, func(b *testing.B) {
			s, err := OpenSessions(Options{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			r, m, _ := s.AttachNode("node1.im.example")
			l := link{s, r.ID, r.Inc, m}
			b.ResetTimer()
			var wg sync.WaitGroup
			for g := range c.links {
				wg.Go(func() { announceAll(b, l, g, c.batch, b.N/c.links+1) })
			}
			wg.Wait()
			b.ReportMetric(float64(s.Total())/b.Elapsed().Seconds(), "durable/s")
		})
	}
}

// announceAll announces n new sessions in batches, at most two of which are under way.
func announceAll(b *testing.B, l link, g, size, n int) {
	flying := make(chan struct{}, 2)
	for i := 0; i < n; i += size {
		batch := l.s.Begin(l.node, l.inc, l.mark)
		for j := i; j < min(i+size, n); j++ {
			if _, _, err := batch.Announce(fmt.Appendf(nil, "user%d-%d@im.example", g, j), benchRes, 0, Take); err != nil {
				b.Error(err)
				return
			}
		}
		flying <- struct{}{}
		batch.Commit(func(error) { <-flying })
		if size == 1 { // wait for the disk
			flying <- struct{}{}
			flying <- struct{}{}
			<-flying
			<-flying
		}
	}
	flying <- struct{}{}
	flying <- struct{}{}
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s, err := OpenSessions(Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	r, m, _ := s.AttachNode("node1.im.example")
	fill(b, link{s, r.ID, r.Inc, m}, nil)
	announceAll(b, link{s, r.ID, r.Inc, m}, 0, 1000, million)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := OpenSessions(Options{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(s.Loaded().Took.Seconds(), "s/load")
		if total(s) != million {
			b.Fatal(s.Total())
		}
		b.StopTimer()
		s.Close()
		b.StartTimer()
	}
}
