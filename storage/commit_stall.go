package storage

import "time"

// unfinished reports whether the committer has taken what it has not written.
func (c *committer) unfinished() bool { return c.rest.n > 0 || len(c.late) > 0 }

// stalled waits a moment for room on the disk, and takes what comes meanwhile, so that no link waits for it. It gives up, false, when that gets too
// much, or the table is to be closed.
func (c *committer) stalled(err error) bool {
	if log := c.s.opt.Log; log != nil && !c.full {
		log.WithError(err).WithField("dir", c.s.opt.Dir).Warn("the disk has no room for sessions: announces are answered when it has")
	}
	c.full = true
	retry := time.NewTimer(retryAfter)
	defer retry.Stop()
	for c.owed < lateBytes {
		select {
		case r := <-c.queue:
			c.late = append(c.late, r)
			c.owed += len(r.buf)
		case <-retry.C:
			return true
		case <-c.hurry:
			return false
		}
	}
	return false
}

// resumed notes that the committer waits no longer.
func (c *committer) resumed() {
	if !c.full {
		return
	}
	c.full, c.owed = false, 0
	if log := c.s.opt.Log; log != nil && c.failure() == nil {
		log.WithField("dir", c.s.opt.Dir).Info("the disk has room for sessions again")
	}
}
