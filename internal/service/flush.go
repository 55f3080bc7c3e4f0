package service

import "github.com/patchbay-im/patchbay/stanza"

// flush answers <flush/> when all that the link sent before it is in custody (protocol.md 1): at once, or later, from another
// goroutine. A link that ends is not answered, but one that goes on with it is. The server's own domain and the user domains serve it.
// It reports false for any other payload.
func (s *Service) flush(r *request) bool {
	w, ok := payload(r.src, r.h)
	if !ok || string(w.Space()) != stanza.NSSessions || string(w.Local()) != "flush" {
		return false
	}
	if r.h.Type != stanza.TypeGet {
		r.refused(refuse(-1, "modify", "bad-request", "flush is an iq of type get"))
		return true
	}
	src, result := r.src, append(r.appendResult(nil), "</iq>"...)
	reply := func() {
		if stays(src) {
			src.Reply(result)
		}
	}
	if !src.Flushed(reply) {
		r.refused(refuse(-1, "wait", "resource-constraint", "too many flushes of the link are unanswered; wait for one"))
	}
	return true
}
