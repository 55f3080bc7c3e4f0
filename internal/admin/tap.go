package admin

import (
	"cmp"
	"encoding/json"
	"net/http"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/routing"
)

// The bounds of a tap that says none.
const (
	longestTap = 24 * time.Hour
	mostTapped = 1_000_000_000
	tapsFull   = 10 * time.Second // when to try again
)

// tap answers GET /api/v1/tap: one line of JSON for each stanza that passes, until its bounds, its reader's end or the
// server's. Who taps is logged at both ends; with bodies that line is an audit.
func (a *Admin) tap(w http.ResponseWriter, q *query) {
	filter := routing.TapFilter{Match: q.text("match"), Body: q.flag("body")}
	q.log = q.log.WithFields(logrus.Fields{"match": cmp.Or(word(filter.Match), "all"), "bodies": filter.Body})
	if err := a.mayTap(filter); err != nil {
		q.log.WithError(err).Warn("admin: tap refused")
		writeError(w, err)
		return
	}
	t := a.s.Router().Tap(filter)
	if t == nil {
		(&refusal{status: http.StatusTooManyRequests, code: api.CodeBusy, message: "as many taps are open as may be", mend: "end one of them", wait: tapsFull}).write(w)
		return
	}
	defer t.Close()
	s := &tapping{a: a, t: t, q: q, bodies: filter.Body, w: w, rc: http.NewResponseController(w), most: q.number("count", mostTapped)}
	level, began := logrus.InfoLevel, a.opt.Now()
	if filter.Body {
		level = logrus.WarnLevel
	}
	q.log.Log(level, "admin: tap opened")
	why := s.run(time.After(q.span("for", longestTap)))
	q.log.WithFields(logrus.Fields{"shown": s.shown, "lost": s.lost, "after": a.opt.Now().Sub(began).Round(time.Second), "end": why}).Log(level, "admin: tap closed")
}

// mayTap refuses a tap that the server cannot serve, or whose bodies the configuration keeps to itself.
func (a *Admin) mayTap(f routing.TapFilter) error {
	if f.Body && !a.s.Config().Admin.TapBodies {
		return &api.Error{Code: api.CodeForbidden, Message: "this server does not show what messages say", Mend: "admin.tap_bodies: true in the configuration, then patchbay ctl reload"}
	}
	return a.live()
}

// tapping is one tap that is open.
type tapping struct {
	a      *Admin
	t      *routing.Tap
	q      *query
	bodies bool
	w      http.ResponseWriter
	rc     *http.ResponseController
	most   int
	shown  int
	lost   uint64
}

// run writes stanzas until there is a reason to end, and gives it.
func (s *tapping) run(late <-chan time.Time) string {
	s.w.Header().Set("Content-Type", mediaNDJSON)
	if !s.flush() {
		return "reader gone"
	}
	for s.shown < s.most {
		select {
		case <-s.a.ctx.Done():
			return "server stopped"
		case <-s.q.r.Context().Done():
			return "reader gone"
		case <-late:
			return "time"
		case p, ok := <-s.t.C():
			switch {
			case !ok:
				return "server stopped"
			case s.bodies && !s.a.s.Config().Admin.TapBodies:
				return "no longer allowed"
			case !s.write(&p):
				return "reader gone"
			}
		}
	}
	return "count"
}

// write writes a stanza, and what was written before if nothing more waits. It reports whether somebody reads.
func (s *tapping) write(p *routing.Passed) bool {
	s.shown++
	s.lost += p.Lost
	line := api.Tapped{Time: p.Time.UTC(), Node: p.Node, Kind: p.Kind, Type: p.Type, ID: p.ID, From: p.From, To: p.To, Bytes: p.Bytes,
		Action: p.Action, Targets: p.Targets, XML: string(p.XML), Lost: p.Lost}
	if p.Reason != routing.None {
		line.Reason = p.Reason.String()
	}
	text, err := json.Marshal(filled(line))
	if err != nil {
		return false
	}
	_ = s.rc.SetWriteDeadline(time.Now().Add(writeTime))
	if _, err := s.w.Write(append(text, '\n')); err != nil {
		return false
	}
	return len(s.t.C()) > 0 && s.shown < s.most || s.flush()
}

func (s *tapping) flush() bool {
	_ = s.rc.SetWriteDeadline(time.Now().Add(writeTime))
	return s.rc.Flush() == nil
}
