package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash/fnv"
	"io"

	"github.com/nodeguard/nodeguard/internal/agent"
	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/journal"
)

// set builds the checks and what is documented about them.
func (d *daemon) set() (agent.Set, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state.bound(journal.Limits(d.config.Journal))
	checks, err := d.checks()
	if err != nil {
		return agent.Set{}, err
	}
	set := agent.Set{Policy: d.policy(checks)}
	for i, c := range checks {
		set.Policy.Checks[i].Settling = d.baseline == nil && d.unusable() == nil && len(baselineOperations(c)) > 0
		built := d.resynced(agent.Built{Check: c, Key: d.key(c.Name()), Also: d.also(c)})
		d.seen.recall(c, built.Key)
		set.Checks = append(set.Checks, built)
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
	fmt.Fprintf(h, "%t %x %s", scope == nil, sumOf(scope), d.config.NodePortRange)
	return fmt.Sprintf("%x", h.Sum(nil))
}

// sumOf tells scopes of this process apart, in whatever order their subjects come.
func sumOf(scope baseline.Scope) (sum uint64) {
	for subject, value := range scope {
		h := fnv.New64a()
		_, _ = io.WriteString(h, subject)
		_, _ = io.WriteString(h, "\x00")
		_, _ = io.WriteString(h, value)
		sum += h.Sum64()
	}
	return sum
}

// rebuild hands the agent the checks anew; those that are as they were keep running.
func (d *daemon) rebuild(ctx context.Context) {
	set, err := d.set()
	if err != nil {
		d.log.Error("checks cannot be built: the last good ones stay", "error", err)
		return
	}
	d.agent.Reload(ctx, set)
	d.identify()
}
