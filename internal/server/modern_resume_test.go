package server_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// enables attaches, and gives the id under which the stream can be resumed, "" if it cannot.
func (p *rawPeer) enables(domain string) string {
	p.attaches(domain)
	_, after, _ := strings.Cut(p.asks(sayEnable, "/>"), " id='")
	id, _, _ := strings.Cut(after, "'")
	return id
}

// resumes asks to go on with a stream, and gives the answer.
func (p *rawPeer) resumes(domain, id string, h int, until string) string {
	p.attaches(domain)
	return p.asks(fmt.Sprintf("<resume xmlns='urn:xmpp:sm:3' previd='%s' h='%d'/>", id, h), until)
}

const notFound = "<failed xmlns='urn:xmpp:sm:3'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"

// TestModernResume: a link that drops is resumed with what was not acknowledged, and its sessions never went.
func TestModernResume(t *testing.T) {
	t.Parallel()
	onStage(t, func(st *stage) {
		addr := st.running().ComponentAddr()
		p := rawTo(addr, nil)
		id := p.enables("node1.im.example")
		p.say("<presence from='alice@im.example/phone' to='im.example'/>")
		other := st.actor("other")
		other.attach("node2.im.example", house)
		other.write([]byte("<message to='alice@im.example/phone' from='node2.im.example' type='chat' id='m1'/>"), 0)
		p.hears("id='m1'")
		_ = p.conn.Close()
		st.nodeIs("node1.im.example", "away")
		other.write([]byte("<message to='alice@im.example/phone' from='node2.im.example' type='chat' id='m2'/>"), 0)
		other.fence()
		q := rawTo(addr, nil)
		got := q.resumes("node1.im.example", id, 0, "id='m2'")
		if !strings.HasPrefix(got, "<resumed xmlns='urn:xmpp:sm:3' previd='"+id+"' h='1'/>") || !strings.Contains(got, "id='m1'") || strings.Contains(got, "<delay") {
			breakf("resumed: %s", got)
		}
		if is := st.server.Links()[0]; !is.Modern || is.Auth != "SCRAM-SHA-256" {
			breakf("shown as %+v", is)
		}
		q.say("<a xmlns='urn:xmpp:sm:3' h='2'/>")
		q.asks("</stream:stream>", "</stream:stream>")
		_ = q.conn.Close()
		other.backlog = nil
	})
}

// TestModernResumeTellsReplaced: a node hears of a user that logged in elsewhere while its link had dropped. It states nothing
// after a resumption, so no answer tells it.
func TestModernResumeTellsReplaced(t *testing.T) {
	t.Parallel()
	onStage(t, func(st *stage) {
		addr := st.running().ComponentAddr()
		p := rawTo(addr, nil)
		id := p.enables("node1.im.example")
		p.asks("<iq type='set' id='s1' from='node1.im.example' to='im.example'><sessions xmlns='urn:patchbay:sessions:1'><announce jid='alice@im.example/phone'/></sessions></iq>", "id='s1'")
		_ = p.conn.Close()
		st.nodeIs("node1.im.example", "away")
		other := st.actor("other")
		other.attach("node2.im.example", house)
		other.write([]byte("<presence from='alice@im.example/phone' to='im.example'/>"), 0)
		other.fence()
		q := rawTo(addr, nil)
		if got := q.resumes("node1.im.example", id, 0, "</presence>"); !strings.HasPrefix(got, "<resumed ") || !strings.Contains(got, "<replaced xmlns='urn:patchbay:sessions:1' node='node2.im.example'/>") {
			breakf("resumed: %s", got)
		}
		q.say("<a xmlns='urn:xmpp:sm:3' h='2'/>")
		q.asks("</stream:stream>", "</stream:stream>")
		_ = q.conn.Close()
		other.backlog = nil
	})
}

// TestModernResumeGivesAnswers: a statement whose link drops before it is on disk is answered on the one that goes on with it.
func TestModernResumeGivesAnswers(t *testing.T) {
	t.Parallel()
	onStage(t, func(st *stage) {
		addr := st.running().ComponentAddr()
		p := rawTo(addr, nil)
		id := p.enables("node1.im.example")
		p.say("<iq type='set' id='s1' from='node1.im.example' to='im.example'><sessions xmlns='urn:patchbay:sessions:1' sync='all'></sessions></iq>")
		_ = p.conn.Close()
		st.nodeIs("node1.im.example", "away")
		q := rawTo(addr, nil)
		if got := q.resumes("node1.im.example", id, 0, "id='s1'"); !strings.HasPrefix(got, "<resumed ") || !strings.Contains(got, "<iq type='result' id='s1'") {
			breakf("resumed: %s", got)
		}
		q.say("<a xmlns='urn:xmpp:sm:3' h='1'/>")
		q.asks("</stream:stream>", "</stream:stream>")
		_ = q.conn.Close()
	})
}

// TestModernResumeOfHanging: a link that hangs is ended for the resumption of its stream, at once.
func TestModernResumeOfHanging(t *testing.T) {
	t.Parallel()
	onStage(t, func(st *stage) {
		addr := st.running().ComponentAddr()
		p := rawTo(addr, nil)
		id := p.enables("node1.im.example")
		begun := time.Now()
		q := rawTo(addr, nil)
		if got := q.resumes("node1.im.example", id, 0, "/>"); !strings.HasPrefix(got, "<resumed ") || time.Since(begun) > 900*time.Millisecond {
			breakf("after %v: %s", time.Since(begun), got)
		}
		if got := p.rest(); !strings.Contains(got, "<conflict xmlns") || !strings.Contains(got, "has resumed this stream") {
			breakf("the old one: %s", got)
		}
		q.asks("</stream:stream>", "</stream:stream>")
	})
}

// TestModernNotResumed: what cannot be resumed is told so, and the stream goes on with enable; a count that is too high ends it.
func TestModernNotResumed(t *testing.T) {
	t.Parallel()
	onStage(t, func(st *stage) {
		st.nodes = cast + "\n  - {domain: many.example, secret: " + house + ", instances: 2}"
		addr := st.running().ComponentAddr()
		first := rawTo(addr, nil)
		id := first.enables("node1.im.example")
		_ = first.conn.Close()
		st.nodeIs("node1.im.example", "away")
		second := rawTo(addr, nil)
		if got := second.resumes("node2.im.example", id, 0, "</failed>"); got != notFound {
			breakf("another's: %s", got)
		}
		if got := second.asks(sayEnable, "/>"); !strings.HasPrefix(got, "<enabled ") {
			breakf("behind it: %s", got)
		}
		second.asks("</stream:stream>", "</stream:stream>")
		high := rawTo(addr, nil)
		high.resumes("node1.im.example", id, 1000, "<stream:error>")
		if got := high.rest(); !strings.Contains(got, "<undefined-condition xmlns") || !strings.Contains(got, "<handled-count-too-high xmlns='urn:xmpp:sm:3' h='1000' send-count='0'/>") {
			breakf("too high: %s", got)
		}
		again := rawTo(addr, nil)
		if got := again.resumes("node1.im.example", id, 0, "/>"); !strings.HasPrefix(got, "<resumed ") {
			breakf("behind a count that was too high: %s", got)
		}
		again.asks("</stream:stream>", "</stream:stream>")
		_ = again.conn.Close()
		st.nodeIs("node1.im.example", "away")
		closed := rawTo(addr, nil)
		if got := closed.resumes("node1.im.example", id, 0, "</failed>"); !strings.HasPrefix(got, "<failed ") {
			breakf("one that was closed: %s", got)
		}
		_ = closed.conn.Close()
		shared := rawTo(addr, nil)
		if got := shared.enables("many.example"); got != "" {
			breakf("of several links one can be resumed: %s", got)
		}
		shared.asks("</stream:stream>", "</stream:stream>")
	})
}
