package conformance

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// canned is a server that has only one thing to say to whoever says something, and then ends the connection or listens.
type canned struct {
	t       *testing.T
	says    string
	listens bool
}

// listen gives its address; it ends with the test.
func (s *canned) listen() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() { s.serve(nc) })
		}
	})
	s.t.Cleanup(func() {
		l.Close()
		served.Wait()
	})
	return l.Addr().String()
}

func (s *canned) serve(nc net.Conn) {
	defer nc.Close()
	buf := make([]byte, 1<<16)
	if _, err := nc.Read(buf); err != nil {
		return
	}
	if _, err := nc.Write([]byte(s.says)); err != nil || !s.listens {
		return
	}
	for {
		if _, err := nc.Read(buf); err != nil {
			return
		}
	}
}

// play plays steps behind a connection to the canned server, which has said its piece.
func (s *canned) play(steps string) Result {
	s.t.Helper()
	c, err := parse("c1 connect\nc1 send <go/>\n" + steps)
	if err != nil {
		s.t.Fatal(err)
	}
	r := &runner{target: Target{Addr: s.listen(), Nodes: []NodeName{{"c1.example", "secret"}}, Server: "example"}, usual: 250 * time.Millisecond}
	return r.play(context.Background(), c)
}

const (
	open  = `<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' from='c1.example' id='s1'>`
	wrong = `<stream:error><bad-format xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>no</text></stream:error>`
	shut  = `</stream:stream>`
)

func TestExpect(t *testing.T) {
	for _, c := range []struct {
		name, says, steps string
		want              string // the word, and what was got
	}{
		{"a header", open, "c1 expect header from=c1.example id=$sid to=absent\ncheck ${sid} = s1", "pass"},
		{"a value of a header", open, "c1 expect header from=c2.example", `fail 7:17 from="c1.example"`},
		{"white space and no pings", open + " \n<iq type='get' id='p' from='example' to='c1.example'><ping xmlns='urn:xmpp:ping'/></iq><message id='m'/>",
			"c1 expect header\nc1 expect message id=m", "pass"},
		{"the order", open + "<message id='1'/><message id='2'/>", "c1 expect header\nc1 expect message id=2", `fail 8:18 id="1"`},
		{"close", open + wrong + shut, "c1 expect header\nc1 expect stream-error bad-format text=no then close", "pass"},
		{"no end", open + wrong, "c1 expect header\nc1 expect stream-error bad-format then close", "fail 8:39 eof"},
		{"gone with an end", open + shut, "c1 expect header then gone", "pass"},
		{"gone without", open, "c1 expect header then gone", "pass"},
		{"or", open + wrong, "c1 expect header\nc1 expect stream-error restricted-xml\n  or stream-error bad-format", "pass"},
		{"soft", open + wrong, "c1 expect header\nc1 expect stream-error restricted-xml\n  soft stream-error bad-format -- as it is", "soft as it is"},
		{"the farthest fault", open + wrong + shut, "c1 expect message\n  or header then stream-error bad-format then message", "fail 8:46 end"},
		{"another condition", open + wrong, "c1 expect header then stream-error conflict|reset", `fail 7:22 stream-error bad-format text="no"`},
		{"an error", open + "<iq type='error' id='1'><error type='wait'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
			"c1 expect header\nc1 expect iq error=wait|cancel/gone", "pass"},
		{"another error", open + "<iq type='error' id='1'><error type='auth'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
			"c1 expect header\nc1 expect iq error=wait|cancel/gone", "fail 8:13 error=auth/gone"},
		{"no error", open + "<iq type='result' id='1'/>", "c1 expect header\nc1 expect iq error=*/*", "fail 8:13 error=absent"},
		{"what is inside", open + "<message><x xmlns='a'><y/></x></message>", "c1 expect header\nc1 expect message has=y@a lacks=y@b lacks=z", "pass"},
		{"what is not", open + "<message><x xmlns='a'><y/></x></message>", "c1 expect header\nc1 expect message has=y@b", "fail 8:18 no such child"},
		{"a payload", open + "<message><x xmlns='a' b='1' c='2'/></message>", "c1 expect header\nc1 expect message payload=<x c='2' b='1' xmlns='a'/>", "pass"},
		{"an element", open + `<message  id="1"><body>a</body></message>`, "c1 expect header\nc1 expect <message id='1'><body>a</body></message>", "pass"},
		{"another element", open + `<message id="1"/>`, "c1 expect header\nc1 expect <message id='2'/>", `fail 8:10 <message/>: id="1" for "2"`},
		{"another name", open + `<message/>`, "c1 expect header\nc1 expect <presence/>", `fail 8:10 <message/> of "jabber:component:accept" for <presence/>`},
		{"an attribute more", open + `<message a="b"/>`, "c1 expect header\nc1 expect <message/>", `fail 8:10 <message/>: a="b" for absent`},
		{"a child less", open + `<message><body>a</body></message>`, "c1 expect header\nc1 expect <message><body>a</body><subject/></message>", "fail 8:10 <message/>: no <subject/>"},
		{"a child more", open + `<message><body>a</body></message>`, "c1 expect header\nc1 expect <message/>", "fail 8:10 <message/>: one more, <body/>"},
		{"another text", open + `<message><body>a</body></message>`, "c1 expect header\nc1 expect <message><body>b</body></message>", `fail 8:10 <body/>: text "a" for "b"`},
		{"no payload", open + `<iq/>`, "c1 expect header\nc1 expect iq payload=<a xmlns='b'/>", `fail 8:13 "" for one child`},
		{"a language that was added", open + `<message xml:lang="en"/>`, "c1 expect header\nc1 expect <message/>", "pass"},
		{"jabber:client", open + `<message xmlns="jabber:client"><body/></message>`, "c1 expect header\nc1 expect <message><body/></message>", "pass"},
		{"jabber:client, asked", open + `<message xmlns="jabber:client"/>`, "c1 expect header\nc1 expect message xmlns=jabber:component:accept", `fail 8:18 xmlns="jabber:client"`},
		{"two conditions", open + "<iq type='error' id='1'><error type='auth'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><redirect xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
			"c1 expect header\nc1 expect iq error=*/*", "fail 8:13 error=auth/"},
		{"any order", open + "<message id='1'/><presence/>", "c1 expect header\nc1 expect all\n  presence\n  message id=1", "pass"},
		{"any order, one twice", open + "<presence/><presence/>", "c1 expect header\nc1 expect all\n  presence\n  message id=1", "fail 10:2 presence"},
		{"repeated", open + "<message id='1'/><message id='2'/>", "c1 expect header\nc1 expect (times 2) message id=${n}", "pass"},
		{"not repeated", open + "<message id='1'/><message id='1'/>", "c1 expect header\nc1 expect (times 2) message id=${n}", `fail 8:28 id="1" (number 2)`},
		{"what is not XML", open + "<message></iq>", "c1 expect header\nc1 expect message", "fail 8:10 what is not XML"},
		{"text", open + "hello", "c1 expect header\nc1 expect message", "fail 8:10 "},
		{"more than a number", "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='2a'>",
			"c1 expect header id=$a\ncheck ${a} <= 3", `fail 8:0 "2a" <= "3" does not hold`},
		{"a handshake", open + "<handshake/>", "c1 expect header then handshake", "pass"},
		{"a handshake that says something", open + "<handshake>ok</handshake>", "c1 expect header then handshake", `fail 7:22 handshake text="ok"`},
		{"a handshake with marks", open + "<handshake>ok</handshake>", "c1 expect header then handshake text=ok", "pass"},
		{"a ping that is no iq", open + "<iq xmlns='u' type='get' id='p' from='example'><ping xmlns='urn:xmpp:ping'/></iq>", "c1 expect header\nc1 expect nothing for 1 s", "fail 8:10 element iq@u"},
		{"a ping without id", open + "<iq type='get' from='example'><ping xmlns='urn:xmpp:ping'/></iq>", "c1 expect header\nc1 expect nothing for 1 s", "fail 8:10 iq type=get"},
		{"the question what it is", open + "<iq type='get' id='d' from='example' to='c1.example'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>", "c1 expect header then eof", "pass"},
		{"eventually", open + "<message id='1'/><presence/><message id='2' type='a'/><iq/>", "c1 expect header\nc1 expect eventually message type=a\nc1 expect iq", "pass"},
		{"eventually, and never", open + "<message id='1'/>" + shut, "c1 expect header\nc1 expect eventually message type=a", "fail 8:21 eof"},
		{"what is very deep", open + "<message>" + strings.Repeat("<a xmlns='u'>", 2000) + strings.Repeat("</a>", 2000) + "</message>", "c1 expect header\nc1 expect message has=a@u lacks=b", "pass"},
		{"a value of a component", open, "c1 send ${c2}\nc1 expect header", "skipped needs 2 components"},
		{"the end by itself", open + shut, "c1 expect header\nc1 expect end then eof", "pass"},
		{"no number", open, "c1 expect header id=$a\ncheck ${a} <= 3", `fail 8:0 "s1" <= "3" does not hold`},
		{"not connected", open, "c2 expect header", "skipped needs 2 components"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := (&canned{t: t, says: c.says}).play(c.steps)
			if got := told(res); !strings.HasPrefix(got, c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if res.Word != Skipped && len(res.Wire) < 3 {
				t.Errorf("the wire log has %d records", len(res.Wire))
			}
		})
	}
}

// told is what became of a play, in a line.
func told(res Result) string {
	if f := res.Fault; f != nil {
		return strings.Join([]string{string(res.Word), " ", strconv.Itoa(f.Line), ":", strconv.Itoa(f.Col), " ", f.Got}, "")
	}
	return string(res.Word) + " " + res.Why
}

// What is waited for in vain takes its time and no more, and silence is waited for.
func TestExpectNothing(t *testing.T) {
	s := &canned{t: t, says: open + "<message id='1'/>", listens: true}
	if res := s.play("c1 expect header then message\nc1 expect nothing for 30 ms"); res.Word != Pass {
		t.Errorf("silence: %+v", res.Fault)
	}
	if res := s.play("c1 expect header then nothing for 300 ms"); res.Word != Fail || res.Fault.Got != "message id=1" {
		t.Errorf("no silence: %s %+v", res.Word, res.Fault)
	}
	if res := s.play("c1 expect header then message then message within 20 ms"); res.Word != Fail || res.Fault.Got != "nothing" {
		t.Errorf("nothing more: %s %+v", res.Word, res.Fault)
	}
	if res := s.play("c1 expect header then message\nc1 expect message\n  soft nothing for 20 ms -- silence"); res.Word != Soft || res.Why != "silence" {
		t.Errorf("silence as an alternative: %s %+v", res.Word, res.Fault)
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	var unreachable *Unreachable
	target := Target{Addr: l.Addr().String(), Nodes: []NodeName{{"c1.example", "secret"}}}
	if _, err := Play(context.Background(), target, nil, nil); !errors.As(err, &unreachable) {
		t.Errorf("nobody listens: %v", err)
	}
	target.Addr = (&canned{t: t, says: open + wrong + shut}).listen()
	if _, err := Play(context.Background(), target, nil, nil); !errors.As(err, &unreachable) || !strings.Contains(err.Error(), "bad-format") {
		t.Errorf("refused: %v", err)
	}
}
