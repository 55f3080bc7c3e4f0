package main

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/patchbay-im/patchbay/component"
)

const (
	echoMark     = "echo: " // begins an answer of --echo; what contains it is not answered
	rememberSent = 1000     // typed lines whose bounce can still be told in their own words
	longestBody  = 2000     // characters of a body shown
)

// seen is what a person is told of a stanza.
type seen struct {
	Bodies   []string      `xml:"body"`
	Show     string        `xml:"show"`
	Status   string        `xml:"status"`
	Priority string        `xml:"priority"`
	Cause    *stanza.Error `xml:"error"`
	Delay    *struct {
		Stamp string `xml:"stamp,attr"`
	} `xml:"urn:xmpp:delay delay"`
	Others []other `xml:",any"`
}

// other is a child that is shown as it is.
type other struct {
	XMLName xml.Name
	Attrs   []xml.Attr `xml:",any,attr"`
	Text    string     `xml:",chardata"`
	Kids    []other    `xml:",any"`
}

// otherMost bounds what is shown of one child.
const otherMost = 500

// show writes the element as XML, with its namespace where it is another than its parent's.
func (o other) show(parent string) string {
	out := "<" + safe(o.XMLName.Local)
	if o.XMLName.Space != parent {
		out += " xmlns=" + quote(o.XMLName.Space)
	}
	for _, a := range o.Attrs {
		if a.Name.Local != "xmlns" {
			out += " " + safe(a.Name.Local) + "=" + quote(a.Value)
		}
	}
	inner := safe(strings.TrimSpace(o.Text))
	for _, k := range o.Kids {
		if inner += k.show(o.XMLName.Space); len(inner) > otherMost {
			inner += "..."
			break
		}
	}
	if inner == "" {
		return out + "/>"
	}
	return out + ">" + inner + "</" + safe(o.XMLName.Local) + ">"
}

// handle prints one received stanza and, with --echo, answers it.
func (h *hand) handle(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	var s seen
	whole := xmlstream.MultiReader(xmlstream.Token(*start), t)
	if err := xml.NewTokenDecoder(whole).Decode(&s); err != nil {
		return err
	}
	head := make(map[string]string)
	for _, a := range start.Attr {
		head[a.Name.Local] = a.Value
	}
	kind := strings.TrimSpace(start.Name.Local + " " + head["type"])
	h.line(&h.out, kind, head["from"], head["to"], h.describe(s, head["id"]))
	if h.echo && start.Name.Local == "message" {
		return h.answer(*start, s)
	}
	return nil
}

// describe tells the inside of a stanza: body, error, presence, and the names of whatever else is in it.
func (h *hand) describe(s seen, id string) string {
	var parts []string
	if s.Cause != nil {
		parts = append(parts, s.bounce(h.recall(id)))
	} else if len(s.Bodies) > 0 {
		parts = append(parts, quote(s.Bodies[0]))
	}
	for _, p := range [][2]string{{"", s.Show}, {"", s.Status}, {"priority ", s.Priority}} {
		if p[1] != "" {
			parts = append(parts, p[0]+safe(p[1]))
		}
	}
	for _, o := range s.Others {
		parts = append(parts, o.show(""))
	}
	if s.Delay != nil {
		parts = append(parts, "(held up since "+safe(s.Delay.Stamp)+")")
	}
	return strings.Join(parts, " ")
}

// bounce tells why a message came back, with the words that were typed if they are known.
func (s seen) bounce(typed string) string {
	why := string(s.Cause.Condition)
	if text := s.Cause.Error(); text != why {
		why += ": " + text
	}
	if typed == "" && len(s.Bodies) > 0 {
		typed = s.Bodies[0]
	}
	if typed == "" {
		return "error: " + safe(why)
	}
	return "not delivered: " + quote(typed) + "  " + safe(why)
}

// answer echoes a chat message, unless it is, or quotes, an echo: that is what breaks loops, also with a node that
// answers "you said: echo: hello".
func (h *hand) answer(start xml.StartElement, s seen) error {
	m, err := stanza.NewMessage(start)
	if err != nil {
		return err
	}
	if m.Type != stanza.ChatMessage || s.Cause != nil || len(s.Bodies) == 0 || strings.Contains(s.Bodies[0], echoMark) {
		return nil
	}
	return h.chat(context.Background(), component.Message{
		Message: stanza.Message{ID: component.NewID(), From: h.voice(m.To), To: m.From, Type: stanza.ChatMessage},
		Body:    echoMark + s.Bodies[0],
	})
}

// voice gives the session that answers for an address: for a bare one the first of its sessions here.
func (h *hand) voice(to jid.JID) jid.JID {
	for _, s := range h.node().Announced() {
		if s.JID.Bare().Equal(to) {
			return s.JID
		}
	}
	return to
}

func (h *hand) remember(m component.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.order) == rememberSent {
		delete(h.sent, h.order[0])
		h.order = h.order[1:]
	}
	h.order = append(h.order, m.ID)
	h.sent[m.ID] = m.Body
}

// recall gives what was typed under an id, "" if it is not known.
func (h *hand) recall(id string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sent[id]
}

// note tells on stderr what happens to the link.
func (h *hand) note(format string, args ...any) {
	h.write(&h.err, h.stamp()+"  "+fmt.Sprintf(format, args...)+"\n")
}

// line prints one stanza: time, kind, addresses, inside.
func (h *hand) line(w *io.Writer, kind, from, to, inside string) {
	text := fmt.Sprintf("%s  %-14s %s -> %s  %s", h.stamp(), safe(kind), orNobody(from), orNobody(to), inside)
	h.write(w, strings.TrimRight(text, " ")+"\n")
}

func (h *hand) write(w *io.Writer, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	io.WriteString(*w, text) // a terminal that is gone ends the input too
}

func (h *hand) stamp() string { return h.now().Format("15:04:05.000") }

func orNobody(address string) string {
	if address == "" {
		return "(nobody)"
	}
	return safe(address)
}

// safe shows what would act on a terminal (control characters, escapes, changes of direction) as \x1b, \u202e.
func safe(s string) string {
	q := strconv.Quote(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

// quote is safe in quotation marks, and not without end.
func quote(s string) string {
	short := []rune(s)
	if len(short) <= longestBody {
		return strconv.Quote(s)
	}
	return strconv.Quote(string(short[:longestBody])) + fmt.Sprintf(" ... (%d bytes)", len(s))
}
