package watch

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

// dead compares the marks with those that the kernel lists. Directories of two file
// systems may share a handle, and the list does not tell which is which: if one of
// them is missing, all of them are taken for dead and marked anew.
func (k *fanotify) dead(marks []*mark) (dead []*mark) {
	alive := k.listed()
	for _, m := range marks {
		alive[listing(m.name)]--
	}
	for _, m := range marks {
		if alive[listing(m.name)] < 0 {
			dead = append(dead, m)
		}
	}
	return dead
}

// listed counts the group's marks by handle. A list that cannot be read is empty:
// who cannot tell marks anew.
func (k *fanotify) listed() map[string]int {
	count := map[string]int{}
	data, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", k.fd))
	if err != nil {
		return count
	}
	for line := range strings.Lines(string(data)) {
		if _, handle, listed := strings.Cut(line, "fhandle-type:"); listed {
			count[strings.TrimSpace(handle)]++
		}
	}
	return count
}

// listing is what the kernel's list has of a handle.
func listing(name string) string {
	kind, handle := split(name)
	return fmt.Sprintf("%x f_handle:%s", uint32(kind), hex.EncodeToString(handle))
}
