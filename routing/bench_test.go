package routing

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// sink is an Output that costs nothing.
// sink is a link that takes all, and answers the last ping of what it takes.
type sink struct {
	src   *Source
	reply []byte
}

func (s *sink) TryWrite(b []byte) (int, error) {
	if tail := b[max(0, len(b)-200):]; bytes.HasSuffix(tail, []byte("<ping xmlns='urn:xmpp:ping'/></iq>")) {
		_, id, _ := bytes.Cut(tail[bytes.LastIndex(tail, []byte("<iq")):], []byte(" id='"))
		id, _, _ = bytes.Cut(id, []byte("'"))
		s.reply = append(append(append(s.reply[:0], "<iq type='result' id='"...), id...), "' to='hub1.im.example'/>"...)
		if s.src != nil { // whoever writes is its reader for this moment
			_, _ = s.src.Feed(s.reply)
		}
	}
	return len(b), nil
}
func (s *sink) Write(b []byte) (int, error) { return s.TryWrite(b) }
func (s *sink) Interrupt()                  {}

// BenchmarkFeed is the way of a stanza through the router without the network: scan, authorise, decide, queue,
// write. ns/op is per stanza.
func BenchmarkFeed(b *testing.B) {
	for _, c := range []struct {
		name     string
		sessions int
		announce bool // the senders are users too
		size     int
	}{
		{"node-250B", 0, false, 250},
		{"user-1k-sessions-250B", 1000, false, 250},
		{"user-1M-sessions-250B", 1_000_000, false, 250},
		{"user-to-user-1M-sessions-250B", 1_000_000, true, 250},
		{"node-1KB", 0, false, 1200},
		{"node-16KB", 0, false, 16500},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.Run("written", func(b *testing.B) { benchmarkFeed(b, c.sessions, c.announce, c.size, false) })
			b.Run("proved", func(b *testing.B) { benchmarkFeed(b, c.sessions, c.announce, c.size, true) })
		})
	}
}

func benchmarkFeed(b *testing.B, sessions int, announce bool, size int, proof bool) {
	table, err := storage.OpenSessions(storage.Options{Dir: ":memory:", Server: "hub1.im.example", Log: quiet()})
	if err != nil {
		b.Fatal(err)
	}
	defer table.Close()
	r := New(Config{Server: "hub1.im.example", NoProof: !proof, Settings: Settings{Users: []UserDomain{{Name: "im.example"}}, Limits: stanza.DefaultLimits,
		Queue: 16 << 20, Grace: testGrace, Settle: testSettle}, Log: quiet()}, table, nobodyServes{})
	defer r.Close()
	r.Returning()
	attach := func(name string, out *sink) *Source {
		sc := stanza.NewScanner(stanza.DefaultLimits)
		_, _, _ = sc.Next([]byte(rootTag), &stanza.Header{})
		src, err := r.Attach(name, &Grant{Users: []string{"im.example"}, TakeOver: true}, sc)
		if err != nil {
			b.Fatal(err)
		}
		if err := src.Start(out, nil); err != nil {
			b.Fatal(err)
		}
		out.src = src
		return src
	}
	taker := &sink{}
	src, dst := attach("node1.im.example", &sink{}), attach("node2.im.example", taker)
	src.out.(*sink).src = nil // it is read from all the time
	for i := range sessions {
		batch := table.Begin(dst.node.ID(), dst.inc, dst.mark)
		_, _, _ = batch.Announce(fmt.Appendf(nil, "user%07d@im.example", i), []byte("phone-12"), 0, storage.Take)
		batch.Commit(nil)
	}
	if announce {
		for i := range sessions {
			batch := table.Begin(src.node.ID(), src.inc, src.mark)
			_, _, _ = batch.Announce(fmt.Appendf(nil, "sender%07d@im.example", i), []byte("phone-12"), 0, storage.Take)
			batch.Commit(nil)
		}
	}
	reads := makeReads(sessions, announce, size)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		read := reads[rand.IntN(len(reads))]
		used, err := src.Feed(read)
		if err != nil || used != len(read) {
			b.Fatal(used, err)
		}
		n += len(read) / size
	}
	b.StopTimer()
	l := r.Ledger()
	if ok, off := l.Adds(); !ok || l.Bounced > 0 {
		b.Fatalf("ledger %+v off %d", l, off)
	}
}

// makeReads gives reads of about 64 KiB, each of whole stanzas of exactly size bytes.
func makeReads(sessions int, announce bool, size int) [][]byte {
	reads := make([][]byte, 64)
	for i := range reads {
		var read strings.Builder
		for range max(1, 65536/size) {
			to, from := "node2.im.example", "node1.im.example"
			if sessions > 0 {
				to = fmt.Sprintf("user%07d@im.example/phone-12", rand.IntN(sessions))
			}
			if announce {
				from = fmt.Sprintf("sender%07d@im.example/phone-12", rand.IntN(sessions))
			}
			head := fmt.Sprintf("<message from='%s' to='%s' type='chat' id='m%08d'><body>", from, to, i)
			tail := "</body></message>"
			read.WriteString(head + strings.Repeat("x", size-len(head)-len(tail)) + tail)
		}
		reads[i] = []byte(read.String())
	}
	return reads
}
