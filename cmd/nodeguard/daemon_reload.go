package main

import (
	"context"
	"encoding/json"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/journal"
)

// reload takes the configuration file as it is now. One with an error changes
// nothing, and the error is said.
func (d *daemon) reload(ctx context.Context) {
	fresh, err := openHost(d.options)
	if err != nil {
		d.log.Error("configuration not taken: the last good one stays", "error", err)
		return
	}
	defer fresh.host.Close()
	fresh.ownNode = d.ownNode
	file := fresh.config
	d.mu.Lock()
	applied := file.Applying(d.overrides.labels)
	d.mu.Unlock()
	if err := fresh.apply(applied); err != nil {
		d.log.Error("configuration not taken: the last good one stays", "error", err)
		return
	}
	d.mu.Lock()
	d.overrides.file, d.overrides.applied = file, applied
	d.adopt(fresh)
	d.mu.Unlock()
	d.rebuild(ctx)
	d.taken(applied)
}

// adopt makes what the session was configured to be the agent's. It is called with
// the lock held.
func (d *daemon) adopt(fresh *session) {
	d.config, d.language, d.profile, d.because = fresh.config, fresh.language, fresh.profile, fresh.because
	if after := d.settleAfter(); d.settler == nil || after != d.settling {
		d.settler, d.settling = baseline.NewSettler(after), after
	}
}

// taken says that a configuration is in force.
func (d *daemon) taken(overrides []int) {
	d.mu.Lock()
	profile, because := d.profile.Name, d.because
	d.mu.Unlock()
	detail, _ := json.Marshal(struct {
		Profile   string `json:"profile"`
		Overrides []int  `json:"overrides,omitempty"`
	}{profile, overrides})
	d.record(journal.Entry{At: now(), Event: journal.Reloaded, Detail: string(detail)})
	d.log.Info("configuration taken", "profile", profile, "because", because, "overrides", overrides, "event", journal.Reloaded)
}
