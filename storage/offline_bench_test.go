package storage

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

// benchStanza is of the length of a chat message with its markup.
var benchStanza = bytes.Repeat([]byte("<message/>"), 30)

// BenchmarkOfflinePut measures messages that are on disk at the end: of one sender, and of eight.
func BenchmarkOfflinePut(b *testing.B) {
	for _, senders := range []int{1, 8} {
		for _, size := range []int{300, 5 << 20} {
			b.Run(fmt.Sprintf("senders%d/%d", senders, size), func(b *testing.B) {
				f := opened(b, OfflineOptions{Dir: b.TempDir()})
				raw := make([]byte, size)
				copy(raw, benchStanza)
				keys := benchKeys(100_000)
				b.SetBytes(int64(size))
				b.ResetTimer()
				var wg sync.WaitGroup
				for g := range senders {
					wg.Go(func() {
						for i := range b.N/senders + 1 {
							if _, err := f.Put(keys[(i*senders+g)*7919%len(keys)], 1, raw, Keep{}); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				if err := f.commits.flush(); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(f.Stats().Messages)/b.Elapsed().Seconds(), "durable/s")
			})
		}
	}
}

// BenchmarkOfflineDrain measures the replay of mailboxes of 100 messages: Read, Delete of what was read, and the disk.
func BenchmarkOfflineDrain(b *testing.B) {
	const per = 100
	f := opened(b, OfflineOptions{Dir: b.TempDir()})
	keys := benchKeys(b.N/per + 1)
	for i := range len(keys) * per {
		if _, err := f.Put(keys[i%len(keys)], 1, benchStanza, Keep{}); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.commits.flush(); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for _, k := range keys {
		for {
			got, err := f.Read(k, 0, 64)
			if err != nil {
				b.Fatal(err)
			}
			if len(got) == 0 {
				break
			}
			numbers := make([]uint64, len(got))
			for i := range got {
				numbers[i] = got[i].Number
			}
			f.Delete(k, numbers)
		}
	}
	if err := f.commits.flush(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(keys)*per)/b.Elapsed().Seconds(), "messages/s")
}

// fillOffline stores ten messages for each of a number of users.
func fillOffline(b *testing.B, f *Offline, users int) [][]byte {
	keys := benchKeys(users)
	for range 10 {
		for _, k := range keys {
			if _, err := f.Put(k, 1, benchStanza, Keep{}); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := f.commits.flush(); err != nil {
		b.Fatal(err)
	}
	return keys
}

// BenchmarkOfflineFull measures Has, and the open, with 1 M messages for 100 k users.
func BenchmarkOfflineFull(b *testing.B) {
	dir := b.TempDir()
	f, err := OpenOffline(OfflineOptions{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	keys := fillOffline(b, f, 100_000)
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			heap := heapBytes()
			f, err := OpenOffline(OfflineOptions{Dir: dir})
			if err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			b.ReportMetric(f.Stats().Took.Seconds(), "s/open")
			if f.Stats().Loaded != 1_000_000 {
				b.Fatal(f.Stats())
			}
			b.ReportMetric(float64(heapBytes()-heap)/1e5, "B/user")
			f.Close()
			b.StartTimer()
		}
	})
	f = opened(b, OfflineOptions{Dir: dir})
	absent := benchKeys(200_000)[100_000:]
	for name, pick := range map[string][][]byte{"hit": keys, "miss": absent} {
		b.Run("has/"+name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if f.Has(pick[i*7919%len(pick)]) != (name == "hit") {
					b.Fatal("wrong")
				}
			}
		})
	}
	b.Run("aged/none", func(b *testing.B) {
		limit := time.Now().Add(-time.Hour)
		for b.Loop() {
			if len(f.Aged(func([]byte) time.Time { return limit }, 100)) > 0 {
				b.Fatal("some")
			}
		}
	})
	b.Run("has/empty", func(b *testing.B) {
		f := opened(b, OfflineOptions{Dir: Memory})
		for i := 0; b.Loop(); i++ {
			if f.Has(keys[i*7919%len(keys)]) {
				b.Fatal("wrong")
			}
		}
	})
}

func heapBytes() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
