// The plays in testdata/plays test a running server from outside: raw TCP, no library of ours on the other end.
// One file is a theme; whoever knows XMPP can read it and write another scene.
//
//	# a comment; what follows the file name is told to the reader
//	== B02 a wrong digest ends the stream            a scene: the ids of the rules it shows, then one sentence
//	server timers.grace=300ms offline.policy=discard keys of patchbay.yaml, if the scene needs others than stage_test.go;
//	                                                 data=disk is a fresh directory, iq-wait=300ms bounds open iqs
//	nodes                                            entries of nodes:, as in patchbay.yaml, indented
//	  - {domain: node1.im.example, secret: ..., users: [im.example]}
//	a connects                                       TCP; also: over TLS, from 127.0.0.2
//	a opens node1.im.example                         header and handshake, connecting first if need be; also: with SECRET
//	a sends <message to='{x}'>...</message>          also: 20 times ({n} counts), in chunks of 7, bytes "\xff" (as in Go)
//	a receives <message id='{x}'>...</message>       the next element; also: 20 times, exactly (byte by byte)
//	a receives nothing                               nothing has come by the time all that was sent is done; also: for 200ms
//	all is done                                      waits until all that the open streams have sent is done with
//	a's stream ends                                  </stream:stream>, then the end of TCP; also: with not-authorized
//	                                                 (checked by RFC 6120 4.9.2), after 900ms, saying WORDS of its text
//	a's connection breaks                            the end of TCP, without a closing tag
//	a closes                                         sends </stream:stream>
//	a drops    a resets                              the end of TCP without it: FIN, RST. Before it ends a stream in any way
//	                                                 the actor waits until what it was sent is proved: the rest comes again
//	a stops reading    a reads again
//	a wants the question                             is given the disco#info that the server asks a node with its first
//	                                                 user; otherwise it is passed over
//	a answers no pings    a answers pings again      it answers the router's pings by itself otherwise. They are passed
//	                                                 over where a scene does not expect them, and the answer to one that
//	                                                 it does expect is not sent twice. What an actor was sent before it
//	                                                 leaves off is proved, and what it is sent then is not
//	node node1.im.example is away                    waits until it is; attached, away, gone
//	the ledger has late-reply 1                      waits until that many stanzas had that reason
//	the table has 2 sessions                         waits until it has
//	2 stanzas are stored    some stanzas are stored  waits until as many are, for users and for nodes
//	the server stops    the server has stopped       begins to stop; waits for the end
//	the server restarts                              stops, and starts with the same configuration and data
//	the server is ready    the server is not ready
//	the server reloads limits.depth data!            loads what "server" and "nodes" have said since; the keys that are told,
//	                                                 with ! those that need a restart
//	the server refuses to reload saying WORDS        and nothing has changed
//	node node1.im.example is drained                 also: undrained, the server is drained
//	kick alice@im.example ends 1 sessions, 0 links for REASON
//
// A line that is indented goes on with the one before. Elements are compared as trees: quotes, prefixes and the order
// of attributes do not matter. In what is expected an attribute or a text * is anything not empty, {name} is
// anything the first time and the same the next time, an element that holds {any} may hold anything, and
// {error cancel/service-unavailable} is a whole error of the server as RFC 6120 8.3.2 wants it, with a text;
// {error cancel/... and <app/>} has an application condition too, {late} is the delay of a stanza that waited for a link. In what is sent {name} is what was received under
// the name, {digest SECRET} is the digest of XEP-0114 for the sender's stream, and {100 ab} is ab a hundred times. A stream
// header may be written without its closing tag.
//
// At the end of each scene all that was received must have been expected, no secret may have been shown, the session table must be
// consistent with its disk, the server must stop, and its ledger must add up with nothing waiting.
package server_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain lets more scenes run at one time than there are processors: most of their time is waiting.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f != nil && f.Value.String() == f.DefValue {
		_ = flag.Set("test.parallel", "8")
	}
	os.Exit(m.Run())
}

// line is one step of a scene, with the lines that go on with it.
type line struct {
	number int
	text   string
}

// scene is one play with a server of its own.
type scene struct {
	title string
	steps []line
}

// TestPlays performs every scene of testdata/plays.
func TestPlays(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/plays/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no plays: %v", err)
	}
	for _, file := range files {
		scenes, err := readPlay(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			for _, sc := range scenes {
				t.Run(sc.title, func(t *testing.T) {
					t.Parallel()
					if err := perform(t, sc); err != nil {
						t.Errorf("%s:%v", file, err)
					}
				})
			}
		})
	}
}

// readPlay takes a file apart.
func readPlay(file string) ([]scene, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []scene
	for i, raw := range strings.Split(string(text), "\n") {
		word := strings.TrimSpace(raw)
		title, begins := strings.CutPrefix(raw, "== ")
		switch {
		case word == "" || strings.HasPrefix(raw, "#"):
		case begins:
			all = append(all, scene{title: strings.TrimSpace(title)})
		case len(all) == 0:
			return nil, fmt.Errorf("%s:%d: a step stands before the first scene", file, i+1)
		case raw[0] == ' ' || raw[0] == '\t':
			sc := &all[len(all)-1]
			if len(sc.steps) == 0 {
				return nil, fmt.Errorf("%s:%d: the line goes on with nothing", file, i+1)
			}
			last := &sc.steps[len(sc.steps)-1]
			last.text = joined(last.text, word)
		default:
			sc := &all[len(all)-1]
			sc.steps = append(sc.steps, line{i + 1, word})
		}
	}
	return all, nil
}

// joined puts a further line behind a step: elements follow each other without white space.
func joined(text, more string) string {
	switch {
	case strings.HasPrefix(text, "nodes"):
		return text + "\n  " + more
	case strings.HasSuffix(text, ">") && !strings.HasSuffix(text, " >"):
		return text + more
	}
	return text + " " + more
}

// broken is how a step ends a scene: the verbs of a step would otherwise pass errors through every call.
type broken struct{ says string }

func breakf(format string, args ...any) { panic(broken{fmt.Sprintf(format, args...)}) }

// perform plays one scene on a stage of its own. The error begins with the line at which it went wrong.
func perform(t *testing.T, sc scene) (err error) {
	at := 0
	st := newStage(t)
	defer st.clear()
	defer func() {
		switch r := recover().(type) {
		case nil:
		case broken:
			err = fmt.Errorf("%d: %s\n%s", at, r.says, st.log.text())
		default:
			panic(r)
		}
	}()
	for _, l := range sc.steps {
		at = l.number
		st.step(l.text)
	}
	st.end()
	return nil
}
