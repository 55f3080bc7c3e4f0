package conformance

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"sync"
	"time"
)

// mostTime is how long one case may take, heavy ones too; and what a judged component takes to come back, up to three times.
const mostTime, mostAbsence = 2 * time.Minute, 3 * againWait

// Play plays cases against a target, one behind the other, and calls each with every result. Cases that cannot be played against
// it are skipped, with the reason. The error is an *Unreachable, or that of a context that ended; the run then holds what was played.
func Play(ctx context.Context, t Target, cases []*Case, each func(Result)) (*Run, error) {
	r := &runner{target: t, usual: time.Second, again: againWait}
	run := &Run{Target: t.Addr, Profile: Component, Safe: !t.Stress, Started: time.Now()}
	if len(cases) > 0 {
		run.Profile = cases[0].Profile
	}
	if t.Listen != "" {
		run.Target = t.Listen
		l, err := net.Listen("tcp", t.Listen)
		if err != nil {
			return run, &Unreachable{t.Listen, err}
		}
		defer l.Close()
		r.listener = l.(*net.TCPListener)
		cases = inOrder(cases)
	}
	defer r.part()
	product, err := r.meet(ctx)
	if err != nil {
		return run, err
	}
	run.Product = product
	for _, c := range cases {
		if err := ctx.Err(); err != nil {
			return run, err
		}
		res := r.play(ctx, c)
		if err := ctx.Err(); err != nil {
			return run, err // it says nothing of the target that this case broke off
		}
		run.Results = append(run.Results, res)
		run.Took = time.Since(run.Started)
		each(res)
	}
	return run, nil
}

// runner plays cases against one target.
type runner struct {
	target   Target
	listener *net.TCPListener // of profile node
	usual    time.Duration    // within which what is expected must come
	way      time.Duration    // 20 times as long as the target takes to answer: added to what it is given to do so
	hears    bool             // the target routes back to who sent it
	deaf     bool             // it does not

	// of profile node
	again  time.Duration // for the judged one to come back
	spare  net.Conn      // the judged one has connected, and no case has used it
	whole  *conn         // its stream, which the last case has left as it was
	missed bool          // it has stayed away before

	// guarded by mu
	mu     sync.Mutex
	player *player // of the case that is played: what comes is for its wire log
}

// log notes what an actor sent or received.
func (r *runner) log(actor string, kind RecordKind, b []byte) {
	r.mu.Lock()
	p := r.player
	r.mu.Unlock()
	p.log(actor, kind, b)
}

// begin makes the player of a case.
func (r *runner) begin(ctx context.Context) *player {
	p := newPlayer(ctx, r)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.player = p
	return p
}

// play plays one case.
func (r *runner) play(ctx context.Context, c *Case) Result {
	res := Result{Case: c}
	if why := r.target.misses(c); why != "" {
		res.Word, res.Why = Skipped, why
		return res
	}
	most := mostTime
	if r.listener != nil {
		most += mostAbsence
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	p := r.begin(ctx)
	res.Word = Pass
	for i := range c.steps {
		if res.Fault = p.step(&c.steps[i]); res.Fault != nil {
			res.Word = Fail
			break
		}
	}
	if res.Word == Pass && p.soft != "" {
		res.Word, res.Why = Soft, p.soft
	}
	res.Took = time.Since(p.start)
	if s := p.conns["s"]; s != nil && res.Fault == nil && s.alive() {
		s.release()
		r.whole = s
		delete(p.conns, "s")
	}
	p.end()
	res.Wire = p.wire()
	var absent *absent
	if errors.As(p.err, &absent) {
		res.Word, res.Why, res.Fault = Skipped, absent.Error(), nil
	}
	return res
}

// meet finds out whether the target can be judged, how far away it is, and what it says it is.
func (r *runner) meet(ctx context.Context) (product string, err error) {
	p := r.begin(ctx)
	if r.listener != nil {
		return "", r.await(ctx)
	}
	defer p.end()
	for i := range r.target.Nodes {
		actor := "c" + string(rune('1'+i))
		if fault := p.attach(actor); fault != nil {
			return "", &Unreachable{r.target.Addr, errors.New(r.target.Nodes[i].Domain + ": " + fault.Got)}
		}
		if way := 5 * p.conns[actor].trip; i == 0 || way < r.way { // the least is the way, the rest is a busy moment
			r.way = way
		}
	}
	r.usual += r.way
	if r.target.Server == "" {
		return "", nil
	}
	return p.version(), nil
}

// part ends what is left of the judged component's connections.
func (r *runner) part() {
	if r.whole != nil {
		r.whole.part()
	}
	if r.spare != nil {
		_ = r.spare.Close() // nothing was said on it
	}
}

// token makes 8 hex digits.
func token() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}
