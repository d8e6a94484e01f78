package baseline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/host"
)

const (
	fileName = "baseline.jsonl"
	seenName = "seen"
	unsaved  = ".new" // what a file is called until it is whole
	lockName = "lock"
	maxSize  = 128 << 20
)

// ErrNone means that nothing has been recorded yet.
var ErrNone = errors.New("no baseline has been recorded")

// Store is the baseline on the host's disk.
type Store struct{ root *host.Root }

// NewStore returns the store of the host.
func NewStore(root *host.Root) *Store { return &Store{root: root} }

// Path names the file, for people.
func (s *Store) Path() string { return host.StateDir + "/baseline/" + fileName }

// Load reads the baseline. Its errors wrap ErrNone, ErrDamaged, ErrNewer or what
// the file system says.
func (s *Store) Load() (*Baseline, error) {
	dir, err := s.root.State("baseline", false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, fmt.Errorf("open the baseline: %w", err)
	}
	defer dir.Close()
	data, err := read(dir, fileName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, fmt.Errorf("read the baseline: %w", err)
	}
	return Decode(data)
}

// LoadSeen reads what SaveSeen wrote beside the baseline.
func (s *Store) LoadSeen() ([]byte, error) {
	dir, err := s.root.State("baseline", false)
	if err != nil {
		return nil, fmt.Errorf("read what was seen: %w", err)
	}
	defer dir.Close()
	data, err := read(dir, seenName)
	if err != nil {
		return nil, fmt.Errorf("read what was seen: %w", err)
	}
	return data, nil
}

// SaveSeen keeps by what a check knows files as they were recorded. It can be done
// without.
func (s *Store) SaveSeen(data []byte) error {
	dir, err := s.root.State("baseline", true)
	if err != nil {
		return fmt.Errorf("keep what was seen: %w", err)
	}
	defer dir.Close()
	if err := replace(dir, seenName, data); err != nil {
		return fmt.Errorf("keep what was seen: %w", err)
	}
	return nil
}

func read(dir *os.Root, name string) ([]byte, error) {
	f, err := dir.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(host.ErrNotRegular, err)
	}
	if info.Size() > maxSize {
		return nil, host.ErrTooLarge
	}
	data := bytes.NewBuffer(make([]byte, 0, info.Size()+bytes.MinRead))
	_, err = data.ReadFrom(io.LimitReader(f, maxSize))
	return data.Bytes(), err
}

// AgentOwns tells whether an agent keeps its state on this host: then a check
// never records.
func (s *Store) AgentOwns() bool { return s.root.Exists(host.StateDir + "/journal") }

// Save replaces the baseline: after a loss of power the old or the new one is
// there, whole.
func (s *Store) Save(b *Baseline) error {
	data, err := Encode(b)
	if err != nil {
		return err
	}
	dir, err := s.root.State("baseline", true)
	if err != nil {
		return fmt.Errorf("save the baseline: %w", err)
	}
	defer dir.Close()
	if err := replace(dir, fileName, data); err != nil {
		return fmt.Errorf("save the baseline: %w", err)
	}
	return nil
}

func replace(dir *os.Root, name string, data []byte) error {
	if err := dir.Remove(name + unsaved); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeSynced(dir, name+unsaved, data); err != nil {
		return errors.Join(err, dir.Remove(name+unsaved))
	}
	if err := dir.Rename(name+unsaved, name); err != nil {
		return err
	}
	return syncDir(dir)
}

func writeSynced(dir *os.Root, name string, data []byte) error {
	f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(dir *os.Root) error {
	f, err := dir.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Archive moves the baseline aside, whatever is in it, and returns its new name.
func (s *Store) Archive(now time.Time) (string, error) {
	dir, err := s.root.State("baseline", false)
	if err != nil {
		return "", fmt.Errorf("archive the baseline: %w", err)
	}
	defer dir.Close()
	name := fileName + "." + now.UTC().Format("20060102T150405.000Z")
	if err := dir.Rename(fileName, name); err != nil {
		return "", fmt.Errorf("archive the baseline: %w", err)
	}
	return host.StateDir + "/baseline/" + name, syncDir(dir)
}

// ErrLocked means that another nodeguard holds the state.
var ErrLocked = errors.New("another nodeguard holds the state directory")

// Lock holds the state directory for this process until release is called.
func (s *Store) Lock() (release func() error, err error) {
	dir, err := s.root.State("", true)
	if err != nil {
		return nil, fmt.Errorf("lock the state: %w", err)
	}
	defer dir.Close()
	f, err := dir.OpenFile(lockName, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the state: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("lock the state: %w", err)
	}
	return f.Close, nil
}
