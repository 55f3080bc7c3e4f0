package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"mellium.im/xmpp/jid"
)

// problem is a fault of one value before it has a place. says completes the sentence "VALUE ...", so that the walk
// decides how the value is named: a secret is never quoted.
type problem struct{ code, says, mend string }

// of is the problem as an error of a value that is named so.
func (p *problem) of(value string) error {
	text := value + " " + p.says
	if p.mend != "" {
		text += "; mend: " + p.mend
	}
	return errors.New(text)
}

// scope is where in the file a value stands: what the path of its key leaves open.
type scope struct {
	dir    string // relative paths start here
	node   int    // index in nodes
	name   string // the node's domain, or "" if it has none
	domain string // the key under offline.domains
}

// kind is one kind of value: what it is called, its range in words, its form for a schema, how it is read, and how a file
// would hold it.
type kind[T any] struct {
	name, plural string
	span         string
	form         form
	read         func(text string, in scope) (T, *problem) // with a problem: what was meant, or the zero value if that is not sure
	write        func(v T) string
}

// take reads a value; ok is false if there is none to go on with. With what was meant the rules of several keys can
// speak in the same run.
func take[T comparable](k kind[T], text string, in scope) (v T, ok bool, bad *problem) {
	v, bad = k.read(text, in)
	var zero T
	return v, bad == nil || v != zero, bad
}

// value couples a kind with the field that it fills.
type value struct {
	name, span string
	form       form
	list       bool                               // many values
	either     bool                               // a single value stands for a list of one
	most       int                                // of a list; 0 is no bound
	secrets    func(c *Config, in scope) []Secret // what the bullets stand for; nil if the value is no secret
	clear      func(c *Config, in scope)          // a list begins anew
	put        func(c *Config, in scope, t string) (taken bool, bad *problem)
	get        func(c *Config, in scope) (t []string, said bool) // as the file would hold it; not said: the zero value
	carry      func(from, to *Config)                            // of a key that stands once
}

// field gives the address of a key's field.
type field[T any] func(c *Config, in scope) *T

func of[T any](f func(c *Config) *T) field[T] { return func(c *Config, _ scope) *T { return f(c) } }

func ofNode[T any](f func(n *Node) *T) field[T] {
	return func(c *Config, in scope) *T { return f(&c.Nodes[in.node]) }
}

func one[T comparable](k kind[T], at field[T]) value {
	return value{
		name: k.name, span: k.span, form: k.form,
		clear: func(*Config, scope) {},
		put: func(c *Config, in scope, text string) (bool, *problem) {
			v, ok, bad := take(k, text, in)
			if ok {
				*at(c, in) = v
			}
			return ok, bad
		},
		get: func(c *Config, in scope) ([]string, bool) {
			var zero T
			v := *at(c, in)
			return []string{k.write(v)}, v != zero
		},
		carry: func(from, to *Config) { *at(to, scope{}) = *at(from, scope{}) },
	}
}

func many[T comparable](k kind[T], at field[[]T]) value {
	return value{
		name: "a list of " + k.plural, span: k.span, form: k.form, list: true,
		clear: func(c *Config, in scope) { *at(c, in) = nil },
		put: func(c *Config, in scope, text string) (bool, *problem) {
			v, ok, bad := take(k, text, in)
			if ok {
				to := at(c, in)
				*to = append(*to, v)
			}
			return ok, bad
		},
		get: func(c *Config, in scope) (texts []string, said bool) {
			for _, v := range *at(c, in) {
				texts = append(texts, k.write(v))
			}
			return texts, texts != nil
		},
		carry: func(from, to *Config) { *at(to, scope{}) = *at(from, scope{}) },
	}
}

var domainKind = kind[string]{name: "a domain", plural: "domains", form: form{pattern: "^" + domainForm + "$"}, read: readDomain, write: quoteText}

// readDomain takes a domain in its canonical form only (RFC 7622 3.2), so that the file says what the wire says.
func readDomain(text string, _ scope) (string, *problem) {
	j, err := jid.New("", text, "")
	canonical := strings.ToLower(j.Domainpart())
	switch {
	case text == "":
		return "", &problem{codeDomain, "is not a domain", "a name such as im.example"}
	case err != nil || strings.ContainsAny(text, " *:[]/@\"'<>&") || strings.HasPrefix(text, ".") || strings.Contains(text, ".."):
		return "", &problem{codeDomain, "is not a domain (RFC 7622 section 3.2)", ""}
	case canonical != text:
		return canonical, &problem{codeDomain, "is not in canonical form", canonical}
	}
	return text, nil
}

var nodeKind = kind[string]{name: "a domain, or *.DOMAIN", form: form{pattern: `^(\*\.)?` + domainForm + "$"}, write: quoteText, read: func(text string, in scope) (string, *problem) {
	base, wild := strings.CutPrefix(text, "*.")
	d, bad := readDomain(base, in)
	if bad != nil && wild && bad.code == codeDomain && strings.Contains(base, "*") {
		bad = &problem{codeDomain, "has more than one *", "a wildcard is one label: *.im.example"}
	}
	if wild && d != "" {
		d = "*." + d
	}
	return d, bad
}}

var forwardKind = kind[string]{name: `a node's domain, or ""`, form: form{pattern: "^(" + domainForm + ")?$"}, write: quoteText, read: func(text string, in scope) (string, *problem) {
	if text == "" {
		return "", nil
	}
	return readDomain(text, in)
}}

var addressKind = kind[string]{name: `an address host:port, or ""`, form: form{pattern: "^$|:[0-9]{1,5}$"}, read: readAddress, write: quoteText}

func readAddress(text string, _ scope) (string, *problem) {
	if text == "" {
		return "", nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", &problem{codeAddress, "is not host:port", mendAddress(text)}
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", &problem{codeAddress, "has no port of 0 to 65535", ""}
	}
	if _, err := netip.ParseAddr(host); err != nil && strings.ContainsAny(host, ": /@*\t") {
		return "", &problem{codeAddress, "has no valid host", ""}
	}
	return text, nil
}

func mendAddress(text string) string {
	if _, err := strconv.ParseUint(text, 10, 16); err == nil {
		return "127.0.0.1:" + text
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		return net.JoinHostPort(addr.String(), "5347")
	}
	return "127.0.0.1:5347, [::1]:5347 or :5347 for all interfaces"
}

var flagKind = kind[bool]{name: "true or false", form: form{flag: true}, write: strconv.FormatBool, read: func(text string, _ scope) (bool, *problem) {
	if text != "true" && text != "false" {
		return false, &problem{codeChoice, "is neither true nor false", ""}
	}
	return text == "true", nil
}}

// hostKind is what a Host header may say before its port (RFC 9110 7.2): a name of another script stands there in ASCII.
var hostKind = kind[string]{name: "a host name", plural: "host names", form: form{pattern: "^[0-9a-z_.:-]+$"}, write: quoteText, read: func(text string, _ scope) (string, *problem) {
	_, err := netip.ParseAddr(text)
	switch {
	case err == nil || hostName.MatchString(text):
		return text, nil
	case hostName.MatchString(strings.ToLower(text)):
		return "", &problem{codeDomain, "is not in canonical form", strings.ToLower(text)}
	case strings.Contains(text, ":"):
		return "", &problem{codeDomain, "has a port or a scheme", "the name alone, such as patchbay.internal"}
	}
	return "", &problem{codeDomain, "is not a host name", "as the Host header has it, such as patchbay.internal"}
}}

var hostName = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$`)

var contactKind = kind[string]{name: "an address to write to", plural: "addresses to write to", form: form{pattern: "^[A-Za-z][A-Za-z0-9+.-]*:."}, write: quoteText, read: func(text string, _ scope) (string, *problem) {
	if u, err := url.Parse(text); err != nil || u.Scheme == "" || u.Opaque == "" && u.Host == "" {
		return "", &problem{codeContact, "is not a URI", "such as mailto:ops@im.example or xmpp:ops@im.example"}
	}
	return text, nil
}}

var networkKind = kind[netip.Prefix]{name: "a network", plural: "networks", form: form{pattern: "^[0-9A-Fa-f.:]+/[0-9]{1,3}$"}, read: readNetwork,
	write: func(p netip.Prefix) string { return quoteText(p.String()) }}

func readNetwork(text string, _ scope) (netip.Prefix, *problem) {
	p, err := netip.ParsePrefix(text)
	if err == nil && p.Masked() == p {
		return p, nil
	}
	if err == nil {
		return p.Masked(), &problem{codeNetwork, "has bits set behind its length", p.Masked().String()}
	}
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		p = netip.PrefixFrom(addr, addr.BitLen())
		return p, &problem{codeNetwork, "is an address, not a network", p.String()}
	}
	return netip.Prefix{}, &problem{codeNetwork, "is not a network", `such as 10.0.0.0/8 or "::1/128"`}
}

var (
	pathKind = kind[string]{name: "a path", write: writePath, read: func(text string, in scope) (string, *problem) {
		if text == "" || filepath.IsAbs(text) {
			return text, nil
		}
		return filepath.Join(in.dir, text), nil
	}}
	dataKind = kind[string]{name: `a directory, or ":memory:"`, form: form{pattern: "."}, write: writePath, read: func(text string, in scope) (string, *problem) {
		if text == "" {
			return "", &problem{codePath, "is not a directory", `./patchbay-data; ":memory:" keeps nothing`}
		}
		if text == Memory {
			return text, nil
		}
		return pathKind.read(text, in)
	}}
	secretKind = kind[Secret]{
		name: "a secret", plural: "secrets", span: fmt.Sprintf("%d bytes or more", MinSecret), form: form{pattern: secretForm, digits: true}, write: Secret.String,
		read: func(text string, _ scope) (Secret, *problem) {
			if len(text) < MinSecret {
				return "", &problem{codeSecret, fmt.Sprintf("has %s; %d is the least", count(len(text), "byte"), MinSecret), mendSecret}
			}
			return Secret(text), nil
		},
	}
)

const mendSecret = "openssl rand -hex 16"

// choice is a kind with a closed list of words.
func choice(words ...string) kind[string] {
	list := strings.Join(words, ", ")
	return kind[string]{name: "one of " + list, span: list, form: form{words: words}, write: quoteText, read: func(text string, _ scope) (string, *problem) {
		for _, w := range words {
			if w == text {
				return text, nil
			}
		}
		mend := ""
		if w := nearest(text, words); w != "" {
			mend = "did you mean " + w + "?"
		}
		return "", &problem{codeChoice, "is none of " + list, mend}
	}}
}

// count says a number with its noun: 1 byte, 2 bytes.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
