package conformance

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// plain are the verbs that take nothing.
var plain = []verb{vAttach, vClear, vConnect, vAccept, vHandshake, vClose, vDrop, vReset, vHold, vMute, vAttend, vStartTLS}

// step reads the step on the lines from first to before end, counted from 0.
func (p *parser) step(first, end int) (step, *misfit) {
	u := p.line(first, 0)
	s := step{at: u.all(), times: 1}
	actor, rest := u.cut()
	if actor == string(vCheck) {
		s.verb = vCheck
		return s, p.check(&s, rest)
	}
	word, args := rest.cut()
	s.actor, s.verb = actor, verb(word)
	if bad := p.actor(u, actor); bad != nil {
		return s, bad
	}
	if onlyNode := []verb{vAccept, vAttend, vAlone}; (p.c.Profile == Node) != slices.Contains(onlyNode, s.verb) && (slices.Contains(onlyNode, s.verb) || s.verb == vConnect) {
		return s, rest.bad(0, len(word), word+" is for plays of the profile node only: accept, attend, alone; and connect is for the others")
	}
	switch {
	case s.verb == vSend:
		return s, p.send(&s, p.joined(args, first+1, end))
	case s.verb == vExpect:
		return s, p.expect(&s, args, first+1, end)
	case end > first+1:
		return s, p.line(first+1, 0).bad(0, 1, "only send and expect go on on a second line")
	case s.verb == vOpen, s.verb == vScram:
		marks, bad := p.marks(args)
		s.marks = marks
		for _, m := range marks {
			switch {
			case len(m.values) != 1:
				return s, &misfit{m.at, m.key + " takes one value here"}
			case s.verb == vScram && m.key != "user" && m.key != "secret":
				return s, &misfit{m.at, "scram takes user='other' and secret='wrong'"}
			}
		}
		return s, bad
	case s.verb == vWait, s.verb == vAlone:
		span, ok := parseSpan(args.text)
		s.span = span
		if !ok {
			return s, args.bad(0, len(args.text), word+" takes a time: 200 ms, or 3 s")
		}
		return s, nil
	case s.verb == vGoOn && args.text == "on":
		return s, nil
	case !slices.Contains(plain, s.verb):
		return s, rest.bad(0, len(word), "there is no verb "+word+"; there are attach, clear, connect, open, handshake, send, expect, close, drop, reset, wait, hold, go on, mute, starttls, scram, accept, attend, alone")
	case args.text != "":
		return s, args.bad(0, len(args.text), word+" takes nothing")
	}
	return s, nil
}

// actor takes the name of who does the step.
func (p *parser) actor(u unit, name string) *misfit {
	if p.c.Profile == Node {
		if name != "s" {
			return u.bad(0, len(name), "the actor of a play about a node is s, the server; or this is check")
		}
	} else if !actorForm.MatchString(name) {
		return u.bad(0, len(name), "an actor is c1, c2 or c3, or c1b for a second connection of c1; or this is check")
	}
	if !slices.Contains(p.c.Actors, name) {
		p.c.Actors = append(p.c.Actors, name)
	}
	return nil
}

// parseSpan reads "200 ms" or "3 s".
func parseSpan(text string) (time.Duration, bool) {
	number, name, _ := strings.Cut(text, " ")
	n, err := strconv.Atoi(number)
	switch {
	case err != nil || n <= 0 || n > 600_000:
		return 0, false
	case name == "ms":
		return time.Duration(n) * time.Millisecond, true
	case name == "s":
		return time.Duration(n) * time.Second, true
	}
	return 0, false
}

// options reads what stands in brackets at the beginning, one word of each with a comma between; set takes one.
func options(u unit, set func(option string) bool) (rest unit, bad *misfit) {
	if !strings.HasPrefix(u.text, "(") {
		return u, nil
	}
	end := strings.IndexByte(u.text, ')')
	if end < 0 {
		return u, u.bad(0, 1, "the closing ) is missing")
	}
	off := 1
	for option := range strings.SplitSeq(u.text[1:end], ",") {
		if !set(strings.TrimSpace(option)) {
			return u, u.bad(off, len(option), "there is no such option here; send has times N, pieces of N, N ms apart, split at N, and expect has times N")
		}
		off += len(option) + 1
	}
	return u.from(end + 1).trim(), nil
}

// number reads the number behind some words.
func number(option, words string, n *int) bool {
	text, ok := strings.CutPrefix(option, words)
	if !ok {
		return false
	}
	v, err := strconv.Atoi(text)
	*n = v
	return err == nil && v > 0 && v <= 1_000_000
}

// send reads what is to be sent.
func (p *parser) send(s *step, u unit) *misfit {
	u, bad := options(u, func(o string) bool {
		apart, pause := strings.CutSuffix(o, " apart")
		if pause {
			span, ok := parseSpan(apart)
			s.apart = span
			return ok
		}
		return number(o, "times ", &s.times) || number(o, "pieces of ", &s.pieces) || number(o, "split at ", &s.split)
	})
	if bad != nil {
		return bad
	}
	if u.text == "" {
		return u.bad(0, 1, "send takes what is to be sent")
	}
	for i, l := range u.lines { // each line by itself: ${} and quotes end where it ends
		end := len(u.text)
		if i+1 < len(u.lines) {
			end = u.lines[i+1].off
		}
		off := max(0, l.off)
		t, bad := p.sent(u, off, end)
		if bad != nil {
			return bad
		}
		s.text = append(s.text, t...)
	}
	return nil
}

// sent reads one line of what is to be sent.
func (p *parser) sent(u unit, off, end int) (template, *misfit) {
	text := u.text[off:end]
	quotes := strings.HasPrefix(text, `"`)
	if quotes {
		in, n, err := unquote(text)
		if err != nil {
			return nil, err.in(u, off)
		}
		if n != len(text) {
			return nil, u.bad(off+n, len(text)-n, `nothing may stand behind the closing "`)
		}
		text = in
	}
	t, err := parseTemplate(text, p.known)
	if err != nil && quotes {
		return nil, u.bad(off, end-off, err.what) // escapes have moved what is behind them
	}
	if err != nil {
		return nil, err.in(u, off)
	}
	return t, nil
}

// check reads a comparison.
func (p *parser) check(s *step, u unit) *misfit {
	rest := u
	word, behind := rest.cut()
	if word == "length" {
		s.check.length = true
		rest = behind
	}
	left, rest := rest.cut()
	op, right := rest.cut()
	if !slices.Contains([]string{"=", "!=", "<=", ">=", "matches"}, op) || right.text == "" {
		return u.bad(0, len(u.text), "check is check ${a} != ${b}, with =, !=, <=, >= or matches; length before ${a} takes its length")
	}
	s.check.op = op
	for _, side := range []struct {
		to   *template
		text string
	}{{&s.check.left, left}, {&s.check.right, right.text}} {
		t, err := parseTemplate(side.text, p.known)
		if err != nil {
			return err.in(u, strings.Index(u.text, side.text))
		}
		*side.to = t
	}
	if op == "matches" {
		if _, err := regexp.Compile(right.text); err != nil {
			return right.bad(0, len(right.text), err.Error())
		}
	}
	return nil
}
