package interop

import (
	"testing"
	"time"
)

// account holds what was sent against what was handled.
type account struct {
	*journal
	sent     int // messages, m1 to m<sent>
	size     int // bytes of one
	refusals map[int]string
}

// times counts how often each message was handled, by its number.
func (a *account) times() []int {
	n := make([]int, a.sent+1)
	for _, s := range a.streams {
		for _, h := range s {
			if h.number >= 1 && h.number <= a.sent {
				n[h.number]++
			}
		}
	}
	return n
}

// figures gives how many messages were lost without a word, and how many handlings were of messages handled before.
func (a *account) figures() (lost, repeated int) {
	for n, times := range a.times() {
		switch _, refused := a.refusals[n]; {
		case n == 0:
		case times > 0:
			repeated += times - 1
		case !refused:
			lost++
		}
	}
	return lost, repeated
}

// log prints the account.
func (a *account) log(t *testing.T) {
	t.Helper()
	lost, repeated := a.figures()
	t.Logf("%d sent, %d streams: %d lost, %d answered with an error, %d handled twice (%d KiB)",
		a.sent, len(a.streams), lost, len(a.refusals), repeated, repeated*a.size>>10)
}

// lost sees that nothing is lost, refused or out of order: each stream begins with a message that was handled before, or
// with the next one, and goes on without a gap.
func (a *account) lost(t *testing.T) {
	t.Helper()
	last, faults := 0, 0
	for i, s := range a.streams {
		for k, h := range s {
			switch {
			case k == 0 && i > 0 && h.number >= 1 && h.number <= last+1:
			case k == 0 && h.number == last+1:
			case k > 0 && h.number == s[k-1].number+1:
			default:
				if faults++; faults <= 5 {
					t.Errorf("message %d is handling %d of stream %d, behind message %d", h.number, k+1, i+1, last)
				}
			}
			last = max(last, h.number)
		}
	}
	lost, repeated := a.figures()
	if lost > 0 || len(a.refusals) > 0 || last != a.sent {
		t.Errorf("of %d messages %d are lost, %d were answered with an error, e.g. %q; the last is %d", a.sent, lost, len(a.refusals), a.refusal(), last)
	}
	if most := mostRepeated * (len(a.streams) - 1); repeated*a.size > most {
		t.Errorf("%d bytes came twice, %d are the most", repeated*a.size, most)
	}
}

// refusal gives the first message that was answered with an error, and with which.
func (a *account) refusal() string {
	for n := range a.sent {
		if why := a.refusals[n+1]; why != "" {
			return why
		}
	}
	return ""
}

// delays sees that each of the first messages that came after the first drop says since when it is late (XEP-0203), and that
// nothing that came before does.
func (a *account) delays(t *testing.T, first int, began time.Time) {
	t.Helper()
	for i, s := range a.streams {
		for _, h := range s {
			at, err := time.Parse(time.RFC3339, h.stamp)
			switch late := i > 0 && h.number <= first; {
			case i > 0 && !late:
			case !late && h.from+h.stamp == "--":
			case late && h.from == "hub1.im.example" && err == nil && !at.Before(began.Truncate(time.Second)) && !at.After(time.Now()):
			default:
				t.Errorf("message %d comes in stream %d with the delay of %s, %s", h.number, i+1, h.from, h.stamp)
				return
			}
		}
	}
}
