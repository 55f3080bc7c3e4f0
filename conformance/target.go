package conformance

import (
	"fmt"
	"slices"
	"strings"
)

// Target is what is judged.
type Target struct {
	Addr   string     // host:port of its component port
	Nodes  []NodeName // c1, c2 ...; the judged one of profile node
	Server string     // its own domain, may be empty
	Users  string     // a user domain of its, may be empty
	Stress bool       // run heavy and destructive cases too
	Listen string     // of profile node: host:port to listen on, instead of Addr
}

// NodeName is a component that the target knows.
type NodeName struct{ Domain, Secret string }

// Unreachable tells that the target could not be judged at all: nobody listens, or it refuses the first component.
type Unreachable struct {
	Addr string
	Err  error
}

// Error says whom it could not reach, and why.
func (e *Unreachable) Error() string { return fmt.Sprintf("reach %s: %v", e.Addr, e.Err) }

// Unwrap gives the cause.
func (e *Unreachable) Unwrap() error { return e.Err }

// value gives what stands for a name in every play, if it is one of those.
func (t *Target) value(name string) (string, bool) {
	switch name {
	case "server":
		return t.Server, true
	case "users":
		return t.Users, true
	case "node":
		return t.Nodes[0].Domain, true
	case "nowhere":
		return "nowhere.invalid", true
	}
	actor, part, _ := strings.Cut(name, ".")
	n, ok := t.node(actor)
	switch {
	case !ok:
		return "", false
	case part == "secret":
		return n.Secret, true
	case part == "":
		return n.Domain, true
	}
	return "", false
}

// node is the component that an actor is.
func (t *Target) node(actor string) (NodeName, bool) {
	if actor == "s" {
		return t.Nodes[0], true
	}
	if len(actor) < 2 || actor[0] != 'c' {
		return NodeName{}, false
	}
	i := int(actor[1] - '1')
	if i < 0 || i >= len(t.Nodes) {
		return NodeName{}, false
	}
	return t.Nodes[i], true
}

// misses says why a case cannot be played against the target, "" if it can.
func (t *Target) misses(c *Case) string {
	for _, need := range c.Needs {
		switch {
		case need == needServer && t.Server == "":
			return "needs the server's own domain: --server-domain"
		case need == needUsers && t.Users == "":
			return "needs a user domain: --users"
		}
	}
	for _, actor := range slices.Concat(c.Actors, c.named) {
		if _, ok := t.node(actor); !ok {
			return fmt.Sprintf("needs %c components: name one more with --node", actor[1])
		}
	}
	if c.Stress && !t.Stress {
		return "heavy or destructive: --stress"
	}
	return ""
}

// own reports whether an address is below a component of the run.
func (t *Target) own(address string) bool {
	bare, _, _ := strings.Cut(address, "/")
	domain := bare[strings.LastIndexByte(bare, '@')+1:]
	return slices.ContainsFunc(t.Nodes, func(n NodeName) bool { return strings.EqualFold(n.Domain, domain) })
}
