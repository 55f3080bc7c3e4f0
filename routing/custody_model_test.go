package routing

import (
	"pgregory.net/rapid"
)

// early has the queue hand to the disk what is not safe, as for somebody who waits for it.
func (m *queueModel) early(t *rapid.T) {
	n := rapid.Uint64Range(0, m.q.number).Draw(t, "number")
	m.q.commitEarly(n)
}

// promise notes what the queue says is safe. It never takes that back.
func (m *queueModel) promise() {
	if !m.disk {
		return
	}
	m.q.mu.Lock()
	safe := m.q.safe()
	m.q.mu.Unlock()
	if safe < m.safe || safe > m.q.number {
		m.t.Fatalf("%d are safe of %d, and %d were", safe, m.q.number, m.safe)
	}
	m.safe = safe
	for _, s := range m.all[1:] {
		s.promised = s.promised || s.number > 0 && s.number <= safe
	}
}

// keepsPromise sees that all that was promised is in other hands, or outlives the kill.
func (m *queueModel) keepsPromise(durable map[modelKey]placeOnDisk) {
	for n, s := range m.all {
		if n == 0 || !s.promised || s.class == classRequest || s.class == classAnswer || s.class == classStored {
			continue
		}
		keys := []modelKey{{n: n}}
		if m.parts[keys[0]].handled == 0 && len(s.users) > 0 {
			keys = nil
			for _, u := range s.users {
				keys = append(keys, modelKey{n, u})
			}
		}
		for _, k := range keys {
			p, main := m.parts[k], m.parts[modelKey{n: n}]
			_, is := durable[k]
			if !is && p.handled == 0 && !p.gone && !p.free && !main.free && !main.gone && !(s.pair != "" && m.newer(n)) {
				m.t.Fatalf("stanza %v was said to be safe, and a kill takes it: %+v", k, *p)
			}
		}
	}
}
