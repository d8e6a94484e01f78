package watch

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

var (
	errTooManyDirectories = fmt.Errorf("more than %d directories to watch", maxWatches)
	errRemote             = errors.New("it lies on a network or FUSE file system, which tells no changes")
)

// explainWatch says which limit is meant by the kernel's short answer.
func explainWatch(err error, watches int) error {
	switch {
	case errors.Is(err, unix.ENOSPC):
		return fmt.Errorf("no inotify watch left for this user after %d of our own (fs.inotify.max_user_watches is %s): %w",
			watches, limit("max_user_watches", "max_inotify_watches"), err)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EMFILE):
		return fmt.Errorf("too few file descriptors for %d watches (RLIMIT_NOFILE): %w", watches, err)
	default:
		return err
	}
}

func explainInstance(err error) error {
	if errors.Is(err, unix.EMFILE) {
		return fmt.Errorf("no inotify instance left for this user (fs.inotify.max_user_instances is %s): %w",
			limit("max_user_instances", "max_inotify_instances"), err)
	}
	return err
}

// limit is the figure in force: a user namespace may have a lower one of its own.
func limit(global, namespaced string) string {
	for _, name := range []string{"/proc/sys/user/" + namespaced, "/proc/sys/fs/inotify/" + global} {
		if data, err := os.ReadFile(name); err == nil {
			return strings.TrimSpace(string(data))
		}
	}
	return "unknown"
}
