package baseline

import (
	"errors"
	"io/fs"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// Hint says what to do about a baseline that cannot be used.
func Hint(err error) string {
	switch {
	case errors.Is(err, ErrNone):
		return "nodeguard check records one where there is none"
	case errors.Is(err, fs.ErrPermission):
		return "run as root"
	case errors.Is(err, ErrNewer):
		return "use the newer nodeguard, or record anew: nodeguard baseline accept --reason TEXT"
	case errors.Is(err, ErrDamaged):
		return "look at it, then record anew: nodeguard baseline accept --reason TEXT"
	default:
		return "make " + host.StateDir + " a directory that belongs to root alone"
	}
}

// Gaps says for each operation that the baseline it needs cannot be used.
func Gaps(err error, operations []string) []drift.Gap {
	var out []drift.Gap
	for _, id := range operations {
		out = append(out, drift.Gap{Operation: id, Reason: drift.Printable(err.Error()), Hint: Hint(err)})
	}
	return out
}
