package rpm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// sqliteFile reads a table of an SQLite 3 database, https://sqlite.org/fileformat2.html:
// so much of the format as a small table of short rows takes, and nothing that writes.
type sqliteFile struct {
	from     io.ReaderAt
	pageSize int
	usable   int // of a page
	budget   int // pages that may still be read
}

const (
	sqliteMagic    = "SQLite format 3\x00"
	sqliteHeader   = 100
	sqliteUTF8     = 1
	maxSQLitePages = 20_000
	maxSQLiteDepth = 20

	interiorTable = 0x05
	leafTable     = 0x0d
)

var errSQLite = errors.New("not an SQLite 3 database that can be read")

func openSQLite(from io.ReaderAt) (*sqliteFile, error) {
	header := make([]byte, sqliteHeader)
	if _, err := from.ReadAt(header, 0); err != nil {
		return nil, fmt.Errorf("read the header: %w", err)
	}
	size := int(binary.BigEndian.Uint16(header[16:]))
	if size == 1 {
		size = 1 << 16
	}
	f := &sqliteFile{from: from, pageSize: size, usable: size - int(header[20]), budget: maxSQLitePages}
	if string(header[:16]) != sqliteMagic || size < 512 || size&(size-1) != 0 || f.usable < 480 || binary.BigEndian.Uint32(header[56:]) != sqliteUTF8 {
		return nil, errSQLite
	}
	return f, nil
}

// table calls visit with the columns of each row of the table: text, bytes, integers,
// or nil for anything else.
func (f *sqliteFile) table(name string, visit func(row []any)) error {
	root, err := f.root(name)
	if err != nil {
		return err
	}
	return f.walk(root, 0, visit)
}

// root is the first page of a table.
func (f *sqliteFile) root(name string) (uint32, error) {
	root := uint32(0)
	err := f.walk(1, 0, func(row []any) {
		if len(row) >= 4 && row[0] == "table" && row[1] == name {
			if page, ok := row[3].(int64); ok && page > 0 {
				root = uint32(page)
			}
		}
	})
	if err != nil || root == 0 {
		return 0, errors.Join(err, errorIf(root == 0, fmt.Errorf("table %s: %w", name, errSQLite)))
	}
	return root, nil
}

func errorIf(wrong bool, err error) error {
	if wrong {
		return err
	}
	return nil
}

// walk visits the rows below a page of a table's tree.
func (f *sqliteFile) walk(number uint32, depth int, visit func(row []any)) error {
	if depth > maxSQLiteDepth {
		return errSQLite
	}
	page, header, err := f.page(number)
	if err != nil {
		return err
	}
	cells := int(binary.BigEndian.Uint16(header[3:]))
	switch header[0] {
	case interiorTable:
		return f.interior(page, header, cells, depth, visit)
	case leafTable:
		return f.leaf(page, header[8:], cells, visit)
	default:
		return errSQLite
	}
}

// page reads one, and where its own header begins.
func (f *sqliteFile) page(number uint32) (page, header []byte, err error) {
	if page, err = f.bytes(number); err != nil {
		return nil, nil, err
	}
	if number == 1 {
		return page, page[sqliteHeader:], nil
	}
	return page, page, nil
}

func (f *sqliteFile) bytes(number uint32) ([]byte, error) {
	if f.budget--; f.budget < 0 || number == 0 {
		return nil, errSQLite
	}
	page := make([]byte, f.pageSize)
	if _, err := f.from.ReadAt(page, int64(number-1)*int64(f.pageSize)); err != nil {
		return nil, fmt.Errorf("read page %d: %w", number, err)
	}
	return page, nil
}

func (f *sqliteFile) interior(page, header []byte, cells, depth int, visit func(row []any)) error {
	children := make([]uint32, 0, cells+1)
	for i := range cells {
		at, ok := cell(header[12:], i, len(page)-4)
		if !ok {
			return errSQLite
		}
		children = append(children, binary.BigEndian.Uint32(page[at:]))
	}
	for _, child := range append(children, binary.BigEndian.Uint32(header[8:])) {
		if err := f.walk(child, depth+1, visit); err != nil {
			return err
		}
	}
	return nil
}

// leaf visits its rows; one so long that it goes on in other pages is no name. Rows do
// not share their bytes, so a page has no more of them than fits.
func (f *sqliteFile) leaf(page, pointers []byte, cells int, visit func(row []any)) error {
	left := int64(f.usable)
	for i := range cells {
		at, ok := cell(pointers, i, f.usable)
		if !ok {
			return errSQLite
		}
		length, n := varint(page[at:f.usable])
		_, m := varint(page[min(at+n, f.usable):f.usable])
		start := at + n + m
		if n == 0 || m == 0 || length < 0 {
			return errSQLite
		}
		if length > int64(f.usable-35) {
			continue
		}
		if left -= length; left < 0 || start+int(length) > f.usable {
			return errSQLite
		}
		row, ok := sqliteRow(page[start : start+int(length)])
		if !ok {
			return errSQLite
		}
		visit(row)
	}
	return nil
}

// cell is where the cell of the number begins.
func cell(pointers []byte, number, end int) (int, bool) {
	if len(pointers) < 2*number+2 {
		return 0, false
	}
	at := int(binary.BigEndian.Uint16(pointers[2*number:]))
	return at, at > 0 && at < end
}

// sqliteRow reads a row: a header of types, then the values.
func sqliteRow(data []byte) ([]any, bool) {
	length, n := varint(data)
	if n == 0 || length < int64(n) || length > int64(len(data)) {
		return nil, false
	}
	types, values := data[n:length], data[length:]
	var row []any
	for len(types) > 0 {
		kind, n := varint(types)
		if n == 0 {
			return nil, false
		}
		types = types[n:]
		size := sizeOf(kind)
		if size < 0 || size > len(values) {
			return nil, false
		}
		row = append(row, column(kind, values[:size]))
		values = values[size:]
	}
	return row, true
}

func sizeOf(kind int64) int {
	switch {
	case kind >= 12 && kind < 1<<31:
		return int(kind-12) / 2
	case kind < 0 || kind > 9:
		return -1
	default:
		return [...]int{0, 1, 2, 3, 4, 6, 8, 8, 0, 0}[kind]
	}
}

func column(kind int64, value []byte) any {
	switch {
	case kind >= 13 && kind%2 == 1:
		return string(value)
	case kind >= 12:
		return value
	case kind >= 1 && kind <= 6:
		n := int64(int8(value[0]))
		for _, b := range value[1:] {
			n = n<<8 | int64(b)
		}
		return n
	case kind == 8 || kind == 9:
		return kind - 8
	default:
		return nil
	}
}

// varint reads a big-endian integer of 7 bits a byte, 8 in the ninth.
func varint(data []byte) (value int64, n int) {
	for i := 0; i < len(data) && i < 9; i++ {
		if i == 8 {
			return value<<8 | int64(data[i]), 9
		}
		value = value<<7 | int64(data[i]&0x7f)
		if data[i]&0x80 == 0 {
			return value, i + 1
		}
	}
	return 0, 0
}
