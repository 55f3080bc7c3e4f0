package routing

// Stats is what the router's bounded tables hold at one moment, and as much as they may.
type Stats struct {
	IQs          int // iq gets and sets that wait for their answer
	IQsMax       int
	IQBytes      int // of their addresses and ids
	IQBytesMax   int
	Held         int // stanzas to users of whom it is not yet known whether they are online, or behind what is stored for them
	HeldFor      int // users
	HeldBytes    int // what they cost, in bytes
	HeldBytesMax int
	HeldOnDisk   int   // stanzas that are held and found no room in memory
	QueueMemory  int64 // bytes of memory that all queues take, and copies of it on the way to the disk
}

// Stats looks at the tables. It walks none of them.
func (r *Router) Stats() Stats {
	st := Stats{IQsMax: maxAsks, IQBytesMax: maxAskBytes, Held: int(r.holds.len.Load()), HeldFor: int(r.holds.lists.Load())}
	st.HeldOnDisk = int(r.overflow.len.Load())
	st.IQs, st.IQBytes = r.iqs.size()
	st.HeldBytes, st.HeldBytesMax = r.holds.size()
	st.QueueMemory = r.env.used()
	return st
}

func (t *iqTable) size() (asks, bytes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.len, t.bytes
}

func (hs *holds) size() (bytes, limit int) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return hs.bytes, hs.limit
}
