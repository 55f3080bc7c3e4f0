package demo

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/patchbay-im/patchbay/component"
)

const (
	eventsKept    = 200
	latenciesKept = 4096
)

// Stage says where the demo plays. Addr and Secret are needed.
type Stage struct {
	Addr   string // host:port of the component port
	Secret string // of node1, node2 and node3 under UserDomain
	Users  string // the user domain; "": im.example

	LoadRate int           // messages per second in the background, counted and not shown; 0: 300
	Pace     time.Duration // between two lines of the conversation; 0: 400 ms
	Interval time.Duration // between two stories when no key is pressed; 0: 2.2 s

	// Fill adds what the server knows to a snapshot: its names, grades, ledger. It may correct everything. May be nil.
	Fill func(*Snapshot)

	// Waits gives how many stanzas wait for a node (node2), by the server's account. Nil: the demo's own account is told.
	Waits func(node string) int

	// Drain takes a node (node1) out of service, or puts it back. Nil: that story is not told.
	Drain func(node string, on bool) error
}

// homes are the six users and the nodes they start on.
var homes = [3][]string{{"alice/phone", "dora/web"}, {"bob/laptop", "erin/phone"}, {"carol/tablet", "frank/web"}}

// Play is a running Stage: a Source.
type Play struct {
	// set once
	stage  Stage
	actors [3]*actor
	begun  time.Time
	events chan Event
	keys   chan string
	cancel context.CancelFunc
	done   sync.WaitGroup // conversation, load, stories, clock
	hushed atomic.Bool    // nobody says anything: a story counts

	mu        sync.Mutex
	log       []Event             // guarded by mu
	latencies []time.Duration     // guarded by mu; a ring
	latest    int                 // guarded by mu; where the ring goes on
	open      map[string]delivery // guarded by mu; sent and not seen again, by id
	last      map[string]int      // guarded by mu; way -> highest number that arrived
	sent      uint64              // guarded by mu
	arrived   uint64              // guarded by mu
	bounced   uint64              // guarded by mu
	lost      uint64              // guarded by mu; given up by a story
	disorder  uint64              // guarded by mu; arrived after a later one of the same way
	rate      float64             // guarded by mu
	number    int                 // guarded by mu; of the last message
}

// delivery is a message under way.
type delivery struct {
	from int    // the node that sent it
	node int    // where its receiver was when it left
	body string // an error that comes back does not repeat it
}

// actor is one of the three nodes.
type actor struct {
	name string
	node *component.Node
	gate gate

	mu    sync.Mutex
	users []string      // guarded by mu; alice/phone
	in    uint64        // guarded by mu; sent by this node
	out   uint64        // guarded by mu; received by it
	away  bool          // guarded by mu
	nap   time.Duration // guarded by mu; what its handler sleeps per message
}

// gate cuts the node's connection and keeps it cut for a while.
type gate struct {
	mu   sync.Mutex
	conn net.Conn      // guarded by mu
	shut chan struct{} // guarded by mu; nil: open
}

func (g *gate) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut != nil {
		select {
		case <-shut:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err == nil {
		g.mu.Lock()
		g.conn = conn
		g.mu.Unlock()
	}
	return conn, err
}

// cut drops the connection without the end of the stream; the node comes back after open is called.
func (g *gate) cut() (open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	shut := make(chan struct{})
	g.shut = shut
	g.conn.Close()
	return sync.OnceFunc(func() {
		g.mu.Lock()
		g.shut = nil
		g.mu.Unlock()
		close(shut)
	})
}

// Start attaches the three nodes, logs the users in, and lets the play begin. Close ends it.
func (s Stage) Start(ctx context.Context) (*Play, error) {
	if s.Users == "" {
		s.Users = "im.example"
	}
	s.LoadRate, s.Pace, s.Interval = orElse(s.LoadRate, 300), orElse(s.Pace, 400*time.Millisecond), orElse(s.Interval, 2200*time.Millisecond)
	p := &Play{
		stage: s, begun: time.Now(),
		events: make(chan Event, eventsKept), keys: make(chan string, 1),
		open: make(map[string]delivery), last: make(map[string]int),
	}
	for i := range p.actors {
		p.actors[i] = &actor{name: fmt.Sprintf("node%d", i+1)}
	}
	for i := range p.actors {
		if err := p.enter(ctx, i); err != nil {
			p.leave()
			return nil, err
		}
	}
	ctx, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for i := range p.actors {
		p.done.Go(func() { p.load(ctx, i) })
	}
	p.done.Go(func() { p.talk(ctx) })
	p.done.Go(func() { p.stories(ctx) })
	p.done.Go(func() { p.clock(ctx) })
	return p, nil
}

func orElse[T comparable](v, other T) T {
	var zero T
	if v == zero {
		return other
	}
	return v
}

// enter attaches one node and logs its users in.
func (p *Play) enter(ctx context.Context, i int) error {
	a := p.actors[i]
	n, err := component.Dial(ctx, component.Config{
		Addrs: []string{p.stage.Addr}, Domain: a.name + "." + p.stage.Users, Secret: p.stage.Secret,
		Users:       []string{p.stage.Users},
		Plain:       i == 0, // node1 proves by pings, the others acknowledge
		DialContext: a.gate.dial,
		Backoff:     component.Backoff{Min: 20 * time.Millisecond, Max: time.Second},
		Handler:     component.Messages(func(m component.Message) { p.receive(i, m) }, nil),
		OnAttach:    func(*component.Node) { a.setAway(false) },
		OnDetach:    func(error) { a.setAway(true) },
	})
	if err != nil {
		return fmt.Errorf("attach %s: %w", a.name, err)
	}
	a.node = n
	var users []jid.JID
	for _, u := range homes[i] {
		users = append(users, p.jid(u))
	}
	if err := n.Announce(ctx, users...); err != nil {
		return fmt.Errorf("log the users of %s in: %w", a.name, err)
	}
	for _, u := range homes[i] {
		a.add(u)
	}
	return nil
}

// Close ends the play and detaches the nodes.
func (p *Play) Close() {
	p.cancel()
	p.done.Wait()
	p.leave()
}

func (p *Play) leave() {
	for _, a := range p.actors {
		if a.node != nil {
			a.node.Close()
		}
	}
}

// jid gives the full address of alice/phone.
func (p *Play) jid(short string) jid.JID {
	local, resource, _ := strings.Cut(short, "/")
	j, err := jid.New(local, p.stage.Users, resource)
	if err != nil {
		panic(err) // the users are constants of this package
	}
	return j
}

// short gives alice/phone of a full address.
func short(j jid.JID) string {
	return strings.TrimSuffix(j.Localpart()+"/"+j.Resourcepart(), "/")
}

func (a *actor) setAway(away bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.away = away
}

func (a *actor) view() NodeView {
	a.mu.Lock()
	defer a.mu.Unlock()
	v := NodeView{Name: a.name, Sessions: slices.Clone(a.users), In: a.in, Out: a.out, Grade: "attached"} // the server knows more: see Fill
	if a.away {
		v.Grade = Away
	}
	return v
}

// Events gives each event once.
func (p *Play) Events() <-chan Event { return p.events }

// Press tells a story, unless one is being told.
func (p *Play) Press(key string) {
	select {
	case p.keys <- key:
	default:
	}
}

// Snapshot gives what there is to see now.
func (p *Play) Snapshot() Snapshot {
	s := Snapshot{Server: "hub1." + p.stage.Users, Up: time.Since(p.begun), Component: p.stage.Addr}
	for _, a := range p.actors {
		v := a.view()
		s.Sessions += len(v.Sessions)
		s.Nodes = append(s.Nodes, v)
	}
	for i, st := range p.storyList() {
		s.Keys = append(s.Keys, Key{fmt.Sprint(i + 1), st.title})
	}
	s.Keys = append(s.Keys, Key{"q", "quit"})
	p.mu.Lock()
	s.Rate, s.Events = p.rate, slices.Clone(p.log)
	s.Accepted = p.sent
	s.Ends = []Count{{"arrived", p.arrived}, {"bounced", p.bounced}, {"under way", uint64(len(p.open))}}
	if p.lost > 0 {
		s.Ends = append(s.Ends, Count{"lost", p.lost})
	}
	sorted := slices.Clone(p.latencies)
	p.mu.Unlock()
	if len(sorted) > 0 {
		slices.Sort(sorted)
		s.P50, s.P99 = sorted[len(sorted)/2], sorted[len(sorted)*99/100]
	}
	if p.stage.Fill != nil {
		p.stage.Fill(&s)
	}
	return s
}

// tell adds an event.
func (p *Play) tell(e Event) {
	_, told := p.begin(e)
	told()
}

// begin adds an event that lasts. tell changes its note, which a screen sees; whoever reads Events gets it once, as it is when
// told is called.
func (p *Play) begin(e Event) (tell func(note string), told func()) {
	e.Time = time.Now()
	p.mu.Lock()
	p.log = append(p.log, e)
	if len(p.log) > eventsKept {
		p.log = p.log[len(p.log)-eventsKept:]
	}
	p.mu.Unlock()
	tell = func(note string) {
		e.Note = note
		p.mu.Lock()
		defer p.mu.Unlock()
		for i := range p.log {
			if p.log[i].Time.Equal(e.Time) && p.log[i].Kind == e.Kind {
				p.log[i].Note = note
			}
		}
	}
	return tell, func() {
		e.Time = time.Now() // lines come in the order of their times
		select {
		case p.events <- e:
		default: // nobody reads: a screen draws snapshots
		}
	}
}
