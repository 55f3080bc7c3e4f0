package demo

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"
)

const (
	cutFor    = 700 * time.Millisecond // how long a cut lasts, and hushFor
	slowFor   = 1500 * time.Millisecond
	slowNap   = 20 * time.Millisecond // what a handler of the slow node takes per message
	settleFor = 5 * time.Second       // then what is still missing is called lost
	lookEvery = 20 * time.Millisecond

	countEvery = 100 * time.Millisecond // what waits for a node that is cut off
	hushFor    = 250 * time.Millisecond // then all that was sent is with the router, and on its disk
)

// story is told at its key, and in its turn.
type story struct {
	title string
	tell  func(*Play, context.Context)
}

// storyList gives the stories in their order, one per key.
func (p *Play) storyList() []story {
	list := []story{{"move a user", (*Play).moveUser}, {"cut a node", (*Play).cutNode}, {"to an offline user", (*Play).toOffline}}
	if p.stage.Drain != nil {
		list = append(list, story{"drain node1", (*Play).drainNode})
	}
	return append(list, story{"slow node", (*Play).slowNode})
}

// stories tells a story at each key, and by itself one after the other while nobody presses any.
func (p *Play) stories(ctx context.Context) {
	list := p.storyList()
	for next := 0; ; {
		wait := time.NewTimer(p.stage.Interval)
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case key := <-p.keys:
			wait.Stop()
			if i, err := strconv.Atoi(key); err == nil && i >= 1 && i <= len(list) {
				list[i-1].tell(p, ctx)
			}
		case <-wait.C:
			list[next%len(list)].tell(p, ctx)
			next++
		}
	}
}

// moveUser has erin log in on the other node: her session goes with her, and so does the next message.
func (p *Play) moveUser(ctx context.Context) {
	const user = "erin/phone"
	from := p.home(user)
	to := map[int]int{1: 2, 2: 1}[from]
	if err := p.actors[to].node.Announce(ctx, p.jid(user)); err != nil {
		p.tell(Event{Kind: Note, Note: "erin could not move: " + err.Error()})
		return
	}
	p.actors[from].drop(user)
	p.actors[to].add(user)
	p.tell(Event{Kind: Moved, From: user, FromNode: p.actors[from].name, ToNode: p.actors[to].name,
		Note: "has moved; the next message follows her"})
	p.send(ctx, "story", line{"alice/phone", user, "where are you now?"})
}

func (a *actor) drop(user string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.users = slices.DeleteFunc(a.users, func(u string) bool { return u == user })
}

func (a *actor) add(user string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.users = append(a.users, user)
}

// cutNode drops the connection of node2 in the middle of everything, and counts what became of the messages that
// were under way to it. Before it comes back all are silent for a moment, so that two accounts of the same can be compared.
func (p *Play) cutNode(ctx context.Context) {
	const cut = 1
	_, disorder := p.missing(nil)
	open := p.actors[cut].gate.cut()
	p.actors[cut].setAway(true) // its stream is resumed, so nobody else says so
	tell, told := p.begin(Event{Kind: Note})
	for end := time.Now().Add(cutFor); time.Now().Before(end) && ctx.Err() == nil; sleep(ctx, countEvery) {
		tell(cutNote(p.waits(cut)))
	}
	p.hushed.Store(true)
	sleep(ctx, hushFor)
	waited, kept := p.underWay(func(d delivery) bool { return d.node == cut && d.from != cut }), p.waits(cut)
	own := p.underWay(func(d delivery) bool { return d.from == cut }) // what it has to say waits in the node itself
	tell(cutNote(kept))
	told()
	p.hushed.Store(false)
	open()
	lost, late := p.await(ctx, append(own, waited...))
	missing, _ := p.missing(waited)
	p.actors[cut].setAway(false)
	if ctx.Err() != nil {
		return
	}
	order := "in order"
	if late > disorder {
		order = fmt.Sprintf("%d out of order", late-disorder)
	}
	note := fmt.Sprintf("node2 is back: %d of %d redelivered, %s", len(waited)-missing, len(waited), order)
	if had := kept - len(waited); had > 0 { // their acknowledgement was on its way when the connection went
		note += fmt.Sprintf(" (%d were read)", had)
	}
	p.tell(Event{Kind: Note, Outcome: fmt.Sprintf("%d lost", lost), Note: note})
}

func cutNote(waiting int) string {
	return fmt.Sprintf("node2 was cut off on purpose, %d stanzas in its outbox ...", waiting)
}

// waits gives how many stanzas wait for a node.
func (p *Play) waits(node int) int {
	if p.stage.Waits == nil {
		return len(p.underWay(func(d delivery) bool { return d.node == node && d.from != node }))
	}
	return p.stage.Waits(p.actors[node].name)
}

// toOffline has carol write to somebody who is nowhere: her node is told, so that it can keep the message.
func (p *Play) toOffline(ctx context.Context) {
	p.send(ctx, "story", line{"carol/tablet", "grace", "are you there?"})
}

// drainNode takes node1 out of service while heidi comes: it keeps its users, and she logs in on another node.
func (p *Play) drainNode(ctx context.Context) {
	const drained, other, user = 0, 1, "heidi/desk"
	if err := p.stage.Drain(p.actors[drained].name, true); err != nil {
		p.tell(Event{Kind: Note, Note: "node1 could not be drained: " + err.Error()})
		return
	}
	p.tell(Event{Kind: Note, Note: "node1 is drained: it keeps its users, and takes no new ones"})
	refused := "was let in"
	if err := p.actors[drained].node.Announce(ctx, p.jid(user)); err != nil {
		refused = "is refused there"
	}
	if err := p.actors[other].node.Announce(ctx, p.jid(user)); err == nil {
		p.actors[other].add(user)
		p.tell(Event{Kind: Moved, From: user, FromNode: p.actors[drained].name, ToNode: p.actors[other].name, Note: refused + " and logs in here"})
	}
	sleep(ctx, cutFor)
	if err := p.stage.Drain(p.actors[drained].name, false); err == nil {
		p.tell(Event{Kind: Note, Note: "node1 takes new users again; heidi logs out"})
	}
	if p.actors[other].node.Withdraw(ctx, p.jid(user)) == nil {
		p.actors[other].drop(user)
	}
}

// slowNode makes the handler of node3 slow: what it cannot take waits in the router, nobody else feels it.
func (p *Play) slowNode(ctx context.Context) {
	const slow = 2
	p.actors[slow].setNap(slowNap)
	p.tell(Event{Kind: Note, Note: fmt.Sprintf("node3 takes %d ms per message now; its messages wait, others do not", slowNap.Milliseconds())})
	sleep(ctx, slowFor)
	waited := p.underWay(func(d delivery) bool { return d.node == slow })
	p.actors[slow].setNap(0)
	lost, _ := p.await(ctx, waited)
	if ctx.Err() == nil {
		p.tell(Event{Kind: Note, Outcome: fmt.Sprintf("%d lost", lost),
			Note: fmt.Sprintf("node3 is fast again: %d waited, %d came", len(waited), len(waited)-lost)})
	}
}

func (a *actor) setNap(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.nap = d
}

// underWay gives the ids of the messages on their way that which names.
func (p *Play) underWay(which func(delivery) bool) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ids []string
	for id, d := range p.open {
		if which(d) {
			ids = append(ids, id)
		}
	}
	return ids
}

// await waits until the messages have arrived or settleFor has passed. It gives up those that have not and says how
// many they are, and how many of all messages so far came out of order.
func (p *Play) await(ctx context.Context, ids []string) (lost int, disorder uint64) {
	limit := time.Now().Add(settleFor)
	for {
		lost, disorder = p.missing(ids)
		if lost == 0 || ctx.Err() != nil {
			return lost, disorder
		}
		if time.Now().After(limit) {
			p.giveUp(ids)
			return lost, disorder
		}
		sleep(ctx, lookEvery)
	}
}

func (p *Play) giveUp(ids []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		if _, ok := p.open[id]; ok {
			delete(p.open, id)
			p.lost++
		}
	}
}

func (p *Play) missing(ids []string) (lost int, disorder uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		if _, ok := p.open[id]; ok {
			lost++
		}
	}
	return lost, p.disorder
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
