package conformance

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// peer is a server that does one thing with each connection; it ends with the test. The function ends when the connection does.
func peer(t *testing.T, does func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				defer nc.Close()
				does(nc)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		served.Wait()
	})
	return l.Addr().String()
}

// silent reads, and says nothing.
func silent(nc net.Conn) { _, _ = io.Copy(io.Discard, nc) }

// against plays steps against a peer.
func against(ctx context.Context, t *testing.T, addr, steps string) Result {
	t.Helper()
	c, err := parse(steps)
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{target: Target{Addr: addr, Nodes: []NodeName{{"c1.example", "secret"}}}, usual: time.Second}
	return r.play(ctx, c)
}

// A run that is ended ends at once, whatever its case waits for; nothing is said of that case.
func TestEnded(t *testing.T) {
	for name, steps := range map[string]string{
		"something":            "c1 expect message within 60 s",
		"any of several":       "c1 expect message within 60 s\n  or presence then nothing for 60 s",
		"all of several":       "c1 expect all\n  message within 60 s\n  presence",
		"silence":              "c1 expect nothing for 60 s",
		"time":                 "c1 wait 60 s\nc1 expect message",
		"time between pieces":  "c1 send (pieces of 1, 60 s apart) abc\nc1 expect message",
		"the outcome of SASL":  "c1 scram\nc1 expect message within 60 s",
		"who reads nothing":    "c1 hold\nc1 expect message within 60 s",
		"what may be repeated": "c1 expect (times 1000) nothing for 500 ms",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := parse("c1 connect\nc1 send <go/>\n" + steps)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			addr := peer(t, func(nc net.Conn) {
				var b [64]byte
				if n, _ := nc.Read(b[:]); strings.HasPrefix(string(b[:n]), "<go/>") {
					time.AfterFunc(50*time.Millisecond, cancel)
				} else { // it is the run that wants to know whether it can begin
					_, _ = io.WriteString(nc, open+"<handshake/>")
				}
				silent(nc)
			})
			begun := time.Now()
			run, err := Play(ctx, Target{Addr: addr, Nodes: []NodeName{{"c1.example", "secret"}}}, []*Case{c}, func(Result) { t.Error("a result") })
			if !errors.Is(err, context.Canceled) || len(run.Results) > 0 {
				t.Errorf("got %v, %d results", err, len(run.Results))
			}
			if took := time.Since(begun); took > 5*time.Second { // a second of it finds out that nothing is brought back
				t.Errorf("took %v", took)
			}
		})
	}
}

// A case that takes too long says that, and leaves no connection.
func TestTooLong(t *testing.T) {
	closed := make(chan struct{})
	addr := peer(t, func(nc net.Conn) {
		silent(nc)
		close(closed)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	res := against(ctx, t, addr, "c1 connect\nc1 expect gone within 60 s")
	if res.Word != Fail || res.Fault.Got != "the case has taken too long" || res.Fault.Line != 6 {
		t.Errorf("got %s %+v", res.Word, res.Fault)
	}
	<-closed
}

// A peer that takes nothing until what it writes has been read gets its answers, and the play goes on.
func TestAnswersWhileWriting(t *testing.T) {
	t.Parallel()
	const ping = "<iq type='get' id='p' from='example' to='c1.example'><ping xmlns='urn:xmpp:ping'/></iq>"
	answered := make(chan string, 1)
	addr := peer(t, func(nc net.Conn) {
		_, _ = io.WriteString(nc, open+strings.Repeat(ping+strings.Repeat(" ", 1000), 14_000))
		var all strings.Builder
		_, _ = io.Copy(&all, nc)
		answered <- all.String()
	})
	res := against(t.Context(), t, addr, "c1 connect\nc1 send <a>${fill 20000000}</a>\nc1 expect header within 9 s\nc1 close\nc1 expect nothing for 50 ms")
	if res.Word != Pass || res.Took > 3*writeWait {
		t.Errorf("got %s %+v after %v", res.Word, res.Fault, res.Took)
	}
	if said := <-answered; strings.Contains(said, "<a><iq") || strings.Contains(said, "x<iq") || strings.Count(said, "<iq type='result' id='p' from='c1.example' to='example'></iq>") < 10_000 {
		t.Errorf("%d bytes, %d answers", len(said), strings.Count(said, "<iq"))
	}
}

// What did not go through whole is not gone on with: the rest would be no fault of the peer's.
func TestTakesNothing(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	addr := peer(t, func(nc net.Conn) { <-over })
	defer close(over)
	res := against(t.Context(), t, addr, "c1 connect\nc1 send (times 3) <a>${fill 20000000}</a>\nc1 expect header within 50 ms")
	if res.Word != Fail || res.Fault.Got != "nothing" || res.Took > 4*writeWait {
		t.Errorf("got %s %+v after %v", res.Word, res.Fault, res.Took)
	}
	noted := 0
	for _, r := range res.Wire {
		if strings.Contains(string(r.Bytes), "not written") {
			noted++
		}
	}
	if noted != 1 {
		t.Errorf("noted %d times", noted)
	}
}

// Garbage without end costs a bounded amount of memory, and ends with the case.
func TestGarbage(t *testing.T) {
	addr := peer(t, func(nc net.Conn) {
		b := []byte(strings.Repeat("\xff<garbage", 10_000))
		for {
			if _, err := nc.Write(b); err != nil {
				return
			}
		}
	})
	res := against(t.Context(), t, addr, "c1 connect\nc1 open\nc1 expect header")
	if res.Word != Fail || !strings.HasPrefix(res.Fault.Got, "what is not XML") {
		t.Errorf("got %s %+v", res.Word, res.Fault)
	}
}

// The wire log keeps the last of what was on the wire.
func TestWireBound(t *testing.T) {
	p := newPlayer(t.Context(), &runner{})
	for range 20 {
		p.log("c1", Received, make([]byte, mostWire/8))
		p.log("c1", Sent, []byte("<a/>"))
	}
	size, all := 0, p.wire()
	for _, r := range all {
		size += len(r.Bytes)
	}
	if size > mostWire || string(all[len(all)-1].Bytes) != "<a/>" || all[0].Kind != Noted {
		t.Errorf("%d bytes in %d records", size, len(all))
	}
}

// Bytes in the clear behind <proceed/> are not taken for nothing.
func TestBehindProceed(t *testing.T) {
	const proceed = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
	steps := "c1 expect header\nc1 expect element proceed@urn:ietf:params:xml:ns:xmpp-tls\nc1 starttls\nc1 expect gone"
	for says, want := range map[string]string{
		open + proceed + "<a/>": "TLS: the server has not said proceed, or has said more behind it",
		open + proceed + " ":    "TLS: the server has not said proceed, or has said more behind it",
		open + proceed:          "TLS: EOF",
	} {
		res := (&canned{t: t, says: says}).play(steps)
		reset := res.Fault != nil && want == "TLS: EOF" && res.Fault.Got == "TLS: read: connection reset by peer" // closed before it had read our hello
		if res.Fault == nil || res.Fault.Got != want && !reset {
			t.Errorf("%s: got %s %+v", says, res.Word, res.Fault)
		}
	}
	if res := (&canned{t: t, says: open, listens: true}).play("c1 starttls\nc1 starttls\nc1 expect gone"); res.Fault == nil || !strings.HasPrefix(res.Fault.Got, "TLS: the server has not said proceed") {
		t.Errorf("without proceed: got %s %+v", res.Word, res.Fault)
	}
}

// routes is a small server that is far away: it answers after a time, and brings back messages to who sent them.
func routes(far time.Duration, attached string) func(net.Conn) {
	return func(nc net.Conn) {
		buf := make([]byte, 1<<16)
		for {
			n, err := nc.Read(buf)
			if err != nil {
				return
			}
			var says string
			for part := range strings.SplitAfterSeq(string(buf[:n]), ">") {
				switch {
				case strings.HasPrefix(part, "<stream:stream"):
					says += open
				case strings.HasSuffix(part, "</handshake>"):
					says += "<handshake/>" + attached
				case strings.HasPrefix(part, "<message "), part == streamEnd:
					says += part
				}
			}
			time.AfterFunc(far, func() { _, _ = io.WriteString(nc, says) })
		}
	}
}

// Who is far away gets more time, also when somebody near takes the connection for it; and silence lasts as much longer.
func TestFarAway(t *testing.T) {
	c, err := parse("c1 attach\nc1 send <message id='1'/>\nc1 expect message id=1 within 100 ms\nc1 send <message id='2'/>\nc1 expect nothing for 100 ms")
	if err != nil {
		t.Fatal(err)
	}
	target := Target{Addr: peer(t, routes(150*time.Millisecond, "")), Nodes: []NodeName{{"c1.example", "secret"}}}
	run, err := Play(t.Context(), target, []*Case{c}, func(Result) {})
	if err != nil {
		t.Fatal(err)
	}
	if got := told(run.Results[0]); got != "fail 9:10 message id=2" {
		t.Errorf("got %s", got)
	}
}

// What earlier cases left passes by, and nothing else.
func TestSettle(t *testing.T) {
	for attached, want := range map[string]string{
		"<message id='old'/><presence/><iq type='result' id='x'/>": "pass ",
		"<message id='old'/>" + wrong + shut:                       "fail 6:10 stream-error bad-format text=\"no\"",
		"<handshake/>":                                             "fail 6:10 handshake",
	} {
		steps := "c1 attach\nc1 expect nothing for 50 ms"
		if got := told(against(t.Context(), t, peer(t, routes(0, attached)), steps)); got != want {
			t.Errorf("%s: got %s, want %s", attached, got, want)
		}
	}
}
