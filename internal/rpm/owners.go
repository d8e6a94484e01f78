package rpm

import (
	"errors"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
)

// maxHeader is far more than any package's header, in bytes.
const maxHeader = 32 << 20

// paths are files and directories that are asked for.
type paths map[string]bool

// covers tells whether the path is one of them, or lies below one.
func (p paths) covers(name string) bool {
	for end := len(name); end > 0; end = strings.LastIndexByte(name[:end], '/') {
		if p[name[:end]] {
			return true
		}
	}
	return false
}

// eachOwner visits the packages that own a file at or below the paths. The indexes of
// directories and names tell which these may be: all headers are a hundred times as
// much.
func eachOwner(from io.ReaderAt, asked []string, visit func(Package)) error {
	database, err := openSQLite(from)
	if err != nil {
		return err
	}
	wanted := paths{}
	for _, name := range asked {
		wanted[path.Clean(name)] = true
	}
	return database.eachOwner(wanted, visit)
}

func (f *sqliteFile) eachOwner(wanted paths, visit func(Package)) error {
	numbers, err := f.candidates(wanted)
	if err != nil || len(numbers) == 0 {
		return err
	}
	root, err := f.root("Packages")
	if err != nil {
		return err
	}
	files := 0
	for _, number := range numbers {
		p, err := f.owner(root, number, wanted)
		switch files += len(p.Files); {
		case err != nil:
			return err
		case files > maxFiles:
			return errTooManyFiles
		case len(p.Files) > 0:
			visit(p)
		}
	}
	return nil
}

func (f *sqliteFile) owner(root uint32, number int64, wanted paths) (Package, error) {
	row, err := f.find(root, number, maxHeader)
	if err != nil {
		return Package{}, err
	}
	blob := []byte(nil)
	if len(row) > 1 {
		blob, _ = row[1].([]byte)
	}
	h, err := parseHeader(blob)
	if err != nil {
		return Package{}, err
	}
	return packageOf(h, wanted.covers)
}

// candidates are the numbers of the packages that may own something: those with a
// directory below the paths, and those with a file of such a name in such a directory.
func (f *sqliteFile) candidates(wanted paths) ([]int64, error) {
	parents, bases := paths{}, map[string]bool{}
	for name := range wanted {
		parents[path.Dir(name)], bases[path.Base(name)] = true, true
	}
	inside, near := map[int64]bool{}, map[int64]bool{}
	room := func() bool { return len(inside)+len(near) <= maxPackages }
	err := f.table("Dirnames", func(row []any) {
		if dir, number, ok := indexed(row); ok && room() {
			switch dir := path.Clean(dir); {
			case wanted.covers(dir):
				inside[number] = true
			case parents[dir]:
				near[number] = true
			}
		}
	})
	if err != nil {
		return nil, err
	}
	err = f.table("Basenames", func(row []any) {
		if base, number, ok := indexed(row); ok && near[number] && bases[base] {
			inside[number] = true
		}
	})
	return slices.Sorted(maps.Keys(inside)), errors.Join(err, errorIf(!room(), errTooMany))
}

// indexed reads a row of an index: what it is found by, and the number of its package.
func indexed(row []any) (key string, number int64, ok bool) {
	if len(row) < 2 {
		return "", 0, false
	}
	key, ok = row[0].(string)
	number, is := row[1].(int64)
	return key, number, ok && is
}
