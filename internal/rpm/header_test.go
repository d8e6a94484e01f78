package rpm

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// headerOf makes a header of tags: strings, or numbers of 16, 32 or 8 bits.
func headerOf(tags map[uint32]any) []byte {
	var index, data []byte
	for _, tag := range slices.Sorted(maps.Keys(tags)) {
		offset, kind, count := len(data), uint32(0), 0
		switch v := tags[tag].(type) {
		case string:
			kind, count, data = kindString, 1, append(append(data, v...), 0)
		case []string:
			kind, count = kindStringArray, len(v)
			for _, s := range v {
				data = append(append(data, s...), 0)
			}
		case []uint16:
			kind, count = kindInt16, len(v)
			for _, n := range v {
				data = binary.BigEndian.AppendUint16(data, n)
			}
		case []uint32:
			kind, count = kindInt32, len(v)
			for _, n := range v {
				data = binary.BigEndian.AppendUint32(data, n)
			}
		case []byte:
			kind, count, data = kindChar, len(v), append(data, v...)
		}
		for _, n := range []uint32{tag, kind, uint32(offset), uint32(count)} {
			index = binary.BigEndian.AppendUint32(index, n)
		}
	}
	out := binary.BigEndian.AppendUint32(nil, uint32(len(tags)))
	out = binary.BigEndian.AppendUint32(out, uint32(len(data)))
	return slices.Concat(out, index, data)
}

// tagged is the header of a package with two files in one directory.
func tagged(change map[uint32]any) []byte {
	tags := map[uint32]any{
		tagName: "kubelet", tagVersion: "1.30.1", tagRelease: "2", tagEpoch: []uint32{1}, tagArch: "x86_64", tagInstallTime: []uint32{1760000000},
		tagBaseNames: []string{"kubelet", "kubectl"}, tagDirNames: []string{"/usr/bin/"}, tagDirIndexes: []uint32{0, 0},
		tagFileModes: []uint16{0o100755, 0o100755}, tagFileFlags: []uint32{0, 0}, tagFileDigests: []string{"aa", "bb"}, tagDigestAlgorithm: []uint32{8},
		tagFileStates: []byte{0, 0},
	}
	for tag, value := range change {
		if value == nil {
			delete(tags, tag)
		} else {
			tags[tag] = value
		}
	}
	return headerOf(tags)
}

func everyPath(string) bool { return true }

// readHeader is what a header says.
func readHeader(blob []byte, wanted func(string) bool) (Package, error) {
	h, err := parseHeader(blob)
	if err != nil {
		return Package{}, err
	}
	return packageOf(h, wanted)
}

func TestHeader(t *testing.T) {
	a, b := File{Path: "/usr/bin/kubelet", Digest: "aa"}, File{Path: "/usr/bin/kubectl", Digest: "bb"}
	whole := Package{Name: "kubelet", Version: "1:1.30.1-2.x86_64", Installed: 1760000000, Algorithm: "SHA-256", Files: []File{a, b}}
	with := func(change func(*Package)) Package {
		p := whole
		change(&p)
		return p
	}
	for _, c := range []struct {
		name   string
		change map[uint32]any
		want   Package
	}{
		{"as it is", nil, whole},
		{"no epoch", map[uint32]any{tagEpoch: nil}, with(func(p *Package) { p.Version = "1.30.1-2.x86_64" })},
		{"no architecture", map[uint32]any{tagArch: nil}, with(func(p *Package) { p.Version = "1:1.30.1-2" })},
		{"digests of old", map[uint32]any{tagDigestAlgorithm: nil}, with(func(p *Package) { p.Algorithm = "MD5" })},
		{"digests to come", map[uint32]any{tagDigestAlgorithm: []uint32{77}}, with(func(p *Package) { p.Algorithm = "algorithm 77" })},
		{"a configuration file", map[uint32]any{tagFileFlags: []uint32{0, 1 | 1<<4}}, with(func(p *Package) { p.Files = []File{a, {b.Path, "bb", true}} })},
		{"a file it does not bring", map[uint32]any{tagFileFlags: []uint32{1 << 6, 0}}, with(func(p *Package) { p.Files = []File{b} })},
		{"a link", map[uint32]any{tagFileModes: []uint16{0o120777, 0o100755}}, with(func(p *Package) { p.Files = []File{b} })},
		{"a file that another package replaced", map[uint32]any{tagFileStates: []byte{0, 1}}, with(func(p *Package) { p.Files = []File{a} })},
		{"no states and no flags", map[uint32]any{tagFileStates: nil, tagFileFlags: nil}, whole},
		{"a path that leads elsewhere", map[uint32]any{tagBaseNames: []string{"../../etc/passwd", "kubectl"}}, with(func(p *Package) { p.Files = []File{b} })},
		{"no files", map[uint32]any{tagBaseNames: nil, tagDirNames: nil, tagDirIndexes: nil, tagFileModes: nil, tagFileFlags: nil, tagFileDigests: nil, tagFileStates: nil}, with(func(p *Package) { p.Files = nil })},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := readHeader(tagged(c.change), everyPath)
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
	got, err := readHeader(tagged(nil), func(path string) bool { return path == a.Path })
	if err != nil || !slices.Equal(got.Files, []File{a}) {
		t.Errorf("all that was not asked for: %v, %v", got.Files, err)
	}
}

// lying are headers that somebody made to lead a reader astray.
func lying() map[string][]byte {
	cut := tagged(nil)
	patched := func(at int, bytes ...byte) []byte {
		data := tagged(nil)
		copy(data[at:], bytes)
		return data
	}
	unterminated := headerOf(map[uint32]any{tagName: "x"})
	unterminated[len(unterminated)-1] = 'x'
	return map[string][]byte{
		"empty": nil, "cut": cut[:len(cut)-1], "longer": append(slices.Clone(cut), 0), "no entries": make([]byte, headerStart),
		"more entries than it has":   patched(0, 0xff, 0xff, 0xff, 0xff),
		"more values than it has":    patched(4, 0xff, 0xff, 0xff, 0xff),
		"no name":                    tagged(map[uint32]any{tagName: nil}),
		"a name that is a number":    tagged(map[uint32]any{tagName: []uint32{1}}),
		"a time that is a text":      tagged(map[uint32]any{tagInstallTime: "now"}),
		"a text without an end":      unterminated,
		"a file in no directory":     tagged(map[uint32]any{tagDirIndexes: []uint32{0, 1}}),
		"a directory beyond all":     tagged(map[uint32]any{tagDirIndexes: []uint32{0, 0xffffffff}}),
		"fewer digests than files":   tagged(map[uint32]any{tagFileDigests: []string{"aa"}}),
		"fewer modes than files":     tagged(map[uint32]any{tagFileModes: []uint16{0o100755}}),
		"fewer flags than files":     tagged(map[uint32]any{tagFileFlags: []uint32{0}}),
		"more states than files":     tagged(map[uint32]any{tagFileStates: []byte{0, 0, 0}}),
		"fewer indexes than files":   tagged(map[uint32]any{tagDirIndexes: []uint32{0}}),
		"names past the end":         patched(headerStart+12, 0xff, 0xff, 0xff, 0xff),
		"a name that begins outside": patched(headerStart+8, 0xff, 0xff, 0xff, 0xff),
	}
}

func TestHeaderThatLies(t *testing.T) {
	for name, blob := range lying() {
		if got, err := readHeader(blob, everyPath); !errors.Is(err, errHeader) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// What rpm knows of an installation comes behind what the package says, and wins.
func TestLaterEntriesWin(t *testing.T) {
	const spare = tagFileStates + 1000
	blob := tagged(map[uint32]any{spare: []byte{1, 1}})
	for at := headerStart; ; at += headerEntry {
		if binary.BigEndian.Uint32(blob[at:]) == spare {
			binary.BigEndian.PutUint32(blob[at:], tagFileStates)
			break
		}
	}
	if got, err := readHeader(blob, everyPath); err != nil || len(got.Files) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzHeader(f *testing.F) {
	f.Add(tagged(nil))
	for _, blob := range lying() {
		f.Add(blob)
	}
	f.Fuzz(func(t *testing.T, blob []byte) {
		p, err := readHeader(blob, everyPath)
		if err == nil && p.Name == "" || len(p.Files) > len(blob) {
			t.Errorf("%d files of %q, %v", len(p.Files), p.Name, err)
		}
		for _, file := range p.Files {
			if file.Path[0] != '/' {
				t.Errorf("%q is no path", file.Path)
			}
		}
	})
}
