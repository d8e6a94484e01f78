package catalog

import (
	"fmt"
	"strings"
)

// Detected are the operations that the tests have seen raised and not raised, each
// in a host that is out of support and in one that is in support.
func Detected() (map[string]bool, error) {
	data, err := embedded.ReadFile("detected.txt")
	if err != nil {
		return nil, fmt.Errorf("read the catalogue: %w", err)
	}
	out := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		if id := strings.TrimSpace(line); id != "" && !strings.HasPrefix(id, "#") {
			out[id] = true
		}
	}
	return out, nil
}
