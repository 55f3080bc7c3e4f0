package storage

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// BenchmarkRestart opens a table of a million sessions, or of as many as PATCHBAY_RESTART_SESSIONS says, and looks
// users up while the rest is read: what design 11 asks of a restart.
func BenchmarkRestart(b *testing.B) {
	n := million
	if v := os.Getenv("PATCHBAY_RESTART_SESSIONS"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			b.Fatal(err)
		}
	}
	dir := b.TempDir()
	writeSessions(b, dir, n)
	var open, first, early, whole time.Duration
	for b.Loop() {
		began := time.Now()
		s, err := OpenSessions(Options{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		open += time.Since(began)
		mustFind(b, s, n/2)
		first += time.Since(began)
		const probes = 1000
		at := time.Now()
		for i := range probes {
			mustFind(b, s, (i*7919+n/3)%n)
		}
		early += time.Since(at) / probes
		if s.Loaded().Sessions != n || s.Total() != n {
			b.Fatal(s.Loaded(), s.Total())
		}
		whole += time.Since(began)
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	report := func(d time.Duration, unit string, per time.Duration) {
		b.ReportMetric(float64(d)/float64(per)/float64(b.N), unit)
	}
	report(open, "ms/open", time.Millisecond)
	report(first, "ms/first", time.Millisecond)
	report(early, "us/early", time.Microsecond)
	report(whole, "s/load", time.Second)
}

func mustFind(b *testing.B, s *Sessions, i int) {
	bare := fmt.Appendf(nil, "user%07d@im.example", i)
	if len(s.Find(s.Hash(bare), bare, nil, nil)) != 1 {
		b.Fatalf("%s: lost", bare)
	}
}

// writeSessions makes a database with sessions of one node, as the committer would have, but at once.
func writeSessions(b *testing.B, dir string, n int) {
	s, err := OpenSessions(Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	r, _, _ := s.AttachNode("node1.im.example")
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	db, err := openBadger(dir, &badgerLog{})
	if err != nil {
		b.Fatal(err)
	}
	wb := db.NewWriteBatch()
	high := r.Inc
	for i := range n {
		high++
		k := appendSessionKey(nil, fmt.Appendf(nil, "user%07d@im.example", i), benchRes)
		if err := wb.Set(k, appendSession(nil, stored{r.ID, r.Inc, high, 1, 0})); err != nil {
			b.Fatal(err)
		}
	}
	if err := wb.Set([]byte(versionKey), binary.BigEndian.AppendUint64(nil, high)); err != nil {
		b.Fatal(err)
	}
	if err := wb.Flush(); err != nil {
		b.Fatal(err)
	}
	settleTables(b, db)
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
}

// settleTables waits for the compactions that writing so much at once has made due: a server has done them.
func settleTables(b *testing.B, db *badger.DB) {
	if err := db.Flatten(1); err != nil {
		b.Fatal(err)
	}
}
