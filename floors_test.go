package patchbay_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/patchbay-im/patchbay"

// floor is one package and the packages of ours that it may import.
type floor struct {
	pkg string // a folder; one that ends in /... stands for all below it
	may []string
}

// floors is the layering, lowest first. A package may import only from rows above its own, so the table cannot hold a
// circle; and only those it names, so a new arrow is a change that somebody sees.
var floors = []floor{
	{".", nil}, // only tests of the house
	{"stanza", nil},
	{"conformance/wire", nil},
	{"conformance", []string{"conformance/wire"}}, // it judges other servers too
	{"conformance/report", []string{"conformance"}},
	{"internal/say", nil},   // figures and hostile text for people
	{"internal/fault", nil}, // a bad network for tests
	{"storage", []string{"stanza"}},
	{"routing", []string{"stanza", "storage"}},
	{"internal/stream", []string{"stanza"}},
	{"internal/config", []string{"stanza"}},
	{"internal/admin/api", nil}, // words between the server and its client
	{"internal/ctl", []string{"internal/say", "internal/admin/api"}},
	{"docs", nil},     // the pages that the binary carries
	{"examples", nil}, // the sources that patchbay help node prints
	{"component", []string{"stanza", "internal/stream"}},
	{"internal/service", []string{"stanza", "storage", "routing"}},
	{"internal/server", []string{"internal/say", "stanza", "storage", "routing", "internal/stream", "internal/config", "component", "internal/service"}},
	{"internal/admin", []string{"internal/say", "stanza", "storage", "routing", "internal/config", "internal/server", "internal/admin/api", "docs"}},
	{"internal/admin/metrics", []string{"storage", "routing", "internal/config", "component", "internal/server"}},
	{"internal/demo", []string{"internal/say", "stanza", "component"}},
	{"internal/interop", []string{"internal/fault", "stanza", "storage", "component"}},
	{"internal/soak", []string{"internal/fault", "component"}},
	{"internal/bench", []string{"stanza", "storage", "routing", "internal/config", "component", "internal/server"}},
	{"cmd/patchbay", []string{"internal/say", "stanza", "component", "conformance", "conformance/report", "internal/config", "internal/server", "internal/demo", "internal/bench",
		"internal/admin", "internal/admin/api", "internal/admin/metrics", "internal/ctl", "docs", "examples"}},
	{"examples/...", []string{"stanza", "component"}}, // what any user of the module can import
}

// mostFloors is the longest way down that a reader should have to go.
const mostFloors = 7

// ban is an import that stands in few places, or must not stand in some. Tests of a package are free of it unless
// tests is set.
type ban struct {
	path  string   // an import; one that ends in / stands for all below it
	only  []string // the packages that may import it; nil if not says all
	not   []string // the packages that may not
	tests bool     // the rule holds for tests too
	why   string
}

var bans = []ban{
	{"github.com/dgraph-io/badger/", []string{"storage"}, nil, true, "one package knows what is on disk, so another store can replace it"},
	{"github.com/nats-io/", []string{"internal/cluster/jetstream"}, nil, false, "NATS is one of two directories and a rival to measure against, never a need"},
	{"encoding/xml", nil, []string{"stanza", "storage", "routing"}, false, "it accepts what is not well-formed and writes xmlns twice: stanzas go on as the bytes they came in"},
	{"net", nil, []string{"stanza", "storage", "routing"}, false, "a decision is made from data, so it can be tested without sockets"},
	{"crypto/tls", nil, []string{"stanza", "storage", "routing"}, false, "whom a link belongs to was settled before a stanza reaches the router"},
	{"net/http", nil, []string{"stanza", "storage", "routing", "component", "internal/stream", "internal/config"}, false, "HTTP is for people and probes, above the router"},
	{"github.com/sirupsen/logrus", nil, []string{"stanza", "internal/config"}, true, "what is pure says what it found; its caller logs, once"},
	{"log", []string{"internal/admin"}, nil, true, "one logger: logrus, with fields; net/http takes only this one, and what it says goes to logrus"},
	{"log/slog", []string{}, nil, true, "one logger: logrus, with fields"},
	{"charm.land/", []string{"internal/demo", "internal/ctl"}, nil, true, "only the demo and the live views of ctl draw"},
	{"github.com/charmbracelet/", []string{"internal/demo", "internal/ctl"}, nil, true, "only the demo and the live views of ctl draw"},
	{"github.com/spf13/", []string{"cmd/patchbay"}, nil, true, "only the command has verbs and flags"},
	{"github.com/prometheus/", []string{"internal/admin/metrics"}, nil, true, "what is counted knows no format of who asks"},
	{"go.yaml.in/", []string{"internal/config"}, nil, true, "one package reads the file"},
	{"github.com/antithesishq/", []string{}, nil, true, "a dependency of a dependency"},
	{"pgregory.net/rapid", []string{}, nil, false, "models belong to tests"},
	{"github.com/santhosh-tekuri/jsonschema/", []string{}, nil, false, "the schema is for editors; the server reads its table of keys"},
	{"os/exec", []string{}, nil, false, "the server starts no program"},
	{"math/rand", []string{}, nil, true, "crypto/rand for what must not be guessed, math/rand/v2 for the rest"},
}

// listing is what go list tells of one package.
type listing struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// folder is the package's path in the repository.
func (l listing) folder() string {
	if l.ImportPath == module {
		return "."
	}
	return strings.TrimPrefix(l.ImportPath, module+"/")
}

// packages lists the tree. Go's test cache does not see what go list reads: run with -count=1.
func packages(t *testing.T) []listing {
	t.Helper()
	cmd := exec.Command("go", "list", "-pgo=off", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	var all []listing
	for from := json.NewDecoder(strings.NewReader(string(out))); ; {
		var l listing
		if err := from.Decode(&l); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
}

// covers reports whether a name of a table, which may end in / or /..., means a path.
func covers(name, path string) bool {
	if root, all := strings.CutSuffix(name, "/..."); all {
		return path == root || strings.HasPrefix(path, root+"/")
	}
	return name == path || strings.HasSuffix(name, "/") && strings.HasPrefix(path, name)
}

func rowOf(folder string) int {
	return slices.IndexFunc(floors, func(f floor) bool { return covers(f.pkg, folder) })
}

// TestFloors fails on an arrow that the table does not name, and on a package that it does not know.
func TestFloors(t *testing.T) {
	height, arrows, count := map[string]int{}, 0, 0
	list := packages(t)
	slices.SortFunc(list, func(a, b listing) int { return rowOf(a.folder()) - rowOf(b.folder()) })
	for _, l := range list {
		row := rowOf(l.folder())
		if row < 0 {
			t.Errorf("package %s has no row in floors: say on which floor it lives and what it may import", l.folder())
			continue
		}
		count++
		height[l.folder()] = 1
		for _, path := range l.Imports {
			below, ours := strings.CutPrefix(path, module+"/")
			if !ours {
				continue
			}
			arrows++
			height[l.folder()] = max(height[l.folder()], height[below]+1)
			if !slices.Contains(floors[row].may, below) {
				t.Errorf("%s imports %s: the table of floors does not allow it", l.folder(), below)
			}
		}
		if height[l.folder()] > mostFloors {
			t.Errorf("%s is on floor %d, %d is the most", l.folder(), height[l.folder()], mostFloors)
		}
	}
	t.Logf("%d packages, %d arrows", count, arrows)
}

// TestFloorsTable sees that each row allows only what stands above it.
func TestFloorsTable(t *testing.T) {
	for i, f := range floors {
		for _, below := range f.may {
			if j := rowOf(below); j < 0 || j >= i {
				t.Errorf("%s may import %s, which is not above it in the table", f.pkg, below)
			}
		}
	}
}

// TestBans fails on an import that stands where it must not.
func TestBans(t *testing.T) {
	for _, l := range packages(t) {
		for _, b := range bans {
			imports := l.Imports
			if b.tests {
				imports = slices.Concat(imports, l.TestImports, l.XTestImports)
			}
			i := slices.IndexFunc(imports, func(path string) bool { return covers(b.path, path) })
			if i >= 0 && !b.allows(l.folder()) {
				t.Errorf("%s imports %s: %s", l.folder(), imports[i], b.why)
			}
		}
	}
}

func (b ban) allows(folder string) bool {
	if b.only != nil {
		return slices.Contains(b.only, folder)
	}
	return !slices.Contains(b.not, folder)
}

// TestBansTable sees that each ban says why, and either where an import may stand or where not.
func TestBansTable(t *testing.T) {
	for _, b := range bans {
		if b.why == "" || (b.only == nil) == (b.not == nil) {
			t.Errorf("the ban on %s is not well written", b.path)
		}
	}
	for _, c := range []struct {
		b      ban
		folder string
		want   bool
	}{
		{ban{only: []string{"storage"}}, "storage", true},
		{ban{only: []string{"storage"}}, "routing", false},
		{ban{only: []string{}}, "routing", false},
		{ban{not: []string{"routing"}}, "routing", false},
		{ban{not: []string{"routing"}}, "storage", true},
	} {
		if got := c.b.allows(c.folder); got != c.want {
			t.Errorf("%+v allows %s: %v", c.b, c.folder, got)
		}
	}
}
