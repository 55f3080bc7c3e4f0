package time

import "sync/atomic"

// Ahead is by how many seconds the clock of the machine was set forward.
var Ahead atomic.Int64
