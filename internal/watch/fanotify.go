package watch

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/host"
)

// The group is told of changes and never asked for permission. Its marks do not
// count towards the user's, so that nobody can use them up; maxWatches bounds them.
const fanotifyGroup = unix.FAN_CLASS_NOTIF | unix.FAN_CLOEXEC | unix.FAN_NONBLOCK | unix.FAN_UNLIMITED_MARKS | unix.FAN_REPORT_DFID_NAME

// What is told of a directory and its entries.
const (
	fanotifyMoves = unix.FAN_CREATE | unix.FAN_DELETE | unix.FAN_MOVED_FROM | unix.FAN_MOVED_TO | unix.FAN_DELETE_SELF | unix.FAN_MOVE_SELF
	fanotifyMask  = fanotifyMoves | unix.FAN_MODIFY | unix.FAN_ATTRIB | unix.FAN_CLOSE_WRITE | unix.FAN_EVENT_ON_CHILD | unix.FAN_ONDIR
)

// fanotifyBuffer holds a hundred long events and some more short ones.
const fanotifyBuffer = 64 << 10

// fanotify tells what happened and who did it. A directory's name towards it is its
// file handle.
type fanotify struct {
	root   *host.Root
	marks  map[string]*mark
	fd     int
	file   *os.File
	buffer []byte
}

// openFanotify shares the marks by name with the watcher.
func openFanotify(root *host.Root, marks map[string]*mark) (kernel, error) {
	fd, err := unix.FanotifyInit(fanotifyGroup, unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		return nil, explainGroup(err)
	}
	file := os.NewFile(uintptr(fd), "fanotify")
	if err := mayOpenHandles(); err != nil {
		_ = file.Close()
		return nil, err
	}
	return &fanotify{root: root, marks: marks, fd: fd, file: file, buffer: make([]byte, fanotifyBuffer)}, nil
}

func (k *fanotify) add(dir int) (string, error) {
	name, err := handleOf(dir)
	if err != nil {
		return "", err
	}
	if k.marks[name] != nil {
		return "", errTwin
	}
	if err := k.mark(unix.FAN_MARK_ADD, dir); err != nil {
		return "", fmt.Errorf("mark it: %w", err)
	}
	return name, nil
}

func (k *fanotify) mark(how uint, dir int) error {
	return unix.FanotifyMark(k.fd, how|unix.FAN_MARK_ONLYDIR, fanotifyMask, dir, ".")
}

// remove finds the directory wherever it was moved to.
func (k *fanotify) remove(m *mark, ended bool) {
	if ended {
		return
	}
	fd, err := m.reopen(k.root)
	if err != nil {
		return
	}
	defer func() { _ = unix.Close(fd) }()
	if id, err := inodeOf(fd); err == nil && id == m.inode {
		_ = k.mark(unix.FAN_MARK_REMOVE, fd)
	}
}

func (k *fanotify) read() ([]change, error) {
	n, err := k.file.Read(k.buffer)
	if err != nil {
		return nil, err
	}
	return parseFanotify(k.buffer[:n])
}

func (k *fanotify) close() { _ = k.file.Close() }
