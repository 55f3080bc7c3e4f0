package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// audit gathers the faults of several keys together.
type audit struct {
	*Config
	faults Faults
}

// rules are what no single key can say. Each looks at plain data, so it holds for a file, for --set and for a Config
// made by hand.
var rules = []func(*audit){
	given, serverName, userDomains, nodeNames, nodeSecrets, nodeUsers, listeners, certificatePair, plaintext,
	adminPort, adminToken, nodeInstances, offlineDomains, offlineForward, offlineSizes, queueSize, sharedSizes,
}

// Validate gives the faults that concern several keys: what Parse and Load add to those of single keys. Call it after
// the last Set.
func (c *Config) Validate() Faults {
	a := &audit{Config: c}
	for _, rule := range rules {
		rule(a)
	}
	a.faults.scrub(c.secrets())
	a.faults.sort()
	return a.faults
}

// fault says a fault at the first of the paths that was given. Nothing is said of a key that is already faulty: it
// would be a fault's fault.
func (a *audit) fault(bad problem, paths ...string) *Fault {
	at := Fault{File: a.file}
	if at.File == "" {
		at.File = "configuration"
	}
	if len(paths) > 0 {
		at.Path = paths[0]
	}
	for _, path := range slices.Backward(paths) {
		if mark, ok := a.marks[path]; ok {
			at = mark
		}
	}
	at.Code, at.Message, at.Mend = bad.code, bad.says, bad.mend
	a.faults = append(a.faults, at)
	return &a.faults[len(a.faults)-1]
}

func (a *audit) told(bad problem, paths ...string) { a.fault(bad, paths...).Source = "" }

func (a *audit) warn(bad problem, paths ...string) { a.fault(bad, paths...).Warning = true }

func (a *audit) sound(paths ...string) bool {
	return !slices.ContainsFunc(paths, func(path string) bool { return a.broken[path] })
}

func nodePath(i int, leaf string) string { return fmt.Sprintf("%s[%d]%s", keyNodes, i, leaf) }

// given warns of a file that leaves out what makes a server this one.
func given(a *audit) {
	if a.file == "" || a.broken[""] && len(a.marks) <= 1 {
		return
	}
	for _, name := range []string{keyServer, keyUsers} {
		if _, ok := a.marks[name]; !ok {
			a.warn(problem{codeMissing, name + " is not given; the example's is used", name + ": " + root.kids[name].key.def})
		}
	}
	if len(a.Nodes) == 0 && a.sound(keyNodes) {
		a.warn(problem{codeMissing, "no nodes are given, so none can attach", "nodes: [{domain: ..., secret: ...}]"}, keyNodes)
	}
}

func serverName(a *audit) {
	if slices.Contains(a.Users, a.Server) && a.sound(keyServer, keyUsers) {
		a.fault(problem{codeClash, "user domain " + a.Server + " is this server's own address", "give the server a name of its own: hub1." + a.Server}, keyUsers)
	}
}

func userDomains(a *audit) {
	for _, d := range repeated(a.Users) {
		a.fault(problem{codeTwice, "user domain " + d + " is listed twice", "keep one"}, keyUsers)
	}
}

// repeated gives the words that a list holds more than once, each once.
func repeated(words []string) []string {
	seen := map[string]int{}
	var twice []string
	for _, w := range words {
		if seen[w]++; seen[w] == 2 {
			twice = append(twice, w)
		}
	}
	return twice
}

func nodeNames(a *audit) {
	first := map[string]int{}
	for i, n := range a.Nodes {
		at := nodePath(i, ".domain")
		j, twice := first[n.Domain]
		switch {
		case !a.sound(at):
		case n.Domain == "":
			a.fault(problem{codeMissing, nodePath(i, "") + " has no domain", "domain: node1.im.example"}, nodePath(i, ""))
		case twice:
			line := strconv.Itoa(a.marks[nodePath(j, ".domain")].Line)
			a.told(problem{codeTwice, n.Domain + " is listed twice (first on line " + line + ")", "one entry; secret may be a list"}, at)
		case n.Domain == a.Server:
			a.told(problem{codeClash, "node " + n.Domain + " has this server's own address", "give the node a name of its own"}, at)
		case slices.Contains(a.Users, n.Domain):
			a.told(problem{codeClash, "node " + n.Domain + " is also a user domain", "give the node a name of its own: node1." + n.Domain}, at)
		default:
			first[n.Domain] = i
		}
	}
}

func nodeSecrets(a *audit) {
	for i, n := range a.Nodes {
		secret, file := nodePath(i, ".secret"), nodePath(i, ".secret_file")
		name := n.Domain
		if name == "" {
			name = nodePath(i, "")
		}
		_, both := a.marks[secret]
		switch {
		case !a.sound(secret, file):
		case n.SecretFile != "" && both:
			a.fault(problem{codeClash, name + " has both secret and secret_file", "keep one"}, file)
		case n.SecretFile == "" && len(n.Secret) == 0 && a.TLS.CA == "":
			a.fault(problem{codeMissing, name + " has no secret", "secret: made by " + mendSecret}, secret, nodePath(i, ".domain"), nodePath(i, ""))
		}
	}
}

func nodeUsers(a *audit) {
	if !a.sound(keyUsers) {
		return
	}
	for i, n := range a.Nodes {
		for _, d := range n.Users {
			if !slices.Contains(a.Users, d) {
				mend := "add it to users, or take it out here"
				if near := nearest(d, a.Users); near != "" {
					mend = "add it to users, or did you mean " + near + "?"
				}
				a.fault(problem{codeUserDomain, d + " is not a user domain of this server", mend}, nodePath(i, ".users"))
			}
		}
	}
}

// nodeInstances: a session names a node, and of several links under one domain nobody could tell which has the user.
func nodeInstances(a *audit) {
	for i, n := range a.Nodes {
		if at := nodePath(i, keyInstances); n.Instances > 1 && len(n.Users) > 0 && a.sound(at, nodePath(i, ".users")) {
			a.fault(problem{codeClash, n.Domain + " has " + strconv.Itoa(n.Instances) + " instances and users, but a user is on one link",
				"instances: 1, or take its users out"}, at)
		}
	}
}

func certificatePair(a *audit) {
	pair := a.TLS.Cert != "" && a.TLS.Key != ""
	switch {
	case !a.sound(keyCert, keyKey) || pair:
	case a.TLS.Cert != "":
		a.fault(problem{codeClash, "tls.cert is set, tls.key is not", "key: the private key's PEM file"}, keyCert)
	case a.TLS.Key != "":
		a.fault(problem{codeClash, "tls.key is set, tls.cert is not", "cert: the certificate's PEM file"}, keyKey)
	case a.Listen.ComponentTLS != "":
		a.fault(problem{codeClash, "listen.component_tls needs tls.cert and tls.key", "tls: {cert: server.pem, key: server.key}"}, keyComponentTLS)
	case a.TLS.CA != "" && a.sound(keyCA):
		a.fault(problem{codeClash, "tls.ca needs tls.cert and tls.key: client certificates come over TLS", "cert: server.pem, key: server.key"}, keyCA)
	}
}

func offlineDomains(a *audit) {
	for _, d := range slices.Sorted(maps.Keys(a.Offline.Domains)) {
		if !slices.Contains(a.Users, d) && a.sound(keyUsers) {
			a.told(problem{codeUserDomain, d + " is not a user domain of this server", "add it to users"}, join(keyOffline, d))
		}
	}
}

// offlineForward looks at where messages are handed to, in general and for each exception.
func offlineForward(a *audit) {
	all := OfflineDomain{Policy: a.Offline.Policy, ForwardTo: a.Offline.ForwardTo}
	a.forward("offline", all, all)
	for _, d := range slices.Sorted(maps.Keys(a.Offline.Domains)) {
		a.forward(join(keyOffline, d), *a.Offline.Domains[d], a.Offline.Of(d))
	}
}

const mendForward = "forward_to: the domain of a node"

// forward looks at what stands below one path, says, and what counts there.
func (a *audit) forward(path string, says, counts OfflineDomain) {
	policy, at, to := path+".policy", path+".forward_to", says.ForwardTo
	_, node := a.Node(to)
	switch {
	case !a.sound(policy, at, keyForwardTo):
	case says.Policy == PolicyForward && counts.ForwardTo == "":
		a.fault(problem{codeMissing, policy + " forward needs forward_to", mendForward}, policy)
	case to == "":
	case to == a.Server && a.sound(keyServer):
		a.told(problem{codeClash, "forward_to " + to + " is this server's own address", mendForward}, at)
	case slices.Contains(a.Users, to) && a.sound(keyUsers):
		a.told(problem{codeClash, "forward_to " + to + " is a user domain", mendForward}, at)
	case !node && a.sound(keyNodes):
		a.told(problem{codeMissing, "forward_to " + to + " is no node of this file", "add it to nodes, or name one of them"}, at)
	}
}

// offlineSizes warns of a store in which one message has no room, or one user. What no user domain has stored is not
// looked at: the defaults stand there.
func offlineSizes(a *audit) {
	said := map[string]bool{}
	for _, d := range a.Users {
		counts, at := a.Offline.Of(d), keyKept
		if own := a.Offline.Domains[d]; own != nil && own.Keep.Bytes > 0 {
			at = join(keyOffline, d) + ".keep.bytes"
		}
		if counts.Policy != PolicyStore || said[at] || !a.sound(at, keyStanza, keyTotal) {
			continue
		}
		said[at] = true
		if counts.Keep.Bytes < int64(a.Limits.Stanza) {
			a.warn(problem{codeClash, at + " is smaller than one stanza; a message larger than that is not kept", "limits.stanza or more"}, at, keyStanza)
		}
		if a.Offline.Total < counts.Keep.Bytes {
			a.warn(problem{codeClash, keyTotal + " is smaller than " + at + ", which one user may have", at + " or more"}, keyTotal, at)
		}
	}
}
