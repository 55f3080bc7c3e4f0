package routing

import (
	"strings"
	"testing"

	"github.com/patchbay-im/patchbay/stanza"
)

// meanwhile is a Service in which the configuration changes while a stanza is served: do stands for what others do.
type meanwhile struct{ do func() }

func (m *meanwhile) Serve(*Source, *stanza.Header, stanza.Address, stanza.Address) Reason {
	m.do()
	return None
}

func (m *meanwhile) Revoked(*Node, stanza.Address) {}

// A session that was announced by a batch which began under a wider grant ends with the batch.
func TestRegrantDuringBatch(t *testing.T) {
	bubble(t, func(tb *testbed) {
		src := tb.attach("n1")
		tb.login("n1", "carol@im/1")
		tb.r.service = &meanwhile{func() { // the service has looked at the grant: now it changes, and then the session comes
			if n := src.Regrant(&Grant{}); n != 1 {
				t.Errorf("%d sessions ended, want 1", n)
			}
			tb.login("n1", "bob@im/1")
		}}
		tb.send("n1", "<presence from='bob@im/1' to='im'/>")
		if n := tb.sessions.Total(); n != 0 {
			t.Errorf("%d sessions are left in a domain that the node may not have", n)
		}
	})
}

// A grant that gets narrower between two stanzas of a batch makes nobody a liar who has a session.
func TestRegrantSpeakDuringBatch(t *testing.T) {
	bubble(t, func(tb *testbed) {
		src := tb.attach("n1")
		src.Regrant(&Grant{Users: []string{"im"}, SpeakDomain: true})
		tb.login("n1", "bob@im/1")
		tb.r.service = &meanwhile{func() { src.Regrant(&Grant{Users: []string{"im"}}) }}
		tb.send("n1", "<message from='n1' to='hub' id='m1'/>CHAT from='bob@im/1' to='n1' id='m2'/>")
		tb.expect("n1", "m2")
		_, err := src.Feed([]byte("<message from='eve@im/1' to='n1'/>"))
		if err == nil || !strings.Contains(err.Error(), "invalid-from") {
			t.Errorf("got %v, want <invalid-from/>", err)
		}
	})
}

// What a node lost while it was away it has no more when it comes back.
func TestRegrantAway(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("n1")
		tb.login("n1", "bob@im/1")
		tb.detach("n1")
		sc := stanza.NewScanner(stanza.DefaultLimits)
		_, _, _ = sc.Next([]byte(rootTag), &stanza.Header{})
		src, err := tb.r.Attach("n1", &Grant{}, sc)
		if err != nil {
			t.Fatal(err)
		}
		w := newWire(1 << 30)
		tb.srcs["n1"], tb.wires["n1"] = src, w
		if err := src.Start(w, nil); err != nil {
			t.Fatal(err)
		}
		if n := tb.sessions.Total(); n != 0 {
			t.Errorf("%d sessions are left in a domain that the node may not have", n)
		}
	})
}
