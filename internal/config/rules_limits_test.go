package config

import (
	"strings"
	"testing"
)

// TestSharedSizes wants a warning of each sum that is smaller than what one alone may have, and of an outbox that is not
// there; none of what is said nowhere, or faulty already.
func TestSharedSizes(t *testing.T) {
	const (
		memory = "limits.memory is smaller than limits.queue, which one node may have      mend: limits.queue or more"
		disk   = "limits.disk is smaller than limits.outbox, which one node may have      mend: limits.outbox or more"
		store  = "limits.disk is smaller than offline.total, which the offline store may have      mend: offline.total or more"
		none   = `limits.outbox is not used: with data ":memory:" there is no outbox      mend: data: a directory, or take limits.outbox out`
	)
	inMemory := replaceKey(good, "data") + "data: ':memory:'\n"
	for _, c := range []struct {
		name, file, says string
		want             []string
	}{
		{"the defaults", good, "", nil},
		{"just enough", good, "limits: {queue: 1GiB, memory: 1GiB, outbox: 2GiB, disk: 2GiB}", nil},
		{"a large queue", good, "limits: {queue: 2GiB}", []string{memory}},
		{"a small memory", good, "limits: {memory: 8MiB}", []string{memory}},
		{"a large outbox", good, "limits: {outbox: 21GiB}", []string{disk}},
		{"a small disk", good, "limits: {disk: 1023MiB}", []string{disk}},
		{"a large store", good, "offline: {policy: store, total: 21GiB}", []string{store}},
		{"a large store of nothing", good, "offline: {total: 21GiB}", nil},
		{"all of them", good, "offline: {policy: store, total: 21GiB}\nlimits: {queue: 2GiB, disk: 512MiB}", []string{memory, disk, store}},
		{"a faulty one", good, "limits: {queue: 2GiB, memory: 1 gig}", nil},
		{"no disk", inMemory, "", nil},
		{"no disk, and an outbox", inMemory, "limits: {outbox: 21GiB}", []string{none}},
		{"no disk, and a large queue", inMemory, "limits: {queue: 2GiB, disk: 1MiB}", []string{memory}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, faults := Parse("patchbay.yaml", []byte(c.file+c.says+"\n"), lookup)
			var got []string
			for line := range strings.Lines(screen(faults)) {
				if line = strings.TrimSpace(line); strings.HasPrefix(line, "warning") {
					_, said, _ := strings.Cut(line, "  ")
					got = append(got, said)
				}
			}
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}
