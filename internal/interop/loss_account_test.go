package interop

import (
	"fmt"
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

// lost sees that nothing is lost, refused, out of order, or repeated too often.
func (a *account) lost(t *testing.T) {
	t.Helper()
	found := a.faults()
	for _, fault := range found[:min(5, len(found))] {
		t.Error(fault)
	}
	if lost, _ := a.figures(); lost > 0 || len(a.refusals) > 0 {
		t.Errorf("of %d messages %d are lost, %d were answered with an error, e.g. %q", a.sent, lost, len(a.refusals), a.refusal())
	}
}

// faults gives the places at which the order is not kept: each stream begins with a message that was handled before, or with
// the next one, and goes on without a gap to the last; what it repeats was in one window.
func (a *account) faults() (all []string) {
	last := 0
	for i, s := range a.streams {
		repeated, before := 0, last
		for k, h := range s {
			if h.number <= before {
				repeated += a.size
			}
			switch {
			case k == 0 && i > 0 && h.number >= 1 && h.number <= last+1:
			case k == 0 && h.number == last+1:
			case k > 0 && h.number == s[k-1].number+1:
			default:
				all = append(all, fmt.Sprintf("message %d is handling %d of stream %d, behind message %d", h.number, k+1, i+1, last))
			}
			last = max(last, h.number)
		}
		if repeated > mostRepeated {
			all = append(all, fmt.Sprintf("%d bytes come again in stream %d, %d are the most", repeated, i+1, mostRepeated))
		}
	}
	if last != a.sent || a.last() != a.sent {
		all = append(all, fmt.Sprintf("message %d of %d is the last", a.last(), a.sent))
	}
	return all
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
	var wrong []handled
	for i, s := range a.streams {
		for _, h := range s {
			if due := i > 0 && h.number <= first; (due || i == 0) && due != h.delayed(began) {
				wrong = append(wrong, h)
			}
		}
	}
	if len(wrong) > 0 {
		t.Errorf("%d messages have a delay that they should not have, or none, or another, from %v to %v", len(wrong), wrong[0], wrong[len(wrong)-1])
	}
}

// delayed reports whether a message says, as the server must, that it is late.
func (h handled) delayed(began time.Time) bool {
	at, err := time.Parse(time.RFC3339, h.stamp)
	return err == nil && h.from == "hub1.im.example" && !at.Before(began.Truncate(time.Second)) && !at.After(time.Now())
}

// TestAccount lets the judge of the loss tests look at accounts of four messages.
func TestAccount(t *testing.T) {
	for _, c := range []struct {
		name                   string
		streams                [][]int
		refused, size          int
		faults, lost, repeated int
	}{
		{"once", [][]int{{1, 2, 3, 4}}, 0, 1, 0, 0, 0},
		{"repeats after a drop", [][]int{{1, 2, 3}, {2, 3, 4}}, 0, 1, 0, 0, 2},
		{"nothing before a drop", [][]int{{}, {}, {1, 2, 3, 4}}, 0, 1, 0, 0, 0},
		{"repeats of repeats", [][]int{{1, 2, 3}, {2}, {1, 2, 3, 4}}, 0, 1, 0, 0, 4},
		{"as many repeats as may be", [][]int{{1, 2}, {1, 2, 3, 4}}, 0, mostRepeated / 2, 0, 0, 2},
		{"too many repeats", [][]int{{1, 2, 3}, {1, 2, 3, 4}}, 0, mostRepeated / 2, 1, 0, 3},
		{"lost at the drop", [][]int{{1}, {3, 4}}, 0, 1, 1, 1, 0},
		{"lost on the way", [][]int{{1, 3, 4}}, 0, 1, 1, 1, 0},
		{"lost at the end", [][]int{{1, 2}, {2, 3}}, 0, 1, 1, 1, 1},
		{"lost at the beginning", [][]int{{2, 3, 4}}, 0, 1, 1, 1, 0},
		{"answered", [][]int{{1, 3, 4}}, 2, 1, 1, 0, 0},
		{"swapped", [][]int{{1, 3, 2, 4}}, 0, 1, 3, 0, 0},
		{"live before stored", [][]int{{1}, {4, 2, 3, 4}}, 0, 1, 2, 0, 1},
		{"repeated without a drop", [][]int{{1, 2, 2, 3, 4}}, 0, 1, 1, 0, 1},
	} {
		a := &account{journal: &journal{}, sent: 4, size: c.size, refusals: map[int]string{}}
		for _, s := range c.streams {
			var list []handled
			for _, n := range s {
				list = append(list, handled{number: n})
			}
			a.streams = append(a.streams, list)
		}
		if c.refused > 0 {
			a.refusals[c.refused] = "<error/>"
		}
		lost, repeated := a.figures()
		if n := len(a.faults()); n != c.faults || lost != c.lost || repeated != c.repeated {
			t.Errorf("%s: %d faults, %d lost, %d repeated: %q", c.name, n, lost, repeated, a.faults())
		}
	}
}
