package interop

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// python is the interpreter that has Debian's python3-slixmpp.
const python = "/usr/bin/python3"

//go:embed testdata/bodies.json
var bodiesJSON []byte

// bodies are texts that relays are known to alter, as they may stand on the wire and as they read.
var bodies = func() (list []struct{ Raw, Text string }) {
	if err := json.Unmarshal(bodiesJSON, &list); err != nil {
		panic(err)
	}
	return list
}()

// library is what a side of an exchange is made with.
type library struct {
	name   string
	open   func(t *testing.T, s *server, x *side) talker
	writes bool // takes stanzas as XML, so each body is sent once as the library writes it, and once as it stands in bodies
	rawCR  bool // fault: a carriage return is written as it is, and so is read as a line feed
	keepCR bool // fault: a carriage return that comes as it is, is not read as a line feed (XML 1.0, 2.11)
	cdata  bool // fault: the text behind a CDATA section, up to the next tag, is lost
	chunks bool // fault: a character that two reads from the socket share is cut
}

// side is one node of an exchange.
type side struct {
	library
	mark   string // of its users, mark0@.. to mark999@.., and of its ids
	users  int
	script []letter // what it sends, in order
	due    int      // messages that come to it
	tap    *tap
	talker
	up, down wire
	report
}

func (x *side) domain() string { return x.mark + ".im.example" }

// letter is one message to be sent. With raw its body is written so.
type letter struct{ id, from, to, text, raw string }

// talker is a side at work. All of its methods wait until the thing is done.
type talker interface {
	talk(t *testing.T)         // begin to send
	heard(t *testing.T)        // all has come
	leave(t *testing.T) report // end the stream
}

// report is what a library says has come.
type report struct {
	rows   []row
	chunks []int // ends of the reads from the socket, in bytes from the beginning of the stream
}

// plan writes the scripts of all sides: each sends to each, itself too, bodies of all kinds from all of its users, to
// every second user by the bare address.
func plan(libraries []library, users, messages int) (sides []*side) {
	for i, l := range libraries {
		sides = append(sides, &side{library: l, mark: string(rune('a' + i)), users: users})
	}
	for _, x := range sides {
		for n := range messages {
			block := n / len(bodies)
			other, b := sides[block%len(sides)], bodies[n%len(bodies)]
			l := letter{id: fmt.Sprintf("%s-%d", x.mark, n), text: fmt.Sprintf("%d %s", n, b.Text)}
			l.from = fmt.Sprintf("%s%d@im.example/x", x.mark, n%users)
			l.to = fmt.Sprintf("%s%d@im.example", other.mark, 7*n%users)
			if n%2 == 0 {
				l.to += "/x"
			}
			if x.writes && block/len(sides)%2 == 1 {
				l.raw = fmt.Sprintf("%d %s", n, b.Raw)
			}
			x.script = append(x.script, l)
			other.due++
		}
	}
	return sides
}

// exchange lets all sides talk to all at once, each behind a tap, and judges what the taps have recorded and what the
// libraries report.
func exchange(t *testing.T, sides []*side) {
	data := t.TempDir()
	s := serve(t, data, "limits.queue=64MiB") // the senders are faster than the slowest library reads
	for _, x := range sides {
		x.tap = newTap(t, s.addr, 0)
		x.talker = x.open(t, s, x)
	}
	for _, x := range sides {
		x.talk(t)
	}
	for _, x := range sides {
		x.talker.heard(t)
	}
	for _, x := range sides {
		x.report = x.leave(t)
	}
	l := s.stop(t)
	sent, came, messages := 0, 0, 0
	for _, x := range sides {
		x.up, x.down = x.tap.record(t)
		sent, came, messages = sent+x.up.stanzas(), came+x.down.stanzas(), messages+len(x.script)
	}
	if l["accepted"] != sent || l["delivered"]+l["written"]+l["stored"] != came {
		t.Errorf("%d stanzas were sent and %d came: %v", sent, came, l)
	}
	if l["waiting"]+l["bounced"]+l["dropped"]+l["copies"] != 0 || l["accepted"] != messages+l["served"] {
		t.Errorf("each message has one end and no stanza is lost: %v", l)
	}
	if faults := s.faults(); len(faults) > 0 {
		t.Errorf("the server says %q", faults)
	}
	t.Logf("%v", l)
	repeats(t, sides, data, l["stored"])
	found := judge(t, sides)
	for _, fault := range slices.Sorted(maps.Keys(found)) {
		t.Logf("fault of a library: %s: messages: %d", fault, found[fault])
	}
}

// TestSDK lets two nodes of the Go SDK talk: all that a machine with only Go can do.
func TestSDK(t *testing.T) {
	exchange(t, plan([]library{goSDK, goSDK}, 1000, 2500))
}

var goSDK = library{name: "the Go SDK", open: newGoTalker}

// TestLibraries lets nodes of four libraries talk: 100 000 messages with PATCHBAY_INTEROP=1.
func TestLibraries(t *testing.T) {
	messages := 1000
	if os.Getenv("PATCHBAY_INTEROP") == "1" && !testing.Short() {
		messages = 25_000
	}
	needsPython(t)
	slixmpp(t)
	exchange(t, plan([]library{
		goSDK,
		{name: "slixmpp", open: script(python, "talk_slixmpp.py"), writes: true, rawCR: true},
		{name: "the standard library of Python", open: script(python, "talk_stdlib.py"), writes: true},
		{name: "@xmpp/component", open: script(nodejs(t), "talk_xmppjs.js"), writes: true, rawCR: true, keepCR: true, cdata: true, chunks: true},
	}, 1000, messages))
}

// script gives what opens a side that is a program in testdata.
func script(interpreter, name string) func(t *testing.T, s *server, x *side) talker {
	return func(t *testing.T, s *server, x *side) talker {
		dir := t.TempDir()
		path, heard := filepath.Join(dir, "script"), filepath.Join(dir, "heard")
		var lines strings.Builder
		for _, l := range x.script {
			line, err := json.Marshal([]string{l.id, l.from, l.to, l.text, l.raw})
			if err != nil {
				t.Fatal(err)
			}
			lines.Write(append(line, '\n'))
		}
		write(t, path, []byte(lines.String()))
		p := scriptTalker{start(t, exec.Command(interpreter, filepath.Join("testdata", name), x.tap.addr(), x.mark, x.domain(), s.secret,
			fmt.Sprint(x.users), path, heard, fmt.Sprint(x.due))), name, heard}
		p.find(t, announced)
		return p
	}
}
