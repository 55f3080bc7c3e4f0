package report

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/patchbay-im/patchbay/conformance"
)

// Mask takes secrets out of what is shown and kept of a run.
type Mask struct {
	forms []form // longest first
}

// form is one way of writing a secret.
type form struct{ plain, name []byte }

// NewMask makes one for the secrets of c1, c2 and so on. Each is replaced by its name in the language of plays,
// ${c1.secret}; also when it was escaped as XML or as a text of a play, or came in pieces.
func NewMask(secrets ...string) *Mask {
	m := &Mask{}
	for i, s := range secrets {
		name := fmt.Appendf(nil, "${c%d.secret}", i+1)
		for _, written := range writings(s) {
			m.forms = append(m.forms, form{[]byte(written), name})
		}
	}
	slices.SortStableFunc(m.forms, func(a, b form) int { return cmp.Compare(len(b.plain), len(a.plain)) })
	return m
}

// writings are the ways in which a peer may write a secret.
func writings(s string) []string {
	all := []string{
		s,
		strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s),
		strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;").Replace(s),
		strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;").Replace(s),
		strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s),
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(w string) bool { return w == "" })
}

// Result gives a result without secrets. The one it was given stays as it is.
func (m *Mask) Result(r conformance.Result) conformance.Result {
	r.Why = m.Text(r.Why)
	if r.Fault != nil {
		f := *r.Fault
		f.Got = m.Text(f.Got)
		r.Fault = &f
	}
	r.Wire = m.wire(r.Wire)
	return r
}

// Run gives a run without secrets. The one it was given stays as it is.
func (m *Mask) Run(run *conformance.Run) *conformance.Run {
	masked := *run
	masked.Product = m.Text(run.Product)
	masked.Results = make([]conformance.Result, len(run.Results))
	for i := range run.Results {
		masked.Results[i] = m.Result(run.Results[i])
	}
	return &masked
}

// Text gives a text without secrets.
func (m *Mask) Text(s string) string {
	return string(slices.Concat(m.pieces([][]byte{[]byte(s)})...))
}

// wire masks what went one way on the connection of one actor as a whole, for a secret may have come in pieces.
func (m *Mask) wire(records []conformance.Record) []conformance.Record {
	type way struct {
		actor string
		kind  conformance.RecordKind
	}
	masked, at := slices.Clone(records), map[way][]int{}
	for i := range records {
		w := way{records[i].Actor, records[i].Kind}
		at[w] = append(at[w], i)
	}
	for _, places := range at {
		parts := make([][]byte, len(places))
		for i, p := range places {
			parts[i] = records[p].Bytes
		}
		for i, part := range m.pieces(parts) {
			masked[places[i]].Bytes = part
		}
	}
	return masked
}

// pieces masks the text that its pieces make together, and gives as many of them. The name of a secret stands in the piece
// in which the secret began.
func (m *Mask) pieces(parts [][]byte) [][]byte {
	whole := slices.Concat(parts...)
	if !slices.ContainsFunc(m.forms, func(f form) bool { return bytes.Contains(whole, f.plain) }) {
		return parts
	}
	masked, at := make([][]byte, len(parts)), 0
	hidden := 0 // bytes of a secret that are still to be left out
	for i, part := range parts {
		for range part {
			f := m.at(whole[at:])
			switch {
			case hidden > 0:
				hidden--
			case f != nil:
				masked[i], hidden = append(masked[i], f.name...), len(f.plain)-1
			default:
				masked[i] = append(masked[i], whole[at])
			}
			at++
		}
	}
	return masked
}

// at is the secret that a text begins with, nil if none.
func (m *Mask) at(text []byte) *form {
	for i := range m.forms {
		if bytes.HasPrefix(text, m.forms[i].plain) {
			return &m.forms[i]
		}
	}
	return nil
}
