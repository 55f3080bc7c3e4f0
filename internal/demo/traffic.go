package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/patchbay-im/patchbay/component"
)

// line is a sentence of the conversation.
type line struct{ from, to, text string }

// script is what the six have to say; it begins anew when it ends.
var script = []line{
	{"alice/phone", "bob/laptop", "lunch at one?"},
	{"bob/laptop", "alice/phone", "the usual place"},
	{"carol/tablet", "erin/phone", "did the parcel come?"},
	{"erin/phone", "carol/tablet", "this morning, thank you!"},
	{"frank/web", "dora/web", "the tests are green again"},
	{"dora/web", "frank/web", "what was it?"},
	{"frank/web", "dora/web", "a comma"},
	{"alice/phone", "carol/tablet", "are you in on Friday?"},
	{"carol/tablet", "alice/phone", "from ten o'clock"},
	{"bob/laptop", "erin/phone", "may I borrow your bicycle?"},
	{"erin/phone", "bob/laptop", "it has a flat tyre, but yes"},
	{"dora/web", "alice/phone", "look at the moon tonight"},
	{"alice/phone", "dora/web", "I can see it from here"},
	{"bob/laptop", "frank/web", "who ate the cake?"},
	{"frank/web", "bob/laptop", "there was cake?"},
}

// talk says a line of the script at each beat. A line whose speaker is cut off waits for the next beat.
func (p *Play) talk(ctx context.Context) {
	beat := time.NewTicker(p.stage.Pace)
	defer beat.Stop()
	for i := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		}
		l := script[i%len(script)]
		if at := p.home(l.from); p.actors[at].view().Grade != Away && !p.hushed.Load() {
			p.send(ctx, "talk", l)
			i++
		}
	}
}

// load sends the background of one node: its users write to everybody.
func (p *Play) load(ctx context.Context, node int) {
	const beats = 50 // per second
	beat := time.NewTicker(time.Second / beats)
	defer beat.Stop()
	due := 0.0
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		}
		if p.hushed.Load() {
			continue
		}
		users := p.actors[node].view().Sessions
		everybody := p.everybody()
		for due += float64(p.stage.LoadRate) / float64(len(p.actors)*beats); due >= 1 && len(users) > 0; due-- {
			from, to := users[rand.IntN(len(users))], everybody[rand.IntN(len(everybody))]
			p.send(ctx, fmt.Sprint(loadKind, node), line{from, to, "one of many"})
		}
	}
}

func (p *Play) everybody() []string {
	var all []string
	for _, a := range p.actors {
		all = append(all, a.view().Sessions...)
	}
	return all
}

// home gives the node on which a user is; -1: nowhere.
func (p *Play) home(user string) int {
	for i, a := range p.actors {
		for _, u := range a.view().Sessions {
			if u == user {
				return i
			}
		}
	}
	return -1
}

// loadKind begins the kind of background messages.
const loadKind = "load"

// send has a user's node send a line. The id holds the kind, the number and the time: "talk-17-1795356451204000000".
// All messages of one kind come from one goroutine, so their numbers rise in the order of sending.
func (p *Play) send(ctx context.Context, kind string, l line) {
	from, to := p.home(l.from), p.home(l.to)
	if from < 0 {
		return // between two nodes
	}
	now := time.Now()
	p.mu.Lock()
	p.number++
	id := fmt.Sprintf("%s-%d-%d", kind, p.number, now.UnixNano())
	p.open[id] = delivery{from: from, node: to, body: l.text}
	p.sent++
	p.mu.Unlock()
	m := component.Message{Body: l.text, Message: stanza.Message{
		ID: id, From: p.jid(l.from), To: p.jid(l.to), Type: stanza.ChatMessage}}
	if err := p.actors[from].node.Send(ctx, m.TokenReader()); err != nil {
		p.mu.Lock()
		delete(p.open, id)
		p.sent--
		p.mu.Unlock()
		return
	}
	p.actors[from].mu.Lock()
	p.actors[from].in++
	p.actors[from].mu.Unlock()
}

// receive is the handler of a node.
func (p *Play) receive(node int, m component.Message) {
	a := p.actors[node]
	a.mu.Lock()
	a.out++
	a.away = false // what waited comes before the new link is called attached
	nap := a.nap
	a.mu.Unlock()
	if nap > 0 {
		sleep(context.Background(), nap)
	}
	kind, number, sent, ours := parseID(m.ID)
	if m.Type == stanza.ErrorMessage {
		p.bounce(node, m)
		return
	}
	var latency time.Duration
	if ours {
		latency = time.Since(sent)
		p.arrive(m, strings.Join([]string{kind, short(m.From), short(m.To), a.name}, " "), number, latency)
	}
	if !strings.HasPrefix(kind, loadKind) {
		p.tell(Event{From: short(m.From), To: short(m.To), FromNode: p.nodeName(m.From), ToNode: a.name, Body: m.Body,
			Latency: latency, Outcome: p.Snapshot().Nodes[node].Grade})
	}
}

// arrive books a message that has reached its receiver. Order holds per way: kind, sender, receiver and its node.
func (p *Play) arrive(m component.Message, way string, number int, latency time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.open[m.ID]; !ok {
		return // a second copy
	}
	delete(p.open, m.ID)
	p.arrived++
	if number < p.last[way] {
		p.disorder++
	}
	p.last[way] = max(p.last[way], number)
	if len(p.latencies) < latenciesKept {
		p.latencies = append(p.latencies, latency)
		return
	}
	p.latencies[p.latest] = latency
	p.latest = (p.latest + 1) % latenciesKept
}

// bounce books and tells a message that came back to the node that sent it.
func (p *Play) bounce(node int, m component.Message) {
	p.mu.Lock()
	d, ok := p.open[m.ID]
	if ok {
		delete(p.open, m.ID)
		p.bounced++
	}
	p.mu.Unlock()
	why := "no reason given"
	if m.Cause != nil {
		why = string(m.Cause.Condition)
	}
	name := p.actors[node].name
	p.tell(Event{Kind: Bounced, From: short(m.To), To: short(m.From), FromNode: name, ToNode: "-", Body: d.body,
		Note: why + ", " + name + " told", Outcome: "bounced"})
}

// nodeName gives the node of a user, or the domain of whoever else wrote.
func (p *Play) nodeName(from jid.JID) string {
	if at := p.home(short(from)); at >= 0 {
		return p.actors[at].name
	}
	return from.Domainpart()
}

// parseID reads an id that send made.
func parseID(id string) (kind string, number int, sent time.Time, ok bool) {
	kind, rest, _ := strings.Cut(id, "-")
	n, nanos, _ := strings.Cut(rest, "-")
	number, err := strconv.Atoi(n)
	ns, err2 := strconv.ParseInt(nanos, 10, 64)
	if err != nil || err2 != nil {
		return "", 0, time.Time{}, false
	}
	return kind, number, time.Unix(0, ns), true
}

// clock measures the rate.
func (p *Play) clock(ctx context.Context) {
	beat := time.NewTicker(time.Second)
	defer beat.Stop()
	before, since := uint64(0), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		}
		p.mu.Lock()
		now := time.Now()
		p.rate = float64(p.arrived-before) / now.Sub(since).Seconds()
		before, since = p.arrived, now
		p.mu.Unlock()
	}
}
