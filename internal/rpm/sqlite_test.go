package rpm

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"slices"
	"testing"
)

// The database was made with SQLite 3.40 and rpm's own schema: 300 rows on pages of
// 512 bytes, one in fifty the key of a repository, one deleted, one too long.
func rpmDatabase(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/rpmdb.sqlite")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

const pageSize = 512

// database joins pages behind the header that the first one makes room for.
func database(pages ...[]byte) []byte {
	data := slices.Concat(pages...)
	copy(data, sqliteMagic)
	binary.BigEndian.PutUint16(data[16:], pageSize)
	binary.BigEndian.PutUint32(data[56:], sqliteUTF8)
	return data
}

// leaf is a page of rows; the first page of a database begins later.
func leaf(begin int, rows ...[]byte) []byte {
	page := make([]byte, pageSize)
	page[begin] = leafTable
	binary.BigEndian.PutUint16(page[begin+3:], uint16(len(rows)))
	end := pageSize
	for i, row := range rows {
		end -= len(row)
		copy(page[end:], row)
		binary.BigEndian.PutUint16(page[begin+8+2*i:], uint16(end))
	}
	return page
}

// interior is a page above others.
func interior(right uint32, left ...uint32) []byte {
	page := make([]byte, pageSize)
	page[0] = interiorTable
	binary.BigEndian.PutUint16(page[3:], uint16(len(left)))
	binary.BigEndian.PutUint32(page[8:], right)
	end := pageSize
	for i, child := range left {
		end -= 5
		binary.BigEndian.PutUint32(page[end:], child)
		binary.BigEndian.PutUint16(page[12+2*i:], uint16(end))
	}
	return page
}

// row is a cell of short texts and small numbers.
func row(values ...any) []byte {
	var types, data []byte
	for _, v := range values {
		switch v := v.(type) {
		case string:
			types, data = append(types, byte(13+2*len(v))), append(data, v...)
		case int:
			types, data = append(types, 1), append(data, byte(v))
		}
	}
	payload := slices.Concat([]byte{byte(1 + len(types))}, types, data)
	return slices.Concat([]byte{byte(len(payload)), 1}, payload)
}

// schema is a first page that says where the table of names begins.
func schema(root int) []byte { return leaf(sqliteHeader, row("table", "Name", "Name", root, "CREATE")) }

// counted counts what is read.
type counted struct {
	io.ReaderAt
	reads int
}

func (c *counted) ReadAt(p []byte, at int64) (int, error) {
	c.reads++
	return c.ReaderAt.ReadAt(p, at)
}

// namesOf are the names in a database, with how often it was read.
func namesOf(data []byte, budget int) (names []string, reads int, err error) {
	from := &counted{ReaderAt: bytes.NewReader(data)}
	f, err := openSQLite(from)
	if err != nil {
		return nil, from.reads, err
	}
	f.budget = min(f.budget, budget)
	err = f.table("Name", func(row []any) {
		if len(row) > 0 {
			if name, ok := row[0].(string); ok {
				names = append(names, name)
			}
		}
	})
	return names, from.reads, err
}

func TestSQLiteMadeByHand(t *testing.T) {
	data := database(schema(2), interior(4, 3), leaf(0, row("a", 1), row("b", 2)), leaf(0, row("c", 3)))
	if got, _, err := namesOf(data, maxSQLitePages); err != nil || !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("%v, %v", got, err)
	}
}

// hostile are databases that somebody made to keep a reader busy or to lead it astray.
func hostile(tb testing.TB) map[string][]byte {
	whole := rpmDatabase(tb)
	patched := func(at int, bytes ...byte) []byte {
		data := database(schema(2), leaf(0, row("a", 1)))
		copy(data[at:], bytes)
		return data
	}
	deep := [][]byte{schema(2)}
	for i := range 2 * maxSQLiteDepth {
		deep = append(deep, interior(uint32(i+3)))
	}
	many := func(page uint32) []byte { return interior(page, slices.Repeat([]uint32{page}, 60)...) }
	twice := leaf(0, row("a", 1), row(string(bytes.Repeat([]byte("b"), 50))))
	binary.BigEndian.PutUint16(twice[3:], 100) // cells, most of which are one and the same
	for i := range 100 {
		copy(twice[8+2*i:], twice[10:12])
	}
	return map[string][]byte{
		"empty": nil, "text": bytes.Repeat([]byte("no database "), 100), "cut": whole[:4096],
		"no such table":                  bytes.ReplaceAll(whole, []byte("Name"), []byte("Nome")),
		"a page above itself":            database(schema(2), interior(2)),
		"a page many times above itself": database(schema(2), many(2)),
		"many ways to one page":          database(schema(2), many(3), many(4), many(5), leaf(0, row("a", 1))),
		"pages above each other":         database(schema(2), interior(3), interior(2)),
		"too deep":                       database(append(deep, leaf(0, row("a", 1)))...),
		"no page":                        database(schema(2), interior(0)),
		"a page past the end":            database(schema(2), interior(99)),
		"no tree":                        database(schema(2), make([]byte, pageSize)),
		"more cells than fit":            patched(pageSize+3, 0xff, 0xff),
		"a cell past the page":           patched(pageSize+8, 0xff, 0xff),
		"a cell in the header":           patched(pageSize+8, 0, 0),
		"a row past the page":            patched(2*pageSize-7, 0x7f),
		"a header longer than its row":   patched(2*pageSize-5, 0x7f),
		"a number without an end":        patched(2*pageSize-7, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"a negative length":              database(schema(2), leaf(0, slices.Concat(bytes.Repeat([]byte{0xff}, 9), row("a")))),
		"cells that share a row":         database(schema(2), twice),
		"a page of no size":              patched(16, 0, 0),
		"a page of an odd size":          patched(16, 2, 1),
		"nothing to use of a page":       patched(20, 0xff),
	}
}

func TestSQLiteThatLies(t *testing.T) {
	for name, data := range hostile(t) {
		if got, reads, err := namesOf(data, maxSQLitePages); err == nil || reads > maxSQLitePages+1 {
			t.Errorf("%s: %d names, %d pages, %v", name, len(got), reads, err)
		}
	}
}

// A loop ends at its depth or with the budget, whatever comes first.
func TestSQLiteBudget(t *testing.T) {
	if _, reads, err := namesOf(hostile(t)["many ways to one page"], 100); err == nil || reads > 101 {
		t.Errorf("%d pages, %v", reads, err)
	}
	if _, reads, err := namesOf(hostile(t)["a page above itself"], maxSQLitePages); err == nil || reads > maxSQLiteDepth+4 {
		t.Errorf("%d pages, %v", reads, err)
	}
}

func FuzzSQLite(f *testing.F) {
	f.Add(rpmDatabase(f)[:3*pageSize])
	f.Add(rpmDatabase(f)[:8*pageSize])
	f.Add(database(schema(2), interior(4, 3), leaf(0, row("a", 1), row("b", 2)), leaf(0, row("c", 3))))
	for _, data := range hostile(f) {
		if len(data) <= 8*pageSize {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const budget = 200
		names, reads, _ := namesOf(data, budget)
		if reads > budget+1 {
			t.Errorf("%d pages were read", reads)
		}
		text := 0
		for _, name := range names {
			text += len(name)
		}
		if text > reads*(1<<16) {
			t.Errorf("%d bytes of names in %d pages", text, reads)
		}
	})
}
