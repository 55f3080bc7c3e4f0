package routing

import (
	"slices"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// run replays one user after the other until none waits.
func (m *mail) run(rd *round) {
	again := newRedo(m.r)
	defer again.close()
	for {
		m.mu.Lock()
		if len(rd.users) == 0 || m.stopped {
			rd.running = false
			m.mu.Unlock()
			return
		}
		bare := rd.users[0]
		if rd.users = rd.users[1:]; len(rd.users) == 0 {
			rd.users = nil
		}
		m.mu.Unlock()
		if m.r.holds.claimMail(bare, rd.node) {
			m.replay(again, rd, bare)
		}
	}
}

// replay sends a user what is stored, and then what has come since. The caller has claimed the user's list.
func (m *mail) replay(again *redo, rd *round, bare string) {
	if !m.sendStored(again, rd, bare) {
		m.leave(bare)
		return
	}
	for {
		h, ok := m.r.holds.nextMail(bare)
		if !ok {
			return
		}
		if !again.held(bare, h, true) {
			m.leave(bare) // the user has gone, maybe for good, or the overflow is first
			return
		}
		again.flush()
		m.r.retired.hold(h.of, -1)
		m.r.holds.dropMail(bare)
	}
}

// leave gives a claimed list up: what has come meanwhile goes on by itself, unless another turn is due. At a stop it is
// left to Drain.
func (m *mail) leave(bare string) {
	if m.r.holds.leaveMail(bare) && !m.ends() {
		m.r.release([]string{bare})
	}
}

// sendStored queues what is stored for a user, but for what is on its way, and reports false if some had to stay: nobody
// may get it now, or the server stops. When a letter comes back it begins anew: that one goes first.
func (m *mail) sendStored(again *redo, rd *round, bare string) bool {
	defer again.flush()
	backs := m.returned()
	for after := uint64(0); ; {
		flying := m.flying(bare) // before it is read: what is written meanwhile is in the list and flies no more
		list, err := m.store.Read([]byte(bare), after, inFlight)
		if err != nil {
			m.r.cfg.Log.WithError(err).WithField("jid", bare).Error("read what is stored for a user")
			return false
		}
		if len(list) == 0 {
			return true
		}
		for _, s := range list {
			l := letterOf{bare, s}
			if _, flies := flying[s.Number]; flies {
				after = s.Number
				continue
			}
			if !m.room(again, rd) {
				return false
			}
			if now := m.returned(); now != backs {
				backs, after = now, 0
				break
			}
			if !m.sendOne(again, rd, l) {
				return false
			}
			after = s.Number
		}
		again.flush()
	}
}

// letterOf is a stored message and its user.
type letterOf struct {
	bare string
	storage.Stored
}

// sendOne queues one stored message for each node on which its user may get it, and waits while their queues are full.
// It reports false when there is none.
func (m *mail) sendOne(again *redo, rd *round, l letterOf) bool {
	for {
		src, it, ok := again.read(l.Raw, m.r.from(l.Origin))
		if !ok {
			m.store.Delete([]byte(l.bare), []uint64{l.Number})
			again.w.end(Unreadable)
			return true
		}
		if m.old(it, l.Accepted()) {
			m.expire(again, src, it, l)
			return true
		}
		m.lookBare(again, src, it)
		v := Decide(&it.h, &again.w.view)
		if v.Action != Deliver {
			return false
		}
		if ending(v.Targets) {
			if !m.pause(rd) {
				return false
			}
			continue
		}
		if m.queue(again, it, v.Targets, rec{origin: l.Origin, class: classStored, at: m.post(rd, l, len(v.Targets)), came: uint32(l.Number)}) {
			return true
		}
		again.flush()
		if !m.pause(rd) {
			return false
		}
	}
}

// ending reports whether the grace of a target is being ended: in a moment it is none.
func ending(targets []Target) bool {
	return slices.ContainsFunc(targets, func(t Target) bool { return t.Node.ending.Load() })
}

// queue gives each target a copy, and reports whether any took it.
func (m *mail) queue(again *redo, it *item, targets []Target, r rec) bool {
	again.w.copies += uint64(len(targets) - 1)
	queued := false
	for _, t := range targets {
		res, flush := t.Node.queue.put(&it.h, nil, r)
		if flush {
			again.w.queues = append(again.w.queues, t.Node.queue)
		}
		if res == putOK {
			queued = true
		} else {
			m.lose(r.at)
		}
	}
	return queued
}

// lookBare fills the view for the bare address: what is stored was for the user, whatever resource it named.
func (m *mail) lookBare(again *redo, src *Source, it *item) {
	to, _, _ := stanza.ParseAddress(it.to.Bare(), false, nil) // canonical already
	m.r.look(&again.w.view, &again.w.matches, place{kind: it.place, domain: it.toDomain, user: it.user, to: to, hash: it.toHash, by: src.node})
}

// fullPause is how long a round waits for a queue that is full before it looks again.
const fullPause = 20 * time.Millisecond

// room waits until a round may send another letter, and reports false when the server stops.
func (m *mail) room(again *redo, rd *round) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for rd.inflight >= inFlight && !m.stopped {
		m.mu.Unlock()
		again.flush() // what it waits for may be what it has queued itself
		m.mu.Lock()
		if rd.inflight >= inFlight && !m.stopped {
			rd.cond.Wait()
		}
	}
	return !m.stopped
}

// pause waits a little, and reports false when the server stops.
func (m *mail) pause(rd *round) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	wake := time.AfterFunc(fullPause, func() {
		m.mu.Lock() // so that it waits already
		defer m.mu.Unlock()
		rd.cond.Broadcast()
	})
	defer wake.Stop()
	if !m.stopped {
		rd.cond.Wait()
	}
	return !m.stopped
}

// old reports whether a message has been kept for as long as its domain keeps any.
func (m *mail) old(it *item, accepted time.Time) bool {
	age := m.ageOf(it.user)
	return age > 0 && m.r.now().Sub(accepted) >= age
}

// expire ends a message that was kept for too long, and tells its sender.
func (m *mail) expire(again *redo, src *Source, it *item, l letterOf) {
	m.store.Delete([]byte(l.bare), []uint64{l.Number})
	again.w.end(TooOld)
	if src.node != m.r.nobody {
		src.answer(again.w, it, TooOld.StanzaError())
	}
}

// agedAtOnce bounds the users whose messages expire in one step of housekeeping.
const agedAtOnce = 1000

// expireAged ends the messages that have been kept for too long, but for those on their way.
func (m *mail) expireAged() {
	if m.store == nil {
		return
	}
	users := m.store.Aged(m.agedBefore, agedAtOnce)
	if len(users) == 0 {
		return
	}
	again := newRedo(m.r)
	defer again.close()
	for _, bare := range users {
		if !m.r.holds.claimIdle(bare) {
			continue // a replay takes care of it, or it is soon seen again
		}
		m.expireUser(again, bare)
		if m.r.holds.leaveMail(bare) {
			m.r.release([]string{bare})
		} else {
			m.begin(bare) // the user has logged in meanwhile
		}
	}
}

// agedBefore gives the time before which messages for a domain are too old.
func (m *mail) agedBefore(domain []byte) time.Time {
	var user *UserDomain
	if d := m.r.table.find(domain); d != nil {
		user = d.user.Load()
	}
	age := m.ageOf(user)
	if age <= 0 {
		return time.Time{}
	}
	return m.r.now().Add(-age)
}

// ageOf is how long messages for a user domain are kept; nil: one that was taken out of the configuration.
func (m *mail) ageOf(user *UserDomain) time.Duration {
	if user == nil {
		return m.r.set().Age
	}
	return user.Keep.Age
}

func (m *mail) expireUser(again *redo, bare string) {
	flying := m.flying(bare)
	list, err := m.store.Read([]byte(bare), 0, 2*inFlight)
	if err != nil {
		m.r.cfg.Log.WithError(err).WithField("jid", bare).Error("read what is stored for a user")
		return
	}
	for _, s := range list {
		if _, flies := flying[s.Number]; flies {
			continue
		}
		src, it, ok := again.read(s.Raw, m.r.from(s.Origin))
		if !ok {
			m.store.Delete([]byte(bare), []uint64{s.Number})
			again.w.end(Unreadable)
			continue
		}
		if !m.old(it, s.Accepted()) {
			break
		}
		m.expire(again, src, it, letterOf{bare, s})
	}
	again.flush()
}
