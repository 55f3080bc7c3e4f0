package routing

// attach gives the queue a link to write to, and takes the writing flag, so that nothing is written before begin.
func (q *Queue) attach(out Output) {
	q.mu.Lock()
	q.removeMoved()
	q.out, q.torn, q.gone = out, false, false
	q.writing = true
	q.mu.Unlock()
}

// open lets stanzas wait again after takeAll, for a node that is back.
func (q *Queue) open() {
	q.mu.Lock()
	q.gone = false
	q.mu.Unlock()
}

// begin writes hello, the end of the link's handshake, and then what waited, in this order.
func (q *Queue) begin(out Output, hello []byte) error {
	_, err := out.Write(hello)
	q.mu.Lock()
	if err != nil {
		q.out = nil
	}
	q.write()
	return err
}

// detach takes the link away and waits for its writer, which the caller makes sure can not wait for ever (a
// write deadline). clean: the last byte written was the end of a stanza, so that more may follow.
func (q *Queue) detach(out Output) (clean bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.out == out {
		q.out = nil
	}
	for q.writing {
		q.idle.Wait()
	}
	q.rewind()
	q.forgetRequests()
	q.ungroup()
	return !q.torn
}

// cut takes the link away at once; a writer that waits is interrupted.
func (q *Queue) cut() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.out != nil {
		q.out.Interrupt()
		q.out = nil
	}
	for q.writing {
		q.idle.Wait()
	}
	q.rewind()
	q.forgetRequests()
}

// attached reports whether there is a link to write to.
func (q *Queue) attached() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.out != nil
}

// forgetRequests takes the iq gets and sets out of a queue without a link: they are never kept, and whoever
// asked is answered from the table of pending iqs. Called with mu held, nobody writing.
func (q *Queue) forgetRequests() {
	for _, b := range q.blocks {
		own := 0
		b.each(func(_ []byte, r rec) {
			switch {
			case r.class != classRequest:
			case r.origin == 0:
				own++
			default:
				q.refused(r.origin)
			}
		})
		n, size := b.remove(classRequest)
		q.dropped += uint64(n - own)
		q.unsaid += uint64(own)
		q.bytes -= size
	}
}

// takeAll empties and closes a queue without a link, at a stop: its stanzas are answered.
func (q *Queue) takeAll() []*block {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.writing {
		q.idle.Wait() // the link is going: its end is bounded
	}
	if q.out != nil {
		return nil // the node came back at the last moment
	}
	q.rewind()
	q.removeMoved()
	q.gone = true
	return q.takeBlocks()
}

// takeOrClose empties a queue without a link, or closes it when it is empty: then tell is called before anybody can
// find it closed. With a link there is nothing to take.
func (q *Queue) takeOrClose(tell func()) []*block {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.out != nil {
		return nil
	}
	q.removeMoved()
	if q.next() {
		return q.takeBlocks()
	}
	tell()
	q.gone, q.ending = true, make(chan struct{})
	return nil
}

// settle tells those who found the queue closed that they may decide anew: the table knows of it.
func (q *Queue) settle() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ending != nil {
		close(q.ending)
		q.ending = nil
	}
}

// wait returns when a queue that was found closed has been settled.
func (q *Queue) wait() {
	q.mu.Lock()
	ending := q.ending
	q.mu.Unlock()
	if ending != nil {
		<-ending
	}
}

// takeBlocks takes all that waits out. Called with mu held, nobody writing.
func (q *Queue) takeBlocks() []*block {
	all := q.blocks
	for _, b := range all {
		q.moved += uint64(len(b.recs) - b.next)
	}
	q.blocks, q.bytes, q.letters = nil, 0, 0
	return all
}
