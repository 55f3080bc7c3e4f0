package server

import (
	"runtime/debug"
	"runtime/metrics"
	"slices"
)

// heapLive is what the last collection left.
const heapLive = "/gc/heap/live:bytes"

// memory keeps the process near limits.memory: without it the heap may grow to twice what is alive before it is collected,
// and what waits in the queues would count twice. What is not in queues (sessions above all) may grow as ever. The bytes of
// queues hold no pointers, so collecting more often costs little.
type memory struct {
	sample []metrics.Sample
	live   int64    // what the last collection left
	others [4]int64 // what was alive outside the queues after the last ones, a place for each in turn
	turn   int
	before int64 // what the queues had a second ago
	limit  int64 // that was set last
}

// keep follows the size of what is alive. It is called once a second.
func (m *memory) keep(limit, queues int64) {
	if limit <= 0 {
		return
	}
	if m.sample == nil {
		m.sample = []metrics.Sample{{Name: heapLive}}
	}
	metrics.Read(m.sample)
	if m.sample[0].Value.Kind() != metrics.KindUint64 {
		return // this Go does not tell
	}
	if live := int64(m.sample[0].Value.Uint64()); live != m.live { // it was in this second
		if m.live == 0 {
			m.others = [4]int64{live, live, live, live}
		}
		m.live = live
		m.others[m.turn] = max(0, live-max(queues, m.before))
		m.turn = (m.turn + 1) % len(m.others)
	}
	m.before = queues
	// The least: blocks that queues have just given up are alive for two more collections.
	next := memoryLimit(limit, slices.Min(m.others[:]))
	if diff := next - m.limit; diff > m.limit/20 || diff < -m.limit/20 {
		m.limit = next
		debug.SetMemoryLimit(next)
	}
}

// memoryLimit gives the bytes that the process may have before it is collected however little has become garbage.
func memoryLimit(limit, others int64) int64 {
	const base = 32 << 20 // stacks, buffers of links, the runtime itself
	return limit + others + others/4 + base
}
