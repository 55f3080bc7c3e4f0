//go:build unix

package fault

import "syscall"

// segment is the most that a TCP segment of a link with a small window carries: the least that every host must take. With
// those of the loopback (64 KiB) the window would never be worth an update, and a sender would wait for its probe timer.
const segment = 536

// receiveBuffer sets SO_RCVBUF before the connection is made: later, the window that was offered at first stays.
func receiveBuffer(bytes int) func(network, address string, c syscall.RawConn) error {
	if bytes == 0 {
		return nil
	}
	return func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			if failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, bytes); failed == nil {
				failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, segment)
			}
		})
		if err != nil {
			return err
		}
		return failed
	}
}
