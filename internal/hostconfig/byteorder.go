package hostconfig

import "encoding/binary"

// littleEndian is how this machine, and so its kernel, writes words.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1
