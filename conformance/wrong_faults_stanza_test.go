package conformance_test

import (
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// stanzaFaults are in what becomes of stanzas (sections F to J of the catalogue).
var stanzaFaults = []fault{
	{"F01", "takes domains of any length", wrong{parse: anyDomain}},
	{"F02", "splits addresses at the last @", wrong{parse: lastAt}},
	{"F03", "tells domains apart by case", wrong{parse: exactDomain}},
	{"F03", "minds the dot at the end of a domain", wrong{parse: dotted}},
	{"F04", "takes any localpart", wrong{parse: anyLocal, soft: true}},
	{"F04", "takes no localpart beyond ASCII", wrong{parse: narrowLocal}},
	{"F05", "writes resources in lower case", wrong{out: lowerResource}},
	{"F06", "tells the domains of senders apart by case", wrong{parse: exactDomain}},
	{"F07", "writes addresses of users in lower case", wrong{out: lowerResource}},
	{"F08", "takes a sender that is no address", wrong{parse: lastDomain}},
	{"F09", "does not answer a bad to", wrong{mutes: badTo}},
	{"F09", "says of a bad to that the request is bad", wrong{says: map[reason]string{badTo: "cancel/item-not-found"}}},
	{"F10", "answers in the name of a bad to", wrong{out: alter(ofAnswer, `from='probe.test'`, "from='@@'")}},
	{"G01", "does not answer a stanza without to", wrong{mutes: noTo}},
	{"G02", "takes the name of another", wrong{spares: forgedFrom}},
	{"G02", "answers the name of another with a stream error that is not about it", wrong{says: map[reason]string{forgedFrom: "internal-server-error"}}},
	{"G03", "takes stanzas of the bare domain only", wrong{parse: noUsers}},
	{"G05", "sends errors without id", wrong{out: cut(ofAnswer, ` id='[^']*'`)}},
	{"G05", "changes ids on the way", wrong{out: alter(ofStanza, ` id='([^']*)'`, " id='$1x'")}},
	{"G06", "loses xml:lang", wrong{out: cut(ofStanza, ` xml:lang='[^']*'`)}},
	{"G06", "writes a language of its own", wrong{out: alter(ofStanza, ` xml:lang='[^']*'`, " xml:lang='en'")}},
	{"G07", "loses the namespaces of children", wrong{out: cut(ofStanza, ` xmlns='[^']*'`)}},
	{"G07", "loses attributes in namespaces", wrong{out: cut(ofStanza, ` xmlns:a\d+='[^']*' a\d+:[^=]+='[^']*'`)}},
	{"G08", "forwards to the bare address", wrong{out: alter(ofStanza, ` to='([^'/]*)/[^']*'`, " to='$1'")}},
	{"G08", "forwards to a full address", wrong{out: alter(ofStanza, ` to='([^'/]*)'`, " to='$1/x'")}},
	{"G09", "forwards in the namespace of clients", wrong{out: alter(ofStanza, `^<(\w+)`, "<$1 xmlns='jabber:client'")}},
	{"H01", "forwards iqs without id", wrong{spares: noID, soft: true}},
	{"H02", "forwards iqs of a type that is none", wrong{spares: badType}},
	{"H03", "forwards a get with two children", wrong{spares: manyChildren, soft: true}},
	{"H03", "forwards a get without child", wrong{spares: noChild, soft: true}},
	{"H04", "does not bring a result without child", wrong{out: cut(ofStanza, `^<iq[^>]* type='result'[^>]*/>$`)}},
	{"H05", "takes the request out of an error", wrong{out: alter(ofStanza, `<query xmlns='urn:example:q'/>(<error)`, "$1")}},
	{"H06", "does not answer an iq to nobody", wrong{mutes: noSuchHost}},
	{"H06", "brings a second answer", wrong{spares: unasked}},
	{"H06", "brings an answer twice", wrong{out: alter(ofStanza, `^(<iq[^>]* type='result'.*)$`, "$1$1")}},
	{"H06", "says an error twice", wrong{out: alter(ofAnswer, `(?s)^(<iq.*)$`, "$1$1")}},
	{"H06", "does not answer for a component that is gone", wrong{mutes: linkLost}},
	{"H07", "answers results", wrong{answersResults: true}},
	{"H08", "does not answer an iq that cannot be delivered", wrong{mutes: noSuchHost}},
	{"H09", "answers with from and to as they were", wrong{out: alter(ofAnswer, ` from='([^']*)' to='([^']*)'`, " from='$2' to='$1'")}},
	{"H10", "sends errors without type", wrong{out: alter(ofAnswer, `<error type='[^']*'`, "<error")}},
	{"H10", "sends errors without a condition", wrong{out: alter(ofAnswer, `(<error[^>]*>)<[^>]*/>`, "$1")}},
	{"H10", "sends errors with two conditions", wrong{out: alter(ofAnswer, `</error>`, "<gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>")}},
	{"H10", "sends a condition that is none", wrong{out: alter(ofAnswer, `<[a-z-]+ xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'`, "<oops xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'")}},
	{"H11", "answers errors", wrong{answersErrors: true}},
	{"H12", "sends a type that does not go with its condition", wrong{out: alter(ofAnswer, `<error type='[^']*'`, "<error type='auth'")}},
	{"H13", "does not say who found an error", wrong{out: cut(ofAnswer, ` by='[^']*'`), soft: true}},
	{"H13", "says that the sender found an error", wrong{out: alter(ofAnswer, ` by='[^']*'`, " by='c1.probe.test'"), soft: true}},
	{"H14", "answers what it does not know with an empty result", wrong{out: alter(ofAnswer, ` type='error'(.*)<error.*</error>`, " type='result'$1")}},
	{"H14", "does not answer what it does not know", wrong{mutes: notServed}},
	{"H15", "does not know disco#info", wrong{ignorant: "http://jabber.org/protocol/disco#info"}},
	{"H15", "does not know jabber:iq:version", wrong{ignorant: "jabber:iq:version"}},
	{"I01", "sends each second stanza behind the one that follows", wrong{out: reorder}},
	{"I01", "loses one stanza of 20", wrong{out: lose(20)}},
	{"I01", "loses one stanza of 100", wrong{out: lose(100)}},
	{"I01", "loses presence", wrong{out: lack(`^<presence`)}},
	{"I01", "sends one stanza of 20 twice", wrong{out: repeat(20)}},
	{"I03", "says of an unknown domain that it may come back", wrong{says: map[reason]string{noSuchHost: "wait/remote-server-timeout"}, soft: true}},
	{"I03", "does not answer for an unknown domain", wrong{mutes: noSuchHost}},
	{"I04", "says of a component that is away that it does not exist", wrong{says: map[reason]string{away: "cancel/remote-server-not-found"}}},
	{"I04", "is silent about a component that is away", wrong{mutes: away}},
	{"I05", "does not deliver iqs to a bare domain", wrong{out: lack(`^<iq[^>]* to='[^@/]*'`)}},
	{"I06", "does not deliver to a resource of a domain", wrong{out: lack(`^<[^>]* to='[^@/]*/`)}},
	{"I17", "writes unknown types of messages as normal", wrong{out: alter(ofStanza, `^(<message[^>]*) type='[^']*'`, "$1 type='normal'"), soft: true}},
	{"J08", "loses delays", wrong{out: cut(ofStanza, `<delay[^>]*/>`)}},
	{"J11", "takes ids in its own name", wrong{keepsIDs: true, soft: true}},
	{"J13", "does not answer pings", wrong{out: cut(ofAnswer, `^<iq type='result'.*$`)}},
	{"J13", "answers pings with another id", wrong{out: alter(ofAnswer, ` id='([^']*)'`, " id='$1x'")}},
	{"J15", "lists others", wrong{out: alter(ofAnswer, `<item jid='[^']*'/>`, "<item jid='other.example'/>")}},
	{"J15", "lists nobody", wrong{out: cut(ofAnswer, `<item jid='[^']*'/>`)}},
}

// shortID counts.
func shortID() func() string {
	var n atomic.Int64
	return func() string { return strconv.FormatInt(1000+n.Add(1), 10) }
}

// lose drops one of n stanzas.
func lose(n int) func(*link, kind, string) string {
	return func(l *link, k kind, text string) string {
		if k != ofStanza {
			return text
		}
		l.count++
		if l.count%n == 0 {
			return ""
		}
		return text
	}
}

// repeat sends one of n stanzas twice.
func repeat(n int) func(*link, kind, string) string {
	return func(l *link, k kind, text string) string {
		if k != ofStanza {
			return text
		}
		l.count++
		if l.count%n == 0 {
			return text + text
		}
		return text
	}
}

// reorder sends a message behind the next one, if that comes soon.
func reorder(l *link, k kind, text string) string {
	if k == ofStash {
		text, l.stash = l.stash, ""
		return text
	}
	if k != ofStanza || !strings.HasPrefix(text, "<message") {
		return text
	}
	if l.stash == "" {
		l.stash = text
		time.AfterFunc(20*time.Millisecond, func() { l.say(ofStash, "") })
		return ""
	}
	text += l.stash
	l.stash = ""
	return text
}

// lack drops stanzas that match.
func lack(like string) func(*link, kind, string) string {
	pattern := regexp.MustCompile(like)
	return func(_ *link, k kind, text string) string {
		if k == ofStanza && pattern.MatchString(text) {
			return ""
		}
		return text
	}
}

// anyDomain takes what is no domain for one that it does not know.
func anyDomain(text string) (address, bool) {
	if a, ok := parseAddress(text); ok {
		return a, true
	}
	bare, _, _ := strings.Cut(text, "/")
	return address{domain: bare}, true
}

// lastAt takes an @ in a resource for the one behind a localpart.
func lastAt(text string) (address, bool) {
	if i := strings.LastIndexByte(text, '@'); i > 0 {
		_, ok := parseAddress(text)
		domain, _, _ := strings.Cut(text[i+1:], "/")
		return address{domain, true}, ok
	}
	return parseAddress(text)
}

// lastDomain takes what stands behind the last @ for the domain.
func lastDomain(text string) (address, bool) {
	domain, _, _ := strings.Cut(text[strings.LastIndexByte(text, '@')+1:], "/")
	return address{domain: domain, user: strings.Contains(text, "@")}, domain != ""
}

// exactDomain does not fold the case of domains.
func exactDomain(text string) (address, bool) {
	a, ok := parseAddress(text)
	if at := strings.Index(strings.ToLower(text), a.domain); ok && at >= 0 {
		a.domain = text[at : at+len(a.domain)]
	}
	return a, ok
}

// dotted takes the dot at the end of a domain for a part of it.
func dotted(text string) (address, bool) {
	a, ok := parseAddress(text)
	bare, _, _ := strings.Cut(text, "/")
	if strings.HasSuffix(bare, ".") {
		a.domain += "."
	}
	return a, ok
}

// anyLocal does not look at localparts.
func anyLocal(text string) (address, bool) {
	bare, _, _ := strings.Cut(text, "/")
	if at := strings.LastIndexByte(bare, '@'); at >= 0 {
		a, ok := parseAddress(bare[at+1:])
		a.user = true
		return a, ok
	}
	return parseAddress(text)
}

// narrowLocal takes letters of ASCII only in a localpart.
func narrowLocal(text string) (address, bool) {
	local, _, at := strings.Cut(text, "@")
	a, ok := parseAddress(text)
	return a, ok && (!at || strings.IndexFunc(local, func(r rune) bool { return r > 127 }) < 0)
}

// noUsers knows only addresses of domains to be right.
func noUsers(text string) (address, bool) {
	a, ok := parseAddress(text)
	if a.user {
		a.domain = "user." + a.domain
	}
	return a, ok
}

var resourceOf = regexp.MustCompile(` (to|from)='[^'/]*/[^']*'`)

// lowerResource folds the case of whole addresses that have a resource.
func lowerResource(_ *link, k kind, text string) string {
	if k != ofStanza {
		return text
	}
	return resourceOf.ReplaceAllStringFunc(text, strings.ToLower)
}
