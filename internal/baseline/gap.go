package baseline

import (
	"errors"
	"io/fs"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// Gaps says for each operation that the baseline it needs cannot be used.
func Gaps(err error, operations []string) []drift.Gap {
	hint := "look at it, then record anew: nodeguard baseline accept --reason TEXT"
	switch {
	case errors.Is(err, fs.ErrPermission):
		hint = "run as root"
	case errors.Is(err, ErrNewer):
		hint = "use the newer nodeguard, or record anew: nodeguard baseline accept --reason TEXT"
	}
	var out []drift.Gap
	for _, id := range operations {
		out = append(out, drift.Gap{Operation: id, Reason: drift.Printable(err.Error()), Hint: hint})
	}
	return out
}
