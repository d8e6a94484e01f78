package rpm

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// header is what the database has of a package: an index of entries, and their values.
type header struct {
	entries map[uint32]entry
}

// entry is the value of a tag; its data may go on behind its end.
type entry struct {
	kind  uint32
	count int
	data  []byte
}

const (
	headerStart = 8  // how many entries, and how many bytes of values
	headerEntry = 16 // tag, kind, offset, count
	maxEntries  = 1 << 16
	maxValues   = 1 << 20 // of a tag
)

// kinds of values.
const (
	kindChar        = 1
	kindInt8        = 2
	kindInt16       = 3
	kindInt32       = 4
	kindString      = 6
	kindStringArray = 8
	kindI18NString  = 9
)

var errHeader = errors.New("not the header of a package")

// parseHeader reads the index. What the package brought is in an immutable region, what
// rpm knows of its installation comes behind it, and wins.
func parseHeader(blob []byte) (header, error) {
	if len(blob) < headerStart {
		return header{}, errHeader
	}
	count, size := int64(binary.BigEndian.Uint32(blob)), int64(binary.BigEndian.Uint32(blob[4:]))
	if count == 0 || count > maxEntries || headerStart+count*headerEntry+size != int64(len(blob)) {
		return header{}, errHeader
	}
	index, data := blob[headerStart:headerStart+count*headerEntry], blob[headerStart+count*headerEntry:]
	h := header{entries: make(map[uint32]entry, count)}
	for ; len(index) > 0; index = index[headerEntry:] {
		word := func(n int) uint32 { return binary.BigEndian.Uint32(index[4*n:]) }
		if offset, n := int64(word(2)), int64(word(3)); offset < size && n <= size-offset {
			h.entries[word(0)] = entry{kind: word(1), count: int(n), data: data[offset:]}
		}
	}
	return h, nil
}

// texts are the strings of a tag; none where the header does not have it.
func (h header) texts(tag uint32) ([]string, error) {
	e, has := h.entries[tag]
	if !has {
		return nil, nil
	}
	if e.count > maxValues || e.kind != kindString && e.kind != kindStringArray && e.kind != kindI18NString {
		return nil, errHeader
	}
	out := make([]string, 0, e.count)
	rest := e.data
	for range e.count {
		end := bytes.IndexByte(rest, 0)
		if end < 0 {
			return nil, errHeader
		}
		out, rest = append(out, string(rest[:end])), rest[end+1:]
	}
	return out, nil
}

// text is the first string of a tag; "" for none.
func (h header) text(tag uint32) (string, error) {
	e, has := h.entries[tag]
	if has && e.count > 1 {
		e.count = 1
		h = header{map[uint32]entry{tag: e}}
	}
	all, err := h.texts(tag)
	if err != nil || len(all) == 0 {
		return "", err
	}
	return all[0], nil
}

// numbers are those of a tag; none where the header does not have it.
func (h header) numbers(tag uint32) ([]uint32, error) {
	e, has := h.entries[tag]
	if !has {
		return nil, nil
	}
	size := 0
	switch e.kind {
	case kindChar, kindInt8:
		size = 1
	case kindInt16:
		size = 2
	case kindInt32:
		size = 4
	}
	if size == 0 || e.count > maxValues || e.count*size > len(e.data) {
		return nil, errHeader
	}
	out := make([]uint32, 0, e.count)
	for i := range e.count {
		n := uint32(0)
		for _, b := range e.data[i*size : (i+1)*size] {
			n = n<<8 | uint32(b)
		}
		out = append(out, n)
	}
	return out, nil
}

// number is the first one of a tag; 0 for none.
func (h header) number(tag uint32) (uint32, error) {
	all, err := h.numbers(tag)
	if err != nil || len(all) == 0 {
		return 0, err
	}
	return all[0], nil
}
