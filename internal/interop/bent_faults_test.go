package interop

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/conformance"
)

// bends are the faults that can be made of what a right server says, and of what is said to it.
var bends = []bend{
	{profile: "component", rule: "A01", what: "keeps its header", down: alter(aHeader, `(?s).*`, "")},
	{profile: "component", rule: "A02", what: "sends a header without id", down: alter(aHeader, ` id=['"][^'"]*['"]`, "")},
	{profile: "component", rule: "A02", what: "sends a header without from", down: alter(aHeader, ` from=['"][^'"]*['"]`, "")},
	{profile: "component", rule: "A04", what: "takes any content namespace", up: alterUp(`xmlns='jabber:(bogus|client|server)'`, "xmlns='jabber:component:accept'")},
	{profile: "component", rule: "A08", what: "gives the same id to all streams", down: alter(aHeader, ` id=['"][^'"]*['"]`, " id='3BF96D32'")},
	{profile: "component", rule: "A11", what: "sends features that nobody has asked for", down: alter(aHeader, `$`, "<stream:features/>")},
	{profile: "component", rule: "A16", what: "takes a stream that says it is not UTF-8", up: alterUp(` encoding='[^']*'`, "")},
	{profile: "component", rule: "A17", what: "begins with a byte order mark", down: alter(aHeader, `^`, "\ufeff")},
	{profile: "component", rule: "B03", what: "takes upper-case digests", up: lowerProof},
	{profile: "component", rule: "B05", what: "takes white space around a proof", up: alterUp(`<handshake>\s*([0-9a-f]*)\s*</handshake>`, "<handshake>$1</handshake>")},
	{profile: "component", rule: "C01", what: "keeps its closing tag", down: alter(anEnd, `(?s).*`, "")},
	{profile: "component", rule: "C01", what: "keeps the connection after its closing tag", stays: true},
	{profile: "component", rule: "C02", what: "sends a stanza behind its closing tag", down: alter(anEnd, `$`, "<message/>")},
	{profile: "component", rule: "C04", what: "sends no closing tag behind an error", down: alter(anEnd, `(?s).*`, "")},
	{profile: "component", rule: "C05", what: "sends an obsolete condition", down: alter(aStreamError, `<not-well-formed `, "<xml-not-well-formed ")},
	{profile: "component", rule: "C07", what: "says of what is not well-formed that it is its own fault", down: alter(aStreamError, `<not-well-formed `, "<internal-server-error ")},
	{profile: "component", rule: "C08", what: "says of a comment that a name is in use", down: alter(aStreamError, `<restricted-xml `, "<conflict ")},
	{profile: "component", rule: "C08", what: "passes over comments", up: alterUp(`(?s)<!--.*?-->`, "")},
	{profile: "component", rule: "C08", what: "passes over processing instructions", up: alterUp(`(?s)<\?[^x].*?\?>`, "")},
	{profile: "component", rule: "C12", what: "says of a forged sender that a name is in use", down: alter(aStreamError, `<invalid-from `, "<conflict ")},
	{profile: "component", rule: "C19", what: "writes line feeds in attributes as they are", down: alter(aStanza, `&#(10|xA);`, "\n")},
	{profile: "component", rule: "C19", what: "writes tabs in attributes as they are", down: alter(aStanza, `&#(9|x9);`, "\t")},
	{profile: "component", rule: "C19", what: "writes carriage returns as they are", down: alter(aStanza, `&#(13|xD);`, "\r")},
	{profile: "component", rule: "F05", what: "writes resources in lower case", down: lowerResource},
	{profile: "component", rule: "F09", what: "says of a bad address that nobody is there", down: alter(aStanza, `<jid-malformed `, "<item-not-found ")},
	{profile: "component", rule: "G05", what: "changes ids", down: alter(aStanza, ` id=(['"])`, " id=${1}x")},
	{profile: "component", rule: "G06", what: "loses xml:lang", down: alter(aStanza, ` xml:lang=('[^']*'|"[^"]*")`, "")},
	{profile: "component", rule: "G07", what: "loses the namespaces of children", down: alter(aStanza, ` xmlns='urn:[^']*'`, "")},
	{profile: "component", rule: "G08", what: "forwards to the bare address", down: alter(aStanza, ` to='([^'/]*)/[^']*'`, " to='$1'")},
	{profile: "component", rule: "G09", what: "forwards in the namespace of clients", down: alter(aStanza, `^<message`, "<message xmlns='jabber:client'")},
	{profile: "component", rule: "H06", what: "brings an answer twice", down: alter(aStanza, `(?s)^(<iq.* type='result'.*)$`, "$1$1")},
	{profile: "component", rule: "H06", what: "keeps errors", down: alter(aStanza, `(?s)^<iq[^>]* type=['"]error['"].*$`, "")},
	{profile: "component", rule: "H09", what: "answers with from and to as they were", down: swapped},
	{profile: "component", rule: "H10", what: "sends errors without type", down: alter(aStanza, `<error([^>]*) type=('[^']*'|"[^"]*")`, "<error$1")},
	{profile: "component", rule: "H12", what: "sends a type that does not go with its condition", down: alter(aStanza, `<error([^>]*) type=('[^']*'|"[^"]*")`, "<error$1 type='auth'")},
	{profile: "component", rule: "H14", what: "keeps its errors", down: alter(aStanza, `(?s)^<iq[^>]* type=['"]error['"].*$`, "")},
	{profile: "component", rule: "H15", what: "does not answer disco#info", down: alter(aStanza, `(?s)^<iq.*http://jabber.org/protocol/disco#info.*$`, "")},
	{profile: "component", rule: "I01", what: "loses one message of 20", down: nth(20, func(string) string { return "" })},
	{profile: "component", rule: "I01", what: "sends one message of 20 twice", down: nth(20, func(text string) string { return text + text })},
	{profile: "component", rule: "I01", what: "sends messages behind those that follow them", down: reorder},
	{profile: "component", rule: "I04", what: "keeps errors", down: alter(aStanza, `(?s)^<iq[^>]* type=['"]error['"].*$`, "")},
	{profile: "component", rule: "I06", what: "does not deliver to a resource of a domain", down: alter(aStanza, `(?s)^<[^>]* to='[^@/']*/.*$`, "")},
	{profile: "component", rule: "J08", what: "loses delays", down: alter(aStanza, `<delay [^>]*/>`, "")},
	{profile: "component", rule: "J13", what: "does not answer pings", up: alterUp(`<iq[^>]*><ping xmlns='urn:xmpp:ping'/></iq>`, "")},
}

// modernBends are bends of modern streams, sessionBends of what is done for users.
var (
	modernBends = []bend{
		{profile: "modern", rule: "A10", what: "sends a header without version", down: alter(aHeader, `(<stream:stream[^>]*) version=['"]1.0['"]`, "$1")},
		{profile: "modern", rule: "A10", what: "sends no features", down: alter(aStanza, `(?s)^<stream:features.*$`, "")},
		{profile: "modern", rule: "A21", what: "keeps its id when the stream begins anew", down: alter(aHeader, ` id=['"][^'"]*['"]`, " id='3BF96D32'")},
		{profile: "modern", rule: "D08", what: "does not say that SASL has failed", down: alter(aStanza, `(?s)^<failure.*$`, "")},
		{profile: "modern", rule: "J01", what: "counts what it has not got", down: alter(aStanza, `^<a ([^>]*)h=(['"])`, "<a ${1}h=${2}1")},
		{profile: "modern", rule: "J02", what: "offers acknowledgements before SASL", down: alter(aStanza, `<mechanisms `, "<sm xmlns='urn:xmpp:sm:3'/><mechanisms ")},
		{profile: "modern", rule: "J03", what: "gives no id to resume by", down: alter(aStanza, `(<enabled[^>]*) id=('[^']*'|"[^"]*")`, "$1")},
		{profile: "modern", rule: "J04", what: "does not say where a resumed stream goes on", down: alter(aStanza, `(<resumed[^>]*) h=('[^']*'|"[^"]*")`, "$1")},
		{profile: "modern", rule: "J05", what: "takes any count", up: alterUp(`<a xmlns='urn:xmpp:sm:3' h='100000'/>`, "")},
	}
	sessionBends = []bend{
		{profile: "sessions", rule: "C12", what: "says of a forged sender that a name is in use", down: alter(aStreamError, `<invalid-from `, "<conflict ")},
		{profile: "sessions", rule: "G08", what: "forwards to a full address", down: alter(aStanza, ` to=(['"])([^'"/@]*@[^'"/]*)['"]`, " to=${1}$2/x$1")},
		{profile: "sessions", rule: "I08", what: "does not deliver to a bare address", down: alter(aStanza, `(?s)^<message[^>]* to=['"][^'"/@]*@[^'"/]*['"].*$`, "")},
		{profile: "sessions", rule: "I10", what: "does not answer for an account", down: alter(aStanza, `(?s)^<iq[^>]* type=['"](result|error)['"].*$`, "")},
		{profile: "sessions", rule: "I11", what: "does not say that nobody is there", down: alter(aStanza, `(?s)^<message[^>]* type=['"]error['"].*$`, "")},
		{profile: "sessions", rule: "I13", what: "delivers to the bare address", down: alter(aStanza, ` to=(['"])([^'"/]*)/[^'"]*['"]`, " to=$1$2$1")},
		{profile: "sessions", rule: "I16", what: "does not answer an iq to a session that is gone", down: alter(aStanza, `(?s)^<iq[^>]* type=['"]error['"].*$`, "")},
		{profile: "sessions", rule: "I22", what: "does not tell who has lost a session", down: alter(aStanza, `(?s)^<presence.*<replaced .*$`, "")},
		{profile: "sessions", rule: "I22", what: "does not confirm sessions", down: alter(aStanza, `(?s)^<iq[^>]* type=['"]result['"].*<sessions.*$`, "")},
		{profile: "sessions", rule: "I22", what: "loses chat", down: alter(aStanza, `(?s)^<message[^>]* type=['"]chat['"].*$`, "")},
		{profile: "sessions", rule: "J10", what: "does not mark to whom it has delivered", down: alter(aStanza, ` delivered=['"]true['"]`, "")},
	}
)

// lanes is how many faults are looked for at one time, each with components of its own.
const lanes = 12

// TestBends sees that each fault is found by a case of its own rule that patchbay passes without it.
func TestBends(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir())
	all, err := conformance.Cases()
	if err != nil {
		t.Fatal(err)
	}
	byRule := map[string][]*conformance.Case{}
	for _, c := range all {
		if !c.Stress {
			rule := string(c.Profile) + " " + c.Rule()
			byRule[rule] = append(byRule[rule], c)
		}
	}
	bends := slices.Concat(bends, modernBends, sessionBends)
	said := make([]string, len(bends))
	inLanes(len(bends), func(i, lane int) {
		said[i] = s.finds(t.Context(), lane, &bends[i], byRule[bends[i].name()])
	})
	for i, b := range bends {
		t.Run(b.name()+" "+b.what, func(t *testing.T) {
			if said[i] != "" {
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
	run := conformance.Target{Addr: addr, Server: "hub1.im.example", Users: "im.example"}
	for i := range components {
		run.Nodes = append(run.Nodes, conformance.NodeName{Domain: fmt.Sprintf("c%d-%d.im.example", i+1, lane), Secret: s.secret})
	}
	return run
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

// name is the rule, and the profile whose cases are played.
func (b *bend) name() string { return string(b.profile) + " " + b.rule }
