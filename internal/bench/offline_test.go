package bench

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// What the offline store holds in BenchmarkOffline.
const (
	storedMessages = 1_000_000
	storedUsers    = 100_000
	otherUsers     = 100_000
)

// BenchmarkOffline stores messages for users without a session, then logs in others, for whom nothing is stored, and
// then those users: what the store costs those who do not use it, and how fast it empties. Before it measures the
// others' log-in on a server that stores nothing.
func BenchmarkOffline(b *testing.B) {
	messages, users := storedMessages, storedUsers
	if testing.Short() {
		messages, users = messages/10, users/10
	}
	for b.Loop() {
		b.ReportMetric(0, "ns/op")
		plain := start(b, "patchbay", dataEnv+"="+b.TempDir())
		without := logIn(plain, plain.link(takeNode))
		plain.stop()

		data := dataEnv + "=" + b.TempDir()
		c := start(b, "patchbay", data, storeEnv+"=1")
		put := timed(c, func() { fillStore(c, messages, users) }, float64(messages))
		c.tell("gc")
		c.settle()
		held := c.memory()
		with := logIn(c, c.link("node3."+benchUsers))
		c.stop()

		began := time.Now()
		c = start(b, "patchbay", data, storeEnv+"=1")
		opened := time.Since(began)
		during, replay := emptyStore(c, messages, users)
		b.ReportMetric(put.rate, "stored/s")
		b.ReportMetric(put.cpu/1e3, "us-cpu/stored")
		b.ReportMetric(float64(held)/(1<<20), "MiB-RSS")
		b.ReportMetric(without.cpu/1e3, "us-cpu/log-in-nothing-stored")
		b.ReportMetric(with.cpu/1e3, "us-cpu/log-in")
		b.ReportMetric(without.rate, "log-ins/s-nothing-stored")
		b.ReportMetric(with.rate, "log-ins/s")
		b.ReportMetric(during.rate, "log-ins/s-during-replay")
		b.ReportMetric(float64(opened.Milliseconds()), "ms-restart")
		b.ReportMetric(replay.rate, "replayed/s")
		b.ReportMetric(replay.cpu/1e3, "us-cpu/replayed")
		c.stop()
	}
}

// logIn announces users of whom nothing is stored.
func logIn(c *child, link *Link) figures {
	c.tb.Helper()
	f := timed(c, func() {
		if err := Announce(link, benchUsers, Range{N: otherUsers}, "o"+ToDigits+"@"+benchUsers+"/phone"); err != nil {
			c.tb.Fatal(err)
		}
	}, otherUsers)
	hangUp([]*Link{link})
	return f
}

// fillStore sends messages to users without a session, each user in turn, until the server has taken them all.
func fillStore(c *child, messages, users int) {
	c.tb.Helper()
	send := c.link(sendNode)
	defer hangUp([]*Link{send})
	var part []byte
	for i := range messages {
		part = fmt.Appendf(part, "<message type='chat' id='%d' from='%s' to='u%0*d@%s'><body>%0*d</body></message>",
			i, sendNode, nameDigits, i%users, benchUsers, 130, i)
		if len(part) < batch && i+1 < messages {
			continue
		}
		if _, err := send.Conn.Write(part); err != nil {
			c.tb.Fatal(err)
		}
		part = part[:0]
	}
	c.ready(send)
}

// emptyStore logs the users in whose messages are stored, and meanwhile others on another node.
func emptyStore(c *child, messages, users int) (others, replay figures) {
	c.tb.Helper()
	take, other := c.link(takeNode), c.link("node4."+benchUsers)
	load := &Load{Meter: NewMeter()}
	var got atomic.Int64
	done := make(chan struct{})
	load.Skip(take, func(part []byte) {
		n := int64(bytes.Count(part, []byte("</message>")))
		if total := got.Add(n); n > 0 && total-n < int64(messages) && total >= int64(messages) {
			close(done)
		}
	})
	replay = timed(c, func() {
		var part []byte
		for i := range users {
			part = fmt.Appendf(part, "<presence from='u%0*d@%s/phone' to='%s'/>", nameDigits, i, benchUsers, benchUsers)
		}
		if _, err := take.Conn.Write(part); err != nil {
			c.tb.Fatal(err)
		}
		others = logIn(c, other)
		select {
		case <-done:
		case <-time.After(2 * roundTime):
			c.tb.Fatalf("%d of %d stored messages arrived", got.Load(), messages)
		}
	}, float64(messages))
	load.Close()
	return others, replay
}
