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
	errNoAdmin            = errors.New("no CAP_SYS_ADMIN")
	errNoReadSearch       = errors.New("no CAP_DAC_READ_SEARCH")
	errTooOld             = errors.New("the kernel's fanotify tells no names of files, which it does since Linux 5.9")
)

// explainWatch says which limit is meant by the kernel's short answer.
func explainWatch(err error, watches int) error {
	switch {
	case errors.Is(err, unix.ENOSPC):
		return fmt.Errorf("no inotify watch left for this user after %d of our own (fs.inotify.max_user_watches is %s): %w",
			watches, limit("inotify/max_user_watches", "max_inotify_watches"), err)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EMFILE):
		return fmt.Errorf("too few file descriptors for %d watches (RLIMIT_NOFILE): %w", watches, err)
	default:
		return err
	}
}

func explainInstance(err error) error {
	if errors.Is(err, unix.EMFILE) {
		return fmt.Errorf("no inotify instance left for this user (fs.inotify.max_user_instances is %s): %w",
			limit("inotify/max_user_instances", "max_inotify_instances"), err)
	}
	return err
}

// explainGroup says why there is no fanotify group that tells who did what.
func explainGroup(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return errNoAdmin
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return errTooOld
	case errors.Is(err, unix.EMFILE):
		return fmt.Errorf("no fanotify group left for this user (fs.fanotify.max_user_groups is %s): %w",
			limit("fanotify/max_user_groups", "max_fanotify_groups"), err)
	default:
		return fmt.Errorf("start fanotify: %w", err)
	}
}

// limit is the figure in force: a user namespace may have a lower one of its own.
func limit(global, namespaced string) string {
	for _, name := range []string{"/proc/sys/user/" + namespaced, "/proc/sys/fs/" + global} {
		if data, err := os.ReadFile(name); err == nil {
			return strings.TrimSpace(string(data))
		}
	}
	return "unknown"
}
