package config

import (
	"cmp"
	"slices"
	"strings"
)

// Change is one key in which two configurations differ.
type Change struct {
	Path     string // a node is named by its domain; a node that is in one of the two only has no key: nodes[DOMAIN]
	Old, New string // as the file would hold them, bullets for secrets; "" where the key is not said
	Live     bool   // a reload applies it; otherwise a restart is needed
	Secret   bool   // what differs is hidden
}

// The words of Change.New, with Old "", of a node that is in one configuration only.
const (
	NodeAdded   = "added"
	NodeRemoved = "removed"
)

// Diff gives the keys in which a configuration differs from an old one, in the order of the file. The order of nodes
// and of what stands in a list does not count, and neither does the place that a secret came from.
func Diff(old, new *Config) []Change { return diff(old.Values(), new.Values()) }

func diff(old, new []Value) []Change {
	before, after := index(old), index(new)
	var all []change
	for _, v := range after.list {
		was, ok := before.byPath[v.Path]
		switch {
		case v.owner != "" && !before.nodes[v.owner]:
			all = append(all, whole(v, NodeAdded))
		case !ok:
			all = append(all, change{Change{v.Path, "", v.Text, v.Live, v.veiled}, v.group})
		case !same(was, v):
			all = append(all, change{Change{v.Path, was.Text, v.Text, v.Live, v.veiled}, v.group})
		}
	}
	for _, v := range before.list {
		switch _, ok := after.byPath[v.Path]; {
		case ok:
		case v.owner != "":
			all = append(all, whole(v, NodeRemoved))
		default:
			all = append(all, change{Change{v.Path, v.Text, "", v.Live, v.veiled}, v.group})
		}
	}
	all = slices.Compact(all) // a node's keys make one change
	slices.SortStableFunc(all, func(a, b change) int { return cmp.Compare(a.group, b.group) })
	out := make([]Change, len(all))
	for i, c := range all {
		out[i] = c.Change
	}
	return out
}

// change is a Change and where in the order of the file it belongs.
type change struct {
	Change
	group int
}

func whole(v Value, word string) change {
	return change{Change{Path: named(keyNodes+eachEntry, scope{name: v.owner}), New: word, Live: v.Live}, v.group}
}

// values are those of one Config, to look up.
type values struct {
	list   []Value
	byPath map[string]Value
	nodes  map[string]bool
}

func index(list []Value) values {
	v := values{list, map[string]Value{}, map[string]bool{}}
	for _, one := range list {
		v.byPath[one.Path] = one
		v.nodes[one.owner] = true
	}
	return v
}

// same reports whether two values mean the same, as far as it is known.
func same(a, b Value) bool {
	if a.print != "" && b.print != "" {
		return equal(strings.Split(a.print, ","), strings.Split(b.print, ","))
	}
	return (a.Text == b.Text || equal(items(a.Text), items(b.Text))) && equal(a.Secrets, b.Secrets)
}

// equal reports whether two lists hold the same, in whatever order.
func equal[T cmp.Ordered](a, b []T) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
