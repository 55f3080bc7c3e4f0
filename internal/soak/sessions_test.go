package soak

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

const nobody = -1

// table is what the members may rely on about sessions: for each full address, who may hold it. A statement that is answered,
// and that no other has met on its way, leaves one.
type table struct {
	mu    sync.Mutex
	users map[string]*user // guarded by mu, as all below
	calm  bool             // no node was away for long, so nobody may have been judged offline, or been held in vain
	tight bool             // the disk was full: what it was to take may have gone back
}

// user is one full address.
type user struct {
	may     map[int]bool // who may hold it; nobody: it may have no session
	none    bool         // since the last moment of quiet it may have had no session
	begun   int          // statements
	running int
}

func newTable() *table {
	x := &table{users: map[string]*user{}, calm: true}
	for _, to := range targets {
		if strings.Contains(to, "/") {
			x.users[to] = &user{may: map[int]bool{nobody: true}, none: true}
		}
	}
	return x
}

// statement is one that is on its way.
type statement struct {
	who   int
	holds map[string]bool // what it says of whom: there, or not
	turn  map[string]int  // the number of the statement about the user; 0: another was running
}

// begin notes that a member is about to say something: from now on it may be so.
func (x *table) begin(who int, holds map[string]bool) *statement {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := &statement{who, holds, map[string]int{}}
	for name, there := range holds {
		u := x.users[name]
		u.begun++
		if u.running++; u.running == 1 {
			s.turn[name] = u.begun
		}
		switch {
		case there:
			u.may[who] = true
		case u.may[who]:
			u.may[nobody], u.none = true, true
		}
	}
	return s
}

// end notes the answer to a statement: committed, but for those that another member keeps. Without an answer all is open.
func (x *table) end(s *statement, answered bool, kept map[string]bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for name, there := range s.holds {
		u := x.users[name]
		u.running--
		alone := answered && s.turn[name] == u.begun
		switch {
		case !alone:
		case there && !kept[name]:
			u.may = map[int]bool{s.who: true}
		default: // it does not hold it
			delete(u.may, s.who)
			if len(u.may) == 0 {
				u.may = map[int]bool{nobody: true}
			}
		}
	}
}

// lapse notes that a node was away for so long that its sessions may have ended.
func (x *table) lapse() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.calm = false
	for _, u := range x.users {
		u.may[nobody], u.none = true, true
	}
}

// of gives whom a member may hold.
func (x *table) of(who int) (all []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for name, u := range x.users {
		if u.may[who] {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// fill notes that the disk of the server gets full.
func (x *table) fill() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.tight = true
}

// short reports whether the disk was full in this step.
func (x *table) short() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.tight
}

// quiet begins a step.
func (x *table) quiet() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.calm, x.tight = true, false
	for _, u := range x.users {
		u.none = u.may[nobody]
	}
}

// hold sees that who holds a user is one who may, and knows it from then on.
func (x *table) hold(name string, holder int) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	u := x.users[name]
	if !u.may[holder] {
		return fmt.Errorf("%s is held by %s, may be held by %v", name, nameOf(holder), slices.Sorted(maps.Keys(u.may)))
	}
	u.may = map[int]bool{holder: true}
	return nil
}

func nameOf(who int) string {
	if who == nobody {
		return "nobody"
	}
	return names[who]
}

// offline reports whether a message to an address may find nobody: all resources of the user may have been without a session.
func (x *table) offline(to string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	bare, _, _ := strings.Cut(to, "/")
	for name, u := range x.users {
		if strings.HasPrefix(name, bare+"/") && !u.none {
			return false
		}
	}
	return strings.Contains(to, "@")
}

// alone reports whether messages to an address are stored now, as far as all was said: its user has no session.
func (x *table) alone(to string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	bare, _, _ := strings.Cut(to, "/")
	for name, u := range x.users {
		if strings.HasPrefix(name, bare+"/") && !u.may[nobody] {
			return false
		}
	}
	return strings.Contains(to, "@"+stores)
}

// wrong tells why an answer to a message must not be, "" if it may.
func (x *table) wrong(to, condition string) string {
	x.mu.Lock()
	calm, tight := x.calm, x.tight
	x.mu.Unlock()
	switch in := strings.Contains; {
	case condition == "remote-server-timeout" && !calm:
		return ""
	case condition == full && tight:
		return ""
	case condition != "service-unavailable" || !in(to, "@"):
		return "has no reason"
	case !x.offline(to):
		return "has no reason: the user has a session"
	case in(to, "@"+stores):
		return "has no reason: the message is to be stored"
	}
	return ""
}
