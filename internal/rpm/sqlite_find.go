package rpm

import (
	"encoding/binary"
	"fmt"
)

// find returns the row of the number in the tree of a table, which may go on in other
// pages and has at most so many bytes.
func (f *sqliteFile) find(root uint32, number int64, limit int) ([]any, error) {
	at := root
	for range maxSQLiteDepth {
		page, header, err := f.page(at)
		if err != nil {
			return nil, err
		}
		cells := int(binary.BigEndian.Uint16(header[3:]))
		switch header[0] {
		case interiorTable:
			if at, err = f.child(page, header, cells, number); err != nil {
				return nil, err
			}
		case leafTable:
			return f.row(page, header[8:], cells, number, limit)
		default:
			return nil, errSQLite
		}
	}
	return nil, errSQLite
}

// child is the page where the row of the number is: that of the first cell which goes
// so far, else the last one.
func (f *sqliteFile) child(page, header []byte, cells int, number int64) (uint32, error) {
	for i := range cells {
		at, ok := cell(header[12:], i, f.usable-4)
		if !ok {
			return 0, errSQLite
		}
		last, n := varint(page[at+4 : f.usable])
		if n == 0 {
			return 0, errSQLite
		}
		if number <= last {
			return binary.BigEndian.Uint32(page[at:]), nil
		}
	}
	return binary.BigEndian.Uint32(header[8:]), nil
}

// row is the one of the number in a leaf.
func (f *sqliteFile) row(page, pointers []byte, cells int, number int64, limit int) ([]any, error) {
	for i := range cells {
		at, ok := cell(pointers, i, f.usable)
		if !ok {
			return nil, errSQLite
		}
		length, n := varint(page[at:f.usable])
		id, m := varint(page[min(at+n, f.usable):f.usable])
		if n == 0 || m == 0 || length < 0 {
			return nil, errSQLite
		}
		if id != number {
			continue
		}
		if length > int64(limit) {
			return nil, fmt.Errorf("row %d has %d bytes: %w", number, length, errSQLite)
		}
		payload, err := f.payload(page[at+n+m:f.usable], int(length))
		if err != nil {
			return nil, err
		}
		values, ok := sqliteRow(payload)
		if !ok {
			return nil, errSQLite
		}
		return values, nil
	}
	return nil, fmt.Errorf("row %d is not there: %w", number, errSQLite)
}

// payload is that of a cell: as much as its page has, and the rest from other pages.
func (f *sqliteFile) payload(cell []byte, length int) ([]byte, error) {
	local := f.local(length)
	if local == length {
		if length > len(cell) {
			return nil, errSQLite
		}
		return cell[:length], nil
	}
	if local+4 > len(cell) {
		return nil, errSQLite
	}
	out := append([]byte(nil), cell[:local]...)
	next := binary.BigEndian.Uint32(cell[local:])
	for len(out) < length {
		page, err := f.bytes(next)
		if err != nil {
			return nil, err
		}
		next = binary.BigEndian.Uint32(page)
		out = append(out, page[4:min(f.usable, 4+length-len(out))]...)
	}
	return out, nil
}

// local is how much of a row of that length is in its own page.
func (f *sqliteFile) local(length int) int {
	most, least := f.usable-35, (f.usable-12)*32/255-23
	if length <= most {
		return length
	}
	if some := least + (length-least)%(f.usable-4); some <= most {
		return some
	}
	return least
}
