package routing

import (
	"bytes"
	"maps"
	"slices"
	"sync"

	"github.com/patchbay-im/patchbay/storage"
)

// modelDisk is an outbox that commits when it is told to, and refuses when it is told to. What is durable is what a kill of
// the process leaves.
type modelDisk struct {
	mu      sync.Mutex
	freed   *sync.Cond
	now     map[placeOnDisk][]byte // what Get gives
	durable map[placeOnDisk][]byte
	pending []modelPut
	refuse  error // of Put
	slow    bool  // Get waits
}

// modelPut is a block on its way to the disk.
type modelPut struct {
	placeOnDisk
	value []byte
	done  func(error)
}

func newModelDisk() *modelDisk {
	d := &modelDisk{now: map[placeOnDisk][]byte{}, durable: map[placeOnDisk][]byte{}}
	d.freed = sync.NewCond(&d.mu)
	return d
}

func (d *modelDisk) Put(target string, number uint64, value []byte, done func(error)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refuse != nil {
		return d.refuse
	}
	at := placeOnDisk{target, number}
	d.now[at] = value
	d.pending = append(d.pending, modelPut{at, value, done})
	return nil
}

func (d *modelDisk) Get(target string, number uint64) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.slow {
		d.freed.Wait()
	}
	value, ok := d.now[placeOnDisk{target, number}]
	if !ok {
		return nil, storage.ErrNoBlock
	}
	return value, nil
}

func (d *modelDisk) Delete(target string, number uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := placeOnDisk{target, number}
	delete(d.now, at)
	delete(d.durable, at)
	for i := range d.pending {
		if d.pending[i].placeOnDisk == at {
			d.pending[i].value = nil // it is told so, and does not come there
		}
	}
}

// commit brings the oldest blocks to the disk, or tells that they did not come there.
func (d *modelDisk) commit(n int, err error) {
	for ; n > 0; n-- {
		d.mu.Lock()
		if len(d.pending) == 0 {
			d.mu.Unlock()
			return
		}
		p := d.pending[0]
		d.pending = d.pending[1:]
		if p.value != nil && err == nil {
			d.durable[p.placeOnDisk] = p.value
		}
		if p.value != nil && err != nil && !d.comes(p.placeOnDisk) {
			delete(d.now, p.placeOnDisk)
			if old, ok := d.durable[p.placeOnDisk]; ok {
				d.now[p.placeOnDisk] = old
			}
		}
		d.mu.Unlock()
		p.done(err)
	}
}

// comes reports whether another block for a place is on its way. Called with mu held.
func (d *modelDisk) comes(at placeOnDisk) bool {
	return slices.ContainsFunc(d.pending, func(p modelPut) bool { return p.placeOnDisk == at && p.value != nil })
}

// let says whether Get gives anything.
func (d *modelDisk) let(slow bool) {
	d.mu.Lock()
	d.slow = slow
	d.mu.Unlock()
	d.freed.Broadcast()
}

// crashed gives what a kill leaves.
func (d *modelDisk) crashed() *modelDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	left := newModelDisk()
	left.durable, left.now = d.durable, maps.Clone(d.durable)
	return left
}

// places gives what Get has, in order.
func (d *modelDisk) places() []placeOnDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.SortedFunc(maps.Keys(d.now), func(a, b placeOnDisk) int {
		return int(int64(a.number) - int64(b.number))
	})
}

// value gives what is at a place: for Get, or after a kill.
func (d *modelDisk) value(at placeOnDisk, durable bool) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if durable {
		return bytes.Clone(d.durable[at])
	}
	return bytes.Clone(d.now[at])
}
