package server_test

import (
	"encoding/xml"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// verb is one form of a step. do gets the groups of its pattern.
type verb struct {
	form *regexp.Regexp
	do   func(st *stage, m []string)
}

func form(pattern string) *regexp.Regexp { return regexp.MustCompile(`(?s)^` + pattern + `$`) }

// verbs are all the steps that a scene can have.
var verbs = []verb{
	{form(`server (.+)`), func(st *stage, m []string) {
		for _, pair := range strings.Fields(m[1]) {
			st.set(pair)
		}
	}},
	{form(`nodes\n(.+)`), func(st *stage, m []string) { st.nodes = m[1] }},
	{form(`the server (stops|has stopped|restarts)`), func(st *stage, m []string) { st.lifecycle(m[1]) }},
	{form(`the server reloads(?: (\S.*))?`), func(st *stage, m []string) { st.reload(m[1]) }},
	{form(`the server refuses to reload saying (.+)`), func(st *stage, m []string) { st.refuse(m[1]) }},
	{form(`node (\S+) is (un)?drained`), func(st *stage, m []string) { st.drain(m[1], m[2] != "") }},
	{form(`the server is (un)?drained`), func(st *stage, m []string) { st.drain("", m[1] != "") }},
	{form(`kick (\S+) ends (\d+ sessions, \d+ links)(?: for (.+))?`), func(st *stage, m []string) { st.kick(m[1], m[3], m[2]) }},
	{form(`the server is (not )?ready`), func(st *stage, m []string) {
		st.until(m[0], func() bool { return st.running().Ready() == (m[1] == "") })
	}},
	{form(`the ledger has (\S+) (\d+)`), func(st *stage, m []string) { st.ledgerHas(m[1], uint64(number(m[2]))) }},
	{form(`(\d+|some) stanzas? (?:is|are) stored`), func(st *stage, m []string) {
		st.until(m[0], func() bool {
			n := st.running().Router().Ledger().Stored
			return m[1] == "some" && n > 0 || m[1] != "some" && n == uint64(number(m[1]))
		})
	}},
	{form(`the table has (\d+) sessions?`), func(st *stage, m []string) {
		st.until(m[0], func() bool { return st.running().Sessions().Total() == number(m[1]) })
	}},
	{form(`node (\S+) is (attached|away|gone)`), func(st *stage, m []string) { st.nodeIs(m[1], m[2]) }},

	{form(`(\w+) connects( over TLS)?(?: from (\S+))?`), func(st *stage, m []string) { st.actor(m[1]).connect(m[2] != "", m[3]) }},
	{form(`(\w+) opens (\S+)(?: with (\S+))?`), func(st *stage, m []string) {
		secret := m[3]
		if secret == "" {
			secret = house
		}
		st.actor(m[1]).attach(m[2], secret)
	}},
	{form(`(\w+) sends bytes (".+")`), func(st *stage, m []string) {
		text, err := strconv.Unquote(m[2])
		if err != nil {
			breakf("%v in %s", err, m[2])
		}
		st.actor(m[1]).write([]byte(text), 0)
	}},
	{form(`(\w+) sends (?:(\d+) times )?(?:in chunks of (\d+) )?(\S.*)`), func(st *stage, m []string) {
		a := st.actor(m[1])
		if text := a.speech(m[4], max(1, number(m[2]))); !a.hasAnswered(text) {
			a.write([]byte(text), number(m[3]))
		}
	}},
	{form(`all is done`), func(st *stage, m []string) { st.fence() }},
	{form(`(\w+) receives nothing`), func(st *stage, m []string) { st.silence(m[1]) }},
	{form(`(\w+) receives nothing for (\S+)`), func(st *stage, m []string) { st.actor(m[1]).quiet(m[2]) }},
	{form(`(\w+) receives exactly (<.+)`), func(st *stage, m []string) {
		if it := st.actor(m[1]).next(); it.raw != m[2] {
			breakf("%s received %v", m[1], it)
		}
	}},
	{form(`(\w+) receives (?:(\d+) times )?(<.+)`), func(st *stage, m []string) { st.actor(m[1]).expect(m[3], max(1, number(m[2]))) }},
	{form(`(\w+)'s stream ends(?: with ([\w-]+))?(?: after (\S+))?(?: saying (.+))?`), func(st *stage, m []string) {
		st.actor(m[1]).expectEnd(m[2], m[3], m[4])
	}},
	{form(`(\w+)'s connection breaks`), func(st *stage, m []string) {
		if it := st.actor(m[1]).next(); it.what != isEnd && it.what != isReset {
			breakf("%s received %v instead of the end", m[1], it)
		}
		st.actor(m[1]).open = false
	}},
	{form(`(\w+) wants the question`), func(st *stage, m []string) { st.actor(m[1]).curious.Store(true) }},
	{form(`(\w+) answers (no pings|pings again)`), func(st *stage, m []string) { st.actor(m[1]).answersPings(m[2] != "no pings") }},
	{form(`(\w+) (closes|drops|resets|stops reading|reads again)`), func(st *stage, m []string) { st.actor(m[1]).act(m[2]) }},
}

// step does one step of a scene.
func (st *stage) step(text string) {
	for _, v := range verbs {
		if m := v.form.FindStringSubmatch(text); m != nil {
			v.do(st, m)
			return
		}
	}
	breakf("no such step: %s", text)
}

func number(text string) int {
	n, _ := strconv.Atoi(text) // the patterns let digits through, or nothing
	return n
}

func (st *stage) lifecycle(what string) {
	switch what {
	case "stops":
		st.stop()
	case "has stopped":
		st.wait()
	default:
		if st.stopped == nil {
			st.silence("")
			st.stop()
			st.goodbye()
			st.wait()
		}
		for _, a := range st.actors {
			a.leave()
			a.conn, a.backlog, a.id = nil, nil, ""
		}
		st.start()
	}
}

func (a *actor) act(what string) {
	if what != "stops reading" {
		a.proved()
	}
	switch what {
	case "closes":
		a.open = false
		a.write([]byte("</stream:stream>"), 0)
	case "drops":
		a.leave()
	case "resets":
		a.reset()
	default:
		a.listen(what == "reads again")
	}
}

var (
	digestMacro = regexp.MustCompile(`\{(digest|DIGEST) ([^{}]+)\}`)
	repeatMacro = regexp.MustCompile(`\{(\d+) ([^{}]+)\}`) // {10 x}
)

// speech makes what is sent: the text n times, with its macros and variables put in.
func (a *actor) speech(text string, n int) string {
	text = digestMacro.ReplaceAllStringFunc(text, func(s string) string {
		m := digestMacro.FindStringSubmatch(s)
		if d := digest(a.id, m[2]); m[1] == "digest" {
			return d
		}
		return strings.ToUpper(digest(a.id, m[2]))
	})
	text = repeatMacro.ReplaceAllStringFunc(text, func(s string) string {
		m := repeatMacro.FindStringSubmatch(s)
		return strings.Repeat(m[2], number(m[1]))
	})
	var out strings.Builder
	for i := range n {
		out.WriteString(variable.ReplaceAllStringFunc(text, func(v string) string {
			name := v[1 : len(v)-1]
			value, ok := a.st.vars[name]
			switch {
			case name == "n":
				return strconv.Itoa(i + 1)
			case !ok:
				breakf("nothing was received under %s", v)
			}
			return value
		}))
	}
	return out.String()
}

// nextAs gives the next thing that the server sent; if a ping is wanted, the next ping.
func (a *actor) nextAs(want *element) item {
	if isPing(want) {
		return a.ping().item
	}
	return a.next()
}

// late is what the router puts into a message or presence that has waited for a link.
const late = "<delay xmlns='urn:xmpp:delay' from='" + hub + "' stamp='*'/>"

// expect takes the next n elements, which must match.
func (a *actor) expect(text string, n int) {
	text = strings.ReplaceAll(text, "{late}", late)
	text = repeatMacro.ReplaceAllStringFunc(text, func(s string) string {
		m := repeatMacro.FindStringSubmatch(s)
		return strings.Repeat(m[2], number(m[1]))
	})
	want, err := parseElement(text)
	if err != nil {
		breakf("what is expected is no element: %v", err)
	}
	for i := range n {
		a.st.vars["n"] = strconv.Itoa(i + 1)
		it := a.nextAs(want)
		if it.what != isHeader && it.what != isElement {
			breakf("%s received %v (number %d)", a.name, it, i+1)
		}
		if err := want.match(it.el, a.st.vars); err != nil {
			breakf("%s received %v (number %d): %v", a.name, it, i+1, err)
		}
		if it.what == isHeader {
			a.takeHeader(it)
		}
		if it.el.name == (xml.Name{Space: nsComponent, Local: "handshake"}) {
			a.open = true
		}
	}
	delete(a.st.vars, "n")
}

// expectEnd takes the end of the stream: by RFC 6120 4.9.1.1 and 4.9.2 if there is a condition, else by 4.4.
func (a *actor) expectEnd(condition, after, saying string) {
	a.open = false
	it := a.next()
	if condition != "" {
		if err := streamError(it, condition, saying); err != nil {
			breakf("%s received %v: %v", a.name, it, err)
		}
		it = a.next()
	}
	if it.what != isClose {
		breakf("%s received %v instead of the closing tag", a.name, it)
	}
	if after != "" {
		if d, err := time.ParseDuration(after); err != nil || time.Since(a.sent) < d {
			breakf("%s: the stream ended after %v already (%v)", a.name, time.Since(a.sent), err)
		}
	}
	if tc, ok := a.conn.(interface{ CloseWrite() error }); ok {
		_ = tc.CloseWrite()
	}
	if it = a.next(); it.what != isEnd {
		breakf("%s received %v instead of the end of TCP", a.name, it)
	}
}

// streamError holds a stream error against RFC 6120 4.9.2: one condition, a text in English.
func streamError(it item, condition, saying string) error {
	if it.what != isElement || it.el.name != (xml.Name{Space: nsStream, Local: "error"}) {
		return fmt.Errorf("it is no stream error")
	}
	text := it.el.child(nsStreams, "text")
	switch {
	case it.el.child(nsStreams, condition) == nil:
		return fmt.Errorf("the condition is not %s", condition)
	case len(it.el.kids) != 2 || text == nil || text.content() == "" || text.attrs[xml.Name{Space: nsXML, Local: "lang"}] != "en":
		return fmt.Errorf("it is not a condition and a text")
	case !strings.Contains(text.content(), saying):
		return fmt.Errorf("the text does not say %q", saying)
	}
	return nil
}

// quiet holds that nothing comes for a time; what a timer would do cannot be fenced.
func (a *actor) quiet(span string) {
	d, err := time.ParseDuration(span)
	if err != nil {
		breakf("%v", err)
	}
	if len(a.backlog) == 0 {
		select {
		case it := <-a.items:
			a.backlog = append(a.backlog, it)
		case <-time.After(d):
		}
	}
	a.expectNothing()
}
