package server

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/patchbay-im/patchbay/routing"
	"github.com/patchbay-im/patchbay/stanza"
)

// What Drain, Undrain and Kick refuse.
var (
	ErrNoNode     = errors.New("no node of this name is known here")
	ErrNoLink     = errors.New("no such link is attached")
	ErrNoSession  = errors.New("no such session is there")
	ErrBadReason  = errors.New("the reason has to be one line of at most 200 characters")
	ErrBadAddress = errors.New("the address is malformed (RFC 7622)")
)

// Drain makes a node take no new sessions, also after it has attached again, until Undrain or the end of the process; what
// it holds it keeps. "" is the server: none of its nodes takes new sessions, it is not ready (readyz), and nodes that are
// not away are told to attach elsewhere.
func (s *Server) Drain(node string) error { return s.setDraining(node, true) }

// Undrain takes Drain back.
func (s *Server) Undrain(node string) error { return s.setDraining(node, false) }

func (s *Server) setDraining(node string, on bool) error {
	if node == "" {
		s.router.SetDraining(on)
		return nil
	}
	n := s.router.Node(Canonical(node))
	if n == nil {
		return ErrNoNode
	}
	n.SetDraining(s.router, on)
	return nil
}

var errDrained = &stanza.StreamError{Condition: "system-shutdown", Text: "this router is being drained and takes no new nodes; attach to another one, or later"}

// admits gives the error for a node that may not attach now. One that is away may come back: its stanzas wait here.
func (s *Server) admits(domain string) error {
	if !s.router.Draining() {
		return nil
	}
	if n := s.router.Node(domain); n != nil && n.Reachable() >= routing.Away {
		return nil
	}
	return errDrained
}

// Canonical is a node's name as the configuration has it, of one that a person has written.
func Canonical(domain string) string { return strings.ToLower(strings.TrimSuffix(domain, ".")) }

// Kicked is what a kick ended.
type Kicked struct{ Sessions, Links int }

// Kick ends a session (a full JID), all sessions of a user (a bare JID), all links of a node (its domain) or one link
// (domain/number). The reason is told to the node; it may be empty.
func (s *Server) Kick(target, reason string) (Kicked, error) {
	if !utf8.ValidString(reason) || utf8.RuneCountInString(reason) > 200 || strings.ContainsFunc(reason, unicode.IsControl) {
		return Kicked{}, ErrBadReason
	}
	if strings.Contains(target, "@") {
		who, _, err := stanza.ParseAddress([]byte(target), false, nil)
		if err != nil {
			return Kicked{}, fmt.Errorf("%w: %s", ErrBadAddress, target)
		}
		n := s.service.Kick(who, reason)
		if n == 0 {
			return Kicked{}, ErrNoSession
		}
		return Kicked{Sessions: n}, nil
	}
	domain, number, one := strings.Cut(target, "/")
	return s.kickLinks(domain, func(src *routing.Source) bool { return !one || strconv.FormatUint(src.ID, 10) == number }, reason)
}

func (s *Server) kickLinks(domain string, which func(*routing.Source) bool, reason string) (Kicked, error) {
	n := s.router.Node(Canonical(domain))
	if n == nil {
		return Kicked{}, ErrNoNode
	}
	text := "an operator ended this link; ask who runs the router"
	if reason != "" {
		text += ": " + reason
	}
	kicked := 0
	for _, src := range slices.DeleteFunc(n.Sources(), func(src *routing.Source) bool { return !which(src) }) {
		if l := s.linkOf(src); l != nil {
			l.stop(&stanza.StreamError{Condition: "policy-violation", Text: text})
			kicked++
		}
	}
	if kicked == 0 {
		return Kicked{}, ErrNoLink
	}
	return Kicked{Links: kicked}, nil
}
