package config

// amount is a number of bytes, and the key that says it.
type amount struct {
	path  string
	bytes int64
}

// queueSize refuses bounds within which not even one stanza can wait.
func queueSize(a *audit) {
	stanza := int64(a.Limits.Stanza)
	for _, bound := range []amount{{keyQueue, int64(a.Limits.Queue)}, {keyOutbox, a.Limits.Outbox}, {keyMemory, a.Limits.Memory}, {keyDisk, a.Limits.Disk}} {
		if bound.bytes < stanza && a.sound(bound.path, keyStanza) {
			a.fault(problem{codeClash, bound.path + " is smaller than one stanza", "limits.stanza or more"}, bound.path, keyStanza)
		}
	}
}

// sharedSizes warns of a sum that is smaller than what one alone may have: the sum ends it first, and what its own key
// says is never reached.
func sharedSizes(a *audit) {
	a.shared(amount{keyMemory, a.Limits.Memory}, amount{keyQueue, int64(a.Limits.Queue)}, "one node")
	if a.Data == Memory {
		if _, said := a.marks[keyOutbox]; said && a.sound(keyData, keyOutbox) {
			a.warn(problem{codeClash, `limits.outbox is not used: with data ":memory:" there is no outbox`, "data: a directory, or take limits.outbox out"}, keyOutbox)
		}
		return
	}
	disk := amount{keyDisk, a.Limits.Disk}
	a.shared(disk, amount{keyOutbox, a.Limits.Outbox}, "one node")
	if a.Stores() {
		a.shared(disk, amount{keyTotal, a.Offline.Total}, "the offline store")
	}
}

// shared warns of one sum. What is too small for a stanza is a fault already.
func (a *audit) shared(sum, part amount, whose string) {
	stanza := int64(a.Limits.Stanza)
	if sum.bytes < part.bytes && sum.bytes >= stanza && a.sound(sum.path, part.path) {
		a.warn(problem{codeClash, sum.path + " is smaller than " + part.path + ", which " + whose + " may have", part.path + " or more"}, sum.path, part.path)
	}
}
