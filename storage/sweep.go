package storage

import "sync"

// sweepChunk is how many dead sessions are removed under one hold of a shard's lock, and in one commit.
const sweepChunk = 1024

// sweeper is the goroutine that removes the sessions of nodes that are gone.
type sweeper struct {
	s *Sessions // set once

	mu     sync.Mutex
	cond   *sync.Cond // on mu
	todo   []NodeID   // guarded by mu
	coming int        // guarded by mu: ends that were expected, and have not come
	busy   bool       // guarded by mu
	closed bool       // guarded by mu
	ended  chan struct{}
}

func startSweeper(s *Sessions) *sweeper {
	p := &sweeper{s: s, ended: make(chan struct{})}
	p.cond = sync.NewCond(&p.mu)
	go p.run() // close waits for it
	return p
}

// expect tells that a node is about to be ended: who sees its end waits for the sweep. came has to follow.
func (p *sweeper) expect() {
	p.mu.Lock()
	p.coming++
	p.mu.Unlock()
}

// came tells what became of an end that was expected.
func (p *sweeper) came(id NodeID, ended bool) {
	p.mu.Lock()
	p.coming--
	if ended {
		p.todo = append(p.todo, id)
	}
	p.mu.Unlock()
	p.cond.Broadcast()
}

func (p *sweeper) add(id NodeID) {
	p.mu.Lock()
	p.todo = append(p.todo, id)
	p.mu.Unlock()
	p.cond.Broadcast()
}

// addDead adds the nodes with sessions that were dead when they came into memory: a stop came before the sweep's
// end, or their node ended or was cut off during the load.
func (p *sweeper) addDead() {
	for _, r := range p.s.Nodes() {
		if _, dead := p.s.nodes.census(r.ID); dead > 0 {
			p.add(r.ID)
		}
	}
}

// wait returns when nothing is left to sweep of all that has ended before; false if the sweep was closed before.
func (p *sweeper) wait() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for (p.busy || p.coming > 0 || len(p.todo) > 0) && !p.closed {
		p.cond.Wait()
	}
	return !p.closed
}

// close ends the goroutine; what it has not swept is dead on disk too, and swept after the next open.
func (p *sweeper) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cond.Broadcast()
	<-p.ended
}

// next gives the next node to sweep, false at the end.
func (p *sweeper) next() (NodeID, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy = false
	p.cond.Broadcast()
	for len(p.todo) == 0 && !p.closed {
		p.cond.Wait()
	}
	if p.closed {
		return 0, false
	}
	id := p.todo[0]
	p.todo = p.todo[1:]
	p.busy = true
	return id, true
}

func (p *sweeper) stopped() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

func (p *sweeper) run() {
	defer close(p.ended)
	for {
		id, ok := p.next()
		if !ok {
			return
		}
		for i := range shardCount {
			p.sweep(id, i)
		}
	}
}

// sweep removes a node's dead sessions from a shard, chunk by chunk; the committer's queue holds it
// back when the disk is slower.
func (p *sweeper) sweep(id NodeID, shard int) {
	for !p.stopped() {
		b := &Batch{s: p.s, node: id}
		n := b.prune(prune{shard, NodeLeft, sweepChunk}, func(bind *binding, _ Mark) bool {
			return bind.dead.Load()
		})
		if n > 0 {
			b.Commit(nil)
		}
		if n < sweepChunk {
			return
		}
	}
}
