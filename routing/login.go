package routing

import "sync"

// logins are the users who are logging in at this moment: from Expect, which looks for what is stored, to Announced, when
// all can see the session. Who stores a message in between is not seen by the one, nor does he see the other; here they
// meet.
type logins struct{ shards [loginShards]loginShard }

const loginShards = 64

type loginShard struct {
	mu    sync.Mutex
	users map[uint64]*login // guarded by mu; by the hash of the bare JID
}

// login is how many announces of one user are on their way, the node of the first, and the messages stored meanwhile.
type login struct {
	node  *Node
	count int
	late  int
}

func (l *logins) init() {
	for i := range l.shards {
		l.shards[i].users = map[uint64]*login{}
	}
}

func (l *logins) shard(hash uint64) *loginShard { return &l.shards[hash%loginShards] }

// begin notes an announce that is to be made.
func (l *logins) begin(hash uint64, n *Node) {
	s := l.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[hash]
	if u == nil {
		u = &login{node: n}
		s.users[hash] = u
	}
	u.count++
}

// node gives the node on which a user is logging in, or nil.
func (l *logins) node(hash uint64) *Node {
	s := l.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.users[hash]; u != nil {
		return u.node
	}
	return nil
}

// add leaves the announcement of a list to the log-in that is on its way, and reports false when there is none any more.
func (l *logins) add(hash uint64) bool {
	s := l.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[hash]
	if u == nil {
		return false
	}
	u.late++
	return true
}

// end notes that an announce was made, and gives the number of lists that were left to it.
func (l *logins) end(hash uint64) (late int) {
	s := l.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[hash]
	if u == nil {
		return 0
	}
	if u.count--; u.count > 0 {
		return 0 // the last one has the session that all others may be waiting for
	}
	delete(s.users, hash)
	return u.late
}
