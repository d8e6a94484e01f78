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

// request is what the child is asked about the database, which is the file that is
// passed to it.
type request struct {
	Want  string   `json:"want"`
	Paths []string `json:"paths,omitempty"`
}

const (
	names  = "names"  // of all packages
	owners = "owners" // the packages with files at or below the paths, and these
)

// answer is a part of what the child found; the last one has End.
type answer struct {
	Packages []Package `json:"packages,omitempty"`
	Error    string    `json:"error,omitempty"`
	End      bool      `json:"end,omitempty"`
}

// atOnce is how many packages and files make an answer.
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
	t := teller{tell: tell}
	var err error
	switch r.Want {
	case names:
		err = eachName(database, func(name string) { t.add(Package{Name: name}) })
	case owners:
		err = eachOwner(database, r.Paths, t.add)
	default:
		return fmt.Errorf("nobody knows what %q are", r.Want)
	}
	t.flush()
	return errors.Join(err, t.untold)
}

// teller tells packages, some at once.
type teller struct {
	tell   func(any) error
	part   answer
	files  int
	untold error
}

func (t *teller) add(p Package) {
	t.part.Packages = append(t.part.Packages, p)
	if t.files += len(p.Files); len(t.part.Packages)+t.files >= atOnce {
		t.flush()
	}
}

func (t *teller) flush() {
	if len(t.part.Packages) > 0 && t.untold == nil {
		t.untold = t.tell(t.part)
	}
	t.part.Packages, t.files = t.part.Packages[:0], 0
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
