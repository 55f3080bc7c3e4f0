package routing

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
)

// barrierPing is a ping that a queue writes between stanzas, to learn what its peer has read.
var barrierPing = regexp.MustCompile(`<iq [^<>]*\bid='(pb-[0-9a-f]{16}-\d+)'[^<>]*><ping xmlns='urn:xmpp:ping'/></iq>`)

// cutPing finds the first barrier ping in what is written: so many bytes of stanzas go before it, and so many it has. With
// none all is stanzas.
func cutPing(b []byte) (stanzas, ping int, id string) {
	at := barrierPing.FindSubmatchIndex(b)
	if at == nil {
		return len(b), 0, ""
	}
	return at[0], at[1] - at[0], string(b[at[2]:at[3]])
}

// withoutPings gives what a peer's application is shown of what was written: stanzas, all of them whole.
func withoutPings(b []byte) (shown []byte, asked []string) {
	for {
		stanzas, ping, id := cutPing(b)
		shown = append(shown, b[:stanzas]...)
		if ping == 0 {
			return shown, asked
		}
		asked, b = append(asked, id), b[stanzas+ping:]
	}
}

// pongs answers pings as a library does that leaves from and to out: the harder case for the router.
func pongs(asked []string) []byte {
	var b strings.Builder
	for _, id := range asked {
		fmt.Fprintf(&b, "<iq type='result' id='%s'/>", id)
	}
	return []byte(b.String())
}

// pings takes the ids of the barrier pings that have come since the last time.
func (w *wire) pings() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked := w.asked
	w.asked = nil
	return asked
}

// answerPings answers the barrier pings of a link, which pings takes, until no more come: an answer may bring the closing one.
func answerPings(src *Source, pings func() []string) error {
	for range 100 {
		synctest.Wait()
		asked := pings()
		if len(asked) == 0 {
			return nil
		}
		if _, err := src.Feed(pongs(asked)); err != nil {
			return fmt.Errorf("an answer to a ping ends the link: %w", err)
		}
	}
	return errors.New("each answer to a ping brings another ping")
}

// TestWirePings: a wire takes barrier pings out of what it is written, with room or without; all else stays.
func TestWirePings(t *testing.T) {
	const id = "pb-0123456789abcdef-1"
	const ping = "<iq type='get' id='" + id + "' from='hub' to='n1'><ping xmlns='urn:xmpp:ping'/></iq>"
	const second = "<iq xmlns='jabber:client' type='get' id='" + id + "' from='hub' to='n1'><ping xmlns='urn:xmpp:ping'/></iq>"
	const other = "<iq type='get' id='pb-X' from='hub' to='n1'><ping xmlns='urn:xmpp:ping'/></iq><iq type='get' id='" + id +
		"'><query xmlns='" + nsDiscoInfo + "'/></iq>"
	for _, c := range []struct {
		in    string
		room  int
		took  int
		got   string
		asked int
	}{
		{in: ping, took: len(ping), asked: 1},
		{in: second + ping, took: len(second + ping), asked: 2},
		{in: ping + "<message/>" + ping, took: len(ping), asked: 1},
		{in: ping + "<message/>" + ping, room: 4, took: len(ping) + 4, got: "<mes", asked: 1},
		{in: ping + "<message/>" + ping, room: 10, took: len(ping) + 10 + len(ping), got: "<message/>", asked: 2},
		{in: other, room: 1000, took: len(other), got: other},
	} {
		w := newWire(c.room)
		n, err := w.TryWrite([]byte(c.in))
		asked := w.pings()
		if err != nil || n != c.took || string(w.got) != c.got || len(asked) != c.asked || asked != nil && asked[0] != id || len(w.pings()) != 0 {
			t.Errorf("%s with room for %d: took %d (%v), got %q, asked %q", c.in, c.room, n, err, w.got, asked)
		}
		if shown, _ := withoutPings([]byte(c.in)); string(shown) != strings.ReplaceAll(strings.ReplaceAll(c.in, ping, ""), second, "") {
			t.Errorf("%s shows %s", c.in, shown)
		}
	}
}
