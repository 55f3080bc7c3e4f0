package bench

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// CPU is the processor time that a process has used, user and system.
func CPU(pid int) (time.Duration, error) {
	// The clock of a process by its number, as clock_getcpuclockid(3) makes it: nanoseconds, where /proc has 10 ms.
	clock := int32(^pid)<<3 | 2
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return 0, fmt.Errorf("read the CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// Memory is what a process holds in RAM, bytes: in all, and the part that is no page of a file.
func Memory(pid int) (rss, anon int64, err error) {
	v, err := status(pid, "VmRSS:", "RssAnon:")
	return v[0], v[1], err
}

// Peak is the most that a process has held in RAM, bytes, since its start or the last ForgetPeak.
func Peak(pid int) (int64, error) {
	v, err := status(pid, "VmHWM:")
	return v[0], err
}

// ForgetPeak makes Peak begin anew.
func ForgetPeak(pid int) error {
	if err := os.WriteFile("/proc/"+strconv.Itoa(pid)+"/clear_refs", []byte("5"), 0); err != nil {
		return fmt.Errorf("forget the peak of process %d: %w", pid, err)
	}
	return nil
}

// status reads sizes from the status of a process (proc(5)); one that is not there is 0.
func status(pid int, names ...string) ([]int64, error) {
	v := make([]int64, len(names))
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return v, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	for line := range bytes.Lines(b) {
		f := bytes.Fields(line)
		if len(f) < 2 {
			continue
		}
		if i := slices.Index(names, string(f[0])); i >= 0 {
			kib, _ := strconv.ParseInt(string(f[1]), 10, 64)
			v[i] = kib << 10
		}
	}
	return v, nil
}

// punctual binds the calling goroutine to a thread whose sleeps end on time; the kernel's own slack is 50 us.
func punctual() (end func()) {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	return func() {
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0)
		runtime.UnlockOSThread()
	}
}

// pause waits. Go's timers are up to a millisecond late when the process is idle, which is more than what is measured.
func pause(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&ts, nil)
}
