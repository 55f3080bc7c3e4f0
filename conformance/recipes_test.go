package conformance

import (
	"slices"
	"strings"
	"testing"
)

// TestRecipes: each product has a text that ends with the command to run.
func TestRecipes(t *testing.T) {
	if got := Recipes(); !slices.Equal(got, []string{"ejabberd", "jabberd2", "openfire", "prosody"}) {
		t.Errorf("recipes are of %s", got)
	}
	for _, name := range Recipes() {
		text, ok := Recipe(name)
		if !ok || !strings.Contains(text, "patchbay conformance --addr ") || !strings.HasSuffix(text, "\n") {
			t.Errorf("%s (%v):\n%s", name, ok, text)
		}
		for line := range strings.Lines(text) {
			if len(line) > 121 {
				t.Errorf("%s has a line of %d bytes: %s", name, len(line), line)
			}
		}
	}
	for _, name := range []string{"", "nothing", "../recipes/prosody", "prosody.txt"} {
		if _, ok := Recipe(name); ok {
			t.Errorf("there is a recipe %q", name)
		}
	}
}
