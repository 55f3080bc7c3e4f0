package component

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
)

// On a plain link Flush asks the server. Nobody else has an answer, and what a link has left without one may be lost.
func TestFlushPlain(t *testing.T) {
	const ask = `<flush xmlns="urn:patchbay:sessions:1"></flush>`
	tests := []struct {
		name string
		do   func(t *testing.T, l *fakeLink, s fakeStanza)
		want string // part of the error; "": none
	}{
		{"flushed", func(_ *testing.T, l *fakeLink, s fakeStanza) { l.accept(s, "") }, ""},
		{"unknown", func(_ *testing.T, l *fakeLink, s fakeStanza) { l.reject(s, "service-unavailable", "") }, "the server does not know how"},
		{"refused", func(_ *testing.T, l *fakeLink, s fakeStanza) { l.reject(s, "resource-constraint", "") }, "resource-constraint"},
		{"the link ends", func(_ *testing.T, l *fakeLink, _ fakeStanza) { l.conn.Close() }, errLinkEnded.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer()
				n, l := f.attached(t, f.config())
				done := make(chan error, 1)
				go func() { done <- n.Flush(t.Context()) }()
				s := l.next(t)
				if s.attr("to") != "im.example" || s.attr("type") != "get" || s.inner != strings.ReplaceAll(ask, `"`, `'`) && s.inner != ask {
					t.Errorf("got %+v %s", s.start, s.inner)
				}
				tt.do(t, l, s)
				if err := <-done; (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %q", err, tt.want)
				}
			})
		})
	}
}

// What was sent on a plain link that has ended may be lost: the next Flush says so, once, unless it was flushed before.
func TestFlushAfterAPlainLink(t *testing.T) {
	for _, flushed := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeServer()
			n, l := f.attached(t, f.config())
			flush := func() error {
				done := make(chan error, 1)
				go func() { done <- n.Flush(t.Context()) }()
				synctest.Wait()
				for len(l.got) > 0 {
					l.accept(l.next(t), "")
				}
				return <-done
			}
			if err := n.Send(t.Context(), chatOf("x")); err != nil {
				t.Error(err)
			}
			l.next(t)
			if flushed {
				if err := flush(); err != nil {
					t.Error(err)
				}
			}
			l.conn.Close()
			l = <-f.links
			l.accept(l.next(t), "")
			if err := flush(); errors.Is(err, errLoose) == flushed {
				t.Errorf("flushed %v: got %v", flushed, err)
			}
			if err := flush(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A node that has no user domain has nobody to ask.
func TestFlushPlainWithoutADomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer()
		cfg := f.config()
		cfg.Users = nil
		n, _ := f.attached(t, cfg)
		if err := n.Flush(t.Context()); err == nil || !strings.Contains(err.Error(), "no user domain") {
			t.Errorf("got %v", err)
		}
	})
}
