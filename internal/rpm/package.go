package rpm

import (
	"errors"
	"fmt"
	"path"
	"strconv"
)

// tags of a header.
const (
	tagName            = 1000
	tagVersion         = 1001
	tagRelease         = 1002
	tagEpoch           = 1003
	tagInstallTime     = 1008
	tagArch            = 1022
	tagFileStates      = 1029
	tagFileModes       = 1030
	tagFileDigests     = 1035
	tagFileFlags       = 1037
	tagDirIndexes      = 1116
	tagBaseNames       = 1117
	tagDirNames        = 1118
	tagDigestAlgorithm = 5011
)

const (
	flagConfig = 1 << 0
	flagGhost  = 1 << 6 // the package's, but it does not bring it

	fileType    = 0o170000
	regularFile = 0o100000

	stateNormal = 0 // else it was not installed, or another package's replaced it
)

// maxFiles bounds the files that are told of all packages together.
const maxFiles = 200_000

// Package is one that is installed. What was not asked for is empty.
type Package struct {
	Name      string `json:"name"`
	Version   string `json:"version,omitempty"`   // epoch:version-release.architecture
	Installed int64  `json:"installed,omitempty"` // when, in seconds since 1970
	Algorithm string `json:"algorithm,omitempty"` // of the digests, as crypto names it
	Files     []File `json:"files,omitempty"`
}

// File is a regular file that a package brought.
type File struct {
	Path   string `json:"path"`
	Digest string `json:"digest"`
	Config bool   `json:"config,omitempty"` // there to be edited
}

// algorithms are those of OpenPGP; a header without one has MD5.
var algorithms = map[uint32]string{0: "MD5", 1: "MD5", 2: "SHA-1", 8: "SHA-256", 9: "SHA-384", 10: "SHA-512", 11: "SHA-224"}

// packageOf reads the package and those of its files that are wanted.
func packageOf(h header, wanted func(path string) bool) (Package, error) {
	var p Package
	name, err := h.text(tagName)
	if err == nil && name == "" {
		err = errHeader
	}
	version, err2 := versionOf(h)
	installed, err3 := h.number(tagInstallTime)
	algorithm, err4 := h.number(tagDigestAlgorithm)
	files, err5 := filesOf(h, wanted)
	if err := errors.Join(err, err2, err3, err4, err5); err != nil {
		return Package{}, errHeader
	}
	p = Package{Name: name, Version: version, Installed: int64(installed), Algorithm: algorithms[algorithm], Files: files}
	if p.Algorithm == "" {
		p.Algorithm = "algorithm " + strconv.FormatUint(uint64(algorithm), 10)
	}
	return p, nil
}

// versionOf is "1:1.30.1-2.x86_64", without an epoch where it is 0.
func versionOf(h header) (string, error) {
	version, err := h.text(tagVersion)
	release, err2 := h.text(tagRelease)
	arch, err3 := h.text(tagArch)
	epoch, err4 := h.number(tagEpoch)
	out := version + "-" + release
	if epoch > 0 {
		out = fmt.Sprintf("%d:%s", epoch, out)
	}
	if arch != "" {
		out += "." + arch
	}
	return out, errors.Join(err, err2, err3, err4)
}

// fileLists are what a header has of its files, by their number.
type fileLists struct {
	bases, dirs, digests         []string
	indexes, modes, flags, state []uint32
}

func listsOf(h header) (l fileLists, err error) {
	var errs [7]error
	l.bases, errs[0] = h.texts(tagBaseNames)
	l.dirs, errs[1] = h.texts(tagDirNames)
	l.digests, errs[2] = h.texts(tagFileDigests)
	l.indexes, errs[3] = h.numbers(tagDirIndexes)
	l.modes, errs[4] = h.numbers(tagFileModes)
	l.flags, errs[5] = h.numbers(tagFileFlags)
	l.state, errs[6] = h.numbers(tagFileStates)
	n := len(l.bases)
	whole := len(l.digests) == n && len(l.indexes) == n && len(l.modes) == n && (l.flags == nil || len(l.flags) == n) && (l.state == nil || len(l.state) == n)
	return l, errors.Join(append(errs[:], errorIf(!whole, errHeader))...)
}

// filesOf are the files that are wanted: regular ones, with the content that the
// package brought.
func filesOf(h header, wanted func(path string) bool) ([]File, error) {
	l, err := listsOf(h)
	if err != nil {
		return nil, err
	}
	var out []File
	for i, base := range l.bases {
		if int64(l.indexes[i]) >= int64(len(l.dirs)) {
			return nil, errHeader
		}
		name, flags, state := l.dirs[l.indexes[i]]+base, uint32(0), uint32(stateNormal)
		if l.flags != nil {
			flags = l.flags[i]
		}
		if l.state != nil {
			state = l.state[i]
		}
		switch {
		case l.modes[i]&fileType != regularFile, flags&flagGhost != 0, state != stateNormal:
		case !path.IsAbs(name) || path.Clean(name) != name || !wanted(name):
		default:
			out = append(out, File{Path: name, Digest: l.digests[i], Config: flags&flagConfig != 0})
		}
	}
	return out, nil
}
