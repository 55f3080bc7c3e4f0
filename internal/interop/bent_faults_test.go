package interop

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/conformance"
)

// bends are the faults that can be made of what a right server says, and of what is said to it.
var bends = []bend{
	{rule: "A01", what: "keeps its header", down: alter(aHeader, `(?s).*`, "")},
	{rule: "A02", what: "sends a header without id", down: alter(aHeader, ` id=['"][^'"]*['"]`, "")},
	{rule: "A02", what: "sends a header without from", down: alter(aHeader, ` from=['"][^'"]*['"]`, "")},
	{rule: "A04", what: "takes any content namespace", up: alterUp(`xmlns='jabber:(bogus|client|server)'`, "xmlns='jabber:component:accept'")},
	{rule: "A08", what: "gives the same id to all streams", down: alter(aHeader, ` id=['"][^'"]*['"]`, " id='3BF96D32'")},
	{rule: "A11", what: "sends features that nobody has asked for", down: alter(aHeader, `$`, "<stream:features/>")},
	{rule: "A16", what: "takes a stream that says it is not UTF-8", up: alterUp(` encoding='[^']*'`, "")},
	{rule: "A17", what: "begins with a byte order mark", down: alter(aHeader, `^`, "\ufeff")},
	{rule: "B03", what: "takes upper-case digests", up: lowerProof},
	{rule: "B05", what: "takes white space around a proof", up: alterUp(`<handshake>\s*([0-9a-f]*)\s*</handshake>`, "<handshake>$1</handshake>")},
	{rule: "C01", what: "keeps its closing tag", down: alter(anEnd, `(?s).*`, "")},
	{rule: "C01", what: "keeps the connection after its closing tag", stays: true},
	{rule: "C02", what: "sends a stanza behind its closing tag", down: alter(anEnd, `$`, "<message/>")},
	{rule: "C04", what: "sends no closing tag behind an error", down: alter(anEnd, `(?s).*`, "")},
	{rule: "C05", what: "sends an obsolete condition", down: alter(aStreamError, `<not-well-formed `, "<xml-not-well-formed ")},
	{rule: "C07", what: "says of what is not well-formed that it is its own fault", down: alter(aStreamError, `<not-well-formed `, "<internal-server-error ")},
	{rule: "C08", what: "says of a comment that a name is in use", down: alter(aStreamError, `<restricted-xml `, "<conflict ")},
	{rule: "C08", what: "passes over comments", up: alterUp(`(?s)<!--.*?-->`, "")},
	{rule: "C08", what: "passes over processing instructions", up: alterUp(`(?s)<\?[^x].*?\?>`, "")},
	{rule: "C12", what: "says of a forged sender that a name is in use", down: alter(aStreamError, `<invalid-from `, "<conflict ")},
	{rule: "C19", what: "writes line feeds in attributes as they are", down: alter(aStanza, `&#(10|xA);`, "\n")},
	{rule: "C19", what: "writes tabs in attributes as they are", down: alter(aStanza, `&#(9|x9);`, "\t")},
	{rule: "C19", what: "writes carriage returns as they are", down: alter(aStanza, `&#(13|xD);`, "\r")},
	{rule: "F05", what: "writes resources in lower case", down: lowerResource},
	{rule: "F09", what: "says of a bad address that nobody is there", down: alter(aStanza, `<jid-malformed `, "<item-not-found ")},
	{rule: "G05", what: "changes ids", down: alter(aStanza, ` id=(['"])`, " id=${1}x")},
	{rule: "G06", what: "loses xml:lang", down: alter(aStanza, ` xml:lang=('[^']*'|"[^"]*")`, "")},
	{rule: "G07", what: "loses the namespaces of children", down: alter(aStanza, ` xmlns='urn:[^']*'`, "")},
	{rule: "G08", what: "forwards to the bare address", down: alter(aStanza, ` to='([^'/]*)/[^']*'`, " to='$1'")},
	{rule: "G09", what: "forwards in the namespace of clients", down: alter(aStanza, `^<message`, "<message xmlns='jabber:client'")},
	{rule: "H06", what: "brings an answer twice", down: alter(aStanza, `(?s)^(<iq.* type='result'.*)$`, "$1$1")},
	{rule: "H06", what: "keeps errors", down: alter(aStanza, `(?s)^<iq[^>]* type=['"]error['"].*$`, "")},
	{rule: "H09", what: "answers with from and to as they were", down: swapped},
	{rule: "H10", what: "sends errors without type", down: alter(aStanza, `<error([^>]*) type=('[^']*'|"[^"]*")`, "<error$1")},
	{rule: "H12", what: "sends a type that does not go with its condition", down: alter(aStanza, `<error([^>]*) type=('[^']*'|"[^"]*")`, "<error$1 type='auth'")},
	{rule: "H14", what: "keeps its errors", down: alter(aStanza, `(?s)^<iq[^>]* type=['"]error['"].*$`, "")},
	{rule: "H15", what: "does not answer disco#info", down: alter(aStanza, `(?s)^<iq.*http://jabber.org/protocol/disco#info.*$`, "")},
	{rule: "I01", what: "loses one message of 20", down: nth(20, func(string) string { return "" })},
	{rule: "I01", what: "sends one message of 20 twice", down: nth(20, func(text string) string { return text + text })},
	{rule: "I01", what: "sends messages behind those that follow them", down: reorder},
	{rule: "I04", what: "keeps errors", down: alter(aStanza, `(?s)^<iq[^>]* type=['"]error['"].*$`, "")},
	{rule: "I06", what: "does not deliver to a resource of a domain", down: alter(aStanza, `(?s)^<[^>]* to='[^@/']*/.*$`, "")},
	{rule: "J08", what: "loses delays", down: alter(aStanza, `<delay [^>]*/>`, "")},
	{rule: "J13", what: "does not answer pings", up: alterUp(`<iq[^>]*><ping xmlns='urn:xmpp:ping'/></iq>`, "")},
}

// complete says that all cases of the catalogue are here, so each fault must be found.
const complete = true

// lanes is how many faults are looked for at one time, each with components of its own.
const lanes = 12

// TestBends sees that each fault is found by a case of its own rule that patchbay passes without it.
func TestBends(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir())
	byRule := map[string][]*conformance.Case{}
	all, err := conformance.Cases()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bends {
		byRule[b.rule] = nil
	}
	for _, c := range all {
		if _, used := byRule[c.Rule()]; used && c.Profile == conformance.Component && !c.Stress {
			byRule[c.Rule()] = append(byRule[c.Rule()], c)
		}
	}
	rules := slices.Sorted(maps.Keys(byRule))
	passed := make([][]*conformance.Case, len(rules))
	inLanes(len(rules), func(i, lane int) {
		passed[i] = s.passes(t, lane, byRule[rules[i]])
	})
	for i, rule := range rules {
		byRule[rule] = passed[i]
	}
	said := make([]string, len(bends))
	inLanes(len(bends), func(i, lane int) {
		said[i] = s.finds(t.Context(), lane, &bends[i], byRule[bends[i].rule])
	})
	for i, b := range bends {
		t.Run(b.rule+" "+b.what, func(t *testing.T) {
			switch {
			case said[i] != "" && !complete:
				t.Skip(said[i])
			case said[i] != "":
				t.Error(said[i])
			}
		})
	}
}

// inLanes calls f for 0 to n-1, several at one time, each in a lane of its own.
func inLanes(n int, f func(i, lane int)) {
	next := make(chan int)
	var done sync.WaitGroup
	for lane := range lanes {
		done.Go(func() {
			for i := range next {
				f(i, lane)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	done.Wait()
}

// judged is the server as the suite sees it from one lane.
func (s *server) judged(lane int, addr string) conformance.Target {
	run := conformance.Target{Addr: addr, Server: "im.example"}
	for i := range components {
		run.Nodes = append(run.Nodes, conformance.NodeName{Domain: fmt.Sprintf("c%d-%d.im.example", i+1, lane), Secret: s.secret})
	}
	return run
}

// passes gives the cases that the server passes.
func (s *server) passes(t *testing.T, lane int, cases []*conformance.Case) (passed []*conformance.Case) {
	p, err := newBent(s.addr, byte(2+lane), &bend{})
	if err != nil {
		t.Error(err)
		return nil
	}
	defer p.stop()
	_, err = conformance.Play(t.Context(), s.judged(lane, p.addr()), cases, func(r conformance.Result) {
		if r.Word == conformance.Pass {
			passed = append(passed, r.Case)
		}
	})
	if err != nil {
		t.Errorf("lane %d: %v", lane, err)
	}
	return passed
}

// finds plays cases with a bend until one fails that does not fail without it. It says what is wrong if none does.
func (s *server) finds(ctx context.Context, lane int, b *bend, cases []*conformance.Case) string {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, c := range cases {
		word, err := s.play(ctx, lane, b, c)
		if err == nil && word != conformance.Fail {
			continue
		}
		if err == nil {
			word, err = s.play(ctx, lane, &bend{}, c)
		}
		if err != nil {
			return fmt.Sprintf("%s: %v", c.ID, err)
		}
		if word == conformance.Pass {
			return ""
		}
	}
	return fmt.Sprintf("none of %d cases found it", len(cases))
}

// play plays a case, and gives its word.
func (s *server) play(ctx context.Context, lane int, b *bend, c *conformance.Case) (conformance.Word, error) {
	p, err := newBent(s.addr, byte(2+lane), b)
	if err != nil {
		return "", err
	}
	defer p.stop()
	run, err := conformance.Play(ctx, s.judged(lane, p.addr()), []*conformance.Case{c}, func(conformance.Result) {})
	if err != nil {
		return "", err
	}
	return run.Results[0].Word, nil
}
