package paths_test

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/internal/packages"
	"github.com/nodeguard/nodeguard/internal/paths"
	"github.com/nodeguard/nodeguard/internal/watch"
)

// subscribed keeps what was asked of the file watcher.
type subscribed chan watch.Subscription

func (s subscribed) Watch(ctx context.Context, to watch.Subscription) error {
	s <- to
	<-ctx.Done()
	return nil
}

// When the package manager has ended, what it changed is looked at again.
func TestPackageManagersAreWatched(t *testing.T) {
	const rpm = "/usr/lib/sysimage/rpm/rpmdb.sqlite"
	for database, want := range map[string][]string{packages.DpkgStatus: {packages.DpkgStatus}, rpm: {rpm, rpm + "-wal"}} {
		t.Run(filepath.Base(database), func(t *testing.T) {
			dir := t.TempDir()
			hosttest.Write(t, dir, database, "")
			files := make(subscribed, 1)
			c := paths.New(openRoot(t, dir), rules, nil, nil).WithFiles(files).WithPackages(packages.NewInventory(nil), nil)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- c.Watch(ctx, &looker{check: c, told: make(chan struct{}, 1)}) }()
			got := <-files
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			for _, name := range want {
				subject, counts := got.Subject(name)
				if !slices.ContainsFunc(got.Trees, func(tree watch.Tree) bool { return tree.Path == name }) || !counts || subject != name {
					t.Errorf("%s: %t, %q", name, counts, subject)
				}
			}
		})
	}
}
