package server

import "testing"

func TestMemoryLimit(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct{ limit, queues, live, want int64 }{
		{1000 * mib, 0, 0, 1164 * mib},
		{1000 * mib, 800 * mib, 900 * mib, (1164 + 150) * mib}, // 100 of others
		{1000 * mib, 900 * mib, 800 * mib, 1164 * mib},         // collected before the queues grew
		{256 * mib, 0, 1000 * mib, (256 + 25 + 1500 + 64) * mib},
	} {
		if got := memoryLimit(c.limit, c.queues, c.live); got/mib != c.want/mib {
			t.Errorf("limit %d, queues %d, alive %d: %d MiB, want %d", c.limit/mib, c.queues/mib, c.live/mib, got/mib, c.want/mib)
		}
	}
}
