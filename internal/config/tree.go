package config

import (
	"maps"
	"slices"
	"strings"
)

// branch is a place in the file: the table of keys as a tree.
type branch struct {
	key   *key // set at a leaf
	later bool // all below is of a coming version
	kids  map[string]*branch
}

// The names of kids that stand for many.
const (
	eachEntry = "[]"
	eachName  = "{}"
)

// root is the whole table as a tree.
var root = grow()

func grow() *branch {
	top := &branch{}
	for i := range keys {
		top.plant(keys[i].path).key = &keys[i]
	}
	for _, path := range later {
		top.plant(path).later = true
	}
	return top
}

func (b *branch) plant(path string) *branch {
	for name := range strings.SplitSeq(strings.ReplaceAll(path, "[]", ".[]"), ".") {
		if b.kids == nil {
			b.kids = map[string]*branch{}
		}
		if b.kids[name] == nil {
			b.kids[name] = &branch{}
		}
		b = b.kids[name]
	}
	return b
}

// at gives the branch of a path below, which must be there.
func (b *branch) at(path string) *branch {
	for name := range strings.SplitSeq(path, ".") {
		b = b.kids[name]
	}
	return b
}

// names are the keys that may stand here, in order.
func (b *branch) names() []string { return slices.Sorted(maps.Keys(b.kids)) }

// current are the names that act in this version.
func (b *branch) current() []string {
	return slices.DeleteFunc(b.names(), func(name string) bool { return b.kids[name].later })
}

// shape is how what stands here is written.
func (b *branch) shape() string {
	if b.kids[eachName] != nil { // any domain is a key
		return "im.example: {policy: store}"
	}
	return "KEY: VALUE, of " + strings.Join(b.current(), ", ")
}

// mend says what a key that does not stand here was probably meant to be.
func (b *branch) mend(name string) string {
	if near := nearest(name, b.names()); near != "" {
		return "did you mean " + near + "?"
	}
	for _, k := range keys {
		if _, last, ok := strings.Cut(k.path, "."); ok && last == name && !strings.Contains(k.path, eachEntry) {
			return "did you mean " + k.path + "?"
		}
	}
	return "known here: " + strings.Join(b.current(), ", ")
}
