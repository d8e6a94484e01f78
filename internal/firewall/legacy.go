package firewall

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/host"
)

// protocol is one of the two protocols that legacy tables are kept for.
type protocol struct {
	family string
	names  string // lists the tables that are loaded
	domain int
	level  int
	layout layout
}

var protocols = [...]protocol{
	{family: "ip", names: "/proc/1/net/ip_tables_names", domain: unix.AF_INET, level: unix.IPPROTO_IP, layout: layout4},
	{family: "ip6", names: "/proc/1/net/ip6_tables_names", domain: unix.AF_INET6, level: unix.IPPROTO_IPV6, layout: layout6},
}

// Options of linux/netfilter_ipv4/ip_tables.h, the same for IPv6.
const (
	getInfo    = 64
	getEntries = 65

	nameSize      = 32
	infoSize      = nameSize + 4 + 5*4 + 5*4 + 4 + 4
	entriesHeader = 40
	maxEntryBytes = 64 << 20
	maxTableNames = 4 << 10
)

// readLegacy reads the tables of iptables-legacy that are loaded in the host's
// network namespace. Asking for one that is not would load it. nat can hold many
// thousand rules of kube-proxy, and is read only where it is asked for.
func readLegacy(root *host.Root, nat bool) ([]table, error) {
	var out []table
	for _, p := range protocols {
		names, err := p.loaded(root, nat)
		if err != nil {
			return out, err
		}
		for _, name := range names {
			t, err := p.read(name)
			if err != nil {
				return out, fmt.Errorf("table %s %s: %w", p.family, name, err)
			}
			out = append(out, t)
		}
	}
	return out, nil
}

// loaded are the tables that can drop, and nat, which cannot, where it is asked for.
func (p protocol) loaded(root *host.Root, nat bool) ([]string, error) {
	data, err := root.ReadFile(p.names, maxTableNames)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names := strings.Fields(string(data))
	return slices.DeleteFunc(names, func(n string) bool { return n == "nat" && !nat || !slices.Contains(xtables[:], n) }), nil
}

func (p protocol) read(name string) (table, error) {
	// Any socket of the protocol will do; a raw one would need CAP_NET_RAW too.
	fd, err := unix.Socket(p.domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return table{}, fmt.Errorf("open a socket: %w", err)
	}
	defer unix.Close(fd)
	for range attempts {
		info, entries, err := p.entries(fd, name)
		if errors.Is(err, unix.EAGAIN) {
			continue // it changed between the two questions
		}
		if err != nil {
			return table{}, err
		}
		chains, err := p.layout.parse(info, entries)
		return table{backend: legacy, family: p.family, name: name, chains: chains}, err
	}
	return table{}, errChanging
}

func (p protocol) entries(fd int, name string) (info, entries []byte, err error) {
	info = make([]byte, infoSize)
	copy(info[:nameSize-1], name)
	if info, err = getsockopt(fd, p.level, getInfo, info); err != nil {
		return nil, nil, fmt.Errorf("ask for its size: %w", err)
	}
	if len(info) < infoSize {
		return nil, nil, errTruncated
	}
	size := binary.NativeEndian.Uint32(info[infoSize-4:])
	if size > maxEntryBytes {
		return nil, nil, host.ErrTooLarge
	}
	entries = make([]byte, entriesHeader+int(size))
	copy(entries[:nameSize-1], name)
	binary.NativeEndian.PutUint32(entries[nameSize:], size)
	if entries, err = getsockopt(fd, p.level, getEntries, entries); err != nil {
		return nil, nil, fmt.Errorf("ask for its entries: %w", err)
	}
	return info, entries[min(entriesHeader, len(entries)):], nil
}

// getsockopt asks with what is in value and returns what the kernel made of it.
func getsockopt(fd, level, option int, value []byte) ([]byte, error) {
	length := uint32(len(value))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option),
		uintptr(unsafe.Pointer(unsafe.SliceData(value))), uintptr(unsafe.Pointer(&length)), 0)
	if errno != 0 {
		return nil, errno
	}
	return value[:min(int(length), len(value))], nil
}
