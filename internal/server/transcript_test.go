package server_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

const protocolPage = "../../docs/protocol.md"

// The transcripts of docs/protocol.md are played against a running server, each with a server of its own, word for word:
//
//	C: <presence .../>         the node sends; it is node1.im.example, and attaches first unless the line opens a stream
//	S: <iq ...>                the router sends, and nothing else; compared as the plays compare (play_test.go)
//	C2: S2:                    the same for node2.im.example, and so on
//	-- with KEY=VALUE          the configuration, before anything else
//	-- node2 has KEY: VALUE    of its entry under nodes
//	-- node2 drops             any other step of a play; the nodes are its actors
//
// The disco#info that the router asks a node with its first user, and its pings, are passed over where a transcript does not show
// them.
// {sha1(id + secret)} is the handshake; {name} is a value that differs from run to run. What one node sends is done with before
// another sends.
type transcript struct {
	title string
	steps []line
}

var (
	fence     = regexp.MustCompile("^```(.*)$")
	spoken    = regexp.MustCompile(`^([CS])(\d?): (.+)$`)
	withKeys  = regexp.MustCompile(`^-- with (.+)$`)
	withEntry = regexp.MustCompile(`^-- (node\d) has (.+)$`)
	aside     = regexp.MustCompile(`^-- (.+)$`)
)

// readTranscripts takes the blocks of a page apart. A block is a transcript, or says that it is none: "plain" follows its
// language.
func readTranscripts(page string) (all []transcript, err error) {
	heading, inside, executed := "", false, false
	for i, raw := range strings.Split(page, "\n") {
		m := fence.FindStringSubmatch(raw)
		switch {
		case m != nil && inside:
			inside = false
		case m != nil:
			inside, executed = true, m[1] == "transcript"
			if executed {
				all = append(all, transcript{title: fmt.Sprintf("%s line %d", heading, i+1)})
			} else if !strings.HasSuffix(m[1], " plain") {
				return nil, fmt.Errorf("%d: the block is no transcript, and is not marked as plain", i+1)
			}
		case !inside && strings.HasPrefix(raw, "#"):
			heading = strings.TrimSpace(strings.TrimLeft(raw, "#"))
		case inside && executed && strings.HasPrefix(raw, " "):
			tr := &all[len(all)-1]
			if len(tr.steps) == 0 {
				return nil, fmt.Errorf("%d: the line goes on with nothing", i+1)
			}
			last := &tr.steps[len(tr.steps)-1]
			last.text = joined(last.text, strings.TrimSpace(raw))
		case inside && executed && raw != "":
			tr := &all[len(all)-1]
			tr.steps = append(tr.steps, line{i + 1, raw})
		}
	}
	if inside {
		return nil, fmt.Errorf("the last block has no end")
	}
	return all, nil
}

// scene makes steps of a play of a transcript.
func (tr transcript) scene() (scene, error) {
	sc := scene{title: tr.title}
	add := func(l line, text string) { sc.steps = append(sc.steps, line{l.number, text}) }
	for _, l := range tr.steps {
		if m := withKeys.FindStringSubmatch(l.text); m != nil {
			add(l, "server "+m[1])
		}
	}
	for _, text := range tr.setting() {
		add(tr.steps[0], text)
	}
	sender := ""
	for _, l := range tr.steps {
		if withKeys.MatchString(l.text) || withEntry.MatchString(l.text) {
			continue
		}
		side, who, text := spokenLine(l.text)
		if side == "" {
			return sc, fmt.Errorf("%d: neither C: nor S: nor --: %s", l.number, l.text)
		}
		if side != "S" && sender != "" && sender != who {
			add(l, "all is done")
		}
		if side == "C" {
			sender = who
		}
		add(l, spokenStep(side, who, text))
	}
	return sc, nil
}

// setting gives the entries under nodes, and attaches who takes part, save those that open their streams themselves.
func (tr transcript) setting() (steps []string) {
	entries, seen := "", map[string]bool{}
	for _, l := range tr.steps {
		if m := withEntry.FindStringSubmatch(l.text); m != nil {
			entries += fmt.Sprintf("  - {domain: %s.im.example, secret: %s, users: [im.example], %s}\n", m[1], house, m[2])
		}
		side, who, text := spokenLine(l.text)
		if side != "C" && side != "S" || seen[who] {
			continue
		}
		seen[who] = true
		if tr.asked(who) {
			steps = append(steps, who+" wants the question")
		}
		if strings.HasPrefix(text, "<stream:stream") || strings.HasPrefix(text, "<?xml") {
			steps = append(steps, who+" connects")
		} else {
			steps = append(steps, who+" opens "+who+".im.example")
		}
	}
	if entries != "" {
		steps = append([]string{"nodes\n" + entries + cast}, steps...)
	}
	return steps
}

// asked reports whether a transcript shows the disco#info that the router asks a node with its first user.
func (tr transcript) asked(who string) bool {
	for _, l := range tr.steps {
		side, w, text := spokenLine(l.text)
		if side == "S" && w == who && strings.Contains(text, "type='get'") && strings.Contains(text, "disco#info") {
			return true
		}
	}
	return false
}

// spokenLine divides a line: C or S and its node, or - and a step.
func spokenLine(text string) (side, who, says string) {
	if m := spoken.FindStringSubmatch(text); m != nil {
		return m[1], "node" + max(m[2], "1"), m[3]
	}
	if m := aside.FindStringSubmatch(text); m != nil {
		return "-", "", m[1]
	}
	return "", "", ""
}

// spokenStep is the step of a play for one line.
func spokenStep(side, who, text string) string {
	text = strings.ReplaceAll(text, "{sha1(id + secret)}", "{digest "+house+"}")
	switch {
	case side == "-":
		return text
	case text == "</stream:stream>" && side == "C":
		return who + " closes"
	case text == "</stream:stream>":
		return who + "'s stream ends"
	case side == "C":
		return who + " sends " + text
	}
	return who + " receives " + text
}

// TestTranscripts plays every transcript of docs/protocol.md.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(protocolPage)
	if err != nil {
		t.Fatal(err)
	}
	all, err := readTranscripts(string(page))
	if err != nil {
		t.Fatalf("docs/protocol.md:%v", err)
	}
	if len(all) == 0 {
		t.Fatal("docs/protocol.md has no transcript")
	}
	for _, tr := range all {
		sc, err := tr.scene()
		if err != nil {
			t.Errorf("docs/protocol.md:%v", err)
			continue
		}
		t.Run(tr.title, func(t *testing.T) {
			t.Parallel()
			if err := perform(t, sc); err != nil {
				t.Errorf("docs/protocol.md:%v", err)
			}
		})
	}
}

// TestProtocolPageDigest holds the worked example of the handshake against XEP-0114.
func TestProtocolPageDigest(t *testing.T) {
	page, err := os.ReadFile(protocolPage)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("id `([^`]+)` and the secret `([^`]+)` give `([0-9a-f]{40})`").FindStringSubmatch(strings.Join(strings.Fields(string(page)), " "))
	if m == nil || digest(m[1], m[2]) != m[3] {
		t.Errorf("the example of the handshake is %q", m)
	}
}

// wrongTranscripts are pages that must not pass, each with what is said of it.
var wrongTranscripts = []struct{ page, says string }{
	{"```xml\n<a/>\n```\n", "not marked as plain"},
	{"```\nC: <a/>\n```\n", "not marked as plain"},
	{"```transcript\nC: <presence/>\n", "has no end"},
	{"```transcript\nnode1 dances\n```\n", "neither C: nor S:"},
	{"```transcript\n-- node1 dances\n```\n", "no such step"},
	{"```transcript\nC: <iq type='get' id='1' to='hub1.im.example'><ping xmlns='urn:xmpp:ping'/></iq>\n```\n", "which the scene does not say"},
	{"```transcript\nC: <iq type='get' id='1' to='hub1.im.example'><ping xmlns='urn:xmpp:ping'/></iq>\nS: <iq type='result' id='2' from='hub1.im.example' to='node1.im.example'/>\n```\n", "id of iq"},
	{"```transcript\nC: <x/>\nS: <stream:error><unsupported-stanza-type xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\n" +
		"   <text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>another text</text></stream:error>\nS: </stream:stream>\n```\n", "the text of text"},
	{"```transcript\nC: </stream:stream>\nS: <handshake/>\n```\n", "received the closing tag"},
	{"```transcript\nC: <presence from='a@im.example/1' to='im.example'/>\nC2: <message type='chat' id='m' to='a@im.example' from='node2.im.example'/>\n```\n", "which the scene does not say"},
}

// TestTranscriptsThatBreak judges the reader of transcripts: each of these says something that is not so.
func TestTranscriptsThatBreak(t *testing.T) {
	for _, c := range wrongTranscripts {
		t.Run(c.says, func(t *testing.T) {
			t.Parallel()
			all, err := readTranscripts(c.page)
			for _, tr := range all {
				var sc scene
				if sc, err = tr.scene(); err == nil {
					err = perform(t, sc)
				}
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q: %v", c.page, err)
			}
		})
	}
}
