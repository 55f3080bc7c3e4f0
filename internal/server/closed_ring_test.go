package server

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/stanza"
)

var day = time.Date(2026, 12, 1, 14, 0, 0, 0, time.UTC)

// refusedAt is a connection of an address that was not attached.
func refusedAt(host, node, reason string, at int) closedLink {
	addr := netip.MustParseAddr(host)
	when := day.Add(time.Duration(at) * time.Second)
	return closedLink{host: addr, LinkInfo: LinkInfo{Node: node, Peer: netip.AddrPortFrom(addr, uint16(at)).String(),
		State: LinkRefused, Reason: reason, Text: "text of " + reason, Since: when.Add(-time.Second), Ended: when, Count: 1}}
}

func endedAt(id uint64, node string, at int) closedLink {
	when := day.Add(time.Duration(at) * time.Second)
	return closedLink{host: netip.MustParseAddr("10.9.9.9"), LinkInfo: LinkInfo{ID: id, Node: node, State: LinkEnded,
		Reason: EndClosed, Since: day, Ended: when, Count: 1}}
}

// TestClosedMerge: who is refused alike is one entry, with the first and the last time.
func TestClosedMerge(t *testing.T) {
	var c closedLinks
	for i := range 5 {
		c.add(refusedAt("10.0.0.1", "a.im.example", "not-authorized", i))
		c.add(refusedAt("10.0.0.1", "a.im.example", "host-unknown", i))
		c.add(refusedAt("10.0.0.1", "b.im.example", "not-authorized", i))
		c.add(refusedAt("10.0.0.2", "a.im.example", "not-authorized", i))
		c.add(endedAt(uint64(i+1), "a.im.example", i))
	}
	links := c.list()
	if len(links) != 9 {
		t.Fatalf("%d entries instead of 4 refusals and 5 ends", len(links))
	}
	for i, l := range links {
		want := uint64(5)
		if l.ID != 0 {
			want = 1
		} else if !l.Since.Equal(day.Add(-time.Second)) || !l.Ended.Equal(day.Add(4*time.Second)) || !strings.HasSuffix(l.Peer, ":4") {
			t.Errorf("from %v to %v, last %s", l.Since, l.Ended, l.Peer)
		}
		if l.Count != want {
			t.Errorf("%+v is counted %d times", l, l.Count)
		}
		if i > 0 && links[i-1].Ended.Before(l.Ended) {
			t.Errorf("entry %d is newer than the one before", i)
		}
	}
}

// TestClosedRoom: when there is no room, who has most entries loses the oldest of them, and strangers do not push out nodes.
func TestClosedRoom(t *testing.T) {
	var c closedLinks
	for i := range 50 {
		c.add(endedAt(uint64(i+1), fmt.Sprintf("node%d.im.example", i), i))
	}
	c.add(refusedAt("10.0.0.1", "typo.im.example", "host-unknown", 60))
	for i := range 1000 { // one stranger, many names
		c.add(refusedAt("10.0.0.2", fmt.Sprintf("x%d.example", i), "host-unknown", 100+i))
	}
	hold := func(what string, nodes, typo int) {
		t.Helper()
		var gotNodes, gotTypo int
		for _, l := range c.list() {
			if l.ID != 0 && l.Node != "flaps.im.example" {
				gotNodes++
			} else if l.Node == "typo.im.example" {
				gotTypo++
			}
		}
		if len(c.list()) != maxClosed || gotNodes != nodes || gotTypo != typo {
			t.Errorf("%s: of %d entries %d of nodes and %d of the typo are left", what, len(c.list()), gotNodes, gotTypo)
		}
	}
	hold("one stranger", 50, 1)
	for i := range 1000 { // one node, many ends
		c.add(endedAt(uint64(100+i), "flaps.im.example", 2000+i))
	}
	hold("a node that flaps", 50, 1)
	for i := range 1000 { // many strangers
		c.add(refusedAt(fmt.Sprintf("10.1.%d.%d", i/250, i%250), "", EndTLS, 4000+i))
	}
	hold("many strangers", 50, 0)
	if newest := c.list()[0]; newest.Ended != day.Add(4999*time.Second) {
		t.Errorf("the newest is %+v", newest)
	}
}

// TestStreamErrorsCount: each condition has its counter, and what is none is counted as undefined.
func TestStreamErrorsCount(t *testing.T) {
	s := &Server{}
	s.closed.told(&stanza.StreamError{Condition: "not-authorized"})
	s.closed.told(&stanza.StreamError{Condition: "not-authorized"})
	s.closed.told(&stanza.StreamError{Condition: "made-up"})
	got := s.StreamErrors()
	if len(got) != len(streamConditions) || got["not-authorized"] != 2 || got["undefined-condition"] != 1 || got["made-up"] != 0 {
		t.Errorf("%v", got)
	}
}

// refusalLog keeps what refusals log.
func refusalLog() (*refusals, *bytes.Buffer) {
	var out bytes.Buffer
	l := logrus.New()
	l.SetOutput(&out)
	l.SetFormatter(&logrus.TextFormatter{DisableColors: true, DisableTimestamp: true})
	return newRefusals(logrus.NewEntry(l)), &out
}

// TestRefusalLog: the first of a kind at once, then a number each ten seconds, and after a quiet span a first one again.
func TestRefusalLog(t *testing.T) {
	r, out := refusalLog()
	hold := func(what string, lines ...string) {
		t.Helper()
		got := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		out.Reset()
		if len(lines) == 0 {
			lines = []string{""}
		}
		if strings.Join(got, "\n") != strings.Join(lines, "\n") {
			t.Errorf("%s:\n%s\nnot\n%s", what, strings.Join(got, "\n"), strings.Join(lines, "\n"))
		}
	}
	first := func(at int) string {
		return fmt.Sprintf(`level=warning msg="node refused: text of not-authorized" from="10.0.0.1:%d" node=a.im.example reason=not-authorized`, at)
	}
	for i := range 8 {
		r.tell(refusedAt("10.0.0.1", "a.im.example", "not-authorized", i))
		r.summarise(day.Add(time.Duration(i)*time.Second), refusalSpan)
	}
	hold("within the span", first(0))
	r.summarise(day.Add(10*time.Second), refusalSpan)
	hold("after it", `level=warning msg="nodes refused, 7 more within 10s: text of not-authorized" count=7 from="10.0.0.1:7" node=a.im.example reason=not-authorized`)
	r.tell(refusedAt("10.0.0.1", "a.im.example", "not-authorized", 12))
	r.summarise(day.Add(19*time.Second), refusalSpan)
	hold("in the next span")
	r.summarise(day.Add(20*time.Second), refusalSpan)
	hold("after that", `level=warning msg="nodes refused, 1 more within 10s: text of not-authorized" count=1 from="10.0.0.1:12" node=a.im.example reason=not-authorized`)
	r.summarise(day.Add(30*time.Second), refusalSpan)
	hold("a quiet span")
	if len(r.kinds) != 0 || len(r.hosts) != 0 {
		t.Errorf("after a quiet span %d kinds of %d addresses are left", len(r.kinds), len(r.hosts))
	}
	r.tell(refusedAt("10.0.0.1", "a.im.example", "not-authorized", 31))
	hold("a first one again", first(31))
}

// TestRefusalLogBounded: however many names and addresses there are, the lines of a span are bounded, and all are counted.
func TestRefusalLogBounded(t *testing.T) {
	r, out := refusalLog()
	const names, hosts = 500, 1000
	for i := range names {
		r.tell(refusedAt("10.0.0.1", fmt.Sprintf("x%d.example", i), "host-unknown", 1))
	}
	if n := strings.Count(out.String(), "\n"); n != maxHostRefusals {
		t.Errorf("one address made %d lines", n)
	}
	for i := range hosts {
		r.tell(refusedAt(fmt.Sprintf("10.1.%d.%d", i/250, i%250), "", EndTLS, 2))
	}
	first := strings.Count(out.String(), "\n")
	out.Reset()
	r.summarise(day.Add(20*time.Second), refusalSpan)
	sums := out.String()
	if first > maxRefusals || strings.Count(sums, "\n") != 2 {
		t.Errorf("%d lines at once, then\n%s", first, sums)
	}
	for _, want := range []string{
		fmt.Sprintf(`count=%d from=10.0.0.1`, names-maxHostRefusals),
		fmt.Sprintf(`count=%d`, hosts-(maxRefusals-maxHostRefusals-1)),
	} {
		if !strings.Contains(sums, want+"\n") {
			t.Errorf("no %q in\n%s", want, sums)
		}
	}
}
