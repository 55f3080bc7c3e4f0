//go:build !linux

package bench

import (
	"errors"
	"time"
)

var errLinux = errors.New("measure a process: only on Linux")

// CPU is the processor time that a process has used, user and system.
func CPU(int) (time.Duration, error) { return 0, errLinux }

// Memory is what a process holds in RAM, bytes: in all, and the part that is no page of a file.
func Memory(int) (rss, anon int64, err error) { return 0, 0, errLinux }

// Peak is the most that a process has held in RAM, bytes, since its start or the last ForgetPeak.
func Peak(int) (int64, error) { return 0, errLinux }

// ForgetPeak makes Peak begin anew.
func ForgetPeak(int) error { return errLinux }

func punctual() (end func()) { return func() {} }

func pause(d time.Duration) { <-time.After(d) }
