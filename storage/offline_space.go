package storage

// headroom is what this database may take of the disk for a time, or for good, when nothing more is let in: all that
// may wait at the gate; one table for each write-ahead file (the one in use, those that wait, and the one whose turn it
// is), and one of them while its file is still there; and what compactions rewrite, which is on disk twice until they end.
// One rewrites level 0 and the base level, the other a table of a level and what it overlaps in the next: about ten.
func (f *Offline) headroom() int64 {
	const files = memtables + 2
	most := int64(gateBytes + (files+1)*memtable)
	var below, some int64
	for _, l := range f.db.Levels() {
		if l.Level == 0 || l.IsBaseLevel {
			most += l.Size
			continue
		}
		below, some = below+l.Size, max(some, 10*l.TargetFileSize)
	}
	return most + min(below, some)
}
