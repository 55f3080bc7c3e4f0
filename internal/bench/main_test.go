package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"testing"

	"github.com/patchbay-im/patchbay/routing"
)

// The test binary is also the servers under test: started again with roleEnv it is one of them, listens on loopback,
// and takes commands on its standard input, so that what it uses is its own and nobody else's.
const (
	roleEnv   = "PATCHBAY_BENCH_ROLE"   // a name in roles
	dataEnv   = "PATCHBAY_BENCH_DATA"   // data directory, "" keeps nothing
	tlsEnv    = "PATCHBAY_BENCH_TLS"    // directory with cert.pem and key.pem, "" is no TLS
	storeEnv  = "PATCHBAY_BENCH_STORE"  // not "": messages for users without a session are stored
	proofEnv  = "PATCHBAY_BENCH_PROOF"  // "off": our server asks no link for proof of delivery
	memoryEnv = "PATCHBAY_BENCH_MEMORY" // limits.memory in bytes; such a server keeps 2 GiB for a node, and for five minutes
	sampleEnv = "PATCHBAY_BENCH_MEMPROFILERATE"
)

// running is a server that listens.
type running struct {
	plain, overTLS string
	stop           func() error
	ledger         func() routing.Ledger // of ours only
}

// roles are the servers: each starts one.
var roles = map[string]func() (*running, error){
	"patchbay": servePatchbay,
	"nats":     serveNATS,
}

func TestMain(m *testing.M) {
	role := os.Getenv(roleEnv)
	if role == "" {
		os.Exit(m.Run())
	}
	if err := serve(role); err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		os.Exit(1)
	}
}

// reply is what a server under test answers, one JSON value a line.
type reply struct {
	Plain, TLS string // addresses, in the first reply only
	Mallocs    uint64 // objects allocated since the start
	Heap       uint64 // bytes of live objects
	Goroutines int
	Index      int64 // bytes that the session table's index holds, after a gc only
	Ledger     *routing.Ledger
	Error      string
}

// serve is the life of a server under test. It ends with its standard input, so it cannot outlive the benchmark.
func serve(role string) error {
	if rate, err := strconv.Atoi(os.Getenv(sampleEnv)); err == nil {
		runtime.MemProfileRate = rate
	}
	server, err := roles[role]()
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(reply{Plain: server.plain, TLS: server.overTLS}); err != nil {
		return err
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if err := out.Encode(server.obey(in.Text())); err != nil {
			return err
		}
	}
	return server.stop()
}

// obey runs one command: stats, ledger, gc, profile FILE, profile-end or allocs FILE.
func (s *running) obey(line string) reply {
	var r reply
	command, file, _ := strings.Cut(line, " ")
	switch command {
	case "gc":
		runtime.GC() // the profile of the heap is as of the collection before the last
		debug.FreeOSMemory()
		r.Index = indexBytes()
	case "ledger":
		l := s.ledger()
		r.Ledger = &l
	case "profile":
		r.Error = text(write(file, pprof.StartCPUProfile))
	case "profile-end":
		pprof.StopCPUProfile()
	case "allocs":
		runtime.GC() // the profile is as of the last collection
		r.Error = text(write(file, func(w io.Writer) error { return pprof.Lookup("allocs").WriteTo(w, 0) }))
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	r.Mallocs, r.Heap, r.Goroutines = m.Mallocs, m.HeapAlloc, runtime.NumGoroutine()
	return r
}

// write gives a new file to a profile, which may go on writing to it.
func write(file string, profile func(io.Writer) error) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return profile(f)
}

func text(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

// indexBytes sums what the heap profile says was allocated by package storage itself and is live: the index. Badger,
// which storage calls, is not it.
func indexBytes() (sum int64) {
	n, _ := runtime.MemProfile(nil, true)
	records := make([]runtime.MemProfileRecord, n+100)
	n, _ = runtime.MemProfile(records, true)
	for _, r := range records[:n] {
		if inIndex(r.Stack()) {
			sum += r.InUseBytes()
		}
	}
	return sum
}

func inIndex(stack []uintptr) bool {
	own := false
	frames := runtime.CallersFrames(stack)
	for {
		f, more := frames.Next()
		if strings.Contains(f.Function, "dgraph-io") {
			return false
		}
		own = own || strings.Contains(f.Function, "patchbay/storage.")
		if !more {
			return own
		}
	}
}
