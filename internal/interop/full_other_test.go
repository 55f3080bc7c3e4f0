//go:build !linux

package interop

import (
	"os"
	"os/exec"
	"testing"
)

// powerless skips the test where a user has rights that this package does not know how to give up.
func powerless(t *testing.T, _ *exec.Cmd) {
	t.Helper()
	if os.Getuid() <= 0 {
		t.Skip("needs a user who is not root")
	}
}
