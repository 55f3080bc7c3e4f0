package storage

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/dgraph-io/badger/v4"
)

// TestCheckWaitsForTheSweep: whoever sees that a node has ended, and asks for the check, gets it of a table without its
// sessions, also before the end has come back to who caused it.
func TestCheckWaitsForTheSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *Sessions
		var ended NodeID
		checked := make(chan error, 1)
		s, err := OpenSessions(Options{Dir: Memory, NodeChanged: func(id NodeID) {
			if id == ended {
				go func() { checked <- s.ConsistencyCheck() }() // the test waits for it
				synctest.Wait()
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		one := attach(t, s, "node1")
		for i := range 3 * sweepChunk {
			one.say(t, fmt.Sprintf("user%d@im.example/phone", i), 0, Take)
		}
		ended = one.node
		if n := s.ExpireNode(one.node, one.inc); n != 3*sweepChunk {
			t.Errorf("%d sessions ended", n)
		}
		if err := <-checked; err != nil {
			t.Error(err)
		}
		finish(t, s)
	})
}

// TestCheckBesideEnds: nodes end one after the other while the table is checked, each at some moment of a check.
func TestCheckBesideEnds(t *testing.T) {
	s := open(t, Memory)
	var all []link
	for i := range 300 {
		l := attach(t, s, fmt.Sprintf("node%d", i))
		l.say(t, fmt.Sprintf("user%d@im.example/phone", i), 0, Take)
		all = append(all, l)
	}
	next := make(chan link)
	over := make(chan struct{})
	go func() { // the test waits for it
		defer close(over)
		for l := range next {
			for range l.node * 10 {
				runtime.Gosched() // let the check go on a little, each time a little longer
			}
			s.ExpireNode(l.node, l.inc)
		}
	}()
	for _, l := range all {
		next <- l
		if err := s.ConsistencyCheck(); err != nil {
			t.Error(err)
		}
	}
	close(next)
	<-over
}

// TestCheckFinds: what does not go away by itself is a difference.
func TestCheckFinds(t *testing.T) {
	on := func(change func(*badger.Txn) error) func(*Sessions, link) error {
		return func(s *Sessions, _ link) error { return s.db.Update(change) }
	}
	sessionKey := appendSessionKey(nil, []byte("user@im.example"), []byte("phone"))
	for want, spoil := range map[string]func(*Sessions, link) error{
		"counts 2 live and 0 dead, has 1": func(s *Sessions, l link) error {
			s.nodes.get(l.node).binds[0].count.Add(1)
			return nil
		},
		"node node1: the disk has {ID:0": on(func(txn *badger.Txn) error { return txn.Delete([]byte(nodePrefix + "node1")) }),
		"the disk has {ID:9 Domain:node1": on(func(txn *badger.Txn) error {
			return txn.Set([]byte(nodePrefix+"node1"), appendNode(nil, NodeRecord{ID: 9}))
		}),
		"UTC}, forgotten true": func(s *Sessions, l link) error {
			s.nodes.get(l.node).forgot = true
			return nil
		},
		"prio:0} (false), the index {node:1": on(func(txn *badger.Txn) error { return txn.Delete(sessionKey) }),
		"prio:5} (true), the index {node:1": on(func(txn *badger.Txn) error {
			return txn.Set(sessionKey, appendSession(nil, stored{node: 1, prio: 5}))
		}),
		"prio:7} (true), the index {node:0": on(func(txn *badger.Txn) error {
			return txn.Set(appendSessionKey(nil, []byte("nobody@im.example"), []byte("x")), appendSession(nil, stored{node: 1, prio: 7}))
		}),
	} {
		t.Run(want, func(t *testing.T) {
			s, err := OpenSessions(Options{Dir: Memory, Server: "hub1.im.example"})
			if err != nil {
				t.Fatal(err)
			}
			l := attach(t, s, "node1")
			l.say(t, "user@im.example/phone", 0, Take)
			if err := s.ConsistencyCheck(); err != nil {
				t.Error(err)
			}
			if err := spoil(s, l); err != nil {
				t.Fatal(err)
			}
			if err := s.ConsistencyCheck(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v", err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
