package storage

import (
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkOutbox measures blocks of 60 KiB: put, with at most 8 MiB on their way to the disk; read back in order, each deleted
// when it was read; of one target, and of 50 in turns, of which half are read.
func BenchmarkOutbox(b *testing.B) {
	const size, pending = 60 << 10, 8 << 20
	for _, targets := range []int{1, 50} {
		b.Run(fmt.Sprintf("targets%d/put", targets), func(b *testing.B) {
			o := benchOutbox(b)
			b.SetBytes(size)
			cpu := cpuTime()
			benchPut(b, o, targets, b.N, make([]byte, size), pending)
			b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
		})
		b.Run(fmt.Sprintf("targets%d/drain", targets), func(b *testing.B) {
			o := benchOutbox(b)
			b.SetBytes(size)
			benchPut(b, o, targets, b.N*min(targets, 2), make([]byte, size), pending)
			b.ResetTimer()
			cpu := cpuTime()
			for t := range (targets + 1) / 2 {
				for n := t; n < b.N*min(targets, 2); n += targets {
					if _, err := o.Get(fmt.Sprint(t), uint64(n)); err != nil {
						b.Fatal(err)
					}
					o.Delete(fmt.Sprint(t), uint64(n))
				}
			}
			if err := o.Flush(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
			st := o.Stats()
			b.ReportMetric(float64(st.Files-st.Bytes)/float64(max(st.Files, 1)), "dead/file")
		})
	}
	b.Run("open", func(b *testing.B) { // of 1 GiB
		dir := filepath.Join(b.TempDir(), "queues")
		q := queues(b, QueuesOptions{Dir: dir})
		benchPut(b, q.Outbox(), 50, 1<<30/size, make([]byte, size), pending)
		shut(b, q)
		for b.Loop() {
			begin := time.Now()
			q := queues(b, QueuesOptions{Dir: dir})
			b.ReportMetric(time.Since(begin).Seconds(), "s/open")
			if got := len(blocks(b, q.Outbox())); got != 1<<30/size {
				b.Fatal(got)
			}
			b.ReportMetric(time.Since(begin).Seconds(), "s/walked")
			shut(b, q)
		}
	})
}

func benchOutbox(b *testing.B) *Outbox {
	q := queues(b, QueuesOptions{Dir: filepath.Join(b.TempDir(), "queues")})
	b.Cleanup(func() { shut(b, q) })
	return q.Outbox()
}

// benchPut puts n blocks, and waits until they are on disk.
func benchPut(b *testing.B, o *Outbox, targets, n int, value []byte, pending int) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, pending/len(value))
	for i := range n {
		slots <- struct{}{}
		wg.Add(1)
		err := o.Put(fmt.Sprint(i%targets), uint64(i), value, func(err error) {
			if err != nil {
				b.Error(err)
			}
			<-slots
			wg.Done()
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	wg.Wait()
}
