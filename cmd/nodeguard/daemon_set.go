package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/nodeguard/nodeguard/internal/agent"
	"github.com/nodeguard/nodeguard/internal/journal"
)

// set builds the checks and what is documented about them.
func (d *daemon) set() (agent.Set, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	checks, err := d.checks()
	if err != nil {
		return agent.Set{}, err
	}
	set := agent.Set{Policy: d.policy(checks)}
	for i, c := range checks {
		set.Policy.Checks[i].Settling = d.baseline == nil && d.unusable() == nil && len(baselineOperations(c)) > 0
		set.Checks = append(set.Checks, agent.Built{Check: c, Key: d.key(c.Name()), Also: d.also(c)})
	}
	return set, nil
}

// key says what a check was built from: rules, settings and baseline.
func (d *daemon) key(check string) string {
	h := sha256.New()
	for _, o := range d.profile.Operations {
		for _, node := range o.Rules[check] {
			fmt.Fprintf(h, "%s %s\n", o.ID, node.String())
		}
	}
	scope := d.baseline.Scope(check)
	for _, subject := range slices.Sorted(maps.Keys(scope)) {
		fmt.Fprintf(h, "%q %q\n", subject, scope[subject])
	}
	fmt.Fprintf(h, "%t %s", scope == nil, d.config.NodePortRange)
	return fmt.Sprintf("%x", h.Sum(nil))
}

// reload takes the configuration file as it is now. One with an error changes
// nothing, and the error is said.
func (d *daemon) reload(ctx context.Context) {
	fresh, err := openHost(d.options)
	if err != nil {
		d.log.Error("configuration not taken: the last good one stays", "error", err)
		return
	}
	_ = fresh.host.Close()
	d.mu.Lock()
	d.config, d.language, d.profile = fresh.config, fresh.language, fresh.profile
	d.mu.Unlock()
	d.rebuild(ctx)
	detail, _ := json.Marshal(map[string]string{"profile": fresh.profile.Name})
	d.record(journal.Entry{At: now(), Event: journal.Reloaded, Detail: string(detail)})
	d.log.Info("configuration taken", "profile", fresh.profile.Name)
}

// rebuild hands the agent the checks anew; those that are as they were keep running.
func (d *daemon) rebuild(ctx context.Context) {
	set, err := d.set()
	if err != nil {
		d.log.Error("checks cannot be built: the last good ones stay", "error", err)
		return
	}
	d.agent.Reload(ctx, set)
}
