package storage

// Puts counts changes of the store: how many were ever queued, and how many of the first of them are on disk. What was put
// before queued was read is on disk when kept has come to it. It waits for nothing.
func (f *Offline) Puts() (queued, kept uint64) {
	kept = f.kept.Load()
	return f.queued.Load(), kept
}
