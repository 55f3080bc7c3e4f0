package storage

// changed tells Options.Changed of one change. The caller holds no lock.
func (s *Sessions) changed(bare []byte) {
	if s.opt.Changed != nil {
		s.opt.Changed(bare)
	}
}

// nodeChanged tells Options.NodeChanged of one change. The caller holds no lock.
func (s *Sessions) nodeChanged(id NodeID) {
	if s.opt.NodeChanged != nil {
		s.opt.NodeChanged(id)
	}
}
