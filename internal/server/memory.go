package server

import (
	"runtime/debug"
	"runtime/metrics"
)

// heapLive is what the last collection left.
const heapLive = "/gc/heap/live:bytes"

// memory keeps the process near limits.memory: without it the heap may grow to twice what is alive before it is collected,
// and what waits in the queues would count twice. What is not in queues (sessions above all) may grow as ever. The bytes of
// queues hold no pointers, so collecting more often costs little.
type memory struct {
	sample []metrics.Sample
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
	next := memoryLimit(limit, queues, int64(m.sample[0].Value.Uint64()))
	if diff := next - m.limit; diff > m.limit/20 || diff < -m.limit/20 {
		m.limit = next
		debug.SetMemoryLimit(next)
	}
}

// memoryLimit gives the bytes that the process may have before it is collected however little has become garbage.
func memoryLimit(limit, queues, live int64) int64 {
	const base = 64 << 20 // stacks, buffers of links, the runtime itself
	others := max(0, live-queues)
	return limit + limit/10 + others + others/2 + base
}
