//go:build !linux && !darwin

package admin

import "github.com/patchbay-im/patchbay/internal/admin/api"

// disk is not told here.
func disk(string) *api.Disk { return nil }
