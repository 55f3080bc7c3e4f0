package metrics

import (
	"maps"
	"slices"
	"strconv"
	"sync/atomic"
)

// codes are the HTTP statuses that are counted apart; any other counts as the last.
var codes = [...]int{200, 202, 400, 401, 403, 404, 405, 409, 413, 415, 421, 429, 500, 503, 0}

// Requests counts the requests of the admin API. It may be used from any goroutine.
type Requests struct {
	byOperation map[string]*[len(codes)]atomic.Uint64 // set once
}

// otherOperation stands for what is no operation, so that a path that a stranger invents makes no series.
const otherOperation = "other"

// NewRequests makes counters for the operations of the API.
func NewRequests(operations []string) *Requests {
	r := &Requests{byOperation: map[string]*[len(codes)]atomic.Uint64{otherOperation: {}}}
	for _, o := range operations {
		r.byOperation[o] = &[len(codes)]atomic.Uint64{}
	}
	return r
}

// Count counts one request by the HTTP status of its answer. What is no operation counts as "other".
func (r *Requests) Count(operation string, status int) {
	counts := r.byOperation[operation]
	if counts == nil {
		counts = r.byOperation[otherOperation]
	}
	i := slices.Index(codes[:], status)
	if i < 0 {
		i = len(codes) - 1
	}
	counts[i].Add(1)
}

// read gives all that happened, and the successes of each operation even if there were none.
func (r *Requests) read(to put) {
	if r == nil {
		return
	}
	for _, operation := range slices.Sorted(maps.Keys(r.byOperation)) {
		for i, code := range codes {
			if n := r.byOperation[operation][i].Load(); n > 0 || code == 200 {
				to(float64(n), operation, codeWord(code))
			}
		}
	}
}

func codeWord(code int) string {
	if code == 0 {
		return "other"
	}
	return strconv.Itoa(code)
}
