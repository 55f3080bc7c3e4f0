package service

import (
	"slices"
	"sync/atomic"
)

// refusalConditions are the stanza errors that answer an announce or a withdraw; the last stands for any other.
var refusalConditions = [...]string{"bad-request", "jid-malformed", "forbidden", "unexpected-request", "not-allowed",
	"conflict", "resource-constraint", "undefined-condition"}

// refusals counts requests to announce or withdraw sessions that were refused.
type refusals [len(refusalConditions)]atomic.Uint64

func (f *refusals) add(condition string) {
	i := slices.Index(refusalConditions[:], condition)
	if i < 0 {
		i = len(refusalConditions) - 1
	}
	f[i].Add(1)
}

// Refusals counts the requests to announce or withdraw sessions, presences and iqs alike, that were answered with a
// stanza error since the start, by its condition: all that there can be, also those that never happened.
func (s *Service) Refusals() map[string]uint64 {
	counts := make(map[string]uint64, len(refusalConditions))
	for i, condition := range refusalConditions {
		counts[condition] = s.refusals[i].Load()
	}
	return counts
}
