package server

import "testing"

func TestMemoryLimit(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct{ limit, others, want int64 }{
		{1000 * mib, 0, 1032 * mib},
		{1000 * mib, 100 * mib, (1032 + 125) * mib},
		{256 * mib, 1000 * mib, (256 + 1250 + 32) * mib},
	} {
		if got := memoryLimit(c.limit, c.others); got/mib != c.want/mib {
			t.Errorf("limit %d, others %d: %d MiB, want %d", c.limit/mib, c.others/mib, got/mib, c.want/mib)
		}
	}
}
