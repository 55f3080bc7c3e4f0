package routing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
)

// lastFlush bounds the writing of the answers that Drain makes.
const lastFlush = 2 * time.Second

// Drain empties the router for a stop, after the last reader has ended. What waits for attached nodes is written, and
// proved, as far as they take it before ctx ends. What is left goes to the outbox, and a restart goes on with it; without
// an outbox it is answered. Nothing that was accepted is left without an outcome or a place on disk.
func (r *Router) Drain(ctx context.Context) {
	r.stopHousekeeping() // it may be deciding what is held
	r.stopTimers()
	r.mail.stop()
	for _, bare := range r.holds.users() {
		r.answerHeld(bare)
	}
	if r.cfg.Outbox != nil {
		r.drainToDisk(ctx)
	} else {
		r.drainToSenders(ctx)
	}
	r.mail.counting.Wait() // what arrived is taken from the disk
}

// drainToDisk ends with nothing in memory. What finds no room on the disk is answered, while its senders have their links.
func (r *Router) drainToDisk(ctx context.Context) {
	r.flushed(ctx)
	r.answerFor(r.iqs.takeOld(time.Time{}), Stopping) // no reader is left to hear an answer
	last, cancel := context.WithTimeout(context.Background(), lastFlush)
	defer cancel()
	r.flushed(last)
	cut := map[*Node]bool{}
	for _, n := range r.Nodes() {
		if n.State() != Attached || n.queue.open() {
			cut[n] = true
			r.part(n)
		}
	}
	r.settleLetters()
	if err := r.keepAll(); err != nil {
		r.cfg.Log.WithError(err).Error("keep what waits for nodes: it is answered")
		r.answerUnkept(cut)
		r.flushed(ctx)
		final, cancel := context.WithTimeout(context.Background(), lastFlush)
		defer cancel()
		r.flushed(final)
	}
	for _, n := range r.Nodes() {
		if !cut[n] {
			r.part(n)
		}
	}
	if err := r.keepAll(); err != nil {
		r.cfg.Log.WithError(err).Error("keep what waits for nodes")
		r.leaveUnkept()
	}
	r.countAll()
}

// part takes a node's link from its queue.
func (r *Router) part(n *Node) {
	n.queue.closed()
	n.queue.cut()
}

// errUnkept is what keepAll says of a disk that took no more.
var errUnkept = errors.New("the disk takes no more, or more than limits.disk waits")

// keepAll waits until all that waits is on disk.
func (r *Router) keepAll() error {
	for range 2 { // a block that was on its way to the disk, and has been changed since, goes there once more
		var left []span
		for _, q := range r.queues() {
			q.keepAll()
		}
		err := r.cfg.Outbox.Flush()
		for _, q := range r.queues() {
			left = q.unsafe(left)
		}
		if err == nil && len(left) > 0 {
			err = errUnkept
		}
		if err != nil {
			return err
		}
		for _, k := range r.retired.all() { // all is on disk
			k.q.paid(k.blocks)
		}
	}
	return r.cfg.Outbox.Flush()
}

// answerUnkept answers what the disk did not take. cut are the nodes that have no link, or did not take what waits for them.
func (r *Router) answerUnkept(cut map[*Node]bool) {
	var shared []leftover
	for _, q := range r.queues() {
		blocks, why := q.takeUnkept()
		r.answerBlocks(blocks, why, &shared)
	}
	r.answerShared(shared, OutboxDisk, cut)
}

// leaveUnkept ends what nobody can be told of any more.
func (r *Router) leaveUnkept() {
	again := newRedo(r)
	defer again.close()
	for _, q := range r.queues() {
		blocks, _ := q.takeUnkept()
		for _, b := range blocks {
			b.each(func(_ []byte, rc rec) { again.leave(rc) })
		}
	}
	again.flush()
}

// drainToSenders answers what cannot be kept.
func (r *Router) drainToSenders(ctx context.Context) {
	var shared []leftover
	cut := map[*Node]bool{}
	for _, n := range r.Nodes() {
		if n.State() != Attached {
			r.takeBack(n)
			r.answerBlocks(n.queue.takeAll(), Stopping, &shared)
		}
	}
	r.flushed(ctx)
	var late []*block
	for _, n := range r.Nodes() {
		if n.State() != Attached || n.queue.open() {
			cut[n] = true
			n.queue.settleProof()
			n.queue.cut() // it took too long, or its link has dropped meanwhile
			late = append(late, n.queue.takeAll()...)
		}
	}
	r.answerBlocks(late, Stopping, &shared)
	r.answerShared(shared, Stopping, cut)
	r.answerFor(r.iqs.takeOld(time.Time{}), Stopping) // no reader is left to hear an answer
	last, cancel := context.WithTimeout(context.Background(), lastFlush)
	defer cancel()
	r.flushed(last)
	r.giveUp()
}

// leftover is a stanza that waited.
type leftover struct {
	raw []byte
	rec rec
}

// giveUp ends the answers that nobody takes any more.
func (r *Router) giveUp() {
	again := newRedo(r)
	defer again.close()
	for _, n := range r.Nodes() {
		n.queue.settleProof()
		if !n.queue.open() {
			continue
		}
		n.queue.cut()
		for _, b := range n.queue.takeAll() {
			b.each(func(_ []byte, rc rec) { again.leave(rc) })
		}
	}
	again.flush()
}

// stalled is how long flushed waits for a node that takes nothing, where what waits for it can be kept.
const stalled = time.Second

// flushing is a node for which flushed waits.
type flushing struct {
	n     *Node
	was   QueueStats
	since time.Time // it took, or proved, something last
}

// flushed waits until every attached node has taken what waits for it, and proved it if it can, or ctx ends. No node waits
// for another.
func (r *Router) flushed(ctx context.Context) {
	var left []*flushing
	for _, n := range r.Nodes() {
		if n.State() == Attached {
			left = append(left, &flushing{n: n, was: n.queue.stats(), since: time.Now()})
		}
	}
	for {
		left = slices.DeleteFunc(left, func(f *flushing) bool { return f.done(r.cfg.Outbox != nil) })
		if len(left) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// done reports whether there is nothing left to wait for. kept: what waits is kept on disk.
func (f *flushing) done(kept bool) bool {
	q := f.n.queue
	q.close()
	if f.n.State() != Attached || !q.open() || !q.attached() {
		return true
	}
	now := q.stats()
	if now.Written != f.was.Written || now.Delivered != f.was.Delivered {
		f.was, f.since = now, time.Now()
	}
	return (kept || now.Waiting == 0) && time.Since(f.since) > stalled
}

func (r *Router) answerHeld(bare string) {
	if !r.holds.claim(bare) {
		return
	}
	again := newRedo(r)
	defer again.close()
	for {
		if h := r.holds.head(bare); !r.overflow.keep(h) && !again.storeHeld(h) {
			again.refuse(h.raw, h.origin, Stopping)
		}
		if !r.holds.drop(bare) {
			return
		}
	}
}

// storeHeld keeps a held message, where messages are kept: nobody has appeared who could have it.
func (d *redo) storeHeld(h held) bool {
	src, it, ok := d.read(h.raw, h.origin)
	if !ok {
		return false
	}
	src.since = h.came
	v := d.decideLate(it)
	if v.Action != Store {
		return false
	}
	src.do(d.w, it, v)
	d.flush()
	return true
}

// answerBlocks answers what waited for a node, for a reason; shared gets what has, or had, copies elsewhere.
func (r *Router) answerBlocks(blocks []*block, why Reason, shared *[]leftover) {
	again := newRedo(r)
	defer again.close()
	for _, b := range blocks {
		b.each(func(raw []byte, rc rec) {
			switch rc.class {
			case classStored:
				r.mail.lose(rc.at) // it is still on disk
			case classShared:
				*shared = append(*shared, leftover{append([]byte(nil), raw...), rc})
			default:
				again.refuse(raw, r.table.node(rc.origin), why)
			}
		})
	}
}

// answerShared answers stanzas of which several nodes were to get a copy: once, and only if none got it. cut are the
// nodes that have a link and did not take what waited for them.
func (r *Router) answerShared(shared []leftover, why Reason, cut map[*Node]bool) {
	again := newRedo(r)
	defer again.close()
	told := map[string]bool{}
	for _, o := range shared {
		key := fmt.Sprint(o.rec.origin, o.rec.at, string(o.raw))
		if told[key] || r.elsewhere(o, cut) {
			r.lost(OtherCopy, r.from(o.rec.origin), 1)
			continue
		}
		told[key] = true
		again.refuse(o.raw, r.table.node(o.rec.origin), why)
	}
}

// elsewhere reports whether a node has got another copy of a stanza.
func (r *Router) elsewhere(o leftover, cut map[*Node]bool) bool {
	to, ok := addressee(o.raw)
	if !ok {
		return false
	}
	for _, s := range r.sessions.Where(to.Bare()) {
		n := r.table.node(s.Node)
		if n != nil && n.State() == Attached && !cut[n] && int32(uint32(s.Version)-o.rec.at) <= 0 && s.Priority >= 0 {
			return true
		}
	}
	return false
}

// leave ends a stanza that nobody takes, and of which nobody can be told.
func (d *redo) leave(rc rec) {
	if rc.class == classStored {
		d.r.mail.lose(rc.at)
		return
	}
	d.r.lost(NodeLeft, d.r.from(rc.origin), 1)
}

// refuse answers one stanza that the router cannot keep any longer.
func (d *redo) refuse(raw []byte, origin *Node, why Reason) {
	src, it, ok := d.read(raw, origin)
	switch {
	case !ok || origin == nil:
		d.w.end(NodeLeft)
	case it.h.Answerable() && it.h.Kind != stanza.Presence:
		src.bounce(d.w, it, why)
	default:
		d.w.end(nobody(&it.h, true))
	}
	d.w.flush()
}
