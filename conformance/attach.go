package conformance

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/patchbay-im/patchbay/conformance/wire"
)

const (
	conflictWait = 3 * time.Second // for a server to see that an earlier connection of the name has ended
	conflictStep = 100 * time.Millisecond
	settleWait   = time.Second
	clearWait    = 300 * time.Millisecond // without news; a server that wants proof of what it brought has asked for it by then

	markerPrefix = "marker-"
)

// proof is what a handshake holds (XEP-0114 3).
func proof(id, secret string) string {
	sum := sha1.Sum([]byte(id + secret))
	return hex.EncodeToString(sum[:])
}

// attach brings an actor as far as </handshake>, and lets pass what earlier cases left for it. A name that an earlier connection still
// holds is tried again for a while.
func (p *player) attach(actor string) *Fault {
	begun := time.Now()
	for {
		if f := p.connect(actor); f != nil {
			return f
		}
		c := p.conns[actor]
		opened := time.Now()
		c.say(p.header(c, nil))
		it, ok := p.awaited(c, wire.Header, wire.Name{Space: nsStream, Local: "stream"})
		if ok {
			c.trip = max(c.trip, time.Since(opened)) // whoever passes the connection on may have taken it at once
			c.say("<handshake>" + p.value(actor+".proof") + "</handshake>")
			it, ok = p.awaited(c, wire.Whole, wire.Name{Space: nsComponent, Local: "handshake"})
		}
		if ok {
			p.settle(c)
			return nil
		}
		got := describe(it)
		if !strings.HasPrefix(got, "stream-error conflict") || time.Since(begun) > conflictWait {
			return p.fault(place{}, "not attached: "+got, time.Since(begun))
		}
		c.part()
		p.rest(conflictStep)
	}
}

// awaited takes the next item, and reports whether it is this.
func (p *player) awaited(c *conn, kind wire.Kind, name wire.Name) (item, bool) {
	it, ok := c.inbox.next(time.Now().Add(5 * p.r.usual))
	return it, ok && it.err == nil && it.ev.Kind == kind && it.ev.Element != nil && it.ev.Element.Name == name
}

// settle lets all stanzas pass that come before a message of the actor to itself; whatever else comes is for the play. The wire log
// keeps only how many they were.
func (p *player) settle(c *conn) {
	if p.r.deaf {
		return
	}
	from := p.mark(c.actor)
	id := p.marker(c, c.node.Domain)
	until := time.Now().Add(settleWait + p.r.way)
	passed := 0
	for {
		it, ok := c.inbox.first(until)
		if !ok {
			p.r.deaf = !p.r.hears // or it was only slow this once
			p.log(c.actor, Noted, []byte("the server brings nothing back to who sent it"))
			return
		}
		if !isStanza(it) {
			return
		}
		c.inbox.take(1)
		if isMarker(it, id) {
			p.r.hears = true
			p.forget(c.actor, from, passed)
			return
		}
		passed++
	}
}

// mark gives the number of the actor's last record, of what it received.
func (p *player) mark(actor string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.records) - 1; i >= 0; i-- {
		if p.records[i].Actor == actor && p.records[i].Kind == Received {
			return i
		}
	}
	return len(p.records)
}

// forget takes from the wire log what an actor received behind the answer to its handshake, which may be in the first of those records,
// and the marker it sent.
func (p *player) forget(actor string, from, passed int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	from = min(from, len(p.records))
	kept := p.records[:from]
	for i, r := range p.records[from:] {
		if r.Actor == actor {
			r.Bytes = unmarked(r, i == 0)
		}
		if len(r.Bytes) > 0 {
			kept = append(kept, r)
		}
	}
	p.records = kept
	if passed > 0 {
		p.records = append(p.records, Record{time.Since(p.start), actor, Noted, []byte(strconv.Itoa(passed) + " stanzas that earlier cases left have passed by")})
	}
}

// unmarked is what stays of a record.
func unmarked(r Record, first bool) []byte {
	switch {
	case r.Kind == Received && !first:
		return nil
	case r.Kind == Received:
		if end := bytes.Index(r.Bytes, []byte("<handshake")); end >= 0 {
			tag := bytes.IndexByte(r.Bytes[end:], '>')
			return r.Bytes[:end+tag+1]
		}
	case r.Kind == Sent:
		if at := bytes.Index(r.Bytes, []byte("<message ")); at >= 0 && bytes.Contains(r.Bytes[at:], []byte("id='"+markerPrefix)) {
			return r.Bytes[:at]
		}
	}
	return r.Bytes
}

// clear waits until an attached actor is brought nothing more, and detaches it in order: nothing waits for it then.
func (p *player) clear(actor string) {
	c := p.conns[actor]
	for {
		if _, more := c.inbox.next(time.Now().Add(clearWait + p.r.way*2/5)); !more {
			break
		}
	}
	c.part()
	delete(p.conns, actor)
}

// marker sends a message that only this step waits for, and gives its id.
func (p *player) marker(c *conn, to string) string {
	p.markers++
	id := markerPrefix + p.run + "-" + strconv.Itoa(p.markers)
	c.say("<message from='" + escapeAttr(c.node.Domain) + "' to='" + escapeAttr(to) + "' id='" + id + "'/>")
	return id
}

// isStanza reports whether an item is a stanza.
func isStanza(it item) bool {
	return !it.over && it.err == nil && it.ev.Kind == wire.Whole && isContent(it.ev.Element.Name.Space) &&
		slices.Contains([]string{"message", "presence", "iq"}, it.ev.Element.Name.Local)
}

// isMarker reports whether an item is the message of this id, or an answer to it; without an id, whether it is any marker.
func isMarker(it item, id string) bool {
	if it.ev.Kind != wire.Whole || it.ev.Element == nil {
		return false
	}
	got, _ := it.ev.Element.Attr("id")
	if id == "" {
		return strings.HasPrefix(got, markerPrefix)
	}
	return got == id
}

// version asks the target what it is (XEP-0092).
func (p *player) version() string {
	c := p.conns["c1"]
	id := "version-" + p.run
	c.say("<iq type='get' id='" + id + "' from='" + escapeAttr(c.node.Domain) + "' to='" + escapeAttr(p.r.target.Server) + "'><query xmlns='" + nsVersion + "'/></iq>")
	until := time.Now().Add(p.r.usual)
	it, ok := c.inbox.next(until)
	for ; ok && isStanza(it) && !isMarker(it, id); it, ok = c.inbox.next(until) {
	}
	if !ok || !isMarker(it, id) {
		return ""
	}
	query := it.ev.Element.Child(nsVersion, "query")
	if query == nil {
		return ""
	}
	var words []string
	for _, name := range []string{"name", "version"} {
		if e := query.Child(nsVersion, name); e != nil {
			words = append(words, e.Text())
		}
	}
	return strings.Join(words, " ")
}

// compare reports whether a comparison of check holds.
func compare(left, op, right string) bool {
	switch op {
	case "=":
		return left == right
	case "!=":
		return left != right
	case "matches":
		form, err := regexp.Compile(right)
		return err == nil && form.MatchString(left)
	}
	l, err := strconv.Atoi(left)
	if err != nil {
		return false
	}
	r, err := strconv.Atoi(right)
	if err != nil {
		return false
	}
	return op == "<=" && l <= r || op == ">=" && l >= r
}
