//go:build !unix

package fault

import "syscall"

// receiveBuffer leaves the buffer to the system.
func receiveBuffer(int) func(network, address string, c syscall.RawConn) error { return nil }
