package hostconfig

import (
	"bytes"
	"path"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
)

const (
	swapsFile = "/proc/swaps"
	fstab     = "/etc/fstab"
)

// swap is the swap in use and, pending, what fstab adds at the next boot.
func (l *look) swap(_ Rule, _ string) *table {
	t := newTable("swap")
	data, err := l.root.ReadFile(swapsFile, maxFile)
	if err != nil && (l.root.Live() || !gone(err)) {
		return faulty("swap", faultOf(swapsFile, err))
	}
	for device, kind := range parseSwaps(data) {
		t.entries[drift.Printable(device)] = entry{value: "on (" + drift.Printable(kind) + ")", want: "off", args: map[string]string{"device": drift.Printable(device)}}
	}
	data, at, err := l.read(fstab)
	if err != nil && !gone(err) {
		return faulty("swap", faultOf(fstab, err))
	}
	for _, device := range parseFstabSwap(data) {
		if _, on := t.entries[drift.Printable(device)]; !on && len(t.entries) == 0 {
			t.entries[drift.Printable(device)] = entry{value: "on at boot", want: "off", pending: true, changed: at, args: map[string]string{"file": fstab}}
		}
	}
	return t
}

// parseSwaps reads /proc/swaps: the device, whose blanks are escaped, and its type.
func parseSwaps(data []byte) map[string]string {
	out := map[string]string{}
	first := true
	for line := range bytes.Lines(data) {
		fields := strings.Fields(string(line))
		if first || len(fields) < 2 {
			first = false
			continue
		}
		kind := fields[1]
		if strings.HasPrefix(path.Base(fields[0]), "zram") {
			kind = "zram"
		}
		out[fields[0]] = kind
	}
	return out
}

// parseFstabSwap are the swap devices of fstab(5) that the boot switches on.
func parseFstabSwap(data []byte) []string {
	var out []string
	for line := range bytes.Lines(data) {
		fields := strings.Fields(string(line))
		if len(fields) < 3 || fields[0][0] == '#' || fields[2] != "swap" {
			continue
		}
		if len(fields) > 3 && strings.Contains(","+fields[3]+",", ",noauto,") {
			continue
		}
		out = append(out, fields[0])
	}
	return out
}
