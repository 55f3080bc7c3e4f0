package config

import (
	"strings"
	"testing"
)

// TestOfflineSizes wants a warning of each size that lets a store keep less than one message, or one user, where something
// is stored, and of no other.
func TestOfflineSizes(t *testing.T) {
	const (
		message = "patchbay.yaml:%s  KEY is smaller than one stanza; a message larger than that is not kept      mend: limits.stanza or more"
		user    = "patchbay.yaml:%s  offline.total is smaller than KEY, which one user may have      mend: KEY or more"
		all     = "offline.keep.bytes"
		vip     = "offline.domains.vip.example.keep.bytes"
	)
	said := func(text, line, key string) string {
		return "warning " + strings.ReplaceAll(strings.ReplaceAll(text, "%s", line), "KEY", key)
	}
	for _, c := range []struct {
		name, says string // from line 7 on
		want       []string
	}{
		{"the defaults", "offline: {policy: store}", nil},
		{"just enough", "offline: {policy: store, keep: {bytes: 64KiB}, total: 64KiB}\nlimits: {stanza: 64KiB}", nil},
		{"a small box", "offline:\n  policy: store\n  keep: {bytes: 2KiB}", []string{said(message, "9", all)}},
		{"large stanzas", "offline: {policy: store}\nlimits: {stanza: 8MiB}", []string{said(message, "8", all)}},
		{"nothing is stored", "offline: {policy: discard, keep: {bytes: 2KiB}, total: 64KiB}\nlimits: {stanza: 8MiB}", nil},
		{"a small total", "offline:\n  policy: store\n  total: 1MiB", []string{said(user, "9", all)}},
		{"both", "offline: {policy: store, total: 1MiB}\nlimits: {stanza: 8MiB}", []string{said(user, "7", all), said(message, "8", all)}},
		{"one domain stores", "offline: {domains: {vip.example: {policy: store}},\n  keep: {bytes: 2KiB}}", []string{said(message, "8", all)}},
		{"one domain has its own", "offline:\n  domains:\n    vip.example: {policy: store, keep: {bytes: 2GiB}}", nil}, // a fault, not a warning
		{"one domain is small", "offline:\n  policy: store\n  domains:\n    vip.example: {keep: {bytes: 2KiB}}", []string{said(message, "10", vip)}},
		{"one domain is large", "offline:\n  policy: store\n  domains:\n    vip.example: {keep: {bytes: 1GiB}}\n  total: 1MiB\n  keep: {bytes: 1MiB}",
			[]string{said(user, "11", vip)}},
		{"the small one does not store", "offline:\n  policy: store\n  domains:\n    vip.example: {policy: bounce, keep: {bytes: 2KiB}}", nil},
		{"the general one is not used", "offline:\n  keep: {bytes: 2KiB}\n  domains:\n    vip.example: {policy: store, keep: {bytes: 1MiB}}", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, faults := Parse("patchbay.yaml", []byte(good+c.says+"\n"), lookup)
			var got []string
			for line := range strings.Lines(screen(faults)) {
				if line = strings.TrimSpace(line); strings.HasPrefix(line, "warning") {
					got = append(got, line)
				}
			}
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}
