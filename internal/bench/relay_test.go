package bench

import (
	"bufio"
	"slices"
	"testing"
	"time"
)

const (
	rounds    = 5        // medians are of so many
	batch     = 64 << 10 // bytes of one write of a busy sender
	window    = 2 << 20  // bytes under way at most
	roundTime = 60 * time.Second
)

// scene is what one benchmark of relaying does.
type scene struct {
	from, to   string // addresses, with marks for digits
	size, body int    // see MessageForm
	names      Names
	sessions   int    // announced by the node that receives
	speakers   int    // announced by the node that sends
	subject    string // for NATS
	subjects   int    // that the receiver asks for
	count      int    // stanzas of one round
}

const (
	sendNode = "node1." + benchUsers
	takeNode = "node2." + benchUsers
	spread   = 1_000_000 // sessions in the table
	speakers = 100_000
)

var userAddress = "u" + ToDigits + "@" + benchUsers + "/phone"

// scenes are the rows of the design's table that relay from one link to another.
var scenes = []struct {
	name string
	scene
}{
	{"Node250B", scene{from: sendNode, to: takeNode, size: 250, subject: takeNode, subjects: 1, count: 400_000}},
	{"Node1KB", scene{from: sendNode, to: takeNode, body: 1 << 10, subject: takeNode, subjects: 1, count: 200_000}},
	{"Node16KB", scene{from: sendNode, to: takeNode, body: 16 << 10, subject: takeNode, subjects: 1, count: 30_000}},
	{"Users250B", scene{from: sendNode, to: userAddress, size: 250, names: Names{To: Range{N: spread}}, sessions: spread,
		subject: "u." + ToDigits, subjects: 20_000, count: 400_000}},
	{"UsersFromUsers250B", scene{from: "s" + FromDigits + "@" + benchUsers + "/phone", to: userAddress, size: 250,
		names: Names{From: Range{N: speakers}, To: Range{N: spread}}, sessions: spread, speakers: speakers,
		subject: "u." + ToDigits, subjects: 20_000, count: 400_000}},
}

// BenchmarkRelay is the CPU time of the server for one stanza from link to link, beside nats-server.
func BenchmarkRelay(b *testing.B) {
	for _, s := range scenes {
		b.Run(s.name, func(b *testing.B) {
			for b.Loop() {
				compare(b, s.count, servers{s.busy(b, start(b, "patchbay")), s.busy(b, acked(b)), s.busy(b, noProof(b)), s.busy(b, start(b, "nats"))})
			}
		})
	}
}

// busy gives a server two nodes, and a sender that writes as much as it can.
func (s *scene) busy(tb testing.TB, c *child) rig {
	tb.Helper()
	send, take := c.link(sendNode), c.link(takeNode)
	names := s.names
	if c.role == "patchbay" {
		announce(tb, take, "u", s.sessions)
		announce(tb, send, "s", s.speakers)
	} else if names.To.N > 0 {
		names.To.N = s.subjects
	}
	f := s.form(c, take)
	l := &Load{Source: NewSource(f, names, 1, max(1, batch/len(f.sent))), Senders: []*Link{send},
		Window: int64(window / f.size), Limit: roundTime, Meter: NewMeter()}
	l.Take(take, NewSink(f, l.Meter, 1, take.Other), 256<<10)
	l.Take(send, NewSink(f, l.Meter, 1, send.Other), 4<<10)
	tb.Cleanup(l.Close)
	return rig{c, l}
}

// form is the frame of the scene in the protocol of a server. A receiver of NATS asks for its subjects.
func (s *scene) form(c *child, take *Link) *Form {
	c.tb.Helper()
	f := MessageForm(s.from, s.to, s.size, s.body)
	if c.role == "patchbay" {
		return f
	}
	if err := subscribe(take, bufio.NewReader(take.Conn), Range{N: s.subjects}, s.subject); err != nil {
		c.tb.Fatal(err)
	}
	return natsForm(s.subject, f)
}

func announce(tb testing.TB, link *Link, letter string, n int) {
	tb.Helper()
	if err := Announce(link, benchUsers, Range{N: n}, letter+ToDigits+"@"+benchUsers+"/phone"); err != nil {
		tb.Fatal(err)
	}
}

// rig is a server under test with a load on it.
type rig struct {
	*child
	load *Load
}

// figures are what one round showed.
type figures struct {
	cpu    float64 // ns of the server a frame
	rate   float64 // frames a second
	allocs float64 // a frame
}

// round runs one round of a load.
func (r rig) round(count int) figures {
	r.tb.Helper()
	before, cpu := r.tell("stats"), r.cpu()
	took, err := r.load.Run(count)
	if err != nil {
		r.tb.Fatalf("%s: %v", r.role, err)
	}
	cpu = r.cpu() - cpu
	after := r.tell("stats")
	n := float64(count)
	return figures{cpu: float64(cpu) / n, rate: n / took.Seconds(), allocs: float64(after.Mallocs-before.Mallocs) / n}
}

// servers are what is measured side by side: our server, the same with modern links, our server without proof of delivery, and the rival.
type servers struct{ ours, acked, bare, rival rig }

// compare runs rounds of the servers in turn, after one that warms each up, and reports the medians.
func compare(b *testing.B, count int, s servers) {
	b.Helper()
	all := []rig{s.ours, s.acked, s.bare, s.rival}
	for _, r := range all {
		r.round(count / 4)
	}
	defer s.ours.profile()()
	defer s.acked.profile()()
	defer s.bare.profile()()
	seen := make([][]figures, len(all))
	for range rounds {
		for i, r := range all {
			seen[i] = append(seen[i], r.round(count))
		}
	}
	cpu, acks := median(seen[0], figures.ns), median(seen[1], figures.ns)
	bare, rival := median(seen[2], figures.ns), median(seen[3], figures.ns)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(cpu, "ns-cpu/stanza")
	b.ReportMetric(acks, "acked-ns-cpu/stanza")
	b.ReportMetric(bare, "noproof-ns-cpu/stanza")
	b.ReportMetric(rival, "nats-ns-cpu/stanza")
	b.ReportMetric(cpu/rival, "of-nats")
	b.ReportMetric(cpu/bare, "of-noproof")
	b.ReportMetric(acks/cpu, "acked-of-plain")
	b.ReportMetric(median(seen[0], figures.perSecond), "stanzas/s")
	b.ReportMetric(median(seen[1], figures.perSecond), "acked-stanzas/s")
	b.ReportMetric(median(seen[3], figures.perSecond), "nats-stanzas/s")
	b.ReportMetric(median(seen[0], figures.objects), "allocs/stanza")
	b.ReportMetric(median(seen[1], figures.objects), "acked-allocs/stanza")
}

func (f figures) ns() float64        { return f.cpu }
func (f figures) perSecond() float64 { return f.rate }
func (f figures) objects() float64   { return f.allocs }

// median is the middle of what get gives for each of an odd number of rounds.
func median[T any](all []T, get func(T) float64) float64 {
	v := make([]float64, len(all))
	for i, x := range all {
		v[i] = get(x)
	}
	slices.Sort(v)
	return v[len(v)/2]
}
