package rpm

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/nodeguard/nodeguard/internal/probe"
)

// Packages is the name of the task that Read does.
const Packages = "packages"

// request is what the child is asked: Want is a table of the database, which is the
// file that is passed to it.
type request struct {
	Want string `json:"want"`
}

// names is the index of packages by their names.
const names = "names"

// Package is one that is installed. What was not asked for is empty.
type Package struct {
	Name string `json:"name"`
}

// answer is a part of what the child found; the last one has End.
type answer struct {
	Packages []Package `json:"packages,omitempty"`
	Error    string    `json:"error,omitempty"`
	End      bool      `json:"end,omitempty"`
}

// atOnce is how many packages an answer has.
const atOnce = 256

// Read answers in the child, packages first and how it ended last.
func Read(_ *os.File, data []byte, tell func(any) error) error {
	var r request
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("decode the request: %w", err)
	}
	database := probe.Passed(0)
	defer database.Close()
	err := read(database, r, tell)
	if err != nil {
		return tell(answer{Error: err.Error(), End: true})
	}
	return tell(answer{End: true})
}

func read(database *os.File, r request, tell func(any) error) error {
	if r.Want != names {
		return fmt.Errorf("nobody knows what %q are", r.Want)
	}
	var part answer
	var untold error
	flush := func() {
		if len(part.Packages) > 0 {
			untold = errors.Join(untold, tell(part))
			part.Packages = part.Packages[:0]
		}
	}
	err := eachName(database, func(name string) {
		if part.Packages = append(part.Packages, Package{Name: name}); len(part.Packages) == atOnce {
			flush()
		}
	})
	flush()
	return errors.Join(err, untold)
}

// eachName visits the index of names alone: the packages themselves are a hundred
// times as much.
func eachName(from *os.File, visit func(name string)) error {
	database, err := openSQLite(from)
	if err != nil {
		return err
	}
	return database.table("Name", func(row []any) {
		if len(row) == 0 {
			return
		}
		if name, ok := row[0].(string); ok && name != "gpg-pubkey" { // a key, kept as a package
			visit(name)
		}
	})
}
