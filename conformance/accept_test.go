package conformance

import (
	"slices"
	"testing"
)

// TestPlaysInOrder holds the cases of profile node to an order that asks most of the judged component last.
func TestPlaysInOrder(t *testing.T) {
	var cases []*Case
	for _, steps := range []string{
		"s accept\ns expect header\ns drop\n",
		"s attach\ns send </stream:stream>\n",
		"s attach\ns drop\ns attach\n",
		"s attach\ns wait 1 ms\n",
		"s attach\ns reset\ns attach\n",
	} {
		c, err := Parse("cases/node/N01-x.txt", "title: it is so\nsource: RFC 6120 1\nlevel: MUST\n\n"+steps+"s expect iq\n")
		if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, c)
	}
	var order []int
	for _, c := range inOrder(cases) {
		order = append(order, slices.Index(cases, c))
	}
	if want := []int{3, 2, 4, 0, 1}; !slices.Equal(order, want) {
		t.Errorf("they are played in the order %v, want %v", order, want)
	}
}
