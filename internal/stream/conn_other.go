//go:build !unix

package stream

import (
	"net"
	"syscall"
)

// Without unix system calls every connection takes the generic path: net.Conn for reading, the writer for writing.
func rawConn(*net.TCPConn) syscall.RawConn { return nil }

func (c *Conn) readReady(uintptr) bool { return true }

func (c *Conn) writeOnce(uintptr) bool { return true }
