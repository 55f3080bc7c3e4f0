package routing

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// Config is what a Router needs to know. All but the Settings is set once.
type Config struct {
	Settings
	Server  string           // this server's own domain
	Offline *storage.Offline // for PolicyStore; nil: nothing is stored
	Outbox  *storage.Outbox  // for what nodes cannot take now; nil: it waits in memory only
	Counts  *storage.Queues  // for how much of what was sent on links that may be resumed is in custody; nil: a restart forgets it
	NoProof bool             // no link is asked for proof, and each is of grade written: what proof costs can be measured so
	IQWait  time.Duration    // how long an iq may go unanswered; 0 is 60 s
	Log     *logrus.Entry
	Now     func() time.Time // nil is time.Now
}

// Service answers what is addressed to the server itself, in the reader of the stanza's source. from and to
// are canonical and, like h, borrowed. It answers with Source.Reply or Router.Send and returns None, or returns
// the reason for which the stanza is to be bounced or dropped.
type Service interface {
	Serve(src *Source, h *stanza.Header, from, to stanza.Address) Reason

	// Revoked tells a node that one of its sessions has ended, because its grant does not cover it any more. who is borrowed.
	Revoked(n *Node, who stanza.Address)
}

// Router carries stanzas between the links of one server.
type Router struct {
	// set once
	cfg       Config
	now       func() time.Time
	sessions  *storage.Sessions
	service   Service
	table     *Table
	nobody    *Node // stands for nodes that are not known any more
	work      sync.Pool
	snapshots sync.Pool
	writers   sync.WaitGroup
	expiries  sync.WaitGroup // graces that are being ended
	stop      chan struct{}
	stopped   chan struct{}
	beaten    chan struct{}
	env       *queueEnv
	stopOnce  sync.Once

	// shared, each with its own lock inside
	iqs   iqTable
	holds holds
	tally tally
	mail  mail

	settings atomic.Pointer[Settings] // replaced by Apply
	applying sync.Mutex               // held by Apply, one at a time

	// judging has room for one: who judges whether one of several copies of a stanza is one too many. Two who did so at
	// the same time could each rely on the other's copy.
	judging chan struct{}

	// expirer has room for one: who ends a grace.
	expirer chan struct{}

	draining atomic.Bool // the server takes no new sessions
	untold   atomic.Bool // some node was not told of a drain, or its end: its queue was full
	complete atomic.Bool // the view is complete: no entry means offline
	links    atomic.Uint64
	notices  atomic.Uint64          // of drains, and of their ends
	turns    atomic.Uint64          // graces whose end has begun
	away     atomic.Int32           // nodes that are away
	taps     atomic.Pointer[[]*Tap] // nil: there are none
	clock    atomic.Int64           // UnixNano, advanced by housekeeping: for what must not ask for the time
	tight    atomic.Bool            // the queues together have nearly all the memory that they may
	most     atomic.Int64           // Settings.Outbox
	beat     beat
	overflow overflow
	retired  retired
	moves    moves
	strayed  waitroom // stanzas that were taken out of a queue, and are held

	// guarded by mu
	mu       sync.Mutex
	toReturn int // nodes from before a restart that are still awaited
}

// New makes a router over an open session table. Housekeeping runs until Close.
func New(cfg Config, sessions *storage.Sessions, service Service) *Router {
	if cfg.IQWait == 0 {
		cfg.IQWait = 60 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	r := &Router{cfg: cfg, now: cfg.Now, sessions: sessions, service: service, table: newTable(),
		stop: make(chan struct{}), stopped: make(chan struct{}), beaten: make(chan struct{}), judging: make(chan struct{}, 1), expirer: make(chan struct{}, 1)}
	r.work.New = func() any { return newWork() }
	r.snapshots.New = func() any { return &snapshot{} }
	r.settings.Store(cfg.Settings.clone())
	r.clock.Store(r.now().UnixNano())
	r.most.Store(cfg.Settings.Outbox)
	r.beat.wake = make(chan struct{}, 1)
	r.env = r.newEnv()
	r.env.memory.Store(cfg.Settings.Memory)
	r.iqs.init()
	r.nobody = r.newNode(cfg.Server)
	r.holds.init(r.set().Queue, r.nobody)
	r.overflow.init(r)
	r.mail.init(r, cfg.Offline)
	r.table.add(&domain{name: []byte(cfg.Server), server: true})
	r.serve(r.set())
	go r.housekeeping() // Close waits for both
	go r.runBeat()
	return r
}

// Close ends housekeeping and waits for the writers; all links must have been detached.
func (r *Router) Close() {
	r.stopHousekeeping()
	r.mail.stop()
	r.stopTimers()
	r.writers.Wait()
	r.mail.counting.Wait()
}

// SomebodyAway reports whether any node is away, so that stanzas may wait for one.
func (r *Router) SomebodyAway() bool { return r.away.Load() > 0 }

func (r *Router) stopHousekeeping() {
	r.stopOnce.Do(func() { close(r.stop) })
	<-r.stopped
	<-r.beaten
}

// Server is this server's own domain.
func (r *Router) Server() string { return r.cfg.Server }

// Complete reports whether the view is complete: a user without an entry is offline, not unknown.
func (r *Router) Complete() bool { return r.complete.Load() }

// Nodes gives every node that is known here: several of one domain, where several links may share it.
func (r *Router) Nodes() []*Node {
	var nodes []*Node
	for _, d := range r.table.all() {
		if home := d.node.Load(); home != nil {
			nodes = append(nodes, home.all()...)
		}
	}
	return nodes
}

// queues gives all queues: those of the nodes, and the overflow.
func (r *Router) queues() []*Queue {
	queues := []*Queue{r.overflow.node.queue, r.overflow.held}
	for _, n := range r.Nodes() {
		queues = append(queues, n.queue)
	}
	return queues
}

// Node gives the node with this domain, or nil.
func (r *Router) Node(name string) *Node {
	if d := r.table.find([]byte(name)); d != nil {
		return d.node.Load()
	}
	return nil
}

// IsOurs reports whether a domain is the server's own or a user domain, which no node may take.
func (r *Router) IsOurs(name string) bool {
	d := r.table.find([]byte(name))
	return d != nil && (d.kind() == PlaceServer || d.kind() == PlaceUsers)
}

// nodeOf gives the node with this domain, made if it was never seen.
func (r *Router) nodeOf(name string) *Node {
	d := r.table.entry(name)
	if n := d.node.Load(); n != nil {
		return n
	}
	d.node.CompareAndSwap(nil, r.newNode(name)) // somebody may have been faster
	return d.node.Load()
}

func (r *Router) newNode(name string) *Node {
	n := &Node{Domain: name, since: r.now()}
	n.queue = newQueue(r.set().Queue, r.env, n, name)
	n.home = n
	return n
}

// newEnv gives what all queues share.
func (r *Router) newEnv() *queueEnv {
	start := time.Now()
	env := &queueEnv{wg: &r.writers, arrived: r.mail.written, lost: r.takenOut, clock: &r.clock, moment: &r.retired.moment, most: &r.most, tight: &r.tight,
		mono: func() int64 { return int64(time.Since(start)) + 1 }, arm: r.beat.add, server: r.cfg.Server, off: r.cfg.NoProof,
		log: func(q *Queue, what string, err error) {
			log := r.cfg.Log.WithField("node", q.node.Domain)
			if err == nil {
				log.Info(what)
				return
			}
			log.WithError(err).Error(what)
		}}
	if r.cfg.Outbox != nil {
		env.outbox = r.cfg.Outbox
	}
	return env
}

// agedEach is how often housekeeping looks for stored messages that are too old.
const agedEach = 5 * time.Second

// housekeeping ends what has waited too long: iqs without an answer, and stanzas to users that did not appear.
func (r *Router) housekeeping() {
	defer close(r.stopped)
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for aged, counted := r.now(), r.env.mono(); ; {
		select {
		case <-r.stop:
			return
		case <-tick.C:
		}
		now := r.now()
		r.clock.Store(now.UnixNano())
		r.requestsExpired(now)
		r.overflow.tick(now)
		r.probeWritten()
		r.relievePressure()
		r.forgetRetired()
		if r.untold.Swap(false) {
			r.tellDrains()
		}
		if r.env.mono()-counted >= int64(countsEach) {
			counted = r.env.mono()
			r.keepCounts()
		}
		if r.holds.lists.Load() > 0 {
			due := r.holds.due(now)
			r.release(due)
			r.refuseOverdue(due, now)
		}
		if now.Sub(aged) >= agedEach {
			aged = now
			r.mail.expireAged()
		}
	}
}
